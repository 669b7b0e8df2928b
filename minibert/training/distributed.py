"""The processes of a run: one, or several that `torchrun` started, which share every step's batch."""

import contextlib
import functools
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Self, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")

# How long one may wait for what another does alone: to tokenize a large corpus takes hours, and a reader of results may
# pause. Nobody waits for the dead: the connection breaks, and `torchrun` ends the rest.
LONGEST_WAIT = timedelta(days=7)

LONGEST_START = 300  # seconds

PIECE = 1 << 26  # bytes of a file that are sent at once


@functools.cache
def _talk() -> dist.ProcessGroup:
    """Where objects are exchanged: on CPUs, whatever the model computes on, so that no GPU's memory must hold them."""
    return dist.new_group(backend="gloo", timeout=LONGEST_WAIT)


def _may_be_restarted() -> bool:
    return int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", 0)) > 0


def _store_of_this_attempt(rank: int) -> dist.TCPStore:
    """A store of the first process, where all others find its address.

    Of `torchrun` they get one that outlives them, so that after a restart each may find where the others were before.
    There, too, an address can be an old one. But nobody listens at it any more: then it is asked for again.
    """
    of_torchrun, _, _ = next(dist.rendezvous("env://"))
    host = os.environ["MASTER_ADDR"]
    if rank == 0:
        store = dist.TCPStore(host, 0, is_master=True, wait_for_workers=False)
        of_torchrun.set("minibert/port", str(store.port))
        return store
    for _ in range(LONGEST_START):
        with contextlib.suppress(dist.DistError):  # refused, or not yet there
            port = int(of_torchrun.get("minibert/port"))
            return dist.TCPStore(host, port, is_master=False, timeout=timedelta(seconds=1))
    raise TimeoutError(f"the first process, at {host}, was not found in {LONGEST_START} attempts of a second")


@dataclass(frozen=True)
class Processes:
    """Which process this is, of how many, and on which device it computes."""

    rank: int
    count: int
    device: torch.device

    @classmethod
    def join(cls, use_cpu: bool = False) -> Self:
        """Join the processes that `torchrun` started with this one, if it did (nccl on GPUs, gloo on CPUs).

        Args:
            use_cpu: although there is a GPU.
        """
        count = int(os.environ.get("WORLD_SIZE", 1))
        local_rank = int(os.environ.get("LOCAL_RANK", 0))
        on_gpu = torch.cuda.is_available() and not use_cpu
        device = torch.device("cuda", local_rank) if on_gpu else torch.device("cpu")
        if device.type == "cuda":
            torch.cuda.set_device(device)  # what nccl sends objects through, and what `torch.cuda` speaks of
        if count > 1 and not dist.is_initialized():
            backend = "nccl" if device.type == "cuda" else "gloo"
            rank = int(os.environ["RANK"])
            if _may_be_restarted():
                dist.init_process_group(backend, store=_store_of_this_attempt(rank), rank=rank, world_size=count)
            else:
                dist.init_process_group(backend)
        if count > 1:
            _talk()  # made by all at once
        return cls(int(os.environ.get("RANK", 0)), count, device)

    def leave(self) -> None:
        """Part from the others, when all is done: what is left open, PyTorch warns of."""
        if self.count > 1 and dist.is_initialized():
            self.wait()
            _talk.cache_clear()
            dist.destroy_process_group()

    @property
    def is_first(self) -> bool:
        """The first process alone writes and talks."""
        return self.rank == 0

    @property
    def machine(self) -> str:
        """Which of the machines this is, as `torchrun` numbers them."""
        return os.environ.get("GROUP_RANK", "0")

    def was_restarted(self) -> bool:
        """Whether `torchrun --max-restarts` has started these processes again after one of them failed.

        Where that was on another machine, only the processes there are told.
        """
        return any(self.gather(int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0))

    @property
    def may_be_restarted(self) -> bool:
        """Whether `torchrun --max-restarts` would start these processes again if one of them failed."""
        return _may_be_restarted()

    def wrap(self, model: nn.Module, find_unused: bool = False) -> nn.Module:
        """The model, or with several processes one whose gradients are averaged over them.

        Args:
            find_unused: whether the loss may leave out some of its parameters, which must be looked for in every step.
        """
        if self.count == 1:
            return model
        # As views, gradients lie where they are averaged: no second copy of them, and none is copied back.
        return DistributedDataParallel(model, find_unused_parameters=find_unused, gradient_as_bucket_view=True)

    def mean(self, value: Tensor | float) -> Tensor:
        """The mean of every process's `value`."""
        total = torch.as_tensor(value, dtype=torch.float64, device=self.device).detach().clone()
        if self.count > 1:
            dist.all_reduce(total)
        return total / self.count

    def gather(self, value: Any) -> list[Any]:
        """Every process's `value`, in the order of the ranks."""
        values = [value] * self.count
        if self.count > 1:
            dist.all_gather_object(values, value, group=_talk())
        return values

    def scatter(self, values: list[T] | None) -> T:
        """Of the `values` that the first process has, one for each process, this one's."""
        if self.count == 1:
            assert values is not None
            return values[0]
        own: list[Any] = [None]
        dist.scatter_object_list(own, values, src=0, group=_talk())
        return own[0]

    def by_first(self, work: Callable[[], T]) -> T:
        """What `work` returns in the first process, which alone does it; the others wait, for hours if need be.

        Raises: what it raises there. The others exit without a word: the first one says why.
        """
        error: Exception | None = None
        done: Any = None
        if self.is_first:
            try:
                done = work()
            except Exception as failure:
                error = failure
        failed, shared = self.scatter([(error is not None, done)] * self.count if self.is_first else None)
        if error is not None:
            raise error
        if failed:
            raise SystemExit(2)
        return shared

    def numbered_share(self, items: Iterable[T]) -> Iterator[tuple[int, T]]:
        """Every `count`-th of the items, from that of this rank on, each with its number."""
        return ((number, item) for number, item in enumerate(items) if number % self.count == self.rank)

    def in_order(self, numbered: list[tuple[int, T]]) -> list[T]:
        """What all processes made of their `numbered_share`, in the order of the numbers."""
        return [made for _, made in sorted((p for part in self.gather(numbered) for p in part), key=lambda p: p[0])]

    def folder_of_first(self, folder: Path) -> Path:
        """Where this machine has what the first process wrote into its `folder`.

        Other machines need no disk in common with it: they are sent a copy, into the `folder` of their first process.
        """
        places = self.gather((self.machine, str(folder)))
        machines = [machine for machine, _ in places]
        receiver = machines.index(self.machine)  # the first process of this machine
        if len(set(machines)) > 1:
            root = folder if self.rank == receiver else None
            files = [path for path in folder.rglob("*") if path.is_file()] if self.is_first else []
            sizes = {str(path.relative_to(folder)): path.stat().st_size for path in files}
            for name, size in self.scatter([sizes] * self.count if self.is_first else None).items():
                self._send(root and root / name, size)
            self.wait()  # a file is whole when it is closed
        return Path(places[receiver][1])

    def _send(self, path: Path | None, size: int) -> None:
        """A file of so many bytes from the first process to all that have a `path` for it."""
        if path is not None and not self.is_first:
            path.parent.mkdir(parents=True, exist_ok=True)
        with open(path or os.devnull, "rb" if self.is_first else "wb") as file:
            for start in range(0, size, PIECE):
                length = min(PIECE, size - start)
                piece = bytearray(file.read(length) if self.is_first else length)
                dist.broadcast(torch.frombuffer(piece, dtype=torch.uint8), src=0, group=_talk())
                if not self.is_first:
                    file.write(piece)

    def wait(self) -> None:
        """Until every process is here."""
        if self.count > 1:
            dist.barrier(group=_talk())

    def random_states(self) -> dict[str, list[Any]]:
        """The states of every process's generators, on the CPU and on its GPU, which dropout draws from."""
        on_gpu = torch.cuda.get_rng_state() if self.device.type == "cuda" else None
        return {"generators": self.gather(torch.get_rng_state()), "cuda_generators": self.gather(on_gpu)}

    def restore_random_states(self, states: dict[str, list[Any]], seed: int) -> None:
        """Go on from `random_states()`.

        Args:
            seed: where those are of another number of processes, what is drawn begins anew with it, and that is said.
        """
        before = len(states["generators"])
        if before != self.count:
            if self.is_first:
                warnings.warn(
                    f"the run was on {before} processes and goes on with {self.count}: every example comes as it would"
                    " have, but dropout draws other numbers from here on",
                    stacklevel=2,
                )
            torch.manual_seed((seed + self.rank) % 2**63)  # on GPUs, too
            return
        torch.set_rng_state(states["generators"][self.rank])
        if self.device.type == "cuda" and states["cuda_generators"][self.rank] is not None:
            torch.cuda.set_rng_state(states["cuda_generators"][self.rank])

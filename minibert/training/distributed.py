"""The processes of a run: one, or several that `torchrun` started, which share every step's batch."""

import os
from dataclasses import dataclass
from typing import Any, Self

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


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
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return cls(int(os.environ.get("RANK", 0)), count, device)

    @property
    def is_first(self) -> bool:
        """The first process alone writes and talks."""
        return self.rank == 0

    def wrap(self, model: nn.Module, find_unused: bool = False) -> nn.Module:
        """The model, or with several processes one whose gradients are averaged over them.

        Args:
            find_unused: whether the loss may leave out some of its parameters, which must be looked for in every step.
        """
        return DistributedDataParallel(model, find_unused_parameters=find_unused) if self.count > 1 else model

    def mean(self, value: Tensor | float) -> Tensor:
        """The mean of every process's `value`."""
        total = torch.as_tensor(value, dtype=torch.float64, device=self.device).detach().clone()
        if self.count > 1:
            dist.all_reduce(total)
        return total / self.count

    def of_first(self, value: float) -> float:
        """The first process's `value`, so that all decide alike."""
        if self.count == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.broadcast(shared, src=0)
        return shared.item()

    def gather(self, value: Any) -> list[Any]:
        """Every process's `value`, in the order of the ranks."""
        values = [value] * self.count
        if self.count > 1:
            dist.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Until every process is here."""
        if self.count > 1:
            dist.barrier()

    def random_states(self) -> dict[str, list[Any]]:
        """The states of every process's generators, on the CPU and on its GPU, which dropout draws from."""
        on_gpu = torch.cuda.get_rng_state() if self.device.type == "cuda" else None
        return {"generators": self.gather(torch.get_rng_state()), "cuda_generators": self.gather(on_gpu)}

    def restore_random_states(self, states: dict[str, list[Any]]) -> None:
        """Go on from `random_states()` of as many processes."""
        torch.set_rng_state(states["generators"][self.rank])
        if self.device.type == "cuda" and states["cuda_generators"][self.rank] is not None:
            torch.cuda.set_rng_state(states["cuda_generators"][self.rank])

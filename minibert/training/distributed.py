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
    def join(cls) -> Self:
        """Join the processes that `torchrun` started with this one, if it did (nccl on GPUs, gloo on CPUs)."""
        count = int(os.environ.get("WORLD_SIZE", 1))
        local_rank = int(os.environ.get("LOCAL_RANK", 0))
        device = torch.device("cuda", local_rank) if torch.cuda.is_available() else torch.device("cpu")
        if device.type == "cuda":
            torch.cuda.set_device(device)  # what nccl sends objects through, and what `torch.cuda` speaks of
        if count > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return cls(int(os.environ.get("RANK", 0)), count, device)

    @property
    def is_first(self) -> bool:
        """The first process alone writes and talks."""
        return self.rank == 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model, or with several processes one whose gradients are averaged over them."""
        return DistributedDataParallel(model) if self.count > 1 else model

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

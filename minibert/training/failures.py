"""What ends a run in the middle of a step, and what to do about it."""

import contextlib
import math
from collections.abc import Iterator

import torch
from torch import Tensor


class TrainingError(ValueError):
    """A run that cannot go on; the message says at which step, and what to do."""


def steps_between_looks(device: torch.device) -> int:
    """How often a run looks at its numbers: a CPU has them at hand; for those of a GPU it would have to wait."""
    return 20 if device.type == "cuda" else 1


class FiniteCheck:
    """Ends a run for numbers that spoil every weight.

    On a CPU that is before a step changes the weights. On a GPU it may be some steps later, but before anything is
    logged, evaluated or saved: for that, whoever does so calls `look`.
    """

    def __init__(self, device: torch.device) -> None:
        self.every = steps_between_looks(device)
        self.unseen: list[tuple[int, Tensor]] = []

    def add(self, loss: Tensor, gradient_norm: Tensor, step: int) -> None:
        """The numbers of a step."""
        self.unseen.append((step, torch.stack([loss.to(gradient_norm), gradient_norm])))
        if len(self.unseen) >= self.every:
            self.look()

    def look(self) -> None:
        """Raise `TrainingError` for the first step since the last look with a number that is not finite."""
        if not self.unseen:
            return
        steps, numbers = zip(*self.unseen, strict=True)
        self.unseen = []
        for step, (loss, norm) in zip(steps, torch.stack(numbers).tolist(), strict=True):
            if not math.isfinite(loss + norm):
                later = f", seen after step {steps[-1]}" if steps[-1] > step else ""
                raise TrainingError(
                    f"the loss is {loss} and its gradient's norm {norm} at step {step}{later};"
                    " try a lower learning_rate, or bf16=False"
                )


@contextlib.contextmanager
def advice_when_out_of_memory(step: int) -> Iterator[None]:
    """Turn the error of a GPU whose memory is full into a `TrainingError`."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"out of memory at step {step}; try a smaller per_device_train_batch_size with more"
            " gradient_accumulation_steps, bf16=True, or model.gradient_checkpointing_enable()"
        ) from error

"""What ends a run in the middle of a step, and what to do about it."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor


class TrainingError(ValueError):
    """A run that cannot go on; the message says at which step, and what to do."""


def check_finite(loss: Tensor, gradient_norm: Tensor, step: int) -> None:
    """Raise `TrainingError` for numbers that would spoil every weight."""
    if not (loss + gradient_norm).isfinite():
        raise TrainingError(
            f"the loss is {loss.item()} and its gradient's norm {gradient_norm.item()} at step {step};"
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

"""A batch: examples as the model is called with them."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from minibert.labels import IGNORE_INDEX

Batch = dict[str, Any]

ANSWER_POSITIONS = ("start_positions", "end_positions")


# A data set: it has a length, and items by number, perhaps many at once (`__getitems__`), and a `set_epoch`.
Examples = Any


def fetch_examples(dataset: Examples, indices: list[int]) -> list:
    """The examples at `indices`, all at once where the data set can."""
    if hasattr(dataset, "__getitems__"):
        return dataset.__getitems__(indices)
    return [dataset[i] for i in indices]


def checked(batch: Any) -> Any:
    """The batch itself. Raises `ValueError` if it is none."""
    if not isinstance(batch, Mapping):
        found = type(batch).__name__
        raise ValueError(f"a batch must be a dict of the model's arguments, found {found}; pass a data_collator")
    return batch


def to_device(batch: Mapping[str, Any], device: torch.device) -> Batch:
    """The batch with its tensors on `device`."""
    return {name: x.to(device, non_blocking=True) if isinstance(x, Tensor) else x for name, x in batch.items()}


def examples_in(batch: Batch) -> int:
    """How many examples a batch has: the rows of its first tensor. Raises `ValueError` for a batch without one."""
    for value in checked(batch).values():
        if isinstance(value, Tensor) and value.ndim > 0:
            return len(value)
    raise ValueError(f"a batch needs a tensor with a row for each example, found only {', '.join(map(str, batch))}")


def label_count(batch: Batch) -> int | None:
    """Over how many labels the loss of a batch is a mean; None where that is over its examples.

    Labels are those of tokens, `labels`, or the positions of answers; one that truncation has cut off is none.
    """
    if "label_count" in batch:
        return batch["label_count"]
    if batch.keys() >= {"attention_mask", *ANSWER_POSITIONS}:
        return sum(_on_tokens(batch[name], batch["attention_mask"]) for name in ANSWER_POSITIONS)
    labels = batch.get("labels")
    if not isinstance(labels, Tensor) or labels.is_floating_point():
        return None
    return int((labels != IGNORE_INDEX).sum())


def _on_tokens(positions: Tensor, attention_mask: Tensor) -> int:
    """How many of the positions, (B,), are those of a token."""
    real = F.pad(attention_mask != 0, (0, 1))  # (B, S + 1), False beyond the end
    return int(real.gather(1, positions.view(-1, 1).clamp(0, real.shape[1] - 1)).sum())

"""Examples of different lengths to one batch, padded to its longest and no further."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from minibert.labels import IGNORE_INDEX

# The columns with an entry for every token, beside input_ids, and what stands at their padding.
PADDING = {"attention_mask": 0, "token_type_ids": 0, "labels": IGNORE_INDEX}

ANSWER_POSITIONS = {"start_positions", "end_positions"}


class DataCollatorWithPadding:
    """Makes a batch of tensors from dicts of numbers, lists, NumPy arrays or tensors.

    `input_ids`, `attention_mask`, `token_type_ids`, and `labels` if they are whole numbers, one for every token,
    become (B, S), padded on the right. All else is stacked: (B,) from numbers, (B, C) from C numbers each. A label
    may also be called `label` or `label_ids`; those of several classes at once are floats, 0.0 or 1.0.
    A missing `attention_mask` is made, so that no padding is ever attended to. With labels for every token, or with
    positions of answers, the batch also carries their `label_count`, which the `Trainer` needs to divide by.

    Args:
        tokenizer: its `pad_token_id` fills up `input_ids`; without it, 0.
        pad_to_multiple_of: S becomes a multiple of it; None for no longer than the longest example.

    Raises: `ValueError` naming the example in the batch, and the key, that cannot be put with the others.
    """

    def __init__(self, tokenizer: Any = None, *, pad_to_multiple_of: int | None = None) -> None:
        self.tokenizer = tokenizer
        self.pad_to_multiple_of = pad_to_multiple_of

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Tensor | int]:
        columns = _columns(features)
        lengths = _lengths(columns)
        padding = {"input_ids": 0 if self.tokenizer is None else self.tokenizer.pad_token_id} | PADDING
        multiple = self.pad_to_multiple_of or 1
        width = -(-max(lengths, default=0) // multiple) * multiple
        if "labels" in columns and not _is_per_token(columns["labels"], lengths):
            del padding["labels"]
        if lengths:
            columns.setdefault("attention_mask", [np.ones(length, np.int64) for length in lengths])
        batch = {
            name: _pad(name, rows, lengths, padding[name], width) if lengths and name in padding else _stack(name, rows)
            for name, rows in columns.items()
        }
        if "labels" in columns and "labels" in padding:
            batch["label_count"] = int((batch["labels"] != IGNORE_INDEX).sum())
        elif lengths and columns.keys() >= ANSWER_POSITIONS:
            batch["label_count"] = sum(_count_on_tokens(batch, name) for name in ANSWER_POSITIONS)
        return batch


def _count_on_tokens(batch: dict[str, Tensor], name: str) -> int:
    """How many of the positions are those of a token: the loss ignores the others, which truncation has cut off."""
    real = F.pad(batch["attention_mask"] != 0, (0, 1))  # (B, S + 1), False beyond the end
    return int(real.gather(1, batch[name].view(-1, 1).clamp(0, real.shape[1] - 1)).sum())


def _columns(features: Sequence[Mapping[str, Any]]) -> dict[str, list[np.ndarray]]:
    """All examples' values of a key together, as arrays."""
    for number, feature in enumerate(features):
        if not isinstance(feature, Mapping):
            found = type(feature).__name__
            raise ValueError(f"example {number}: expected a dict, found {found}; or pass a data_collator that takes it")
        if feature.keys() != features[0].keys():
            found, expected = (", ".join(map(str, keys)) for keys in (feature, features[0]))
            raise ValueError(f"example {number}: expected the same keys as example 0, {expected}, found {found}")
    keys = {key: "labels" if key in ("label", "label_ids") else key for key in features[0]}
    if len(set(keys.values())) < len(keys):
        raise ValueError(f"example 0: expected one of label, labels and label_ids, found {', '.join(keys)}")
    return {
        name: [_array(key, number, feature[key]) for number, feature in enumerate(features)]
        for key, name in keys.items()
    }


def _array(key: str, number: int, value: Any) -> np.ndarray:
    """The value in the dtype that models take: int64 or float32."""
    try:
        array = value.numpy(force=True) if isinstance(value, Tensor) else np.asarray(value)
    except ValueError:  # lists of different lengths in a list
        array = np.empty(0, object)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{key} of example {number}: expected numbers, found {value!r:.80}; leave out what is none")
    return array.astype(np.float32 if array.dtype.kind == "f" else np.int64, copy=False)


def _lengths(columns: dict[str, list[np.ndarray]]) -> list[int]:
    """How many tokens each example has; nothing if the examples are no texts."""
    for number, ids in enumerate(columns.get("input_ids", [])):
        if ids.ndim != 1:
            advice = "tokenize without return_tensors" if ids.ndim == 2 and len(ids) == 1 else "or pass a data_collator"
            expected = "expected a flat list of token ids"
            raise ValueError(f"input_ids of example {number}: {expected}, found shape {ids.shape}; {advice}")
    return [len(ids) for ids in columns.get("input_ids", [])]


def _is_per_token(labels: list[np.ndarray], lengths: list[int]) -> bool:
    """Whole numbers, as many as tokens, in every example; several labels of the whole text are floats."""
    if not lengths or any(array.ndim != 1 or array.dtype != np.int64 for array in labels):
        return False
    counts = [len(array) for array in labels]
    return counts == lengths or len(set(counts)) > 1  # neither can only be a mistake, which `_pad` tells


def _pad(name: str, rows: list[np.ndarray], lengths: list[int], value: int, width: int) -> Tensor:
    """(B, width) from rows of `lengths`, filled up with `value` on the right."""
    padded = np.full((len(rows), width), value, dtype=np.int64)
    for number, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        if row.shape != (length,):
            expected = f"one entry for each of its {length} input_ids"
            raise ValueError(f"{name} of example {number}: expected {expected}, found shape {row.shape}")
        padded[number, :length] = row
    return torch.from_numpy(padded)


def _stack(name: str, rows: list[np.ndarray]) -> Tensor:
    """(B, ...) from B values of one shape."""
    for number, row in enumerate(rows):
        if row.shape != rows[0].shape:
            raise ValueError(
                f"{name} of example {number}: expected shape {rows[0].shape} as in example 0, found {row.shape};"
                " what has another length in every example needs a data_collator of its own"
            )
    return torch.from_numpy(np.stack(rows))

"""Examples of different lengths to one batch, padded to its longest and no further; masked, if they are to be."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minibert.labels import IGNORE_INDEX
from minibert.text.batch_encoding import BatchEncoding
from minibert.text.masking import mask_tokens

# The columns with an entry for every token, beside input_ids and perhaps labels, and what stands at their padding.
PADDING = {"attention_mask": 0, "token_type_ids": 0, "special_tokens_mask": 1}

LABELS = ("label", "labels", "label_ids")


class DataCollatorWithPadding:
    """Makes a batch of tensors from dicts of numbers, lists, NumPy arrays or tensors.

    `input_ids`, `attention_mask`, `token_type_ids`, `special_tokens_mask`, and `labels` if they are whole numbers, one
    for every token, become (B, S), padded on the tokenizer's `padding_side`. All else is stacked: (B,) from numbers,
    (B, C) from C numbers each. A label may also be called `label` or `label_ids`; those of several classes at once are
    floats, 0.0 or 1.0. A missing `attention_mask` is made, so that no padding is ever attended to.

    Args:
        tokenizer: its `pad_token_id` fills up `input_ids`; without it, 0, on the right.
        padding: True or "longest": up to the batch's longest example; "max_length": up to `max_length`.
        max_length: default: the tokenizer's `model_max_length`.
        pad_to_multiple_of: the length is rounded up to a multiple of this.
        return_tensors: "pt".

    Raises: `ValueError` naming the example in the batch, and the key, that cannot be put with the others.
    """

    label_pad_token_id = IGNORE_INDEX

    def __init__(
        self,
        tokenizer: Any = None,
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        return_tensors: str = "pt",
    ) -> None:
        if return_tensors != "pt":
            raise ValueError(f"return_tensors must be 'pt', got {return_tensors!r}")
        if padding not in (True, "longest", "max_length"):
            raise ValueError(
                f"padding must be True, 'longest' or 'max_length', got {padding!r}: a batch has one length"
            )
        if padding == "max_length" and max_length is None and tokenizer is None:
            raise ValueError("padding='max_length' needs a max_length, or a tokenizer that has one")
        self.tokenizer = tokenizer
        self.padding = padding
        self.max_length = max_length
        self.pad_to_multiple_of = pad_to_multiple_of

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> BatchEncoding:
        columns = _columns(features)
        lengths = _lengths(columns)
        padding = {"input_ids": 0 if self.tokenizer is None else self.tokenizer.pad_token_id} | PADDING
        if "labels" in columns and self._labels_are_per_token(columns["labels"], lengths):
            padding["labels"] = self.label_pad_token_id
        if lengths:
            columns.setdefault("attention_mask", [np.ones(length, np.int64) for length in lengths])
        width, side = self._width(lengths), getattr(self.tokenizer, "padding_side", "right")
        return BatchEncoding(
            {
                name: _pad(name, rows, lengths, width, side, padding[name])
                if lengths and name in padding
                else _stack(name, rows)
                for name, rows in columns.items()
            }
        )

    def _labels_are_per_token(self, labels: list[np.ndarray], lengths: list[int]) -> bool:
        return _is_per_token(labels, lengths)

    def _width(self, lengths: list[int]) -> int:
        """How long the padded sequences are."""
        width = max(lengths, default=0)
        if self.padding == "max_length":
            wanted = self.max_length or self.tokenizer.model_max_length
            if width > wanted:
                raise ValueError(
                    f"an example has {width} tokens, more than max_length={wanted}; tokenize with truncation"
                )
            width = wanted
        return -(-width // (self.pad_to_multiple_of or 1)) * (self.pad_to_multiple_of or 1)


class DataCollatorForTokenClassification(DataCollatorWithPadding):
    """The same where every label belongs to a token.

    Args:
        label_pad_token_id: stands at the labels' padding.
    """

    def __init__(
        self,
        tokenizer: Any = None,
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        label_pad_token_id: int = IGNORE_INDEX,
        return_tensors: str = "pt",
    ) -> None:
        super().__init__(tokenizer, padding, max_length, pad_to_multiple_of, return_tensors)
        self.label_pad_token_id = label_pad_token_id

    def _labels_are_per_token(self, labels: list[np.ndarray], lengths: list[int]) -> bool:
        return True


class DataCollatorForLanguageModeling:
    """Hides words of the examples, and makes them the labels (Devlin et al. 2019, section 3.1, task 1).

    As `mask_tokens` does: in each example a share of its tokens is chosen; of these 80 % become [MASK], 10 % a random
    token, 10 % stay. Which ones is drawn from PyTorch's generator, anew for every batch; a `Trainer` makes it depend on
    its seed, the epoch and the batch alone. Where the share is no whole number of tokens, it is so on average: of many
    short texts, some have no hidden word. Labels that the examples have are not used.

    Args:
        tokenizer: knows [MASK], and which tokens are special: these stay, and so does what has a 1 in an example's
            `special_tokens_mask`.
        mlm_probability: the share of an example's tokens that are chosen, special ones not counted.

    Raises: `ValueError` for what BERT's recipe has no place for.
    """

    def __init__(
        self,
        tokenizer: Any,
        mlm: bool = True,
        whole_word_mask: bool = False,
        mlm_probability: float = 0.15,
        mask_replace_prob: float = 0.8,
        random_replace_prob: float = 0.1,
        pad_to_multiple_of: int | None = None,
        return_tensors: str = "pt",
        seed: None = None,
    ) -> None:
        if mlm is not True:
            raise ValueError("mlm=False is for models that read from left to right; BERT needs mlm=True")
        if whole_word_mask is not False:
            raise ValueError("whole_word_mask: whole words are hidden in pretraining (`PretrainingDataset`), not here")
        if (mask_replace_prob, random_replace_prob) != (0.8, 0.1):
            raise ValueError("mask_replace_prob and random_replace_prob must be 0.8 and 0.1, as in BERT's recipe")
        if seed is not None:
            raise ValueError("seed: the Trainer's seed decides; in a loop of your own, call torch.manual_seed")
        if not 0 < mlm_probability <= 1:
            raise ValueError(f"mlm_probability must be a share above 0 and at most 1, got {mlm_probability}")
        self.tokenizer = tokenizer
        self.mlm_probability = mlm_probability
        self.pad = DataCollatorWithPadding(
            tokenizer, pad_to_multiple_of=pad_to_multiple_of, return_tensors=return_tensors
        )

    def __call__(self, features: Sequence[Mapping[str, Any] | Sequence[int]]) -> BatchEncoding:
        texts = [x if isinstance(x, Mapping) else {"input_ids": x} for x in features]
        batch = self.pad([{name: x for name, x in text.items() if name not in LABELS} for text in texts])
        if "input_ids" not in batch:
            raise ValueError(f"example 0: expected input_ids, found {', '.join(texts[0]) or 'nothing'}")
        ids = batch["input_ids"].numpy()
        special = np.isin(ids, self.tokenizer.all_special_ids)
        special |= batch.pop("special_tokens_mask", torch.zeros(())).numpy() != 0
        maskable = ~special & (batch["attention_mask"].numpy() != 0)
        # 1.4 tokens are one, and with a chance of 0.4 two.
        chosen = np.floor(maskable.sum(1) * self.mlm_probability + torch.rand(len(ids)).numpy())
        inputs, labels = mask_tokens(
            ids,
            maskable & (chosen > 0)[:, None],
            chosen / self.mlm_probability,
            torch.randint(2**62, (len(ids),)).numpy().astype(np.uint64),
            mask_token_id=self.tokenizer.mask_token_id,
            vocab_size=len(self.tokenizer),
            rate=self.mlm_probability,
        )
        batch["input_ids"], batch["labels"] = torch.from_numpy(inputs), torch.from_numpy(labels)
        return batch


def default_data_collator(features: Sequence[Mapping[str, Any]], return_tensors: str = "pt") -> BatchEncoding:
    """Makes a batch of examples of equal length: what is no text is stacked; `label` or `label_ids` become `labels`.

    Texts, and what is None, are left out, as in the reference.
    """
    if return_tensors != "pt":
        raise ValueError(f"return_tensors must be 'pt', got {return_tensors!r}")
    left_out = {name for name, value in features[0].items() if value is None or isinstance(value, str)}
    numbers = [{name: x for name, x in feature.items() if name not in left_out} for feature in features]
    return BatchEncoding({name: _stack(name, rows) for name, rows in _columns(numbers).items()})


def _columns(features: Sequence[Mapping[str, Any]]) -> dict[str, list[np.ndarray]]:
    """All examples' values of a key together, as arrays."""
    for number, feature in enumerate(features):
        if not isinstance(feature, Mapping):
            found = type(feature).__name__
            raise ValueError(f"example {number}: expected a dict, found {found}; or pass a data_collator that takes it")
        if feature.keys() != features[0].keys():
            found, expected = (", ".join(map(str, keys)) for keys in (feature, features[0]))
            raise ValueError(f"example {number}: expected the same keys as example 0, {expected}, found {found}")
    keys = {key: "labels" if key in LABELS else key for key in features[0]}
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


def _pad(name: str, rows: list[np.ndarray], lengths: list[int], width: int, side: str, value: int) -> Tensor:
    """(B, S) from rows of `lengths`, filled up to `width` with `value`."""
    padded = np.full((len(rows), width), value, dtype=np.int64)
    for number, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        if row.shape != (length,):
            expected = f"one entry for each of its {length} input_ids"
            raise ValueError(f"{name} of example {number}: expected {expected}, found shape {row.shape}")
        start = width - length if side == "left" else 0
        padded[number, start : start + length] = row
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

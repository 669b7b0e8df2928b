"""`BatchEncoding`: what the tokenizer returns, a dict whose values are lists or tensors of equal shape."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from tokenizers import Encoding

# Each column, and the attribute of `tokenizers.Encoding` that holds it.
COLUMNS = {
    "input_ids": "ids",
    "token_type_ids": "type_ids",
    "attention_mask": "attention_mask",
    "special_tokens_mask": "special_tokens_mask",
    "offset_mapping": "offsets",
}

# What stands at the padding, beside the padding token itself.
FILLER = {"token_type_ids": 0, "attention_mask": 0, "special_tokens_mask": 1}


class BatchEncoding(dict):
    """`input_ids`, `attention_mask`, ... by key (`batch["input_ids"]`) or attribute (`batch.input_ids`).

    data: the columns, each (B, S) as nested lists, or (S,) for a single text.
    encodings: for every row the `tokenizers.Encoding` it came from, which knows words and characters;
        None for a batch that was only padded.
    return_tensors: "pt" for `torch.Tensor`, "np" for `numpy.ndarray`, None to leave the lists.
    Raises `ValueError` when a column is ragged and tensors were asked for.
    """

    def __init__(
        self,
        data: Mapping[str, Any],
        encodings: list[Encoding] | None = None,
        return_tensors: str | None = None,
    ) -> None:
        super().__init__({key: as_tensor(key, value, return_tensors) for key, value in data.items()})
        self.encodings = encodings

    @classmethod
    def from_encodings(
        cls,
        encodings: list[Encoding],
        wanted: Mapping[str, bool],
        is_single: bool,
        return_tensors: str | None,
    ) -> Self:
        """Turn the tokenizer's rows into columns.

        wanted: which of `COLUMNS`; "overflow_to_sample_mapping" adds what truncation cut off, as rows of its
            own, and says for every row which text it comes from.
        is_single: one text, not a batch of one: lists without the batch's dimension.
        """
        samples = list(range(len(encodings)))
        if wanted["overflow_to_sample_mapping"]:
            samples = [i for i in samples for _ in (encodings[i], *encodings[i].overflowing)]
            encodings = [row for first in encodings for row in (first, *first.overflowing)]
        columns = {
            key: [getattr(row, attribute) for row in encodings] for key, attribute in COLUMNS.items() if wanted[key]
        }
        if wanted["overflow_to_sample_mapping"]:
            columns["overflow_to_sample_mapping"] = samples
        elif is_single and return_tensors is None:
            columns = {key: column[0] for key, column in columns.items()}
        return cls(columns, encodings, return_tensors)

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"this batch has no {name!r}, only {', '.join(self)}") from None

    def to(self, device: torch.device | str | int) -> Self:
        """Move the tensors, in place, and return the batch itself."""
        self.update({key: value.to(device) for key, value in self.items() if isinstance(value, torch.Tensor)})
        return self

    def tokens(self, index: int = 0) -> list[str]:
        """The tokens of row `index`, as strings."""
        return self._encoding(index).tokens

    def word_ids(self, index: int = 0) -> list[int | None]:
        """For each token of row `index`, the number of the word it belongs to; None for special tokens."""
        return self._encoding(index).word_ids

    def sequence_ids(self, index: int = 0) -> list[int | None]:
        """For each token of row `index`, 0 in the first text, 1 in the second; None for special tokens."""
        return self._encoding(index).sequence_ids

    def _encoding(self, index: int) -> Encoding:
        if self.encodings is None:
            raise ValueError("this batch was padded, not tokenized: words and tokens are known to the originals")
        return self.encodings[index]


def as_tensor(key: str, value: Any, return_tensors: str | None) -> Any:
    """Turn one column of lists into the kind of tensor that `return_tensors` names; None leaves it alone."""
    if return_tensors not in (None, "pt", "np"):
        raise ValueError(f"return_tensors must be 'pt', 'np' or None, found {return_tensors!r}")
    if return_tensors is None:
        return value
    try:
        tensor = torch.tensor(value) if return_tensors == "pt" else np.asarray(value)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{key} cannot become a tensor ({error}); give all rows one length with padding=True, truncation=True"
        ) from error
    if 0 not in tensor.shape:
        return tensor
    # Without a number to infer a type from: these are ids all the same.
    return tensor.long() if return_tensors == "pt" else tensor.astype(np.int64)


def pad_columns(columns: Mapping[str, list], length: int, pad_token_id: int, side: str) -> dict[str, list]:
    """Bring the rows of the tokenizer's columns up to `length`; leave all other columns alone."""
    filler = {"input_ids": pad_token_id, **FILLER}
    padded = dict(columns)
    for name in filler.keys() & columns.keys():
        missing = [[filler[name]] * (length - len(row)) for row in columns[name]]
        rows = zip(columns[name], missing, strict=True)
        padded[name] = [fill + row if side == "left" else row + fill for row, fill in rows]
    return padded

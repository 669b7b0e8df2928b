"""`BatchEncoding`: what the tokenizer returns, a dict whose values are lists or tensors of equal shape."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

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


class CharSpan(NamedTuple):
    """Characters from `start` up to, not including, `end`."""

    start: int
    end: int


class TokenSpan(NamedTuple):
    """Tokens from `start` up to, not including, `end`."""

    start: int
    end: int


class BatchEncoding(dict):
    """`input_ids`, `attention_mask`, ... by key (`batch["input_ids"]`) or attribute (`batch.input_ids`).

    data: the columns, each (B, S) as nested lists, or (S,) for a single text.
    encoding: for every row the `tokenizers.Encoding` it came from, which knows words and characters; None for a batch
        that was only padded. `batch[0]` is that of row 0.
    tensor_type: "pt" for `torch.Tensor`, "np" for `numpy.ndarray`, None to leave the lists.
    Raises `ValueError` when a column is ragged and tensors were asked for.
    """

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        encoding: Encoding | list[Encoding] | None = None,
        tensor_type: str | None = None,
        prepend_batch_axis: bool = False,
    ) -> None:
        super().__init__(data or {})
        self.encodings = [encoding] if isinstance(encoding, Encoding) else encoding
        self.convert_to_tensors(tensor_type, prepend_batch_axis)

    @classmethod
    def from_encodings(
        cls,
        encodings: list[Encoding],
        wanted: Mapping[str, bool],
        is_single: bool,
        return_tensors: str | None,
    ) -> Self:
        """Turn the tokenizer's rows into columns.

        wanted: which of `COLUMNS`; "length" adds the number of tokens, "overflow_to_sample_mapping" what truncation cut
            off, as rows of its own, and says for every row which text it comes from.
        is_single: one text, not a batch of one: lists without the batch's dimension.
        """
        samples = list(range(len(encodings)))
        if wanted["overflow_to_sample_mapping"]:
            samples = [i for i in samples for _ in (encodings[i], *encodings[i].overflowing)]
            encodings = [row for first in encodings for row in (first, *first.overflowing)]
        columns = {
            key: [getattr(row, attribute) for row in encodings] for key, attribute in COLUMNS.items() if wanted[key]
        }
        if is_single and return_tensors is None and not wanted["overflow_to_sample_mapping"]:
            columns = {key: column[0] for key, column in columns.items()}
        if wanted["length"]:
            columns["length"] = [len(row) for row in encodings]
        if wanted["overflow_to_sample_mapping"]:
            columns["overflow_to_sample_mapping"] = samples
        return cls(columns, encodings, return_tensors)

    def __getitem__(self, key: str | int | slice) -> Any:
        if isinstance(key, str):
            return super().__getitem__(key)
        return self._rows()[key]

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"this batch has no {name!r}, only {', '.join(self)}") from None

    @property
    def data(self) -> dict[str, Any]:
        """The columns: the batch itself, where the reference keeps a dict of its own."""
        return self

    def to(self, device: torch.device | str | int, *, non_blocking: bool = False) -> Self:
        """Move the tensors, in place, and return the batch itself."""
        if not isinstance(device, torch.device | str | int):
            raise TypeError(f"device: expected a torch.device, str or int, found {device!r}; ids have no other dtype")
        for key, value in self.items():
            if isinstance(value, torch.Tensor):
                self[key] = value.to(device, non_blocking=non_blocking)
        return self

    def convert_to_tensors(self, tensor_type: str | None = None, prepend_batch_axis: bool = False) -> Self:
        """Turn all columns into tensors, in place, and return the batch itself; `tensor_type` as at construction.

        prepend_batch_axis: (S,) becomes (1, S).
        """
        for key, value in self.items():
            tensor = as_tensor(key, value, tensor_type)
            self[key] = tensor[None] if prepend_batch_axis and tensor_type is not None else tensor
        return self

    # --- tokens, words and characters of a row

    def _rows(self) -> list[Encoding]:
        if self.encodings is None:
            raise ValueError("this batch was padded, not tokenized: words and tokens are known to the originals")
        return self.encodings

    @property
    def is_fast(self) -> bool:
        """Whether words and characters are known."""
        return self.encodings is not None

    @property
    def n_sequences(self) -> int | None:
        """1 for single texts, 2 for pairs; None if not known."""
        return self.encodings[0].n_sequences if self.encodings else None

    def tokens(self, batch_index: int = 0) -> list[str]:
        """The tokens of a row, as strings."""
        return self._rows()[batch_index].tokens

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """For each token of a row, the number of the word it belongs to; None for special tokens."""
        return self._rows()[batch_index].word_ids

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """For each token of a row, 0 in the first text, 1 in the second; None for special tokens."""
        return self._rows()[batch_index].sequence_ids

    # Each of these is called with the index in row 0, or with the number of a row and the index in it. Characters and
    # words are counted in the first text of a pair, or in the second with sequence_index=1.

    def _find(self, batch_or_index: int, index: int | None) -> tuple[Encoding, int]:
        return (self._rows()[0], batch_or_index) if index is None else (self._rows()[batch_or_index], index)

    def token_to_sequence(self, batch_or_token_index: int, token_index: int | None = None) -> int | None:
        """In which text a token is, 0 or 1; None for a special token."""
        row, token = self._find(batch_or_token_index, token_index)
        return row.token_to_sequence(range(len(row))[token])

    def token_to_word(self, batch_or_token_index: int, token_index: int | None = None) -> int | None:
        """To which word a token belongs; None for a special token."""
        row, token = self._find(batch_or_token_index, token_index)
        return row.token_to_word(range(len(row))[token])

    def token_to_chars(self, batch_or_token_index: int, token_index: int | None = None) -> CharSpan | None:
        """Which characters a token stands for; None for a special token."""
        row, token = self._find(batch_or_token_index, token_index)
        span = row.token_to_chars(range(len(row))[token])
        return CharSpan(*span) if span else None

    def word_to_tokens(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> TokenSpan | None:
        """Which tokens a word became; None if it has none in this row."""
        row, word = self._find(batch_or_word_index, word_index)
        span = row.word_to_tokens(word, sequence_index)
        return TokenSpan(*span) if span else None

    def word_to_chars(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> CharSpan | None:
        """Which characters a word stands for; None if it is not in this row."""
        row, word = self._find(batch_or_word_index, word_index)
        span = row.word_to_chars(word, sequence_index)
        return CharSpan(*span) if span else None

    def char_to_token(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """To which token a character belongs; None for a space, and for what is not in this row."""
        row, character = self._find(batch_or_char_index, char_index)
        return row.char_to_token(character, sequence_index)

    def char_to_word(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """To which word a character belongs; None for a space, and for what is not in this row."""
        row, character = self._find(batch_or_char_index, char_index)
        return row.char_to_word(character, sequence_index)


def as_tensor(key: str, value: Any, return_tensors: str | None) -> Any:
    """Turn one column into the kind of tensor that `return_tensors` names; None leaves it alone."""
    if return_tensors not in (None, "pt", "np"):
        raise ValueError(
            f"return_tensors must be 'pt', 'np' or None, found {return_tensors!r}; other libraries take 'np'"
        )
    if return_tensors is None:
        return value
    try:
        tensor = torch.as_tensor(value) if return_tensors == "pt" else np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ValueError(
            f"{key} cannot become a tensor ({error}); give all rows one length with padding=True, truncation=True"
        ) from error
    if 0 not in tensor.shape or not isinstance(value, list):
        return tensor
    # Without a number to infer a type from: these are ids all the same.
    return tensor.long() if isinstance(tensor, torch.Tensor) else tensor.astype(np.int64)


def pad_columns(columns: Mapping[str, list], width: int, pad_token_id: int, side: str) -> dict[str, list]:
    """Bring the rows of the tokenizer's columns up to `width`; leave all other columns alone.

    Raises `ValueError` for a row that has not as many entries as its text has tokens.
    """
    lengths = [len(row) for row in columns["input_ids"]]
    filler = {"input_ids": pad_token_id, **FILLER}
    padded = dict(columns)
    for name in filler.keys() & columns.keys():
        for number, (row, length) in enumerate(zip(columns[name], lengths, strict=True)):
            if len(row) != length:
                raise ValueError(
                    f"{name} of row {number}: expected {length} entries, as input_ids has, found {len(row)}"
                )
        missing = [[filler[name]] * (width - length) for length in lengths]
        rows = zip(columns[name], missing, strict=True)
        padded[name] = [[*fill, *row] if side == "left" else [*row, *fill] for row, fill in rows]
    return padded

"""What a tokenizer may be called with: every form is checked, and brought into the one that is worked with."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

HALF_CHARACTER = re.compile("[\ud800-\udfff]")


def as_batch(text: Any, text_pair: Any, is_split_into_words: bool) -> tuple[list, bool]:
    """A list of texts and (text, text) pairs, and whether the caller gave a batch rather than one text.

    Raises `ValueError` naming the text that is none.
    """
    if not _is_batch(text, is_split_into_words):
        _check_text(text, is_split_into_words, "text")
        if text_pair is not None:
            _check_text(text_pair, is_split_into_words, "text_pair")
        # As in the reference, an empty second text is none here, but counts in a batch: [CLS] A [SEP] [SEP].
        return [(text, text_pair)] if text_pair else [text], False
    if not text:
        raise ValueError("text: expected a text or a list of texts, found an empty list")
    if text_pair is None:
        for i, item in enumerate(text):
            pair = _is_batch(item, is_split_into_words) and len(item) == 2
            for part in item if pair else [item]:
                _check_text(part, is_split_into_words, f"text[{i}]")
        return [tuple(item) if _is_batch(item, is_split_into_words) else item for item in text], True
    if not _is_batch(text_pair, is_split_into_words) or len(text_pair) != len(text):
        raise ValueError(
            f"text_pair: expected a list of {len(text)} texts, as many as in text, found {text_pair!r:.80}"
        )
    for i, (first, second) in enumerate(zip(text, text_pair, strict=True)):
        _check_text(first, is_split_into_words, f"text[{i}]")
        _check_text(second, is_split_into_words, f"text_pair[{i}]")
    return list(zip(text, text_pair, strict=True)), True


def _is_batch(value: Any, is_split_into_words: bool) -> bool:
    """A list; but when words come one by one, a list of words is a single text."""
    if not isinstance(value, list | tuple):
        return False
    return not is_split_into_words or (len(value) > 0 and isinstance(value[0], list | tuple))


def _check_text(value: Any, is_split_into_words: bool, name: str) -> None:
    if is_split_into_words:
        if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
            raise ValueError(f"{name}: expected a list of words (is_split_into_words=True), found {value!r:.80}")
    elif not isinstance(value, str):
        advice = "; a batch is a list of them" if name in ("text", "text_pair") and hasattr(value, "__iter__") else ""
        raise ValueError(f"{name}: expected a str, found {type(value).__name__} {value!r:.80}{advice}")


def find_half_character(inputs: Sequence) -> str | None:
    """Which of the texts that `as_batch` gives is none for the library, in words; None if all are texts."""
    for i, item in enumerate(inputs):
        for text in _strings(item):
            if half := HALF_CHARACTER.search(text):
                name = f"text[{i}]" if len(inputs) > 1 else "text"
                around = text[max(half.start() - 20, 0) : half.end() + 20]
                return (
                    f"{name}: its character {half.start()}, in {around!r}, is half of one (a lone surrogate): read the"
                    " text again in its right encoding, or drop such with text.encode('utf-8', 'ignore').decode()"
                )
    return None


def _strings(item: Any) -> Iterator[str]:
    if isinstance(item, str):
        yield item
    else:
        for part in item:
            yield from _strings(part)


def as_ids(token_ids: Any) -> list:
    """A list of ids, or a list of such lists, from one id, a list, an array or a tensor, or a list of those."""
    token_ids = as_list(token_ids)
    return list(map(as_list, token_ids)) if isinstance(token_ids, Iterable) else [token_ids]


def as_columns(inputs: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> tuple[dict[str, list], bool, str | None]:
    """What `pad` takes as one dict of lists (B rows each).

    Returns also whether it was a batch, not one text, and the kind of tensor ("pt", "np" or None) that it held.
    Raises `ValueError` when there is no text, no `input_ids`, or a text that lacks what the first one has.
    """
    if not isinstance(inputs, Mapping):
        for i, row in enumerate(inputs):
            if not isinstance(row, Mapping):
                raise ValueError(f"encoded_inputs[{i}]: expected a dict, found {type(row).__name__}")
            if missing := inputs[0].keys() - row.keys():
                raise ValueError(
                    f"encoded_inputs[{i}]: expected the keys of encoded_inputs[0], but {sorted(missing)} are missing"
                )
        inputs = {key: [row[key] for row in inputs] for key in inputs[0]} if inputs else {"input_ids": []}
    if "input_ids" not in inputs:
        raise ValueError(f"encoded_inputs: expected input_ids among the keys, found {sorted(inputs)}")
    if len(inputs["input_ids"]) == 0:
        raise ValueError("encoded_inputs: expected at least one tokenized text to pad, found none")
    first = inputs["input_ids"][0]
    kind = "pt" if isinstance(first, torch.Tensor) else "np" if isinstance(first, np.ndarray | np.generic) else None
    ids = as_ids(inputs["input_ids"])
    is_batch = isinstance(ids[0], list | tuple)
    columns = {key: as_ids(value) if is_batch else [as_list(value)] for key, value in inputs.items()}
    columns["input_ids"] = ids if is_batch else [ids]
    for key, rows in columns.items():
        if len(rows) != len(columns["input_ids"]):
            raise ValueError(f"{key}: expected {len(columns['input_ids'])} rows as in input_ids, found {len(rows)}")
    return columns, is_batch, kind


def as_list(row: Any) -> Any:
    """An array or a tensor as a list, or as a number; anything else as it is."""
    return row.tolist() if hasattr(row, "tolist") else row

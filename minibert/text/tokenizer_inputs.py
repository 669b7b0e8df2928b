"""What a tokenizer may be called with: every form is checked, and brought into the one that the backend takes."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

# "No limit", in the number that the reference writes into its files.
NO_LIMIT = int(1e30)

PADDING = {False: None, "do_not_pad": None, True: "longest", "longest": "longest", "max_length": "max_length"}
TRUNCATION = {
    None: None,
    False: None,
    "do_not_truncate": None,
    True: "longest_first",
    "longest_first": "longest_first",
    "only_first": "only_first",
    "only_second": "only_second",
}


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
        raise ValueError(f"{name}: expected a str, found {type(value).__name__} {value!r:.80}")


def as_columns(features: Mapping[str, Sequence] | Sequence[Mapping[str, Any]]) -> dict[str, list]:
    """One dict of lists (B rows each) from one dict per text; tensors become lists.

    Raises `ValueError` when there is no text, no `input_ids`, or a text that lacks what the first one has.
    """
    if not features:
        raise ValueError("features: expected at least one tokenized text to pad, found none")
    if not isinstance(features, Mapping):
        for i, feature in enumerate(features):
            if missing := features[0].keys() - feature.keys():
                raise ValueError(f"features[{i}]: expected the keys of features[0], but {sorted(missing)} are missing")
        features = {key: [feature[key] for feature in features] for key in features[0]}
    if "input_ids" not in features:
        raise ValueError(f"features: expected input_ids among the keys, found {sorted(features)}")
    return {key: [_as_list(row) for row in rows] for key, rows in features.items()}


def _as_list(row: Any) -> Any:
    return row.tolist() if hasattr(row, "tolist") else row


class Layout(NamedTuple):
    """How long the rows become: strategies of padding and truncation, or None, and the length they work to."""

    padding: str | None
    truncation: str | None
    max_length: int | None

    @classmethod
    def of(cls, padding: Any, truncation: Any, max_length: int | None, model_max_length: int) -> "Layout":
        """Resolve the arguments of a call. Raises `ValueError` naming the one that is no known option.

        Without any limit there is nothing to pad or truncate to: that is a warning, as in the reference.
        """
        if max_length is not None and padding is False and truncation is None:
            truncation = True
        padding = _look_up("padding", padding, PADDING)
        truncation = _look_up("truncation", truncation, TRUNCATION)
        if max_length is None and model_max_length < NO_LIMIT:
            max_length = model_max_length
        if max_length is not None and max_length < 0:
            raise ValueError(f"max_length: expected a number of tokens, found {max_length}")
        if max_length is None and (truncation or padding == "max_length"):
            message = "rows keep their length: pass max_length, or set the tokenizer's model_max_length"
            warnings.warn(message, stacklevel=3)
            return cls(None if padding == "max_length" else padding, None, None)
        return cls(padding, truncation, max_length)


def _look_up(argument: str, value: Any, table: dict) -> str | None:
    if not isinstance(value, bool | str | None) or value not in table:
        raise ValueError(f"{argument}: expected one of {', '.join(map(repr, table))}, found {value!r}")
    return table[value]

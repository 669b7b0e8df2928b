"""What the settings of a tokenizer must be: the JSON files that hold them may say anything."""

from collections.abc import Callable
from typing import Any, NamedTuple

from minibert.text.tokenizer_layout import NO_LIMIT
from minibert.text.wordpiece import SPECIAL_TOKENS

NORMALIZATION = ("do_lower_case", "strip_accents", "tokenize_chinese_chars")
ATTRIBUTES = (
    "model_max_length",
    "padding_side",
    "truncation_side",
    "clean_up_tokenization_spaces",
    "model_input_names",
)

# What a token that is written as a dict says besides its text, under "content".
TOKEN_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


class Expected(NamedTuple):
    """What a value must be, in words and as a test."""

    words: str
    holds: Callable[[object], bool]


def is_token(value: object) -> bool:
    """Whether `value` is a token: its text, or a dict with it."""
    if isinstance(value, dict):
        return is_token(value.get("content")) and all(isinstance(value.get(f, True), bool) for f in TOKEN_FLAGS)
    # JSON can write one half of a character ("\\ud800"), which no text holds.
    return isinstance(value, str) and value.encode("utf-8", "replace").decode("utf-8") == value


def _are_tokens(value: object) -> bool:
    return isinstance(value, list | dict) and all(map(is_token, value.values() if isinstance(value, dict) else value))


def _are_added(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    return all(i.isdecimal() and isinstance(token, dict) and is_token(token) for i, token in value.items())


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_length(value: object) -> bool:
    if isinstance(value, bool):
        return False
    return (isinstance(value, int) and value > 0) or (isinstance(value, float) and value >= NO_LIMIT)


_FLAG = Expected("true or false", lambda value: isinstance(value, bool))
_SIDE = Expected("'left' or 'right'", lambda value: value in ("left", "right"))
_LENGTH = Expected("a positive number of tokens", _is_length)
_TOKEN = Expected("a token", is_token)
_TOKENS = Expected("a list of tokens", _are_tokens)

EXPECTED = {
    **dict.fromkeys((*NORMALIZATION, "clean_up_tokenization_spaces"), _FLAG),
    **dict.fromkeys(("padding_side", "truncation_side"), _SIDE),
    **dict.fromkeys(("model_max_length", "max_len"), _LENGTH),
    **dict.fromkeys(SPECIAL_TOKENS, _TOKEN),
    **dict.fromkeys(("extra_special_tokens", "additional_special_tokens"), _TOKENS),
    "model_input_names": Expected("a list of names", _are_names),
    "added_tokens_decoder": Expected("a table from ids to tokens", _are_added),
}


def checked(name: str, value: Any) -> Any:
    """`value`, an argument of the tokenizer. Raises `ValueError` if it is none of what `EXPECTED` says."""
    if not EXPECTED[name].holds(value):
        raise ValueError(f"{name} must be {EXPECTED[name].words}, got {value!r}")
    return value

"""The JSON files beside a vocabulary, of any age, as arguments of `BertTokenizer`."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken
from tokenizers.normalizers import BertNormalizer

from minibert.checkpoint.files import CheckpointError, read_json
from minibert.text.tokenizer_checks import ATTRIBUTES, EXPECTED, NORMALIZATION, TOKEN_FLAGS, is_token
from minibert.text.wordpiece import SPECIAL_TOKENS

Token = str | AddedToken

# The later file wins.
CONFIG_FILES = ("added_tokens.json", "special_tokens_map.json", "tokenizer_config.json")


def read_settings(files: Mapping[str, Path]) -> dict[str, Any]:
    """The arguments that `files` (those of `CONFIG_FILES` that exist) hold; what they leave open is left out.

    Raises `CheckpointError` for a setting of the wrong kind, and for a tokenizer that finds its words in another way
    than BERT's.
    """
    config: dict[str, Any] = {}
    for name in CONFIG_FILES[1:]:
        if name in files:
            config |= _read_checked(files[name])
    if config.get("word_tokenizer_type", "basic") != "basic":
        raise CheckpointError(
            f"{files['tokenizer_config.json']}: word_tokenizer_type {config['word_tokenizer_type']!r} is not"
            " supported, only 'basic'; split the texts into words with that tool, and pass is_split_into_words=True"
        )
    settings = {key: config[key] for key in NORMALIZATION + ATTRIBUTES if key in config}
    if "max_len" in config:  # the older name
        settings.setdefault("model_max_length", config["max_len"])
    settings |= {name: _special(config[name]) for name in SPECIAL_TOKENS if name in config}
    # Tokens outside the vocabulary: three ways to write them, all in use.
    added = {token_id: AddedToken(token) for token, token_id in _read_ids(files.get("added_tokens.json")).items()}
    added |= {int(token_id): _added(token) for token_id, token in config.get("added_tokens_decoder", {}).items()}
    settings["added_tokens_decoder"] = added
    extra = config.get("extra_special_tokens") or config.get("additional_special_tokens")
    settings["additional_special_tokens"] = list(map(_special, as_tokens(extra)))
    return settings


def with_arguments(settings: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """`settings` with what a caller says instead; his tokens come on top, for no token of a checkpoint may be lost."""
    tokens = [*settings["additional_special_tokens"], *as_tokens(arguments.get("additional_special_tokens"))]
    return {**settings, **arguments, "additional_special_tokens": tokens}


def as_tokens(tokens: Token | Iterable[Any] | Mapping[str, Any] | None) -> list:
    """The list of what may be one token, several, a table from names to tokens, or none."""
    if isinstance(tokens, Mapping):
        return list(tokens.values())
    return [tokens] if isinstance(tokens, Token) else list(tokens or ())


def _read_checked(path: Path) -> dict[str, Any]:
    """The settings of a file, without those that are null. Raises `CheckpointError` for one of the wrong kind."""
    settings = {key: value for key, value in read_json(path).items() if value is not None}
    for key, value in settings.items():
        if key in EXPECTED and not EXPECTED[key].holds(value):
            raise CheckpointError(f"{path}: {key} must be {EXPECTED[key].words}, found {value!r}")
    return settings


def _read_ids(path: Path | None) -> dict[str, int]:
    """The ids of added tokens. Raises `CheckpointError` for what is no such table."""
    ids = read_json(path) if path else {}
    for token, token_id in ids.items():
        if not is_token(token) or not isinstance(token_id, int):
            raise CheckpointError(f"{path}: expected ids of tokens, found {token!r}: {token_id!r}")
    return ids


def config_of(tokenizer: Any, normalizer: Any) -> dict[str, Any]:
    """What a `tokenizer_config.json` says of a `BertTokenizer` with this normalizer.

    Readers rebuild a BERT normalizer from its settings. Any other is in the `tokenizer.json` alone, and the class name
    tells them to take it from there.
    """
    config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast"}
    if isinstance(normalizer, BertNormalizer):
        config = {
            "tokenizer_class": "BertTokenizer",
            "do_lower_case": normalizer.lowercase,
            "strip_accents": normalizer.strip_accents,
            "tokenize_chinese_chars": normalizer.handle_chinese_chars,
        }
    added = {str(token_id): token.__getstate__() for token_id, token in tokenizer.added_tokens_decoder.items()}
    return {
        **config,
        **{name: getattr(tokenizer, name) for name in (*SPECIAL_TOKENS, *ATTRIBUTES)},
        "additional_special_tokens": tokenizer.additional_special_tokens,
        "added_tokens_decoder": added,
    }


def _special(token: str | Mapping[str, Any]) -> str | AddedToken:
    """A special token: its text, or in older files a dict that also says how it takes up what is around it."""
    return token if isinstance(token, str) else _added({**token, "special": True})


def _added(token: Mapping[str, Any]) -> AddedToken:
    return AddedToken(token["content"], **{flag: token[flag] for flag in TOKEN_FLAGS if flag in token})

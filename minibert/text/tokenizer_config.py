"""The JSON files beside a vocabulary, of any age, as arguments of `BertTokenizer`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer
from tokenizers.normalizers import BertNormalizer

from minibert.checkpoint.files import CheckpointError, read_json
from minibert.text.tokenizer_checks import ATTRIBUTES, EXPECTED, NORMALIZATION, TOKEN_FLAGS, is_token
from minibert.text.wordpiece import SPECIAL_TOKENS

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
    settings["added_tokens"] = _added_tokens(files, config)
    return settings


def _read_checked(path: Path) -> dict[str, Any]:
    """The settings of a file, without those that are null. Raises `CheckpointError` for one of the wrong kind."""
    settings = {key: value for key, value in read_json(path).items() if value is not None}
    for key, value in settings.items():
        if key in EXPECTED and not EXPECTED[key].holds(value):
            raise CheckpointError(f"{path}: {key} must be {EXPECTED[key].words}, found {value!r}")
    return settings


def _read_ids(path: Path) -> dict[str, int]:
    """The ids of added tokens. Raises `CheckpointError` for what is no such table."""
    ids = read_json(path)
    for token, token_id in ids.items():
        if not is_token(token) or not isinstance(token_id, int):
            raise CheckpointError(f"{path}: expected ids of tokens, found {token!r}: {token_id!r}")
    return ids


def normalization_settings(backend: Tokenizer) -> dict[str, Any]:
    """How a backend finds its words, in the terms of a `tokenizer_config.json`.

    Readers rebuild a BERT normalizer from these settings. Any other is in the `tokenizer.json` alone, and the
    class name tells them to take it from there.
    """
    normalizer = backend.normalizer
    if not isinstance(normalizer, BertNormalizer):
        columns = ["input_ids", "token_type_ids", "attention_mask"]
        return {"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": columns}
    return {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": normalizer.lowercase,
        "strip_accents": normalizer.strip_accents,
        "tokenize_chinese_chars": normalizer.handle_chinese_chars,
    }


def _added_tokens(files: Mapping[str, Path], config: Mapping[str, Any]) -> list[AddedToken]:
    """Tokens outside the vocabulary, in the order of their ids: three ways to write them, all in use."""
    by_id: dict[int, AddedToken] = {}
    if "added_tokens.json" in files:
        by_id |= {token_id: AddedToken(token) for token, token_id in _read_ids(files["added_tokens.json"]).items()}
    by_id |= {int(token_id): _added(token) for token_id, token in config.get("added_tokens_decoder", {}).items()}
    extra = config.get("extra_special_tokens") or config.get("additional_special_tokens") or []
    names = extra.values() if isinstance(extra, dict) else extra
    special = {token.content: token for token in map(_special, names)}
    listed = [special.pop(token.content, token) for _, token in sorted(by_id.items())]
    return listed + list(special.values())


def _special(token: str | Mapping[str, Any]) -> AddedToken:
    """A special token: its text, or in older files a dict that also says how it takes up what is around it."""
    if isinstance(token, str):
        return AddedToken(token, special=True, normalized=False)
    return _added(token | {"special": True})


def _added(token: Mapping[str, Any]) -> AddedToken:
    return AddedToken(token["content"], **{flag: token[flag] for flag in TOKEN_FLAGS if flag in token})

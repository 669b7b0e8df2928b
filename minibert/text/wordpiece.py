"""WordPiece: a vocabulary, and the pipeline of the `tokenizers` library around it.

A text is cleaned and lowercased (normalizer), split at spaces and punctuation (pre-tokenizer), each word is
cut into the longest pieces that the vocabulary has (model), and [CLS] and [SEP] are put around the result
(post-processor). Source: google-research/bert `tokenization.py`; Wu et al. 2016, section 4.1.
"""

import logging
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.decoders import WordPiece as WordPieceDecoder
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from minibert.checkpoint.files import CheckpointError

logger = logging.getLogger(__name__)

# In the order of their ids in a vocabulary that we train.
SPECIAL_TOKENS = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}

# A longer word becomes [UNK] whole.
MAX_WORD_LENGTH = 100

# An uncased vocabulary has next to no tokens with capital letters, a cased one of a Latin script many more than this.
CASED_SHARE = 0.1


def open_backend(
    vocab: str | Path | Mapping[str, int] | None, special_tokens: Mapping[str, str], **normalization: bool | None
) -> Tokenizer:
    """The pipeline of a `vocab.txt`, of a `tokenizer.json`, or around a dict from token to id.

    special_tokens: the tokens' names, under the keys of `SPECIAL_TOKENS`.
    normalization: arguments of `BertNormalizer`; None leaves what the `tokenizer.json` says, or the default. Warns when
        a `vocab.txt` is taken for uncased, and does not look like it.
    Raises `CheckpointError` for a file that is missing or broken, or lacks one of the special tokens.
    """
    given = {option: value for option, value in normalization.items() if value is not None}
    if isinstance(vocab, Mapping):
        check_special_tokens(vocab, special_tokens, "vocab")
        backend = build_backend(vocab, special_tokens, given)
    elif vocab is None or not Path(vocab).is_file():
        raise CheckpointError(
            f"{vocab}: expected the file of a vocabulary, vocab.txt or tokenizer.json, found no such file;"
            " a checkpoint's folder or name is opened with BertTokenizer.from_pretrained"
        )
    elif Path(vocab).suffix == ".json":
        backend = read_backend(Path(vocab))
        check_special_tokens(backend.get_vocab(), special_tokens, str(vocab))
        if isinstance(backend.normalizer, BertNormalizer):
            for option, value in given.items():
                setattr(backend.normalizer, option, value)
        if backend.post_processor is None:
            backend.post_processor = post_processor(backend.get_vocab(), special_tokens)
    else:
        tokens = read_vocab(Path(vocab))
        check_special_tokens(tokens, special_tokens, str(vocab))
        if "lowercase" not in given:
            _warn_if_cased(tokens.keys() - special_tokens.values(), vocab)
        backend = build_backend(tokens, special_tokens, given)
    return backend


def _warn_if_cased(tokens: Set[str], path: str | Path) -> None:
    """Lowercased texts never reach a token with capital letters: a vocabulary full of them is used wrongly."""
    capital = sum(token != token.lower() for token in tokens)
    if capital > len(tokens) * CASED_SHARE:
        logger.warning(
            "%s: %d of %d tokens have capital letters, but nothing beside it says do_lower_case=false: texts are"
            " lowercased; if this is a cased checkpoint, pass do_lower_case=False",
            *(path, capital, len(tokens)),
        )


def read_vocab(path: Path) -> dict[str, int]:
    """Read a `vocab.txt`: one token per line, its id is the line's number from 0.

    Raises `CheckpointError` when the file is not UTF-8 or names a token twice.
    """
    try:
        # Newlines of Windows are translated; a byte-order mark is no part of the first token.
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: expected a UTF-8 text file, one token per line: {error}") from error
    vocab: dict[str, int] = {}
    for token_id, token in enumerate(text.rstrip("\n").split("\n")):
        if token in vocab:
            raise CheckpointError(
                f"{path}, line {token_id + 1}: {token!r} was already on line {vocab[token] + 1}; a token has"
                " one id, so remove or rename one of them (a removal changes the ids of all lines below)"
            )
        vocab[token] = token_id
    return vocab


def vocab_text(vocab: Mapping[str, int]) -> str:
    """The inverse: the text of a `vocab.txt`. An id without a token gets a line too, or those below would shift."""
    by_id = {token_id: token for token, token_id in vocab.items()}
    lines = [by_id.get(token_id, f"[no token {token_id}]") for token_id in range(max(by_id) + 1)]
    return "".join(f"{line}\n" for line in lines)


def read_backend(path: Path) -> Tokenizer:
    """Read a `tokenizer.json`, without the padding and truncation that some of them bake in.

    Raises `CheckpointError` when the file is broken or its model is not WordPiece.
    """
    try:
        backend = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more precise
        raise CheckpointError(f"{path}: expected a file of the tokenizers library: {error}") from error
    if not isinstance(backend.model, WordPiece):
        raise CheckpointError(
            f"{path}: expected a WordPiece model, found {type(backend.model).__name__}; this is not a BERT tokenizer"
        )
    backend.no_padding()
    backend.no_truncation()
    _check_backend(backend, path)
    return backend


def _check_backend(backend: Tokenizer, path: Path) -> None:
    """Raise `CheckpointError` if the parts of a `tokenizer.json` contradict each other, which no reader notices."""
    tokens = {}
    for token, token_id in backend.get_vocab().items():
        if token_id in tokens:
            raise CheckpointError(f"{path}: the tokens {tokens[token_id]!r} and {token!r} have the same id, {token_id}")
        tokens[token_id] = token
    if backend.model.unk_token not in tokens.values():
        raise CheckpointError(f"{path}: its vocabulary lacks its own unk_token, {backend.model.unk_token!r}")
    try:
        probe = backend.encode("a", "a")
    except BaseException as error:  # some of the library's errors are not even Exceptions
        if isinstance(error, KeyboardInterrupt):
            raise
        raise CheckpointError(f"{path}: cannot tokenize even one letter: {error}") from error
    for token, token_id in zip(probe.tokens, probe.ids, strict=True):
        if tokens.get(token_id) != token:
            raise CheckpointError(
                f"{path}: its post_processor gives {token!r} the id {token_id}, its vocabulary another"
            )


def build_backend(
    vocab: Mapping[str, int], special_tokens: Mapping[str, str], normalization: Mapping[str, Any]
) -> Tokenizer:
    """The pipeline around a vocabulary. Accents go if `strip_accents`, or else if `lowercase`."""
    backend = Tokenizer(
        WordPiece(dict(vocab), unk_token=special_tokens["unk_token"], max_input_chars_per_word=MAX_WORD_LENGTH)
    )
    backend.normalizer = BertNormalizer(**normalization)
    backend.pre_tokenizer = BertPreTokenizer()
    backend.post_processor = post_processor(vocab, special_tokens)
    backend.decoder = WordPieceDecoder(prefix="##")
    return backend


def post_processor(vocab: Mapping[str, int], special_tokens: Mapping[str, str]) -> TemplateProcessing:
    """[CLS] A [SEP] in segment 0, then B [SEP] in segment 1 (Devlin et al. 2019, figure 2)."""
    cls, sep = special_tokens["cls_token"], special_tokens["sep_token"]
    return TemplateProcessing(
        # As lists, because a token's name may hold a colon or a space.
        single=[f"{cls}:0", "$A:0", f"{sep}:0"],
        pair=[f"{cls}:0", "$A:0", f"{sep}:0", "$B:1", f"{sep}:1"],
        special_tokens=[(cls, vocab[cls]), (sep, vocab[sep])],
    )


def check_special_tokens(vocab: Mapping[str, int], special_tokens: Mapping[str, str], source: str) -> None:
    """Raise `CheckpointError` when `vocab`, read from `source`, lacks one of the five special tokens."""
    for name, token in special_tokens.items():
        if token not in vocab:
            raise CheckpointError(
                f"{source}: the vocabulary has no {token!r}; add it, or say what it is called with {name}="
            )

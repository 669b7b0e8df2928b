"""WordPiece: a vocabulary, and the pipeline of the `tokenizers` library around it.

A text is cleaned and lowercased (normalizer), split at spaces and punctuation (pre-tokenizer), each word is
cut into the longest pieces that the vocabulary has (model), and [CLS] and [SEP] are put around the result
(post-processor). Source: google-research/bert `tokenization.py`; Wu et al. 2016, section 4.1.
"""

import logging
from collections.abc import Mapping, Set
from numbers import Integral
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

# Of so many ids at most, one has a token: what has more is no vocabulary, but would cost the memory of one.
MAX_SPARSE = 2

BYTE_ORDER_MARK = "\ufeff"


def open_backend(vocab: str | Path | Mapping[str, int] | Tokenizer | None, **normalization: bool | None) -> Tokenizer:
    """The pipeline of a `vocab.txt`, of a `tokenizer.json`, around a dict from token to id, or like another one.

    normalization: arguments of `BertNormalizer`; None leaves what the `tokenizer.json` says, or the default. Warns when
        a `vocab.txt` is taken for uncased, and does not look like it.
    A bare vocabulary knows no special tokens: until it is told, there is no post-processor.
    Raises `CheckpointError` for a file that is missing or broken.
    """
    given = {option: value for option, value in normalization.items() if value is not None}
    if isinstance(vocab, Mapping):
        return build_backend(fill_gaps(vocab, "vocab"), given)
    if isinstance(vocab, Tokenizer):
        return _normalized(check_backend(Tokenizer.from_str(vocab.to_str()), "vocab"), given, "vocab")
    if vocab is None or not Path(vocab).is_file():
        raise CheckpointError(
            f"{vocab}: expected the file of a vocabulary, vocab.txt or tokenizer.json, found no such file;"
            " a checkpoint's folder or name is opened with BertTokenizer.from_pretrained"
        )
    if Path(vocab).suffix == ".json":
        return _normalized(read_backend(Path(vocab)), given, str(vocab))
    tokens = read_vocab(Path(vocab))
    if "lowercase" not in given:
        _warn_if_cased(tokens.keys() - set(SPECIAL_TOKENS.values()), vocab)
    return build_backend(tokens, given)


def _normalized(backend: Tokenizer, given: Mapping[str, bool], source: str) -> Tokenizer:
    """`backend`, with the settings of its normalizer that are `given`; another normalizer than BERT's has none."""
    if isinstance(backend.normalizer, BertNormalizer):
        for option, value in given.items():
            setattr(backend.normalizer, option, value)
    elif given:
        logger.warning(
            "%s: its normalizer is %s, not BERT's: do_lower_case, strip_accents and tokenize_chinese_chars change"
            " nothing",
            *(source, type(backend.normalizer).__name__),
        )
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

    The library reads it, as it does for the reference: only "\\n" ends a line, white space at the end of a line is no
    part of its token (so neither is the "\\r" of Windows), a blank line is the empty token, and of a token in several
    lines the last one counts. Where such lines leave an id without a token, that is warned of (see `fill_gaps`).
    Unlike there, a byte-order mark is no part of the first token, which would be missing.
    Raises `CheckpointError` when the file is empty or not UTF-8.
    """
    try:
        vocab = WordPiece.read_file(str(path))
    except Exception as error:  # the library raises nothing more precise
        raise CheckpointError(f"{path}: expected a UTF-8 text file, one token per line: {error}") from error
    if not vocab:
        raise CheckpointError(f"{path}: expected one token per line, found an empty file")
    first = next((token for token, token_id in vocab.items() if token_id == 0), "")
    if first.startswith(BYTE_ORDER_MARK):
        vocab.setdefault(first.removeprefix(BYTE_ORDER_MARK), vocab.pop(first))
    if missing := sorted(set(range(max(vocab.values()))) - set(vocab.values())):
        logger.warning(
            "%s: %d lines are blank or hold a token that stands further down again, where it counts: line %s",
            *(path, len(missing), ", ".join(str(token_id + 1) for token_id in missing[:5])),
        )
    return fill_gaps(vocab, str(path))


def fill_gaps(vocab: Mapping[str, int], source: str) -> dict[str, int]:
    """`vocab` in the order of its ids, with a token that no text has for each id that lacks one.

    The library gives a new token the number of tokens as its id, and models take that for the number of ids.
    Raises `CheckpointError` when an id is given twice, or is none.
    """
    by_id: dict[int, str] = {}
    for token, token_id in vocab.items():
        if not isinstance(token_id, Integral) or token_id < 0:
            raise CheckpointError(f"{source}: expected ids from 0, found {token!r}: {token_id!r}")
        if token_id in by_id:
            raise CheckpointError(
                f"{source}: the tokens {by_id[token_id]!r} and {token!r} have the same id, {token_id}"
            )
        by_id[token_id] = token
    size = max(by_id, default=-1) + 1
    if size > MAX_SPARSE * len(by_id):
        raise CheckpointError(f"{source}: expected an id for every token, found {len(by_id)} tokens, ids to {size - 1}")
    return {by_id.get(token_id, f"[no token {token_id}]"): token_id for token_id in range(size)}


def vocab_text(vocab: Mapping[str, int]) -> str:
    """The inverse of `read_vocab`: the text of a `vocab.txt`, where a missing line would shift those below."""
    return "".join(f"{token}\n" for token in fill_gaps(vocab, "vocab"))


def read_backend(path: Path) -> Tokenizer:
    """Read a `tokenizer.json`. Raises `CheckpointError` when the file is broken, and as `check_backend` does."""
    try:
        backend = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more precise
        raise CheckpointError(f"{path}: expected a file of the tokenizers library: {error}") from error
    return check_backend(backend, str(path))


def check_backend(backend: Tokenizer, source: str) -> Tokenizer:
    """`backend`, without the padding and truncation that some `tokenizer.json` bake in.

    Raises `CheckpointError` if its model is not WordPiece, or its parts contradict each other, which no reader notices.
    """
    if not isinstance(backend.model, WordPiece):
        found = type(backend.model).__name__
        raise CheckpointError(f"{source}: expected a WordPiece model, found {found}; this is not a BERT tokenizer")
    backend.no_padding()
    backend.no_truncation()
    tokens: dict[int, str] = {}
    for token, token_id in backend.get_vocab().items():
        if token_id in tokens:
            raise CheckpointError(
                f"{source}: the tokens {tokens[token_id]!r} and {token!r} have the same id, {token_id}"
            )
        tokens[token_id] = token
    if backend.model.unk_token not in tokens.values():
        raise CheckpointError(f"{source}: its vocabulary lacks its own unk_token, {backend.model.unk_token!r}")
    try:
        probe = backend.encode("a", "a")
    except BaseException as error:  # some of the library's errors are not even Exceptions
        if isinstance(error, KeyboardInterrupt):
            raise
        raise CheckpointError(f"{source}: cannot tokenize even one letter: {error}") from error
    for token, token_id in zip(probe.tokens, probe.ids, strict=True):
        if tokens.get(token_id) != token:
            raise CheckpointError(
                f"{source}: its post_processor gives {token!r} the id {token_id}, its vocabulary another"
            )
    return backend


def build_backend(vocab: Mapping[str, int], normalization: Mapping[str, Any]) -> Tokenizer:
    """The pipeline around a vocabulary. Accents go if `strip_accents`, or else if `lowercase`."""
    unk_token = SPECIAL_TOKENS["unk_token"]
    backend = Tokenizer(WordPiece(dict(vocab), unk_token=unk_token, max_input_chars_per_word=MAX_WORD_LENGTH))
    backend.normalizer = BertNormalizer(**normalization)
    backend.pre_tokenizer = BertPreTokenizer()
    backend.decoder = WordPieceDecoder(prefix="##")
    return backend


def post_processor(backend: Tokenizer, cls_token: str, sep_token: str) -> TemplateProcessing:
    """[CLS] A [SEP] in segment 0, then B [SEP] in segment 1 (Devlin et al. 2019, figure 2)."""
    return TemplateProcessing(
        # As lists, because a token's name may hold a colon or a space.
        single=[f"{cls_token}:0", "$A:0", f"{sep_token}:0"],
        pair=[f"{cls_token}:0", "$A:0", f"{sep_token}:0", "$B:1", f"{sep_token}:1"],
        special_tokens=[(token, backend.token_to_id(token)) for token in (cls_token, sep_token)],
    )


def check_special_tokens(backend: Tokenizer, special_tokens: Mapping[str, Any], source: str) -> None:
    """Raise `CheckpointError` when `backend`, read from `source`, lacks one of the five special tokens."""
    for name, token in special_tokens.items():
        # WordPiece gives no added token to a word that it does not know.
        place = backend.model if name == "unk_token" else backend
        if place.token_to_id(str(token)) is None:
            raise CheckpointError(
                f"{source}: the vocabulary has no {str(token)!r}; add it, or say what it is called with {name}="
            )

"""A tokenized corpus on disk: three flat memory-mapped arrays, a manifest that describes them, and the tokenizer.

    ids              every token of the corpus, one after the other
    sentence_starts  where each sentence begins in `ids`, and where the last one ends
    document_starts  which sentence each document begins with, and how many sentences there are

Tokenizing happens once; training then reads only the pages it touches, so a corpus may be larger than memory.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from tokenizers import Tokenizer
from tqdm import tqdm

from minibert.checkpoint.opened import VOCABULARY_FILES
from minibert.text.holdout import hold_out
from minibert.text.lines import CorpusError
from minibert.text.source import CorpusSource
from minibert.text.tokenizer import BertTokenizer
from minibert.text.tokenizer_config import CONFIG_FILES

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
IDS, SENTENCE_STARTS, DOCUMENT_STARTS = ARRAYS = ("ids.bin", "sentence_starts.bin", "document_starts.bin")
START_DTYPE = "<i8"

# So much text is tokenized in one call: enough to keep every core busy, little enough for memory, of which the library
# takes a multiple.
BATCH_CHARACTERS = 1_000_000

BLOCK_TOKENS = 1_000_000  # that are looked at together


class PackedCorpus:
    """A tokenized corpus, or some of its documents.

    ids: (n_tokens,) token ids without [CLS] and [SEP]; uint16 for vocabularies that fit into it, else int32
    sentence_starts: (n_sentences + 1,) int64, positions in `ids`; sentence `s` is
        `ids[sentence_starts[s]:sentence_starts[s + 1]]`
    documents: (n_documents, 2) int64, the first sentence of each document and the one after its last
    """

    def __init__(self, ids: np.ndarray, sentence_starts: np.ndarray, documents: np.ndarray):
        self.ids = ids
        self.sentence_starts = sentence_starts
        self.documents = documents

    @classmethod
    def build(
        cls,
        documents: Iterable[list[str]],
        tokenizer: BertTokenizer,
        folder: str | Path,
        show_progress: bool = True,
        must_split: bool = False,
    ) -> Self:
        """Tokenize `documents` into `folder`, in parallel and with bounded memory, and open the result.

        A `CorpusSource` of several processes is tokenized in these.

        The tokenizer is saved beside the arrays: they mean nothing without it. A packed corpus that is already
        there is replaced, and only when the new one is whole; if `folder` is a link, the one that it leads to. Raises
        `CorpusError` if the folder is the current one or holds something else as well, if the documents cannot be
        read or hold no token, or, with `must_split`, a single sentence; and `OSError` naming the folder if it cannot
        be written.
        """
        folder = Path(folder)
        check_replaceable(folder)
        place = folder.resolve()
        # Names of this process alone: another one may be building into the same folder.
        unfinished, old = (place.with_name(f".{place.name}.{os.getpid()}.{state}") for state in ("unfinished", "old"))
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            unfinished.mkdir(parents=True)
            work = partial(_tokenize, tokenizer.backend_tokenizer.to_str(), _dtype(tokenizer))
            pieces = documents.each(work) if isinstance(documents, CorpusSource) else work(documents)
            n_sentences = _write(_read(pieces), tokenizer, unfinished, show_progress)
            if must_split:
                _check_can_split(n_sentences)
            tokenizer.save_pretrained(unfinished)
            if place.exists():
                place.rename(old)  # rather than removed: a kill in between would leave neither
            unfinished.rename(place)
        except OSError as error:
            raise OSError(
                f"{folder}: no packed corpus can be written there ({error.strerror or error}); make room, or choose"
                " another place (for a temporary one, with the variable TMPDIR)"
            ) from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
        return cls.open(folder, tokenizer)

    @classmethod
    def open(cls, folder: str | Path, tokenizer: BertTokenizer | None = None) -> Self:
        """Memory-map the packed corpus in `folder`.

        Raises `CorpusError` if there is none, if another version of the format wrote it, if a file is not as
        long as the manifest says, if the sentences or documents in it are not in order, or if it was made with another
        vocabulary than that of `tokenizer`.
        """
        folder = Path(folder)
        manifest = _read_manifest(folder)
        if tokenizer is not None:
            _check_vocabulary(folder, manifest, tokenizer)
        ids = _map(folder / IDS, manifest["dtype"], manifest["tokens"])
        sentence_starts = _map(folder / SENTENCE_STARTS, START_DTYPE, manifest["sentences"] + 1)
        document_starts = _map(folder / DOCUMENT_STARTS, START_DTYPE, manifest["documents"] + 1)
        _check_starts(folder / SENTENCE_STARTS, sentence_starts, len(ids))
        _check_starts(folder / DOCUMENT_STARTS, document_starts, manifest["sentences"])
        return cls(ids, sentence_starts, np.stack([document_starts[:-1], document_starts[1:]], axis=1))

    @classmethod
    def from_documents(cls, documents: Iterable[list[str]], tokenizer: BertTokenizer) -> Self:
        """Tokenize `documents` into memory: for corpora that are small enough, and used once."""
        with tempfile.TemporaryDirectory() as folder:
            packed = cls.build(documents, tokenizer, Path(folder) / "corpus", show_progress=False)
            return cls(np.array(packed.ids), np.array(packed.sentence_starts), packed.documents)

    @property
    def n_tokens(self) -> int:
        """Tokens in these documents."""
        return int((self.sentence_starts[self.documents[:, 1]] - self.sentence_starts[self.documents[:, 0]]).sum())

    @property
    def n_sentences(self) -> int:
        """Sentences in these documents."""
        return int((self.documents[:, 1] - self.documents[:, 0]).sum())

    @property
    def n_documents(self) -> int:
        """How many documents these are."""
        return len(self.documents)

    @property
    def sentences(self) -> np.ndarray:
        """The numbers of the sentences in these documents, (n_sentences,), as in `sentence_starts`."""
        return np.concatenate([np.arange(first, end) for first, end in self.documents])

    def tokens_in_blocks(self) -> Iterator[np.ndarray]:
        """The token ids of these documents, some documents at a time: one by one takes long, all at once memory."""
        spans = self.sentence_starts[self.documents]
        block = (spans[:, 1] - spans[:, 0]).cumsum() // BLOCK_TOKENS
        for some in np.split(spans, np.flatnonzero(np.diff(block)) + 1):
            yield np.concatenate([self.ids[start:end] for start, end in some])

    @cached_property
    def sha256(self) -> str:
        """Of where these documents and all sentences begin, and of all of `ids`, other documents' tokens included."""
        digest = hashlib.sha256()
        for array in (self.documents, self.sentence_starts, self.ids):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def split(self, every: int = 20) -> tuple[Self, Self]:
        """Documents to train on, and what is held out of the corpus: about one token in `every`; see `hold_out`.

        Both share the arrays. Raises `CorpusError` for a corpus of one sentence.
        """
        _check_can_split(self.n_sentences)
        parts = hold_out(self.sentence_starts, self.documents, every)
        train, held_out = (type(self)(self.ids, self.sentence_starts, documents) for documents in parts)
        return train, held_out


def _check_can_split(n_sentences: int) -> None:
    if n_sentences < 2:
        raise CorpusError("the corpus is a single sentence: nothing can be held out of it. Add more text.")


def vocabulary_hash(tokenizer: BertTokenizer) -> str:
    """SHA-256 of the vocabulary in the order of its ids; equal hashes: equal ids are equal tokens."""
    digest = hashlib.sha256()
    for token, token_id in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1]):
        digest.update(f"{token_id}\t{token}\n".encode())
    return digest.hexdigest()


def vocabulary_name(tokenizer: BertTokenizer) -> str:
    """The size of the vocabulary, and the beginning of its hash: enough for a person to tell it from another."""
    return f"{len(tokenizer):,} word pieces (sha256 {vocabulary_hash(tokenizer)[:12]}...)"


# --- writing ------------------------------------------------------------------------------------------


def check_replaceable(folder: Path) -> None:
    """Raise `CorpusError` if `folder` holds anything but a packed corpus: replacing it would delete the rest.

    The current folder is refused, too: whoever is in it would be left in one that is no more.
    """
    if not folder.exists():
        return
    if folder.samefile("."):
        raise CorpusError(f"{folder}: is the current folder, which cannot be replaced. Name another: {folder / 'data'}")
    found = {path.name for path in folder.iterdir()} if folder.is_dir() else {folder.name}
    others = sorted(found - {MANIFEST, *ARRAYS, *VOCABULARY_FILES, *CONFIG_FILES})
    if others:
        raise CorpusError(
            f"{folder}: is there already, and holds {', '.join(others[:3])}{', ...' if len(others) > 3 else ''}, which"
            " is no part of a packed corpus. Choose another folder."
        )
    if found and not {MANIFEST, IDS} <= found:
        raise CorpusError(f"{folder}: is there already, and is no packed corpus. Choose another folder.")


class Piece(NamedTuple):
    """Some sentences: their tokens, one after the other, how many each has, and whether it begins a document."""

    ids: np.ndarray
    lengths: np.ndarray
    begins: np.ndarray


def _dtype(tokenizer: BertTokenizer) -> str:
    return "<u2" if len(tokenizer) <= 2**16 else "<i4"


def _read(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """The pieces; an `OSError` that comes with them is none of the folder they are written to."""
    try:
        yield from pieces
    except OSError as error:
        raise CorpusError(f"the text cannot be read ({error}). Check its files.") from error


def _write(pieces: Iterable[Piece], tokenizer: BertTokenizer, folder: Path, show_progress: bool) -> int:
    """Returns how many sentences there are."""
    n_tokens = n_sentences = n_documents = 0
    with (
        (folder / IDS).open("wb") as ids_file,
        (folder / SENTENCE_STARTS).open("wb") as sentence_file,
        (folder / DOCUMENT_STARTS).open("wb") as document_file,
        tqdm(desc="tokenizing", unit=" tokens", unit_scale=True, delay=2, disable=not show_progress) as progress,
    ):
        for ids, lengths, begins in pieces:
            ids.tofile(ids_file)
            (n_tokens + np.cumsum(lengths) - lengths).astype(START_DTYPE).tofile(sentence_file)
            (n_sentences + np.flatnonzero(begins)).astype(START_DTYPE).tofile(document_file)
            progress.update(len(ids))
            n_tokens, n_sentences = n_tokens + len(ids), n_sentences + len(lengths)
            n_documents += int(begins.sum())
        np.array([n_tokens], dtype=START_DTYPE).tofile(sentence_file)
        np.array([n_sentences], dtype=START_DTYPE).tofile(document_file)
    if not n_tokens:
        raise CorpusError("the corpus holds no sentence with a token in it. Add text.")
    manifest = {
        "format_version": FORMAT_VERSION,
        "vocabulary_sha256": vocabulary_hash(tokenizer),
        "vocab_size": len(tokenizer),
        "dtype": _dtype(tokenizer),
        "tokens": n_tokens,
        "sentences": n_sentences,
        "documents": n_documents,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return n_sentences


@lru_cache(maxsize=1)
def _plain(backend: str) -> Tokenizer:
    """A copy of a tokenizer that only tokenizes, and that takes "[MASK]" in a text for the text it is.

    backend: as JSON, which can be sent to another process, and is read there once.
    """
    plain = Tokenizer.from_str(backend)
    plain.no_truncation()
    plain.no_padding()
    plain.encode_special_tokens = True
    return plain


def _tokenize(backend: str, dtype: str, documents: Iterable[list[str]]) -> Iterator[Piece]:
    """The sentences of token ids, some at a time, without empty ones."""
    previous = -1
    for batch in _batches(documents):
        encodings = _plain(backend).encode_batch_fast([sentence for _, sentence in batch], add_special_tokens=False)
        sentences, begins = [], []
        for (document, _), encoding in zip(batch, encodings, strict=True):
            if encoding.ids:
                sentences.append(encoding.ids)
                begins.append(document != previous)
                previous = document
        lengths = np.array([len(ids) for ids in sentences], dtype=np.int64)
        ids = np.fromiter(chain.from_iterable(sentences), dtype, int(lengths.sum()))
        yield Piece(ids, lengths, np.array(begins, dtype=bool))


def _batches(documents: Iterable[list[str]]) -> Iterator[list[tuple[int, str]]]:
    """Sentences, each with the number of its document, which may be longer than a batch."""
    batch: list[tuple[int, str]] = []
    n_characters = 0
    for number, document in enumerate(documents):
        for sentence in document:
            batch.append((number, sentence))
            n_characters += len(sentence)
            if n_characters >= BATCH_CHARACTERS:
                yield batch
                batch, n_characters = [], 0
    yield batch


# --- reading ------------------------------------------------------------------------------------------

_MANIFEST_KEYS = {"vocabulary_sha256", "vocab_size", "dtype", "tokens", "sentences", "documents"}


def _read_manifest(folder: Path) -> dict:
    path = folder / MANIFEST
    if not path.is_file():
        raise CorpusError(f"{folder}: no {MANIFEST} there, so this is no packed corpus. Make one: minibert prepare")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        version = manifest["format_version"]
        absent = _MANIFEST_KEYS - manifest.keys()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorpusError(f"{path}: broken ({error!r}). Prepare the corpus again.") from error
    if version != FORMAT_VERSION:
        raise CorpusError(
            f"{path}: format_version is {version}, this minibert reads {FORMAT_VERSION}. Prepare the corpus again."
        )
    if absent:
        raise CorpusError(f"{path}: lacks {', '.join(sorted(absent))}. Prepare the corpus again.")
    if manifest["dtype"] not in ("<u2", "<i4"):
        raise CorpusError(f"{path}: dtype must be '<u2' or '<i4', found {manifest['dtype']!r}. Prepare it again.")
    for name in ("tokens", "sentences", "documents"):
        if type(manifest[name]) is not int or manifest[name] < 1:
            raise CorpusError(f"{path}: {name} must be a count, found {manifest[name]!r}. Prepare the corpus again.")
    return manifest


def _check_vocabulary(folder: Path, manifest: dict, tokenizer: BertTokenizer) -> None:
    expected, found = manifest["vocabulary_sha256"], vocabulary_hash(tokenizer)
    if expected != found:
        raise CorpusError(
            f"{folder}: was tokenized with another vocabulary ({manifest['vocab_size']} tokens, sha256 "
            f"{expected[:12]}...) than the tokenizer's ({len(tokenizer)} tokens, sha256 {found[:12]}...). "
            "Use the tokenizer it was made with, or prepare the corpus again with this one."
        )


def _map(path: Path, dtype: str, length: int) -> np.ndarray:
    expected = length * np.dtype(dtype).itemsize
    found = path.stat().st_size if path.is_file() else 0
    if found != expected:
        raise CorpusError(
            f"{path}: expected {expected} bytes ({length} × {dtype}) as {MANIFEST} says, found {found}. "
            "Prepare the corpus again."
        )
    # A plain array over the mapped pages: indexing np.memmap itself is several times slower.
    return np.asarray(np.memmap(path, dtype=dtype, mode="r", shape=(length,)))


def _check_starts(path: Path, starts: np.ndarray, end: int) -> None:
    """Raise `CorpusError` unless each thing begins behind the one before, from 0 on, and the last one ends at `end`."""
    if starts[0] != 0 or starts[-1] != end or (starts[1:] <= starts[:-1]).any():
        raise CorpusError(f"{path}: damaged, its numbers do not rise from 0 to {end:,}. Prepare the corpus again.")

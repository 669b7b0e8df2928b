"""Documents in: text files, folders, `.jsonl` files and hub data sets become lists of sentences.

A *document* is a list of sentences that belong together, in their order: next-sentence prediction learns from
that order, so where a document ends and where a sentence ends both matter. Everything is read as a stream: a
corpus of many gigabytes costs no more memory than its longest document.
"""

import codecs
import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

CORPUS_SUFFIXES = (".txt", ".text", ".jsonl", ".txt.gz", ".text.gz", ".jsonl.gz")

# A file without blank lines does not say where its documents end. About forty sentences are a long article:
# long enough for several training pairs, short enough that "another document" still means another topic.
PSEUDO_DOCUMENT_SENTENCES = 40

# Bounds the memory for a file whose documents are whole libraries; cutting one there costs nothing.
LONGEST_DOCUMENT_SENTENCES = 10_000

HUB_PREFIX = "hf://datasets/"


class CorpusError(ValueError):
    """A corpus that cannot be used as it is: the message names file and line, and says what to do."""


class PseudoDocument(list):
    """Sentences after which a file without blank lines was cut."""


def read_documents(paths: Iterable[str | Path]) -> Iterator[list[str]]:
    """The documents of all `paths`, in order, each as its list of sentences.

    A path is a text file (UTF-8; any suffix), a `.jsonl` file with one document per line in the field `text`,
    either of them compressed (`.gz`), a folder of such files (searched recursively, in sorted order), or
    `hf://datasets/OWNER/NAME/path/of/file`, which is downloaded. In a text file a blank line ends a document,
    as in google-research/bert; a longer file without blank lines is cut every `PSEUDO_DOCUMENT_SENTENCES` sentences
    into instances of `PseudoDocument`.

    Raises `CorpusError`: at once for a path that does not exist or a folder without text files, and while
    reading for bytes that are not UTF-8, a broken line, or a file without a sentence.
    """
    files = [file for path in paths for file in find_files(str(path), CORPUS_SUFFIXES)]
    return (document for file in files for document in _read_file(file))


def find_files(path: str, suffixes: tuple[str, ...]) -> list[Path]:
    """The file at `path`, or those in the folder there whose names end so, sorted; `CorpusError` if there is none."""
    if path.startswith(HUB_PREFIX):
        return [_download(path)]
    if Path(path).is_file():
        return [Path(path)]
    if not Path(path).is_dir():
        raise CorpusError(f"{path}: no such file or folder. Give the path of a text file, or of a folder of them.")
    found = sorted(file for file in Path(path).rglob("*") if file.is_file() and file.name.lower().endswith(suffixes))
    if not found:
        raise CorpusError(
            f"{path}: the folder holds no file that ends in {', '.join(suffixes)}. Rename your files, or name them "
            "one by one: a named file may have any suffix."
        )
    return found


def _download(address: str) -> Path:
    owner, _, rest = address.removeprefix(HUB_PREFIX).partition("/")
    name, _, filename = rest.partition("/")
    if not (owner and name and filename):
        raise CorpusError(f"{address}: expected {HUB_PREFIX}OWNER/NAME/path/of/file.")
    # Imported here because most corpora are local, and the client library is slow to import.
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(f"{owner}/{name}", filename, repo_type="dataset"))
    except (OSError, ValueError) as error:
        raise CorpusError(
            f"{address}: cannot be downloaded ({error}). Check owner, name and path at "
            f"https://huggingface.co/datasets/{owner}/{name}, and the network connection."
        ) from error


def _read_file(file: Path) -> Iterator[list[str]]:
    is_jsonl = file.name.lower().removesuffix(".gz").endswith(".jsonl")
    found_any = False
    for document in _read_jsonl(file) if is_jsonl else _read_text(file):
        found_any = True
        yield document
    if not found_any:
        raise CorpusError(f"{file}: no sentence in this file: it is empty or all blank. Remove it, or fill it.")


def _read_text(file: Path) -> Iterator[list[str]]:
    has_separators = _has_separators(file)
    longest = LONGEST_DOCUMENT_SENTENCES if has_separators else PSEUDO_DOCUMENT_SENTENCES
    document: list[str] = []
    for _, line in numbered_lines(file):
        if not line.strip() and document:
            yield document
            document = []
        for sentence in split_sentences(line):
            document.append(sentence)
            if len(document) == longest:
                yield document if has_separators else PseudoDocument(document)
                document = []
    if document:
        yield document


def _has_separators(file: Path) -> bool:
    """Whether a blank line stands between two lines of text (blank lines at the ends separate nothing)."""
    seen_text = seen_blank_after_text = False
    for _, line in numbered_lines(file):
        is_text = bool(line.strip())
        if is_text and seen_blank_after_text:
            return True
        seen_text = seen_text or is_text
        seen_blank_after_text = seen_text and not is_text
    return False


def _read_jsonl(file: Path) -> Iterator[list[str]]:
    for number, line in numbered_lines(file):
        if not line.strip():
            continue
        document = [s for paragraph in _text_field(file, number, line).splitlines() for s in split_sentences(paragraph)]
        if document:
            yield document


def _text_field(file: Path, number: int, line: str) -> str:
    record = parse_record(file, number, line)
    text = record.get("text")
    if not isinstance(text, str):
        found = f"its fields are {sorted(record)}" if text is None else f"it is a {type(text).__name__}"
        raise CorpusError(
            f"{file}, line {number}: expected a string in the field 'text', but {found}. "
            "Rename the field that holds the text to 'text'."
        )
    return text


def parse_record(file: Path | str, number: int, line: str) -> dict:
    """The JSON object in a line of a `.jsonl` file; `CorpusError` if it holds something else."""
    try:
        record = json.loads(line.rstrip("\r\n"))
    except ValueError as error:
        # The library counts lines of its own; in this one there is nothing to count.
        reason = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else error
        raise CorpusError(f"{file}, line {number}: not JSON ({reason}). Each line must be one JSON object.") from error
    if not isinstance(record, dict):
        raise CorpusError(f"{file}, line {number}: expected a JSON object, found {type(record).__name__}.")
    return record


def numbered_lines(file: Path) -> Iterator[tuple[int, str]]:
    """Line numbers from 1, and the lines of a text file, which may be gzipped; `CorpusError` if it cannot be read."""
    opener = gzip.open if file.name.lower().endswith(".gz") else open
    place = f"{file}"
    try:
        with opener(file, "rb") as stream:
            for number, line in decoded_lines(file, stream):
                place = f"{file}, after line {number}"
                yield number, line
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise CorpusError(f"{place}: broken gzip data ({error}). Compress or copy the file again.") from error
    except OSError as error:
        raise CorpusError(f"{place}: cannot be read ({error.strerror or error}).") from error


def decoded_lines(file: Path | str, lines: Iterable[bytes], first: int = 1) -> Iterator[tuple[int, str]]:
    """Line numbers, from `first`, and the text of each line; `CorpusError` if it is not UTF-8.

    Each line is decoded on its own so that an error can name it.
    """
    for number, line in enumerate(lines, start=first):
        try:
            yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            is_utf16 = number == 1 and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
            raise CorpusError(
                f"{file}, line {number}: not UTF-8 (byte 0x{error.object[error.start]:02x} at column "
                f"{error.start + 1}). Save it as UTF-8 first, for example: "
                f"iconv -f {'utf-16' if is_utf16 else 'latin1'} -t utf-8 OLD > NEW"
            ) from error


# --- sentences ------------------------------------------------------------------------------------------

# A stop, what may close after it, and white space; CJK text puts no space after its stops.
_STOP = re.compile(r"""(?P<stop>[.!?…؟।]+)["'”’»)\]]*\s+ | [。！？]+[」』”’）]*\s*""", re.VERBOSE)

_OPENERS = "\"'“‘«([¿¡ "

# Words whose full stop belongs to them and after which a capital is common: initials ("J. Smith", but not
# "I"), dotted letters ("U.S.", "e.g."), titles, names of months.
_ABBREVIATION = re.compile(
    r"""[a-hj-z] | (?:\w\.)+\w | mr | mrs | ms | dr | prof | st | gen | sen | rep | gov | capt | col | lt
    | sgt | adm | maj | rev | hon | pres | messrs | mme | mlle | jr | sr | vs | cf | viz | al | eds? | dept
    | univ | mt | ft | jan | feb | mar | apr | aug | sept? | oct | nov | dec""",
    re.VERBOSE | re.IGNORECASE,
)
# Words that are abbreviations only before a number ("No. 5", but "He said no. Then ...").
_BEFORE_NUMBER = re.compile(r"nos?|vols?|pp?|figs?|ch|chap|sec|art|eq", re.IGNORECASE)


def split_sentences(paragraph: str) -> list[str]:
    """Split a paragraph into its sentences, without the white space around them.

    The rule: a sentence ends at `.`, `!`, `?` or an ellipsis (with closing quotes or brackets) before white
    space, unless what follows begins in lower case, or the full stop belongs to an abbreviation, an initial,
    or the number of a list item. In a paragraph without any capital letter, lower case may begin a sentence.
    The CJK stops always end one. It is wrong now and then ("at 5 p.m. He left" stays whole): the recipe only
    needs sentences, not perfect ones.
    """
    lowercase_begins = paragraph.islower()
    sentences, start = [], 0
    for match in _STOP.finditer(paragraph):
        following = paragraph[match.end() : match.end() + 8].lstrip(_OPENERS)[:1]
        if match["stop"] and following.islower() and not lowercase_begins:
            continue
        before = paragraph[max(start, match.start() - 40) : match.start()]  # enough for the last word
        if match["stop"] == "." and _belongs_to_word(before, following):
            continue
        sentences.append(paragraph[start : match.end()].strip())
        start = match.end()
    sentences.append(paragraph[start:].strip())
    return [sentence for sentence in sentences if sentence]


def _belongs_to_word(before: str, following: str) -> bool:
    """Whether the full stop after `before` is part of its last word rather than the end of a sentence."""
    words = before.rsplit(maxsplit=1)
    if not words or before[-1].isspace():  # tokenized text ("the end . The next"): the stop stands alone
        return False
    word = words[-1].lstrip(_OPENERS)
    is_list_number = len(words) == 1 and word.isdigit()
    if is_list_number or _ABBREVIATION.fullmatch(word):
        return True
    return following.isdigit() and _BEFORE_NUMBER.fullmatch(word) is not None

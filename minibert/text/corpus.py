"""Documents in: text files, folders, `.jsonl` files and hub data sets become lists of sentences.

A *document* is a list of sentences that belong together, in their order: next-sentence prediction learns from
that order, so where a document ends and where a sentence ends both matter. Everything is read as a stream: a
corpus of many gigabytes costs no more memory than its longest document.
"""

import json
from collections.abc import Iterable, Iterator
from io import BufferedReader
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from minibert.text.lines import WHOLE, CorpusError, Section, is_jsonl, numbered_lines, parse_record, refuse_structured
from minibert.text.sentences import split_sentences

CORPUS_SUFFIXES = (".txt", ".text", ".jsonl", ".txt.gz", ".text.gz", ".jsonl.gz")

# A file without blank lines does not say where its documents end. About forty sentences are a long article:
# long enough for several training pairs, short enough that "another document" still means another topic.
PSEUDO_DOCUMENT_SENTENCES = 40

# Bound the memory for a file whose documents are whole libraries, or whose only line is; cutting there costs nothing.
LONGEST_DOCUMENT_SENTENCES = 10_000
LONGEST_LINE = 1_000_000  # bytes

# Of a file that several processes read, each takes so many bytes at a time: enough to be worth the way there and back.
PART_BYTES = 2_000_000

_NOT_TEXT = "Make it a .jsonl file, with the text of one document in the field 'text' of each line."

HUB_PREFIX = "hf://datasets/"


class PseudoDocument(list):
    """Sentences after which a file without blank lines was cut."""


def find_files(path: str, suffixes: tuple[str, ...]) -> list[Path]:
    """The file at `path`, or those in the folder there whose names end so, sorted; `CorpusError` if there is none."""
    if path.startswith(HUB_PREFIX):
        return [_download(path)]
    if not path:
        raise CorpusError("a path is empty. Give that of a text file, or of a folder of them.")
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


def files_passed_over(paths: Iterable[str | Path]) -> list[Path]:
    """What is not read of the folders among `paths`, without hidden files.

    That is files of other names, links to folders, and links to nothing.
    """
    others = []
    for folder in (Path(path) for path in paths if Path(path).is_dir()):
        for file in sorted(folder.rglob("*")):
            is_hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
            is_read = file.is_file() and file.name.lower().endswith(CORPUS_SUFFIXES)
            if not is_hidden and not is_read and (file.is_file() or file.is_symlink()):
                others.append(file)
    return others


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


class Part(NamedTuple):
    """A part of a file that begins and ends with a document, so that it can be read on its own."""

    file: Path
    section: Section = WHOLE
    has_separators: bool = False  # whether blank lines separate the file's documents


def parts_of(file: Path) -> Iterator[Part]:
    """The file in parts of `PART_BYTES` or more; whole, where it is small, or one cannot begin in the middle.

    That is so in compressed files, and in those that do not say where a document ends. Raises `CorpusError` naming
    the file if it cannot be read.
    """
    has_separators = not is_jsonl(file) and _has_separators(file)
    is_whole = file.name.lower().endswith(".gz") or not (has_separators or is_jsonl(file))
    start, number = 0, 1
    try:
        if is_whole or file.stat().st_size <= PART_BYTES:
            yield Part(file, has_separators=has_separators)
            return
        with file.open("rb") as stream:
            while block := stream.read(PART_BYTES):
                n_lines = block.count(b"\n") + _read_to_end_of_document(stream, block.endswith(b"\n"), has_separators)
                yield Part(file, Section(start, stream.tell() - start, number), has_separators)
                start, number = stream.tell(), number + n_lines
    except OSError as error:
        raise CorpusError(f"{file}: cannot be read ({error.strerror or error}).") from error


def _read_to_end_of_document(stream: BufferedReader, at_line_start: bool, has_separators: bool) -> int:
    """Go on behind the next blank line, or where every line is a document, the next line; returns how many lines."""
    n_lines = 0
    while line := stream.readline(LONGEST_LINE):
        is_whole = line.endswith(b"\n")
        n_lines += is_whole
        if is_whole and (not has_separators or (at_line_start and not line.strip())):
            break
        at_line_start = is_whole
    return n_lines


def read_part(part: Part) -> Iterator[list[str]]:
    """Its documents."""
    return _read_jsonl(part) if is_jsonl(part.file) else _read_text(part)


def _read_text(part: Part) -> Iterator[list[str]]:
    longest = LONGEST_DOCUMENT_SENTENCES if part.has_separators else PSEUDO_DOCUMENT_SENTENCES
    document: list[str] = []
    for line in _lines(part.file, part.section):
        if not line and document:
            yield document
            document = []
        for sentence in split_sentences(line):
            if len(document) == longest:
                yield document if part.has_separators else PseudoDocument(document)
                document = []
            document.append(sentence)
    if document:
        yield document


def _lines(file: Path, section: Section = WHOLE) -> Iterator[str]:
    """The lines of a text file without the white space around them; one that is very long comes in parts."""
    for number, parts in groupby(numbered_lines(file, LONGEST_LINE, section), key=itemgetter(0)):
        is_blank = True
        for _, part in parts:
            if number == 1 and is_blank:
                refuse_structured(file, number, part, _NOT_TEXT)
            if text := part.strip():
                is_blank = False
                yield text
        if is_blank:
            yield ""


def _has_separators(file: Path) -> bool:
    """Whether a blank line stands between two lines of text (blank lines at the ends separate nothing)."""
    seen_text = seen_blank_after_text = False
    for line in tqdm(_lines(file), desc="looking for blank lines", unit=" lines", delay=2, leave=False):
        if line and seen_blank_after_text:
            return True
        seen_text = seen_text or bool(line)
        seen_blank_after_text = seen_text and not line
    return False


def _read_jsonl(part: Part) -> Iterator[list[str]]:
    file = part.file
    for number, line in numbered_lines(file, section=part.section):
        if not line.strip():
            continue
        document = [s for paragraph in _text_field(file, number, line).splitlines() for s in split_sentences(paragraph)]
        for start in range(0, len(document), LONGEST_DOCUMENT_SENTENCES):
            yield document[start : start + LONGEST_DOCUMENT_SENTENCES]


def _text_field(file: Path, number: int, line: str) -> str:
    record = parse_record(file, number, line)
    text = record.get("text")
    if not isinstance(text, str):
        found = f"it is {json.dumps(text)[:30]}" if "text" in record else f"the fields are {sorted(record)}"
        advice = "Leave out" if "text" in record else "Rename the field that holds the text to 'text', or leave out"
        raise CorpusError(
            f"{file}, line {number}: expected a string in the field 'text', but {found}. {advice} this line."
        )
    return text

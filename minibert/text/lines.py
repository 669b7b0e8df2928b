"""Lines of text files: decoded, numbered, and refused by name where they are not what they should be."""

import codecs
import gzip
import json
import re
import shlex
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from io import BufferedIOBase, BytesIO
from pathlib import Path
from typing import Any, NamedTuple

# The marks at the beginning of files in other encodings; that of UTF-16 is also the beginning of UTF-32's.
_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}

# What is in such files is not lines of text, though it may look like it.
_STRUCTURED = (".json", ".csv", ".tsv")

_GZIP = b"\x1f\x8b"  # how its files begin

# JSON escapes a character beyond U+FFFF as two halves, like UTF-16; and what is left of one that has lost the other.
_ESCAPED_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


class CorpusError(ValueError):
    """Text that cannot be used as it is: the message names file and line, and says what to do."""


class Section(NamedTuple):
    """A part of a file, which begins and ends with a line."""

    start: int = 0  # bytes
    size: int = -1  # bytes; -1: all the rest
    first_line: int = 1  # its number in the file


WHOLE = Section()


def numbered_lines(file: Path, longest: int = -1, section: Section = WHOLE) -> Iterator[tuple[int, str]]:
    """Line numbers from 1, and the lines of a text file, which may be gzipped; `CorpusError` if it cannot be read.

    longest: a line of more bytes comes in several parts, all with its number, so that memory stays bounded; -1: every
        line comes whole
    """
    opener = gzip.open if file.name.lower().endswith(".gz") else open
    place = f"{file}"
    try:
        with opener(file, "rb") as whole:
            stream: Any = whole
            if section.size >= 0:
                whole.seek(section.start)
                stream = BytesIO(whole.read(section.size))
            for number, line in decoded_lines(file, _parts(stream, longest, section.first_line)):
                place = f"{file}, after line {number}"
                yield number, line
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise CorpusError(f"{place}: broken gzip data ({error}). Compress or copy the file again.") from error
    except OSError as error:
        raise CorpusError(f"{place}: cannot be read ({error.strerror or error}).") from error


def _parts(stream: BufferedIOBase, longest: int, number: int) -> Iterator[tuple[int, bytes]]:
    """Numbered lines; one of more than `longest` bytes in parts that end at a blank, or where a character does."""
    rest = b""
    while read := stream.readline(longest):
        part = rest + read
        is_whole = read.endswith(b"\n") or len(read) != longest
        end = len(part) if is_whole else part.rfind(b" ") + 1 or _last_character(part)
        yield number, part[:end]
        rest = part[end:]
        number += is_whole
    if rest:
        yield number, rest


def _last_character(part: bytes) -> int:
    """Where the last character of `part` begins, which may be cut; after all of it, if that is no UTF-8 anyway."""
    begins = (i for i in range(len(part) - 1, max(0, len(part) - 4), -1) if part[i] & 0xC0 != 0x80)
    return next(begins, len(part))


def decoded_lines(file: Path | str, lines: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, str]]:
    """The numbered lines as text; `CorpusError` if one is not UTF-8, or the first one shows that they are no lines.

    Each line is decoded on its own so that an error can name it.
    """
    is_utf8 = False  # whether something has come that can hardly be anything else
    for number, line in lines:
        is_first = number == 1
        try:
            text = line.decode("utf-8-sig" if is_first else "utf-8")
        except UnicodeDecodeError as error:
            # Without the mark that UTF-8 may begin with, the library counts from behind it.
            before = error.object[max(0, error.start - 20) : error.start].decode("utf-8", "ignore")
            where = f"byte 0x{error.object[error.start]:02x} {f'after {before!r}' if before else 'at its beginning'}"
            is_utf8 = is_utf8 or not before.isascii()
            raise CorpusError(f"{file}, line {number}: not UTF-8 ({where}). {_advice(file, line, is_utf8)}") from error
        if is_first and "\0" in text:
            raise CorpusError(f"{file}, line {number}: not UTF-8 (zero bytes). {_advice(file, line, is_utf8)}")
        if is_first and "\r" in text.strip() and not text.endswith("\n"):
            command = _command(file, r"tr '\r' '\n'")
            raise CorpusError(f"{file}, line {number}: lines end in CR alone, as on old Macs. Convert it: {command}")
        is_utf8 = is_utf8 or not line.isascii()
        yield number, text


def _advice(file: Path | str, line: bytes, is_utf8: bool) -> str:
    """How to make UTF-8 of a file with such a line, without losing a character."""
    if line.startswith(_GZIP):
        return "It is compressed: give it a name that ends in .gz."
    for mark, name in _MARKS.items():
        if line.startswith(mark):
            return f"It is {name}; convert it first: {_iconv(file, name)}"
    if b"\0" in line:
        name = "UTF-16BE" if line.startswith(b"\0") else "UTF-16LE"
        return f"If it is text at all, it is UTF-16 without a mark: {_iconv(file, name)}"
    if is_utf8:
        return "What stands before it is UTF-8, and converting would garble that: mend this place alone, in an editor."
    # Not Latin-1: there, the bytes of Windows' quotation marks and dashes are control characters, and would be lost.
    return (
        f"Convert it first. Western text from Windows: {_iconv(file, 'WINDOWS-1252')}; other text: with the name of its"
        " own encoding there, such as GB18030, SHIFT_JIS or KOI8-R."
    )


def _iconv(file: Path | str, encoding: str) -> str:
    return _command(file, f"iconv -f {encoding} -t UTF-8")


def _command(file: Path | str, program: str) -> str:
    """What to type for the file's content to go through `program` into a new file; for standard input just that."""
    if not isinstance(file, Path):
        return program
    is_compressed = file.name.lower().endswith(".gz")
    old, new = (shlex.quote(str(f)) for f in (file, file.with_name(f"utf8-{file.name[: -3 * is_compressed or None]}")))
    return f"gunzip -c {old} | {program} > {new}" if is_compressed else f"{program} < {old} > {new}"


# --- JSON in lines --------------------------------------------------------------------------------------


def is_jsonl(path: str | Path) -> bool:
    """Whether the file's name says that every line of it is a JSON object."""
    return str(path).lower().removesuffix(".gz").endswith(".jsonl")


def parse_record(file: Path | str, number: int, line: str) -> dict:
    """The JSON object in a line of a `.jsonl` file; `CorpusError` if it holds something else, or a name twice."""
    try:
        record = json.loads(line.rstrip("\r\n"), object_pairs_hook=_fields)
    except (ValueError, RecursionError) as error:
        # The library counts lines of its own; in this one there is nothing to count.
        reason = (
            f"{error.msg.removesuffix(' at')} at column {error.colno}"
            if isinstance(error, json.JSONDecodeError)
            else error
        )
        raise CorpusError(f"{file}, line {number}: not JSON ({reason}). Each line must be one JSON object.") from error
    if not isinstance(record, dict):
        raise CorpusError(f"{file}, line {number}: expected a JSON object, found {type(record).__name__}.")
    if half := _ESCAPED_HALF.search(line) and _HALF_CHARACTER.search(json.dumps(record, ensure_ascii=False)):
        raise CorpusError(
            f"{file}, line {number}: \\u{ord(half[0]):04x} is half of a character, whose other half is missing, as in"
            " text that was cut by its length. Remove it."
        )
    return record


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        ((name, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"two fields are called {name!r}; rename one of them")
    return fields


def refuse_structured(file: Path | str, number: int, line: str, advice: str) -> None:
    """Raise `CorpusError` if this is not a line of plain text: by the name of the file, or because it is JSON."""
    suffix = Path(str(file).lower().removesuffix(".gz")).suffix
    if suffix in _STRUCTURED:
        raise CorpusError(f"{file}: expected lines of text, found a {suffix} file. {advice}")
    try:
        is_json = line.lstrip().startswith("{") and isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        is_json = False
    if is_json:
        raise CorpusError(f"{file}, line {number}: expected text, found a JSON object. {advice}")

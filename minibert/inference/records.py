"""Files of inputs, of any length, to predictions: some records at a time, so that memory stays bounded."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from minibert.inference.base import InputError, Pipeline
from minibert.text.lines import decoded_lines, numbered_lines, parse_record, refuse_structured

CHUNK = 512  # records that are sorted by length together; more would gain little

STANDARD_INPUT = "-"
READ_BYTES = 1 << 16  # of standard input at once, at most: what a pipe holds

# The fields of a record for each task; the rest is passed on. A line of plain text is the field `text`.
FIELDS = {
    "fill-mask": ("text",),
    "text-classification": ("text", "text_pair"),
    "token-classification": ("text",),
    "question-answering": ("question", "context"),
    "feature-extraction": ("text",),
    "sentence-similarity": ("source_sentence", "sentences"),
}

_KINDS = ("a single text", "a pair of texts")


class RecordError(ValueError):
    """A record that no prediction can be made for; the message names file and line."""


class Record(NamedTuple):
    """One input: where it stands, and its fields."""

    place: str  # "FILE, line 7"
    fields: dict[str, Any]
    is_blank: bool = False  # a line with nothing in it: its prediction is None


def read_records(path: str, is_json: bool, size: int | None = None) -> Iterator[list[Record]]:
    """The records of a file (perhaps gzipped), or of standard input for "-", `size` at a time (`CHUNK`).

    From standard input, as many as have come: nobody waits for the input of others.

    is_json: a JSON object in every line; else a line is a text.
    Raises `CorpusError` for a line that is no such thing, after the records before it, for a file that cannot be read,
    or for one that is not of the kind that `is_json` says.
    """
    name = "standard input" if path == STANDARD_INPUT else path
    is_checked = is_json

    def record(number: int, line: str) -> Record:
        nonlocal is_checked
        if line and not is_checked:
            refuse_structured(name, number, line, "Pass --jsonl if each line is a JSON object, or make it such a file.")
            is_checked = True
        return _record(name, number, line, is_json)

    for lines in _standard_input(name) if path == STANDARD_INPUT else [numbered_lines(Path(path))]:
        yield from chunks((record(number, line.strip()) for number, line in lines), size)


def _standard_input(name: str) -> Iterator[Iterator[tuple[int, str]]]:
    """Numbered lines: those that have come, as soon as there is one."""
    number = 1
    begun: list[bytes] = []  # the parts of a line that has not ended
    stream: Any = sys.stdin.buffer  # has a read1, though its type does not say so
    while part := stream.read1(READ_BYTES):
        *lines, rest = part.split(b"\n")
        if lines:
            lines[0] = b"".join([*begun, lines[0]])
            begun.clear()
            yield decoded_lines(name, enumerate(lines, start=number))
            number += len(lines)
        begun.append(rest)
    if rest := b"".join(begun):
        yield decoded_lines(name, [(number, rest)])


def _record(name: str, number: int, line: str, is_json: bool) -> Record:
    place = f"{name}, line {number}"
    if not line:
        return Record(place, {} if is_json else {"text": ""}, is_blank=True)
    return Record(place, parse_record(name, number, line) if is_json else {"text": line})


def chunks(records: Iterable[Record], size: int | None = None) -> Iterator[list[Record]]:
    """At most `size` (`CHUNK`) at a time; those before a line that cannot be read come before its error."""
    chunk: list[Record] = []
    try:
        for record in records:
            chunk.append(record)
            if len(chunk) == (size or CHUNK):
                yield chunk
                chunk = []
    except ValueError:
        yield chunk
        raise
    yield chunk


def predict(pipeline: Pipeline, task: str, chunks: Iterable[list[Record]], **options: Any) -> Iterator[dict[str, Any]]:
    """For each record its fields and its `prediction`, in order, as soon as its chunk is done.

    options: of the pipeline. Raises `RecordError` for a record that the pipeline cannot work on, after all before it
    have been given.
    """
    for chunk, first in with_first(chunks):
        results, error = predict_chunk(pipeline, task, chunk, first, **options)
        yield from results
        if error is not None:
            raise error


def with_first(chunks: Iterable[list[Record]]) -> Iterator[tuple[list[Record], Record | None]]:
    """Each chunk, and the first record of all that is not blank: the others must be of its kind."""
    first: Record | None = None
    for chunk in chunks:
        first = first or next((record for record in chunk if not record.is_blank), None)
        yield chunk, first


def predict_chunk(
    pipeline: Pipeline, task: str, chunk: list[Record], first: Record | None, **options: Any
) -> tuple[list[dict[str, Any]], RecordError | None]:
    """What `predict` gives for the records, or for those before one that cannot be worked on, and its error."""
    asked = [record for record in chunk if not record.is_blank]
    try:
        inputs = [_input(task, index, record, first or record) for index, record in enumerate(asked)]
        predictions = iter(pipeline(inputs, **options))
    except InputError as error:
        bad = asked[error.index]
        # There may be another bad one before it: not all are found in the order of the records.
        results, before = predict_chunk(pipeline, task, chunk[: chunk.index(bad)], first, **options)
        return results, before or RecordError(f"{bad.place}: {error}")
    return [r.fields | {"prediction": None if r.is_blank else next(predictions)} for r in chunk], None


def _input(task: str, index: int, record: Record, first: Record) -> Any:
    """What the pipeline of `task` takes. Raises `InputError` if it is not there, or if `first` is of another kind."""
    names = FIELDS[task]
    missing = [name for name in names if name not in record.fields and name != "text_pair"]
    if missing:
        found = ", ".join(map(repr, record.fields)) or "none"
        raise InputError(index, f"{task} needs the field {missing[0]!r}, found {found}")
    if names == ("text",):
        return record.fields["text"]
    if "text_pair" in names:
        found, expected = (_KINDS[each.fields.get("text_pair") is not None] for each in (record, first))
        if found != expected:
            raise InputError(index, f"expected {expected} as in {first.place}, found {found} (see its 'text_pair')")
    return {name: record.fields[name] for name in names if name in record.fields}

"""Files of inputs, of any length, to predictions: some records at a time, so that memory stays bounded."""

import itertools
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from minibert.inference.base import InputError, Pipeline
from minibert.text.corpus import numbered_lines

CHUNK = 512  # records that are sorted by length together; more would gain little

STANDARD_INPUT = "-"

# The fields of a record for each task; the rest is passed on. A line of plain text is the field `text`.
FIELDS = {
    "fill-mask": ("text",),
    "text-classification": ("text", "text_pair"),
    "token-classification": ("text",),
    "question-answering": ("question", "context"),
    "feature-extraction": ("text",),
    "sentence-similarity": ("source_sentence", "sentences"),
}


class RecordError(ValueError):
    """A line that no prediction can be made for; the message names file and line."""


class Record(NamedTuple):
    """One input: where it stands, and its fields."""

    place: str  # "FILE, line 7"
    fields: dict[str, Any]


def read_records(path: str, is_json: bool) -> Iterator[Record]:
    """The records of a file (perhaps gzipped), or of standard input for "-"; blank lines are passed over.

    is_json: a JSON object in every line; else a line is a text.
    Raises `RecordError` for a line that is no such thing, or a `ValueError` for a file that cannot be read.
    """
    for number, line in _standard_input() if path == STANDARD_INPUT else numbered_lines(Path(path)):
        if line.strip():
            place = f"{'standard input' if path == STANDARD_INPUT else path}, line {number}"
            yield Record(place, _parse(place, line) if is_json else {"text": line.strip()})


def _standard_input() -> Iterator[tuple[int, str]]:
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise RecordError(f"standard input, line {number}: not UTF-8 ({error.reason}).") from error


def _parse(place: str, line: str) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except ValueError as error:
        raise RecordError(f"{place}: not JSON ({error}). Each line must be one JSON object.") from error
    if not isinstance(fields, dict):
        raise RecordError(f"{place}: expected a JSON object, found {type(fields).__name__}.")
    return fields


def predict(pipeline: Pipeline, task: str, records: Iterable[Record], **options: Any) -> Iterator[dict[str, Any]]:
    """For each record its fields and its `prediction`, in order, as soon as its chunk is done.

    options: of the pipeline. Raises `RecordError` for a record that the pipeline cannot work on, after those before
    its chunk have been given.
    """
    records = iter(records)
    while chunk := list(itertools.islice(records, CHUNK)):
        inputs = [_input(task, record) for record in chunk]
        try:
            predictions = pipeline(inputs, **options)
        except InputError as error:
            raise RecordError(f"{chunk[error.index].place}: {error}") from error
        for record, prediction in zip(chunk, predictions, strict=True):
            yield record.fields | {"prediction": prediction}


def _input(task: str, record: Record) -> Any:
    """What the pipeline of `task` takes."""
    first = FIELDS[task][0]
    missing = [name for name in FIELDS[task] if name not in record.fields and name != "text_pair"]
    if missing:
        found = ", ".join(map(repr, record.fields)) or "none"
        raise RecordError(f"{record.place}: {task} needs the field {missing[0]!r}, found {found}.")
    if FIELDS[task] == ("text",):
        return record.fields[first]
    return {name: record.fields[name] for name in FIELDS[task] if name in record.fields}

"""Labelled texts in: files with named columns (`.tsv`, `.csv`, `.jsonl`) become lists of examples."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from minibert.text.lines import numbered_lines, parse_record, refuse_structured

# The names that data sets give to a text and, where there is one, to the other text of the pair.
TEXT_NAMES = {
    "text": "text_pair",
    "sentence": None,
    "sentence1": "sentence2",
    "question1": "question2",
    "premise": "hypothesis",
    "query": "passage",
    "question": "sentence",
    "review": None,
    "content": None,
}
LABEL_NAMES = ("label", "labels", "score", "similarity_score", "similarity", "class", "category", "target")

# Of a table, in characters. The library's own limit of 131,072 is less than a long article has; this is all it can take
# on every system, and what is longer, it names.
LONGEST_FIELD = 2**31 - 1


@dataclass(frozen=True)
class Columns:
    """Which columns hold what; None: found by its name. Several labels of a text stand between separators."""

    text: str | None = None
    pair: str | None = None
    label: str | None = None
    label_separator: str | None = None  # None: a text has one label (but a list in JSON holds several)

    def refuse(self, task: str, *names: str) -> None:
        """Raise `ValueError` if one of these is given, for which the `task` has no use."""
        for name in names:
            if getattr(self, name) is not None:
                option = "--label-separator" if name == "label_separator" else f"--{name}-column"
                raise ValueError(f"{option}: has no meaning for {task}; leave it out")


@dataclass(frozen=True)
class Example:
    """A text, or a pair of them, with what is known about it, and where it came from."""

    text: str
    pair: str | None
    label: str | list[str] | None  # as it stands in the file
    place: str  # "file, line 3": how every message about it begins


def read_examples(path: str | Path, columns: Columns, *, labelled: bool = True, paired: bool = False) -> list[Example]:
    """All examples of a `.tsv` (no quoting), `.csv` or `.jsonl` file, in order; any of them may be gzipped.

    A file of another suffix holds a text a line, if no labels are asked for.

    Args:
        labelled: whether there must be a label.
        paired: whether there must be a pair.

    Raises `ValueError` naming file and line: no such column (it says which there are), two of one name, a line that
    does not fit the header, an empty text, no label, bytes that are not UTF-8; or an empty file.
    """
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"{file}: no such file")
    rows = list(tqdm(_rows(file, labelled), desc="reading", unit=" lines", delay=2, leave=False))
    if not rows:
        raise ValueError(f"{file}: no examples in this file; expected a header and then a line for each example")
    names = list(dict.fromkeys(name for _, row in rows for name in row))  # in JSON, the first line may lack some
    chosen = _choose(file, names, columns, labelled, paired)
    return [_example(f"{file}, line {number}", row, chosen) for number, row in rows]


# --- rows of a file -------------------------------------------------------------------------------------


def _rows(file: Path, labelled: bool) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers, and the fields of each line by name."""
    suffix = Path(file.name.lower().removesuffix(".gz")).suffix
    if suffix == ".jsonl":
        return ((n, parse_record(file, n, line)) for n, line in numbered_lines(file) if line.strip())
    if suffix == ".tsv":
        return _table(file, delimiter="\t", quoting=csv.QUOTE_NONE)
    if suffix == ".csv":
        return _table(file, strict=True, skipinitialspace=True)
    if labelled:
        raise ValueError(f"{file}: expected a .tsv, .csv or .jsonl file with named columns; rename it if it is one")
    return _texts(file)


def _texts(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    is_first = True
    for number, line in numbered_lines(file):
        if line.strip():
            if is_first:
                refuse_structured(file, number, line, "Make it a .jsonl file, with an object in each line.")
            is_first = False
            yield number, {"text": line}


def _table(file: Path, **dialect: Any) -> Iterator[tuple[int, dict[str, str]]]:
    csv.field_size_limit(LONGEST_FIELD)
    reader = csv.reader((line for _, line in numbered_lines(file)), **dialect)
    try:
        header = _header(file, next(reader, []), dialect.get("delimiter", ","))
        for fields in reader:
            if not fields:
                continue
            if len(fields) != len(header):
                raise ValueError(
                    f"{file}, line {reader.line_num}: expected {len(header)} fields as in the header"
                    f" ({', '.join(header)}), found {len(fields)}"
                )
            yield reader.line_num, dict(zip(header, fields, strict=True))
    except csv.Error as error:
        is_return = "new-line" in str(error)  # the library's advice is for those who call it
        reason = "a carriage return in a line; remove it" if is_return else f"{error}; is a quote not closed?"
        raise ValueError(f"{file}, line {reader.line_num}: {reason}") from error


def _header(file: Path, fields: list[str], delimiter: str) -> list[str]:
    """The names of the columns. Raises `ValueError` for two of one name, or one that is a line of another form."""
    names = [name.strip() for name in fields]
    if twice := [name for name in names if name and names.count(name) > 1]:
        raise ValueError(f"{file}, line 1: two columns are called {twice[0]}; rename one of them")
    if len(names) == 1 and any(other in names[0] for other in ",;\t"):
        expected, suffix = ("commas", ".csv") if delimiter == "," else ("tabs", ".tsv")
        raise ValueError(
            f"{file}, line 1: expected {expected} between the columns of a {suffix} file, found none: {names[0]:.80}"
        )
    return names


# --- which column is what -------------------------------------------------------------------------------


def _choose(file: Path, names: list[str], wanted: Columns, labelled: bool, paired: bool) -> Columns:
    """The names of the columns to use: those wanted, or else those that data sets use."""
    for option, name in (("text", wanted.text), ("pair", wanted.pair), ("label", wanted.label)):
        if name is not None and name not in names:
            raise ValueError(f"{file}: --{option}-column {name}: no such column, only {', '.join(names)}")
    text = wanted.text or next((n for n in TEXT_NAMES if n in names and TEXT_NAMES[n] in names), None)
    text = text or next((n for n in TEXT_NAMES if n in names), None)
    pair = wanted.pair or (None if wanted.text else TEXT_NAMES.get(text or ""))
    label = wanted.label or next((n for n in LABEL_NAMES if n in names), None)
    needed = {"text": text, "pair": pair if pair in names else None, "label": label}
    for option, is_needed in (("text", True), ("pair", paired), ("label", labelled)):
        if is_needed and needed[option] is None:
            raise ValueError(
                f"{file}: which column is the {option}? Pass --{option}-column with one of {', '.join(names)}"
            )
    chosen = Columns(text, needed["pair"], label if labelled else None, wanted.label_separator)
    for one, other in (("text", "pair"), ("text", "label"), ("pair", "label")):
        if (name := getattr(chosen, one)) is not None and name == getattr(chosen, other):
            raise ValueError(
                f"{file}: the column {name} would be both the {one} and the {other}; pass --{one}-column and"
                f" --{other}-column with different ones of {', '.join(names)}"
            )
    return chosen


def _example(place: str, row: dict[str, Any], columns: Columns) -> Example:
    texts = [_text(place, row, name) for name in (columns.text, columns.pair) if name]
    label = None if columns.label is None else _label(place, row, columns.label, columns.label_separator)
    return Example(texts[0], texts[1] if columns.pair else None, label, place)


def _text(place: str, row: dict[str, Any], name: str) -> str:
    text = row.get(name)
    if not isinstance(text, str):
        raise ValueError(f"{place}: expected a text in the column {name}, found {text!r:.80}")
    if not text.strip():
        raise ValueError(f"{place}: the text in the column {name} is empty; fill it, or remove the line")
    return text.strip()


def _label(place: str, row: dict[str, Any], name: str, separator: str | None) -> str | list[str]:
    value = row.get(name)
    if isinstance(value, list):
        return [_word(place, item, name) for item in value]
    if separator is not None:
        is_empty = value is None or isinstance(value, str) and not value.strip()
        parts = [] if is_empty else _word(place, value, name).split(separator)
        return [part.strip() for part in parts if part.strip()]
    return _word(place, value, name)


def _word(place: str, value: Any, name: str) -> str:
    """A label as a word: JSON also has numbers and truth values, and NaN, which is none."""
    word = str(value).strip() if isinstance(value, str | int | float) and value == value else ""
    if not word:
        raise ValueError(f"{place}: expected a label in the column {name}, found {value!r:.80}")
    return word

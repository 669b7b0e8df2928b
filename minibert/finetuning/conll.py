"""CoNLL's files: a word a line with its tags in columns, a blank line between sentences."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from minibert.text.lines import numbered_lines

# Other white space may be a word: a no-break space, for example.
_BETWEEN_COLUMNS = re.compile(r"[ \t]+")
_NUMBER = re.compile(r"\d+(?:[-.]\d+)?")  # of a word, or of a part or a joint form of words, as in CoNLL-U

Row = tuple[int, list[str]]  # the number of a line, and its columns


@dataclass(frozen=True)
class Sentence:
    """Words with their tags, and the line of the file at which each stands."""

    words: list[str]
    tags: list[str]
    lines: list[int]


@dataclass(frozen=True)
class TaggedFile:
    """The sentences of a file, and how they were found: columns count from 1."""

    path: str
    sentences: list[Sentence]
    word_column: int
    tag_column: int
    n_columns: int
    n_passed_over: int  # lines that are no words

    @property
    def tags(self) -> list[str]:
        """All tags, once each, sorted."""
        return sorted({tag for sentence in self.sentences for tag in sentence.tags})


def read_conll(path: str | Path, word_column: int | None = None, tag_column: int | None = None) -> TaggedFile:
    """The sentences of a file with a word a line, its columns between blanks or tabs, a blank line between sentences.

    Passed over are lines that begin with -DOCSTART-, as conlleval does, and comments: lines before the first word of a
    sentence that begin with #, unless they have as many columns as others and a tag that others have, too: then # is
    the word. In a file that numbers its words (CoNLL-U), so are the joint forms of several, which have two numbers.

    Args:
        word_column, tag_column: from 1; None: the first and the last.

    Raises `ValueError` naming file and line where a column is missing, or the file if it has no sentence, or numbers in
    the place of words.
    """
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"{file}: no such file")
    blocks = list(_blocks(file))
    n_lines = sum(map(len, blocks))
    first = next((row for block in blocks for row in block if not _may_be_comment(row)), None)
    if first is None:
        raise ValueError(f"{file}: no sentence in this file; expected a word and its tag in every line")
    width = len(first[1])
    word, tag = word_column or 1, tag_column or width
    needed = max(2, word, tag)
    if width < needed:
        raise ValueError(
            f"{file}, line {first[0]}: expected at least {needed} columns, found {width}: {' '.join(first[1]):.80}"
        )
    blocks = _only_words(blocks, width, word, tag)
    sentences = [_sentence(file, block, first, word, tag) for block in blocks if block]
    if word_column is None and all(_NUMBER.fullmatch(w) for sentence in sentences for w in sentence.words):
        raise ValueError(
            f"{file}: column 1 holds numbers, not words; which column holds the words, and which the tags? Pass"
            f" --text-column and --label-column with numbers from 1 to {width}"
        )
    return TaggedFile(str(path), sentences, word, tag, width, n_lines - sum(map(len, blocks)))


def _blocks(file: Path) -> Iterator[list[Row]]:
    """The lines between two blank ones, or such that begin a document."""
    block: list[Row] = []
    for number, line in numbered_lines(file):
        text = line.strip(" \t\r\n")
        if text and not text.startswith("-DOCSTART-"):
            block.append((number, _BETWEEN_COLUMNS.split(text)))
        elif block:
            yield block
            block = []
    if block:
        yield block


def _may_be_comment(row: Row) -> bool:
    return row[1][0].startswith("#")


def _only_words(blocks: list[list[Row]], width: int, word: int, tag: int) -> list[list[Row]]:
    """The rows of words alone: no comments, and where the first column numbers the words, no joint forms of several."""
    n_first = [len(list(takewhile(_may_be_comment, block))) for block in blocks]
    words = [row for block, n in zip(blocks, n_first, strict=True) for row in block[n:]]
    known = {fields[tag - 1] for _, fields in words if len(fields) == width}
    is_numbered = word > 1 and all(_NUMBER.fullmatch(fields[0]) for _, fields in words)

    def is_word(place: int, n_first: int, fields: list[str]) -> bool:
        if place < n_first:
            return len(fields) == width and fields[tag - 1] in known
        return not is_numbered or fields[0].isdecimal()

    return [
        [row for place, row in enumerate(block) if is_word(place, n, row[1])]
        for block, n in zip(blocks, n_first, strict=True)
    ]


def _sentence(file: Path, rows: list[Row], first: Row, word: int, tag: int) -> Sentence:
    for number, fields in rows:
        if len(fields) != len(first[1]):
            raise ValueError(
                f"{file}, line {number}: expected {len(first[1])} columns as in line {first[0]}, found {len(fields)}: "
                f"{' '.join(fields):.80}"
            )
    return Sentence([f[word - 1] for _, f in rows], [f[tag - 1] for _, f in rows], [number for number, _ in rows])

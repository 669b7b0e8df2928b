"""A corpus that can be read more than once, and by several processes: for the vocabulary first, then for its tokens."""

import multiprocessing
import os
import re
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import TypeVar

from minibert.text.corpus import CORPUS_SUFFIXES, Part, PseudoDocument, find_files, parts_of, read_part
from minibert.text.lines import CorpusError
from minibert.text.stdlib_docs import python_documentation

T = TypeVar("T")

# From documents to what is made of them; where several processes do it, both must be such as can be sent.
Work = Callable[[Iterable[list[str]]], Iterable[T]]

# Written without blanks, and tokenized one by one: each is a word of its own.
_CHINESE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f]")

# For each process, so many parts are under way or done and not yet taken: that bounds the memory.
PARTS_AHEAD = 3


class Counted:
    """Documents on their way, counted: see the properties of `CorpusSource`."""

    def __init__(self) -> None:
        self.counts = [0] * 6

    def pass_on(self, documents: Iterable[list[str]]) -> Iterator[list[str]]:
        """The documents."""
        for document in documents:
            text = " ".join(document)
            is_cut = isinstance(document, PseudoDocument)
            characters = len(text) - text.count(" ")
            self.add([1, len(document), count_words(text), is_cut, characters, count_marks(text)])
            yield document

    def add(self, counts: list[int]) -> None:
        """What was counted elsewhere."""
        self.counts = [a + b for a, b in zip(self.counts, counts, strict=True)]


class CorpusSource:
    """Documents, each a list of sentences, read anew from their files at every iteration and counted on the way.

    paths: None for Python's own documentation. Each is a text file (UTF-8; any suffix), a `.jsonl` file with one
        document per line in the field `text`, either of them compressed (`.gz`), a folder of such files (searched
        recursively, in sorted order), or `hf://datasets/OWNER/NAME/path/of/file`, which is downloaded. In a text file
        a blank line ends a document, as in google-research/bert; a longer file without blank lines is cut every
        `PSEUDO_DOCUMENT_SENTENCES` sentences into instances of `PseudoDocument`.
    processes: how many read the files; they change nothing but how long that takes

    An iteration raises `CorpusError`: before it reads anything, for a path that does not exist, a folder without text
    files or a file that is named twice; and on the way for a file that cannot be read, bytes that are not UTF-8, a
    broken line, or a file without a sentence.
    """

    def __init__(self, paths: Sequence[str | Path] | None, processes: int = 1) -> None:
        self.name = "Python's own documentation" if paths is None else ", ".join(map(str, paths))
        self.paths = paths
        self.processes = processes
        # Two megabytes that take seconds to gather: the one corpus that is better kept than read again.
        self._documentation = list(python_documentation()) if paths is None else []
        self._counted = Counted()

    n_documents = property(lambda self: self._counted.counts[0], doc="How many the last iteration has read.")
    n_sentences = property(lambda self: self._counted.counts[1], doc="Of these documents.")
    n_words = property(lambda self: self._counted.counts[2], doc="Of these sentences; of Chinese, each character.")
    n_cuts = property(lambda self: self._counted.counts[3], doc="How often it cut files that separate no documents.")
    n_characters = property(lambda self: self._counted.counts[4], doc="Of these sentences, without blanks.")
    n_marks = property(
        lambda self: self._counted.counts[5],
        doc="How many characters are marks on others: vowels and tones of Thai, vowels of Hindi or Arabic, accents that"
        " are written as characters of their own.",
    )

    @property
    def n_files(self) -> int:
        """How many files the documents come from; none for Python's own documentation."""
        return len(self._files())

    def _files(self) -> list[Path]:
        """Of all paths, in order; `CorpusError` if one comes twice."""
        found: dict[Path, tuple[Path, str]] = {}
        for path in map(str, self.paths or []):
            for file in find_files(path, CORPUS_SUFFIXES):
                place = f"{file} in the folder {path}" if Path(path).is_dir() else path
                if same := found.get(file.resolve()):
                    raise CorpusError(
                        f"{place}: is the same file as {same[1]}. Leave one of them out: read twice, its text could be"
                        " trained on and held out at once."
                    )
                found[file.resolve()] = file, place
        return [file for file, _ in found.values()]

    def __iter__(self) -> Iterator[list[str]]:
        return self.each(iter)

    def each(self, work: Work[T]) -> Iterator[T]:
        """What `work` makes of the documents of each part of the corpus, in order."""
        self._counted = Counted()
        if self.paths is None:
            yield from work(self._counted.pass_on(self._documentation))
            return
        done = self._in_processes(work, (part for file in self._files() for part in parts_of(file)))
        for file, parts in groupby(done, key=lambda part_done: part_done[0].file):
            found = 0
            for _, made, counted in parts:
                yield from made
                self._counted.add(counted.counts)
                found += counted.counts[0]
            if not found:
                raise CorpusError(f"{file}: no sentence in this file: it is empty or all blank. Remove it, or fill it.")

    def _in_processes(self, work: Work[T], parts: Iterable[Part]) -> Iterator[tuple[Part, Iterable[T], Counted]]:
        """Each part, what is made of it, and what has been counted when that has been taken."""
        if self.processes == 1:
            for part in parts:
                counted = Counted()
                yield part, work(counted.pass_on(read_part(part))), counted
            return
        # Forked from a process with threads, some would hang.
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(self.processes, spawn, _without_threads) as pool:
            under_way: deque[tuple[Part, Future]] = deque()
            for part in parts:
                under_way.append((part, pool.submit(_work_on, work, part)))
                if len(under_way) == PARTS_AHEAD * self.processes:
                    first, made = under_way.popleft()
                    yield first, *made.result()
            for part, made in under_way:
                yield part, *made.result()


def _work_on(work: Work[T], part: Part) -> tuple[list[T], Counted]:
    counted = Counted()
    return list(work(counted.pass_on(read_part(part)))), counted


def _without_threads() -> None:
    """In one of several processes, the tokenizer has one thread: there is a process for every core."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def count_words(text: str) -> int:
    """What stands between blanks, and every Chinese character, counts as one."""
    if not text.isascii():
        text, n_characters = _CHINESE.subn(" ", text)
        # What is left between them has words of its own, of which stops are none.
        return n_characters + sum(any(map(str.isalnum, word)) for word in text.split())
    return len(text.split())


def count_marks(text: str) -> int:
    """How many characters of a text are marks on others, which a tokenizer that strips accents leaves out."""
    if text.isascii():
        return 0
    return sum(text.count(character) for character in set(text) if unicodedata.category(character) == "Mn")

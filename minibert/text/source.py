"""A corpus that can be read more than once: for the vocabulary first, then for its tokens."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from minibert.text.corpus import CORPUS_SUFFIXES, PseudoDocument, find_files, read_documents
from minibert.text.stdlib_docs import python_documentation

# Written without blanks, and tokenized one by one: each is a word of its own.
_CHINESE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f]")


class CorpusSource:
    """Documents, read anew from their files at every iteration and counted on the way.

    paths: as for `read_documents`, which says what is raised; None for Python's own documentation
    n_documents, n_sentences, n_words: what the last iteration has read; a word of Chinese is a character
    n_characters, n_marks: the same, without blanks; and how many of them are marks on others: vowels and tones of Thai,
        vowels of Hindi or Arabic, accents that are written as characters of their own
    n_cuts: how often it cut files that do not say where their documents end
    """

    def __init__(self, paths: Sequence[str | Path] | None) -> None:
        self.name = "Python's own documentation" if paths is None else ", ".join(map(str, paths))
        self.paths = paths
        # Two megabytes that take seconds to gather: the one corpus that is better kept than read again.
        self._documentation = list(python_documentation()) if paths is None else []
        self._start_counting()

    def _start_counting(self) -> None:
        self.n_documents = self.n_sentences = self.n_words = self.n_cuts = self.n_characters = self.n_marks = 0

    @property
    def n_files(self) -> int:
        """How many files the documents come from; none for Python's own documentation."""
        return sum(len(find_files(str(path), CORPUS_SUFFIXES)) for path in self.paths or [])

    def __iter__(self) -> Iterator[list[str]]:
        self._start_counting()
        for document in self._documentation if self.paths is None else read_documents(self.paths):
            self.n_documents += 1
            self.n_sentences += len(document)
            text = " ".join(document)
            self.n_words += count_words(text)
            self.n_characters += len(text) - text.count(" ")
            self.n_marks += count_marks(text)
            self.n_cuts += isinstance(document, PseudoDocument)
            yield document


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

"""A corpus that can be read more than once: for the vocabulary first, then for its tokens."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from minibert.text.corpus import PseudoDocument, read_documents
from minibert.text.stdlib_docs import python_documentation


class CorpusSource:
    """Documents, read anew from their files at every iteration and counted on the way.

    paths: as for `read_documents`, which says what is raised; None for Python's own documentation
    n_documents, n_sentences, n_words: what the last iteration has read
    n_cuts: how often it cut files that do not say where their documents end
    """

    def __init__(self, paths: Sequence[str | Path] | None) -> None:
        self.name = "Python's own documentation" if paths is None else ", ".join(map(str, paths))
        self.paths = paths
        # Two megabytes that take seconds to gather: the one corpus that is better kept than read again.
        self._documentation = list(python_documentation()) if paths is None else []
        self.n_documents = self.n_sentences = self.n_words = self.n_cuts = 0

    def __iter__(self) -> Iterator[list[str]]:
        self.n_documents = self.n_sentences = self.n_words = self.n_cuts = 0
        for document in self._documentation if self.paths is None else read_documents(self.paths):
            self.n_documents += 1
            self.n_sentences += len(document)
            self.n_words += sum(len(sentence.split()) for sentence in document)
            self.n_cuts += isinstance(document, PseudoDocument)
            yield document

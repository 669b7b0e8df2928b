"""A corpus is read anew, and counted, as often as it is needed."""

import pytest

from minibert.text import source
from minibert.text.corpus import PSEUDO_DOCUMENT_SENTENCES
from minibert.text.lines import CorpusError
from minibert.text.source import CorpusSource


def test_every_reading_reads_the_file(tmp_path):
    file = tmp_path / "corpus.txt"
    file.write_text("One two. Three.\n\nFour.")
    corpus = CorpusSource([file])
    assert corpus.name == str(file)
    assert list(corpus) == list(corpus) == [["One two.", "Three."], ["Four."]]
    assert (corpus.n_documents, corpus.n_sentences, corpus.n_words) == (2, 3, 4)
    file.write_text("Five.")
    assert list(corpus) == [["Five."]]
    assert (corpus.n_documents, corpus.n_sentences, corpus.n_words) == (1, 1, 1)


def test_words_and_marks():
    texts = {"One two!": (2, 0), "今天 well": (3, 0), "公园。好": (3, 0), "ที่นี่ ดี": (2, 5), "": (0, 0)}
    for text, counts in texts.items():
        assert (source.count_words(text), source.count_marks(text)) == counts, text


def test_what_is_cut_without_blank_lines_is_counted(tmp_path):
    (tmp_path / "long.txt").write_text("Again and again. " * (2 * PSEUDO_DOCUMENT_SENTENCES + 1))
    (tmp_path / "short.txt").write_text("Once.")
    corpus = CorpusSource([tmp_path])
    for _ in range(2):
        assert (len(list(corpus)), corpus.n_cuts) == (4, 2)


def test_no_more_than_a_document_is_held(tmp_path):
    (tmp_path / "a.txt").write_text("One.\n\nTwo.")
    (tmp_path / "b.txt").write_bytes(b"\xff")
    documents = iter(CorpusSource([tmp_path / "a.txt", tmp_path / "b.txt"]))
    assert [next(documents), next(documents)] == [["One."], ["Two."]]  # the broken file is not yet read
    with pytest.raises(CorpusError, match=r"b\.txt, line 1"):
        next(documents)


def test_pythons_documentation_is_gathered_once(monkeypatch):
    asked = []
    monkeypatch.setattr(source, "python_documentation", lambda: asked.append(1) or iter([["Print it.", "Twice."]]))
    corpus = CorpusSource(None)
    assert list(corpus) == list(corpus) == [["Print it.", "Twice."]]
    assert len(asked) == 1 and corpus.n_words == 3 and corpus.name == "Python's own documentation"

"""A corpus is read anew, and counted, as often as it is needed."""

import json

import pytest

from minibert.pretraining.preparation import prepare
from minibert.text import corpus as corpus_module
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


def write_large(folder):
    """Files that are read in parts, and one that cannot be."""
    paragraph = "It was so. “Was it?” she asked; nobody\tknew. naïve [MASK] words.\n"
    text = "".join(
        paragraph * (1 + number % 5) + f"Number {number}.\n" + " \t\n" * (number % 3) for number in range(300)
    )
    (folder / "a.txt").write_text(text)
    (folder / "b.jsonl").write_text(
        "".join(json.dumps({"text": f"{paragraph} End of {n}."}) + "\n" for n in range(200))
    )
    (folder / "c.txt").write_text(paragraph * 500)
    (folder / "d.txt").write_text("\n\nThe end.")


def test_in_parts_the_same_documents(tmp_path, monkeypatch):
    write_large(tmp_path)
    whole, parts = CorpusSource([tmp_path]), CorpusSource([tmp_path])
    expected = list(whole)
    for size in (1, 100, 3000):
        monkeypatch.setattr(corpus_module, "PART_BYTES", size)
        n_parts = [len(list(corpus_module.parts_of(tmp_path / name))) for name in ("a.txt", "b.jsonl", "c.txt")]
        assert n_parts[0] > 5 and n_parts[1] > 5 and n_parts[2] == 1
        assert list(parts) == expected
        assert parts._counted.counts == whole._counted.counts and whole.n_cuts


def test_an_error_in_a_later_part_names_the_line(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_module, "PART_BYTES", 50)
    (tmp_path / "a.txt").write_bytes(b"One two three.\n\n" * 100 + b"bro\xffken\n")
    with pytest.raises(CorpusError, match=r"a\.txt, line 201: not UTF-8"):
        list(CorpusSource([tmp_path]))
    (tmp_path / "a.txt").write_text(" \n\n" * 100)
    with pytest.raises(CorpusError, match=r"a\.txt: no sentence in this file"):
        list(CorpusSource([tmp_path]))


@pytest.mark.parametrize(
    "names", [("a.txt", "a.txt"), ("", "a.txt"), ("sub/../a.txt", ""), ("", "sub"), ("sub", "link.txt")]
)
def test_a_file_that_comes_twice_is_refused(tmp_path, names):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.txt").write_text("One.")
    (tmp_path / "sub" / "b.txt").write_text("Two.")
    if "link.txt" in names:
        (tmp_path / "link.txt").symlink_to(tmp_path / "sub" / "b.txt")
    first, second = (f"{tmp_path}/{name}" for name in names)
    assert CorpusSource([first]).n_files and list(CorpusSource([second]))
    with pytest.raises(CorpusError, match="is the same file as") as refused:
        next(iter(CorpusSource([first, second])))
    assert str(refused.value).count(first) and str(refused.value).count(second), refused.value


def test_a_file_that_is_gone_is_named(tmp_path):
    for name in ("a.txt", "a.jsonl"):
        with pytest.raises(CorpusError, match=rf"{name}: cannot be read \(No such file or directory\)\."):
            list(corpus_module.parts_of(tmp_path / name))


def test_any_number_of_processes_makes_the_same_bytes(tmp_path):
    text = tmp_path / "texts"
    text.mkdir()
    write_large(text)
    (text / "a.txt").write_text((text / "a.txt").read_text() * 60)
    assert len(list(corpus_module.parts_of(text / "a.txt"))) > 1
    for processes in (1, 3):
        prepare([text], None, 200, tmp_path / str(processes), processes)
    alone, together = ({f.name: f.read_bytes() for f in (tmp_path / n).iterdir()} for n in ("1", "3"))
    assert alone == together and "ids.bin" in alone


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

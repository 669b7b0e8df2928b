"""Documents in: every kind of source, what bounds their size, and every error."""

import gzip
import json
import tracemalloc

import pytest

from minibert.text import corpus
from minibert.text.corpus import PSEUDO_DOCUMENT_SENTENCES, PseudoDocument, files_passed_over
from minibert.text.lines import CorpusError
from minibert.text.source import CorpusSource


def test_blank_lines_separate_documents(tmp_path):
    file = tmp_path / "corpus.txt"
    file.write_text("\n\nOne. Two.\nThree.\n \t\n\nFour.\n\n", encoding="utf-8")
    assert list(CorpusSource([file])) == [["One.", "Two.", "Three."], ["Four."]]


@pytest.mark.parametrize("ends", ["", "\n", "\n\n\n"])
def test_file_without_blank_lines_is_cut(tmp_path, ends):
    sentences = [f"Sentence number {i}." for i in range(2 * PSEUDO_DOCUMENT_SENTENCES + 3)]
    file = tmp_path / "long.txt"
    file.write_text(ends + "\n".join(sentences) + ends, encoding="utf-8")
    documents = list(CorpusSource([file]))
    assert [len(document) for document in documents] == [PSEUDO_DOCUMENT_SENTENCES] * 2 + [3]
    assert [sentence for document in documents for sentence in document] == sentences
    assert [isinstance(document, PseudoDocument) for document in documents] == [True, True, False]


def test_a_file_that_ends_where_it_would_be_cut_is_not_cut_there(tmp_path):
    file = tmp_path / "long.txt"
    for count in (1, 2):
        file.write_text("Again and again. " * (count * PSEUDO_DOCUMENT_SENTENCES))
        source = CorpusSource([file])
        assert [len(document) for document in source] == [PSEUDO_DOCUMENT_SENTENCES] * count
        assert source.n_cuts == count - 1


def test_endless_document_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "LONGEST_DOCUMENT_SENTENCES", 5)
    file = tmp_path / "corpus.txt"
    file.write_text("Aa. Bb. Cc. Dd. Ee. Ff. Gg.\n\nEnd.\n", encoding="utf-8")
    assert [len(document) for document in CorpusSource([file])] == [5, 2, 1]


@pytest.mark.parametrize(
    "text", ["word " * 4, "字" * 4, "This is a sentence of some words. "], ids=["no-stops", "no-blanks", "sentences"]
)
def test_memory_does_not_grow_with_a_line(tmp_path, monkeypatch, text):
    monkeypatch.setattr(corpus, "LONGEST_LINE", 50_000)
    file = tmp_path / "line.txt"
    peaks = []
    for size in (500_000, 2_000_000):
        file.write_text(text * (size // len(text.encode())), encoding="utf-8")
        tracemalloc.start()
        n_characters = sum(len(sentence) for document in CorpusSource([file]) for sentence in document)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert n_characters > 0.8 * len(text.strip()) / len(text.encode()) * size
    assert max(peaks) < 40 * 50_000 and peaks[1] < 1.1 * peaks[0]


def test_the_parts_of_a_line_are_one_paragraph(tmp_path, monkeypatch):
    """No blank line is seen where a part of a long line ends, or is blank."""
    monkeypatch.setattr(corpus, "LONGEST_LINE", 10)
    file = tmp_path / "corpus.txt"
    file.write_text("One. Two. Three. Fo ur.\n" + " " * 25 + "Five is.\n" + "x" * 10 + "\n" + " " * 25 + "\nSix.\n")
    first, second = CorpusSource([file])
    assert "".join(first).replace(" ", "") == "One.Two.Three.Four.Fiveis.xxxxxxxxxx" and second == ["Six."]


def test_a_long_text_in_json_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "LONGEST_DOCUMENT_SENTENCES", 3)
    (tmp_path / "a.jsonl").write_text('{"text": "Aa. Bb. Cc. Dd."}\n{"text": "Ee."}\n')
    assert list(CorpusSource([tmp_path])) == [["Aa.", "Bb.", "Cc."], ["Dd."], ["Ee."]]


def test_byte_order_mark_and_windows_lines(tmp_path):
    file = tmp_path / "windows.txt"
    file.write_bytes("\ufeffOne.\r\nTwo.\r\n\r\nThree.\r\n".encode())
    assert list(CorpusSource([file])) == [["One.", "Two."], ["Three."]]


def test_jsonl_holds_one_document_per_line(tmp_path):
    file = tmp_path / "corpus.jsonl"
    records = [{"text": "One. Two.\n\nThree."}, {"text": " "}, {"text": "Vier.", "id": 7}]
    file.write_text("\n".join(map(json.dumps, records)) + "\n\n", encoding="utf-8")
    assert list(CorpusSource([file])) == [["One.", "Two.", "Three."], ["Vier."]]


def test_gzip_of_both(tmp_path):
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"One.\n\nTwo.\n"))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b'{"text": "Three."}\n'))
    assert list(CorpusSource([tmp_path])) == [["One."], ["Two."], ["Three."]]


def test_folder_is_read_recursively_and_sorted(tmp_path):
    for name in ["b/inner.txt", "a.text", "c.TXT", "notes.md", "table.csv"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"From {name}", encoding="utf-8")
    found = [document[0] for document in CorpusSource([tmp_path])]
    assert found == ["From a.text", "From b/inner.txt", "From c.TXT"]
    (tmp_path / "b" / ".hidden").write_text("x", encoding="utf-8")
    passed_over = files_passed_over([tmp_path, tmp_path / "a.text", "hf://datasets/owner/name/a.txt"])
    assert [file.name for file in passed_over] == ["notes.md", "table.csv"]
    assert list(CorpusSource([tmp_path / "notes.md", str(tmp_path / "a.text")])) == [
        ["From notes.md"],
        ["From a.text"],
    ]


def test_hub_address(tmp_path, monkeypatch):
    file = tmp_path / "part.txt"
    file.write_text("From the hub.", encoding="utf-8")
    asked = []

    def download(repository, filename, repo_type):
        asked.append((repository, filename, repo_type))
        return str(file)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    assert list(CorpusSource(["hf://datasets/owner/name/folder/part.txt"])) == [["From the hub."]]
    assert asked == [("owner/name", "folder/part.txt", "dataset")]


def test_hub_failure_names_the_address(monkeypatch):
    def download(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    with pytest.raises(CorpusError, match=r"hf://datasets/owner/name/part\.txt: .*no network.*owner/name"):
        list(CorpusSource(["hf://datasets/owner/name/part.txt"]))


BROKEN = {
    "windows.txt": (b"Good.\nCaf\xe9.\n", r"windows\.txt, line 2: not UTF-8 \(byte 0xe9 after 'Caf'\)"),
    "empty.txt": (b"", r"empty\.txt: no sentence"),
    "blank.txt": (b"\n \n\t\n", r"blank\.txt: no sentence"),
    "blank.jsonl": (b'{"text": ""}\n', r"blank\.jsonl: no sentence"),
    "cut.jsonl": (
        b'{"text": "Good."}\n{"text": "Go',
        r"cut\.jsonl, line 2: not JSON \(Unterminated string starting at column 10\)",
    ),
    "open.jsonl": (b'{"text": "Good."\n', r"open\.jsonl, line 1: not JSON \([^:]* at column 17\)"),
    "list.jsonl": (b'["Good."]\n', r"list\.jsonl, line 1: expected a JSON object, found list"),
    "other.jsonl": (b'{"body": "Good."}\n', r"other\.jsonl, line 1: .*'text'.*\['body'\].*Rename"),
    "number.jsonl": (b'{"text": 5}\n', r"number\.jsonl, line 1: .*'text', but it is 5\. Leave out this line"),
    "null.jsonl": (b'{"text": null}\n', r"null\.jsonl, line 1: .*'text', but it is null\. Leave out this line"),
    "renamed.txt": (b'{"text": "Good."}\n', r"renamed\.txt, line 1: expected text, found a JSON object\. .*\.jsonl"),
    "plain.txt.gz": (b"not compressed", r"plain\.txt\.gz: broken gzip"),
    "half.txt.gz": (gzip.compress(b"Good.\n" * 999)[:-9], r"half\.txt\.gz, after line \d+: broken gzip"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_file_is_named(tmp_path, name):
    content, message = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CorpusError, match=message):
        list(CorpusSource([tmp_path]))


def test_paths_are_checked_before_anything_is_read(tmp_path):
    good = tmp_path / "good.txt"
    good.write_text("Good.", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    with pytest.raises(CorpusError, match=r"missing\.txt: no such file or folder"):
        next(iter(CorpusSource([good, tmp_path / "missing.txt"])))
    with pytest.raises(CorpusError, match=r"folder: the folder holds no file that ends in \.txt"):
        next(iter(CorpusSource([good, tmp_path / "folder"])))
    with pytest.raises(CorpusError, match=r"expected hf://datasets/OWNER/NAME/path"):
        next(iter(CorpusSource([good, "hf://datasets/name"])))

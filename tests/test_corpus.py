"""Documents in: sentence splitting, every kind of source, and every error."""

import gzip
import json

import pytest

from minibert.text import corpus
from minibert.text.corpus import (
    PSEUDO_DOCUMENT_SENTENCES,
    CorpusError,
    PseudoDocument,
    numbered_lines,
    read_documents,
    split_sentences,
)

# Each case is written with a bar where a sentence ends.
SENTENCES = [
    "One ends here. | Another begins.",
    "Really? | Yes! | Well... | So be it.",
    "He waited… | Nothing came.",
    'He said "stop." | She did (at last.) | It was over.',
    "“Is it?” | “It is.”",
    "The price rose to 3.14 dollars. | Version 2.0.1 came out.",
    "Mr. Smith met Dr. J. R. Jones in St. Louis. | They talked.",
    "Tools, e.g. Python or i.e. this one, are free. | Take them.",
    "The U.S. Congress met.",
    "So did I. | He left.",
    "See Fig. 3 and No. 5 on pp. 7 and 8. | He said no. | Then he left.",
    "It was... strange. | What? no way.",
    "In 1999. | The end.",
    "1. The first item of a list.",
    "the end . | The next one , too .",
    "no capitals here. | still two sentences! | or three",
    "¿Qué es? | ¡Nada! | «Bien.» | Así es.",
    "今天很好。| 明天呢？| “不知道！” | 好。",
    "no stop at all",
]


@pytest.mark.parametrize("marked", SENTENCES)
def test_split_sentences(marked):
    expected = [sentence.strip() for sentence in marked.split("|")]
    text = marked.replace("| ", "").replace("|", "")
    assert split_sentences(f"  {text}\n") == expected


def test_split_sentences_of_nothing():
    assert split_sentences("") == split_sentences(" \t\n") == []


def test_split_sentences_loses_no_character():
    text = "A. B! C? (D.) 'E.' F... G. h. 1.5 i.e. J... 好。K. " * 50
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())


def test_blank_lines_separate_documents(tmp_path):
    file = tmp_path / "corpus.txt"
    file.write_text("\n\nOne. Two.\nThree.\n \t\n\nFour.\n\n", encoding="utf-8")
    assert list(read_documents([file])) == [["One.", "Two.", "Three."], ["Four."]]


@pytest.mark.parametrize("ends", ["", "\n", "\n\n\n"])
def test_file_without_blank_lines_is_cut(tmp_path, ends):
    sentences = [f"Sentence number {i}." for i in range(2 * PSEUDO_DOCUMENT_SENTENCES + 3)]
    file = tmp_path / "long.txt"
    file.write_text(ends + "\n".join(sentences) + ends, encoding="utf-8")
    documents = list(read_documents([file]))
    assert [len(document) for document in documents] == [PSEUDO_DOCUMENT_SENTENCES] * 2 + [3]
    assert [sentence for document in documents for sentence in document] == sentences
    assert [isinstance(document, PseudoDocument) for document in documents] == [True, True, False]


def test_endless_document_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "LONGEST_DOCUMENT_SENTENCES", 5)
    file = tmp_path / "corpus.txt"
    file.write_text("Aa. Bb. Cc. Dd. Ee. Ff. Gg.\n\nEnd.\n", encoding="utf-8")
    assert [len(document) for document in read_documents([file])] == [5, 2, 1]


def test_byte_order_mark_and_windows_lines(tmp_path):
    file = tmp_path / "windows.txt"
    file.write_bytes("\ufeffOne.\r\nTwo.\r\n\r\nThree.\r\n".encode())
    assert list(read_documents([file])) == [["One.", "Two."], ["Three."]]


def test_jsonl_holds_one_document_per_line(tmp_path):
    file = tmp_path / "corpus.jsonl"
    records = [{"text": "One. Two.\n\nThree."}, {"text": " "}, {"text": "Vier.", "id": 7}]
    file.write_text("\n".join(map(json.dumps, records)) + "\n\n", encoding="utf-8")
    assert list(read_documents([file])) == [["One.", "Two.", "Three."], ["Vier."]]


def test_gzip_of_both(tmp_path):
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"One.\n\nTwo.\n"))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b'{"text": "Three."}\n'))
    assert list(read_documents([tmp_path])) == [["One."], ["Two."], ["Three."]]


def test_folder_is_read_recursively_and_sorted(tmp_path):
    for name in ["b/inner.txt", "a.text", "c.TXT", "notes.md", "table.csv"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"From {name}", encoding="utf-8")
    found = [document[0] for document in read_documents([tmp_path])]
    assert found == ["From a.text", "From b/inner.txt", "From c.TXT"]
    assert list(read_documents([tmp_path / "notes.md", str(tmp_path / "a.text")])) == [
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
    assert list(read_documents(["hf://datasets/owner/name/folder/part.txt"])) == [["From the hub."]]
    assert asked == [("owner/name", "folder/part.txt", "dataset")]


def test_hub_failure_names_the_address(monkeypatch):
    def download(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    with pytest.raises(CorpusError, match=r"hf://datasets/owner/name/part\.txt: .*no network.*owner/name"):
        read_documents(["hf://datasets/owner/name/part.txt"])


BROKEN = {
    "latin1.txt": (
        "Good.\nCaf\xe9.\n".encode("latin1"),
        r"latin1\.txt, line 2: not UTF-8 .*0xe9 .*column 4.*iconv -f latin1 ",
    ),
    "utf16.txt": ("Good.".encode("utf-16"), r"utf16\.txt, line 1: not UTF-8 .*iconv -f utf-16 "),
    "empty.txt": (b"", r"empty\.txt: no sentence"),
    "blank.txt": (b"\n \n\t\n", r"blank\.txt: no sentence"),
    "blank.jsonl": (b'{"text": ""}\n', r"blank\.jsonl: no sentence"),
    "cut.jsonl": (
        b'{"text": "Good."}\n{"text": "Go',
        r"cut\.jsonl, line 2: not JSON \(Unterminated string .* at column 10\)",
    ),
    "open.jsonl": (b'{"text": "Good."\n', r"open\.jsonl, line 1: not JSON \([^:]* at column 17\)"),
    "list.jsonl": (b'["Good."]\n', r"list\.jsonl, line 1: expected a JSON object, found list"),
    "other.jsonl": (b'{"body": "Good."}\n', r"other\.jsonl, line 1: .*'text'.*\['body'\].*Rename"),
    "number.jsonl": (b'{"text": 5}\n', r"number\.jsonl, line 1: .*'text'.*int"),
    "plain.txt.gz": (b"not compressed", r"plain\.txt\.gz: broken gzip"),
    "half.txt.gz": (gzip.compress(b"Good.\n" * 999)[:-9], r"half\.txt\.gz, after line \d+: broken gzip"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_file_is_named(tmp_path, name):
    content, message = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CorpusError, match=message):
        list(read_documents([tmp_path]))


def test_a_missing_file_is_named_once(tmp_path):
    with pytest.raises(CorpusError, match=r"^[^\[]*nowhere\.txt: cannot be read \(No such file or directory\)\.$"):
        list(numbered_lines(tmp_path / "nowhere.txt"))


def test_paths_are_checked_before_anything_is_read(tmp_path):
    good = tmp_path / "good.txt"
    good.write_text("Good.", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    with pytest.raises(CorpusError, match=r"missing\.txt: no such file or folder"):
        read_documents([good, tmp_path / "missing.txt"])
    with pytest.raises(CorpusError, match=r"folder: the folder holds no file that ends in \.txt"):
        read_documents([good, tmp_path / "folder"])
    with pytest.raises(CorpusError, match=r"expected hf://datasets/OWNER/NAME/path"):
        read_documents(["hf://datasets/name"])

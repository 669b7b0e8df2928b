"""Vocabulary files: what is read, what is written, what is refused."""

import re
import shutil
from pathlib import Path

import pytest
import transformers
from checkpoints import warnings_in
from reference_tokenizer import HOSTILE, assert_same, reference_tokenizer, vocab_path
from tokenizers import Tokenizer, models

from minibert.checkpoint.files import CheckpointError
from minibert.text.tokenizer import BertTokenizer


def test_an_id_without_a_token_does_not_shift_the_lines(tmp_path):
    vocab = BertTokenizer(vocab_path("uncased")).get_vocab()
    gone = vocab.pop("##t")
    ours = BertTokenizer(vocab)
    ours.save_pretrained(tmp_path)
    lines = (tmp_path / "vocab.txt").read_text().split("\n")
    assert [lines[vocab[token]] for token in vocab] == list(vocab)
    assert lines[gone] not in vocab


def test_vocab_txt_without_a_special_token(tmp_path):
    (tmp_path / "vocab.txt").write_text(vocab_path("uncased").read_text().replace("[MASK]\n", ""))
    with pytest.raises(CheckpointError, match=r"vocab\.txt: the vocabulary has no '\[MASK\]'.*mask_token="):
        BertTokenizer.from_pretrained(tmp_path)


def vocab_file(folder: Path, *more: str, end: str = "\n") -> Path:
    """A vocab.txt with the small uncased vocabulary, and after it the lines `more`."""
    path = folder / "vocab.txt"
    path.write_bytes((vocab_path("uncased").read_text() + end.join([*more, ""])).encode())
    return path


# What stands in a line, and the token that it is: white space at the end is none of it, and nothing else ends a line.
LINES = {
    **dict.fromkeys(("xyz", "xyz ", "xyz \t", "xyz\r", "xyz\u00a0", "xyz\u3000", "xyz\u2028", "xyz\x85"), "xyz"),
    **{line: line for line in (" xyz", "x yz", "xyz\x1f", "x\ryz", "x\x0cyz", "x\u2028yz", "x\x85yz", "xyz\ufeff")},
    **dict.fromkeys(("", " ", "\u3000"), ""),
    "##xyz ": "##xyz",
}


@pytest.mark.parametrize(("line", "token"), LINES.items())
def test_a_line_is_the_token_that_the_reference_reads(line: str, token: str, tmp_path: Path):
    path = vocab_file(tmp_path, line, "last")
    ours = BertTokenizer(path)
    assert ours.convert_ids_to_tokens([len(ours) - 2, len(ours) - 1]) == [token, "last"]
    assert len(ours) == path.read_bytes().count(b"\n")
    if transformers.__version__ >= "5":  # version 4 keeps white space at the end, so that no text has such a token
        theirs = reference_tokenizer(path, True)
        assert ours.get_vocab() == theirs.get_vocab()
        assert_same(ours, theirs, [*HOSTILE, "xyz last axyz"])


@pytest.mark.parametrize(
    ("lines", "lost"),
    [(["the", "last"], "1 lines .* line 97"), (["the", "the", "last"], "2 lines .* line 97, 217")]
    + [(["", "last", ""], "1 lines .* line 217"), (["", "last", "", ""], "2 lines .* line 217, 219")],
)
def test_of_lines_with_one_token_the_last_counts(lines: list[str], lost: str, tmp_path: Path, caplog):
    path = vocab_file(tmp_path, *lines)
    ours, theirs = BertTokenizer(path), reference_tokenizer(path, True)
    assert ours.get_vocab().items() >= theirs.get_vocab().items()
    assert_same(ours, theirs, [*HOSTILE, "last"])
    assert len(ours) == path.read_bytes().count(b"\n")  # so many rows an embedding has
    (message,) = warnings_in(caplog)
    assert re.search(f"vocab.txt: {lost}$", message)


def test_a_vocabulary_with_a_duplicate_can_grow(tmp_path: Path):
    ours = BertTokenizer(vocab_file(tmp_path, "the"))
    size = len(ours)
    ours.add_tokens(["newcomer"])
    assert ours.convert_tokens_to_ids(["the", "newcomer"]) == [size - 1, size]
    ours.save_pretrained(tmp_path / "saved")
    for loaded in (BertTokenizer.from_pretrained(tmp_path / "saved"), BertTokenizer(tmp_path / "saved" / "vocab.txt")):
        assert loaded.get_vocab() == ours.get_vocab()


@pytest.mark.parametrize(
    "vocab, message",
    [
        ({"a": 0, "b": 0}, "vocab: the tokens 'a' and 'b' have the same id, 0"),
        ({"a": 0, "b": -1}, "vocab: expected ids from 0, found 'b': -1"),
        ({"a": 0, "b": "1"}, "vocab: expected ids from 0, found 'b': '1'"),
        ({"a": 0, "b": 10**9}, "vocab: expected an id for every token, found 2 tokens, ids to 1000000000"),
        ({}, r"vocab: the vocabulary has no '\[PAD\]'"),
    ],
)
def test_a_dict_that_is_no_vocabulary(vocab, message):
    with pytest.raises(CheckpointError, match=message):
        BertTokenizer(vocab)


def test_an_empty_vocab_txt(tmp_path: Path):
    (tmp_path / "vocab.txt").write_text("")
    with pytest.raises(CheckpointError, match="vocab.txt: expected one token per line, found an empty file"):
        BertTokenizer.from_pretrained(tmp_path)


def test_vocab_txt_that_is_not_text(tmp_path):
    (tmp_path / "vocab.txt").write_bytes(b"[PAD]\n\xff\xfe\n")
    with pytest.raises(CheckpointError, match=r"vocab\.txt: expected a UTF-8"):
        BertTokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize("name", ["vocab.txt", "tokenizer.json", "bert-base-uncased", ".", None])
def test_what_is_no_file(monkeypatch, tmp_path, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=rf"^{name}: expected the file of a vocabulary.*from_pretrained$"):
        BertTokenizer(name)


def test_the_older_name_of_the_first_argument():
    path = vocab_path("uncased")
    assert BertTokenizer(vocab_file=path).get_vocab() == BertTokenizer(path).get_vocab()


def test_a_folder_without_a_tokenizer(tmp_path):
    with pytest.raises(CheckpointError, match=f"{tmp_path}: found neither tokenizer.json nor vocab.txt; put"):
        BertTokenizer.from_pretrained(tmp_path)


def test_a_tokenizer_json_of_another_kind(tmp_path):
    Tokenizer(models.BPE()).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: expected a WordPiece model, found BPE"):
        BertTokenizer.from_pretrained(tmp_path)


def test_a_broken_tokenizer_json(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: expected a file of the tokenizers library"):
        BertTokenizer.from_pretrained(tmp_path)


# --- a vocab.txt alone, of every kind

CHINESE = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n中\n文\n東\n京\n塔\n是\n##京\nthe\n##s\nis\ntokyo\n!\n,\n高\nб\n한\n"
ENDS = {
    "LF": lambda text: text,
    "no LF at the end": lambda text: text.rstrip("\n"),
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "from Windows, by hand": lambda text: "\ufeff" + text.replace("\n", "\r\n"),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("kind", ["uncased", "cased", "chinese"])
def test_a_vocabulary_alone(kind: str, end, tmp_path: Path):
    text = CHINESE if kind == "chinese" else vocab_path(kind).read_text()
    (tmp_path / "vocab.txt").write_bytes(end(text).encode())
    (tmp_path / "plain.txt").write_text(text)
    lowercase = kind != "cased"
    ours = BertTokenizer.from_pretrained(tmp_path, do_lower_case=lowercase)
    theirs = reference_tokenizer(tmp_path / "plain.txt", lowercase)
    assert len(ours) == len(theirs)
    assert_same(ours, theirs, [*HOSTILE, "東京塔 is 高, the 中文 is Tokyo!", "The THEs"])


def test_a_cased_vocabulary_that_nobody_calls_cased_is_warned_of(tmp_path: Path, caplog):
    shutil.copy(vocab_path("cased"), tmp_path / "vocab.txt")
    BertTokenizer.from_pretrained(tmp_path)
    (message,) = warnings_in(caplog)
    assert "vocab.txt: " in message and "tokens have capital letters" in message
    assert "pass do_lower_case=False" in message
    caplog.clear()
    BertTokenizer.from_pretrained(tmp_path, do_lower_case=False)
    BertTokenizer.from_pretrained(tmp_path, do_lower_case=True)
    for kind in ("uncased", "minilm"):
        BertTokenizer(vocab_path(kind))
    assert warnings_in(caplog) == []

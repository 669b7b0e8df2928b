"""Vocabulary files: what is read, what is written, what is refused."""

import shutil
from pathlib import Path

import pytest
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


def test_vocab_txt_with_a_duplicate(tmp_path):
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\nthe\nthe\n")
    with pytest.raises(CheckpointError, match=r"vocab\.txt, line 4: 'the' was already on line 3"):
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
    "from Windows, by hand": lambda text: "\ufeff" + text.replace("\n", "\r\n") + "\r\n\r\n",
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

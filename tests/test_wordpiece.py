"""Vocabulary files: what is read, what is written, what is refused."""

import pytest
from reference_tokenizer import vocab_path
from tokenizers import Tokenizer, models

from minibert.checkpoint.files import CheckpointError
from minibert.text.tokenizer import BertTokenizer


def test_vocab_txt_from_windows(tmp_path):
    text = vocab_path("uncased").read_text()
    (tmp_path / "vocab.txt").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode() + b"\r\n\r\n")
    assert BertTokenizer.from_pretrained(tmp_path).get_vocab() == BertTokenizer(vocab_path("uncased")).get_vocab()


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

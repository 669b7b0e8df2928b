"""The tokenizer against the reference: the same ids on hostile texts, and back."""

import json
import multiprocessing
from functools import partial

import numpy as np
import pytest
import torch
import transformers
from reference_tokenizer import (
    HOSTILE,
    PAIRS,
    TEXTS,
    ReferenceTokenizer,
    assert_same,
    reference_tokenizer,
    vocab_path,
    write_vocab,
)
from torch.utils.data import DataLoader

from minibert.text.tokenizer import BertTokenizer


@pytest.fixture(scope="module", params=["uncased", "cased", "minilm"])
def both(request):
    """Our tokenizer and the reference's, from the same vocab.txt."""
    path, lowercase = vocab_path(request.param), request.param != "cased"
    reference = reference_tokenizer(path, lowercase)
    return BertTokenizer(path, do_lower_case=lowercase), reference


# --- the ids of the reference


def test_hostile_texts(both):
    ours, reference = both
    extras = {"return_offsets_mapping": True, "return_special_tokens_mask": True}
    for text in HOSTILE:
        assert_same(ours, reference, text, **extras)
        assert_same(ours, reference, text, add_special_tokens=False)
        assert ours.tokenize(text) == reference.tokenize(text)
        assert ours.encode(text) == reference.encode(text)
    assert_same(ours, reference, HOSTILE, **extras)


def test_pairs_in_every_form(both):
    ours, reference = both
    for first, second in PAIRS:
        assert_same(ours, reference, first, second, return_offsets_mapping=True)
    first, second = map(list, zip(*PAIRS, strict=True))
    assert_same(ours, reference, first, second)
    assert_same(ours, reference, PAIRS)
    assert ours(PAIRS) == ours(first, second)
    assert_same(ours, reference, [list(pair) for pair in PAIRS])


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("max_length", [0, 1, 2, 3, 4, 7, 16])
def test_truncation(both, monkeypatch, side, max_length):
    ours, reference = both
    for one in both:
        monkeypatch.setattr(one, "truncation_side", side)
    for first, second in PAIRS:
        assert_same(ours, reference, first, truncation=True, max_length=max_length)
        assert_same(ours, reference, first, second, truncation=True, max_length=max_length)
        assert_same(ours, reference, first, max_length=max_length)
    assert_same(ours, reference, PAIRS[2][0] * 9, "the", truncation="only_first", max_length=7)
    assert_same(ours, reference, "the", PAIRS[2][0] * 9, truncation="only_second", max_length=7)


@pytest.mark.parametrize("side", ["right", "left"])
def test_padding(both, monkeypatch, side):
    ours, reference = both
    for one in both:
        monkeypatch.setattr(one, "padding_side", side)
    extras = {"return_offsets_mapping": True, "return_special_tokens_mask": True}
    for padding in (False, True, "longest", "do_not_pad"):
        assert_same(ours, reference, HOSTILE, padding=padding, **extras)
    for texts in (HOSTILE, PAIRS, "a text"):
        assert_same(ours, reference, texts, padding="max_length", truncation=True, max_length=12, **extras)
    assert_same(ours, reference, HOSTILE, padding="max_length", max_length=9)


def test_overflow_with_stride(both):
    ours, reference = both
    options = {"truncation": True, "max_length": 9, "stride": 3, "return_overflowing_tokens": True}
    assert_same(ours, reference, HOSTILE, **options, return_offsets_mapping=True)
    assert_same(ours, reference, HOSTILE[2], **options)
    assert_same(ours, reference, ["the dog"], [HOSTILE[2]], **options | {"truncation": "only_second"})


def test_words_given_one_by_one(both):
    ours, reference = both
    words = [text.split() for text in HOSTILE]
    for row in words:
        assert_same(ours, reference, row, is_split_into_words=True)
    assert_same(ours, reference, words[2:], is_split_into_words=True)
    assert_same(ours, reference, words[2], words[3], is_split_into_words=True)
    assert_same(ours, reference, words[2:4], words[4:6], is_split_into_words=True)
    batch, expected = (one(words[2:], is_split_into_words=True) for one in both)
    assert [batch.word_ids(i) for i in range(3)] == [expected.word_ids(i) for i in range(3)]


def test_a_call_leaves_no_trace_in_the_next_or_in_the_files(tmp_path):
    tokenizer = BertTokenizer(vocab_path("uncased"))
    before = tokenizer("the quick brown fox")
    tokenizer(["the quick brown fox", "the"], padding="max_length", truncation=True, max_length=3)
    assert tokenizer("the quick brown fox") == before
    tokenizer(["the"], padding="max_length", truncation=True, max_length=3)
    tokenizer.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "tokenizer.json").read_text())
    assert saved["padding"] is None and saved["truncation"] is None


def test_model_max_length_is_the_default_limit(tmp_path):
    folder = write_vocab(tmp_path, vocab_path("uncased"), model_max_length=6)
    ours = BertTokenizer.from_pretrained(folder)
    reference = ReferenceTokenizer.from_pretrained(folder)
    assert_same(ours, reference, TEXTS[0], truncation=True)
    assert_same(ours, reference, "the", padding="max_length")
    assert len(ours(TEXTS[0], truncation=True)["input_ids"]) == 6


# --- back to text, and the vocabulary


def test_decode(both):
    ours, reference = both
    rows = ours(HOSTILE)["input_ids"]
    for skip in (False, True):
        for row in rows:
            assert ours.decode(row, skip_special_tokens=skip) == reference.decode(row, skip_special_tokens=skip)
        assert ours.batch_decode(rows, skip_special_tokens=skip) == reference.batch_decode(
            rows, skip_special_tokens=skip
        )
    for row in rows:
        clean = {"clean_up_tokenization_spaces": True}
        assert ours.decode(row, **clean) == reference.decode(row, **clean)
    assert ours.decode(torch.tensor(rows[2])) == ours.decode(np.array(rows[2])) == ours.decode(rows[2])
    assert ours.decode(ours.mask_token_id) == "[MASK]"
    padded = ours(HOSTILE, padding=True, return_tensors="pt")["input_ids"]
    assert ours.batch_decode(padded, True) == reference.batch_decode(padded, skip_special_tokens=True)


def test_decode_a_batch(both):
    ours, reference = both
    rows = ours(HOSTILE)["input_ids"]
    texts = [ours.decode(row, skip_special_tokens=True) for row in rows]
    assert ours.decode(rows, skip_special_tokens=True) == ours.batch_decode(rows, True) == texts
    padded = ours(HOSTILE, padding=True, return_tensors="pt")["input_ids"]
    for batch in (padded, padded.numpy(), list(padded), [np.array(row) for row in rows], tuple(rows)):
        assert ours.decode(batch, skip_special_tokens=True) == texts
    assert ours.decode(list(torch.tensor(rows[2]))) == ours.decode(rows[2])
    assert ours.decode([]) == "" and ours.batch_decode([]) == []
    if transformers.__version__ >= "5":
        assert ours.decode(rows) == reference.decode(rows) and ours.decode([[7]]) == reference.decode([[7]])


@pytest.mark.parametrize("ids", [[2, -100], [2.0, 3.0], ["the"], "the", None, {"input_ids": [2]}])
def test_decode_refuses_what_is_no_id(both, ids):
    with pytest.raises(ValueError, match="token_ids: expected ids from 0, found .*"):
        both[0].decode(ids)
    for one in (2, np.int64(2), torch.tensor(2)):
        assert both[0].convert_ids_to_tokens(one) == both[0].decode(one) != ""
    assert both[0].convert_ids_to_tokens([-100, 2]) == [None, both[0].convert_ids_to_tokens(2)]


def test_clean_up_is_read_from_the_config(tmp_path):
    folder = write_vocab(tmp_path, vocab_path("uncased"), clean_up_tokenization_spaces=True)
    ours = BertTokenizer.from_pretrained(folder)
    ids = ours("it isn't")["input_ids"]
    assert ours.decode(ids) == ReferenceTokenizer.from_pretrained(folder).decode(ids)
    assert ours.decode(ids, skip_special_tokens=True) == "it isn't"


def test_vocabulary(both):
    ours, reference = both
    assert ours.get_vocab() == reference.get_vocab()
    assert (len(ours), ours.vocab_size) == (len(reference), reference.vocab_size)
    for name in ("pad", "unk", "cls", "sep", "mask"):
        assert getattr(ours, f"{name}_token") == getattr(reference, f"{name}_token")
        assert getattr(ours, f"{name}_token_id") == getattr(reference, f"{name}_token_id")
    assert sorted(ours.all_special_ids) == sorted(reference.all_special_ids)
    assert ours.do_lower_case == reference.do_lower_case
    ids = [*range(50), len(ours)]
    assert ours.convert_ids_to_tokens(ids) == reference.convert_ids_to_tokens(ids)
    assert ours.convert_ids_to_tokens(torch.tensor(ids), skip_special_tokens=True) == (
        reference.convert_ids_to_tokens(ids, skip_special_tokens=True)
    )
    tokens = ["the", "[MASK]", "no such token", "##t"]
    assert ours.convert_tokens_to_ids(tokens) == reference.convert_tokens_to_ids(tokens)
    assert ours.convert_tokens_to_ids("the") == ours.get_vocab()["the"]
    assert ours.convert_ids_to_tokens(ours.cls_token_id) == "[CLS]"


# --- saving


@pytest.mark.parametrize("kind", ["uncased", "cased", "minilm"])
def test_what_we_save_loads_everywhere(tmp_path, kind):
    ours = BertTokenizer(vocab_path(kind), do_lower_case=kind != "cased", model_max_length=64)
    ours.save_pretrained(tmp_path)
    readers = (BertTokenizer, ReferenceTokenizer, transformers.AutoTokenizer)
    for reader in readers:
        loaded = reader.from_pretrained(tmp_path)
        assert_same(ours, loaded, HOSTILE, padding=True, truncation=True)
        assert loaded.model_max_length == 64
    (tmp_path / "tokenizer.json").unlink()
    for reader in readers:
        assert_same(ours, reader.from_pretrained(tmp_path), HOSTILE)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["tokenizer_config.json", "vocab.txt"]


def test_a_normalizer_that_is_not_berts_survives(tmp_path, caplog):
    backend = json.loads(BertTokenizer(vocab_path("uncased")).backend_tokenizer.to_str())
    backend["normalizer"] = {"type": "Lowercase"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(backend))
    ours = BertTokenizer.from_pretrained(tmp_path)
    assert ours.do_lower_case is None
    ours.save_pretrained(tmp_path / "saved")
    for reader in (BertTokenizer, transformers.AutoTokenizer):
        assert_same(ours, reader.from_pretrained(tmp_path / "saved"), ["The café", "東京"])
    assert not caplog.records
    BertTokenizer.from_pretrained(tmp_path, do_lower_case=False)
    assert "tokenizer.json: its normalizer is Lowercase, not BERT's: do_lower_case, " in caplog.text


# --- in other processes

LENGTHS = [3, 5, 9, 12]


def rows_of_length(tokenizer, length: int) -> list:
    return tokenizer(TEXTS[:2], padding="max_length", truncation=True, max_length=length)["input_ids"]


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_other_processes_tokenize_alike(start_method):
    tokenizer = BertTokenizer(vocab_path("uncased"), added_tokens=["quick brown"])
    expected = [rows_of_length(tokenizer, length) for length in LENGTHS]
    with multiprocessing.get_context(start_method).Pool(1) as pool:
        assert pool.map(partial(rows_of_length, tokenizer), LENGTHS) == expected


def collate(tokenizer, texts: list[str]):
    return tokenizer(texts, padding=True, return_tensors="pt")


def test_workers_of_a_data_loader():
    tokenizer = BertTokenizer(vocab_path("uncased"))
    batches = list(DataLoader(TEXTS, batch_size=5, num_workers=2, collate_fn=partial(collate, tokenizer)))
    expected = [collate(tokenizer, TEXTS[i : i + 5]) for i in range(0, len(TEXTS), 5)]
    for batch, same in zip(batches, expected, strict=True):
        assert all(torch.equal(batch[key], same[key]) for key in same)
        assert batch.word_ids(0) == same.word_ids(0)


@pytest.mark.parametrize("name", ["padding_side", "truncation_side"])
def test_a_side_is_left_or_right(name):
    with pytest.raises(ValueError, match=f"{name} must be 'left' or 'right', got 'middle'"):
        BertTokenizer(vocab_path("uncased"), **{name: "middle"})

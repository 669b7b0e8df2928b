"""Batches: tensors, padding, and what a batch knows about words."""

import copy
import pickle

import numpy as np
import pytest
import torch
import transformers
from reference_tokenizer import HOSTILE, PAIRS, reference_tokenizer, vocab_path

from minibert.text.batch_encoding import BatchEncoding
from minibert.text.tokenizer import BertTokenizer


@pytest.fixture(scope="module", params=["uncased", "cased", "minilm"])
def both(request):
    """Our tokenizer and the reference's, from the same vocab.txt."""
    path, lowercase = vocab_path(request.param), request.param != "cased"
    reference = reference_tokenizer(path, lowercase)
    return BertTokenizer(path, do_lower_case=lowercase), reference


def test_tensors(both):
    ours, reference = both
    for kind, same in (("pt", torch.equal), ("np", np.array_equal)):
        for texts in ("the dog", HOSTILE, PAIRS):
            found = ours(texts, padding=True, return_tensors=kind)
            expected = reference(texts, padding=True, return_tensors=kind)
            assert list(found) == list(expected)
            assert all(same(found[key], expected[key]) for key in expected)
            assert found["input_ids"].dtype == expected["input_ids"].dtype
    assert ours("the dog", return_tensors="pt").input_ids.ndim == 2
    nothing = ours("", add_special_tokens=False, return_tensors="pt").input_ids
    assert nothing.shape == (1, 0) and nothing.dtype == torch.int64


def test_batch_encoding():
    tokenizer = BertTokenizer(vocab_path("uncased"))
    batch = tokenizer(["the dog", "it"], ["a cat", "ran"], padding=True, return_tensors="pt")
    assert batch.input_ids is batch["input_ids"]
    assert batch.to("meta") is batch and batch.attention_mask.device.type == "meta"
    assert batch.tokens(0)[:3] == ["[CLS]", "the", "dog"]
    assert batch.sequence_ids(0)[:4] == [None, 0, 0, None] and 1 in batch.sequence_ids(0)
    assert len(batch.encodings) == 2
    assert dict(**batch).keys() == batch.keys()
    with pytest.raises(AttributeError, match="no 'logits', only input_ids"):
        _ = batch.logits
    lists = tokenizer(["the dog"])
    assert pickle.loads(pickle.dumps(lists)) == lists
    assert pickle.loads(pickle.dumps(tokenizer))("the dog") == tokenizer("the dog")


@pytest.mark.parametrize("side", ["right", "left"])
def test_pad(both, monkeypatch, side):
    ours, reference = both
    for one in both:
        monkeypatch.setattr(one, "padding_side", side)
    rows = [dict(ours(text, return_special_tokens_mask=True), labels=i) for i, text in enumerate(HOSTILE)]
    found, expected = ours.pad(rows, return_tensors="pt"), reference.pad(rows, return_tensors="pt")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    bare = [{"input_ids": row["input_ids"]} for row in rows]
    assert ours.pad(bare, "max_length", 300) == dict(reference.pad(bare, "max_length", 300))
    assert ours.pad({"input_ids": [[1, 2], [3]]}) == dict(reference.pad({"input_ids": [[1, 2], [3]]}))
    tensors = [{"input_ids": torch.tensor([1, 2])}, {"input_ids": torch.tensor([3])}]
    assert torch.equal(ours.pad(tensors)["input_ids"], reference.pad(tensors)["input_ids"])
    assert ours.pad(bare, padding=False)["input_ids"] == [row["input_ids"] for row in bare]
    collated = transformers.DataCollatorWithPadding(reference)(rows)
    assert torch.equal(ours.pad(rows, return_tensors="pt")["input_ids"], collated["input_ids"])


def assert_equal(found, expected):
    assert list(found) == list(expected)
    for key in expected:
        assert type(found[key]) is type(expected[key])
        assert np.array_equal(found[key], expected[key])


FORMS = {
    "lists": lambda row: row,
    "arrays": lambda row: {key: np.array(value) for key, value in row.items()},
    "tensors": lambda row: {key: torch.tensor(value) for key, value in row.items()},
}


@pytest.mark.parametrize("form", ["lists", "tensors"])  # the reference has no arrays here
@pytest.mark.parametrize("return_tensors", [None, "pt", "np"])
def test_pad_one_text(both, form, return_tensors):
    ours, reference = both
    form = FORMS[form]
    for options in (
        {},
        {"padding": "max_length", "max_length": 9},
        {"padding": "max_length", "max_length": 2, "padding_side": "left"},
        {"pad_to_multiple_of": 8},
        {"padding": False},
    ):
        row = dict(ours("the quick fox", return_special_tokens_mask=True))
        expected = reference.pad(form(dict(row)), return_tensors=return_tensors, **options)
        assert_equal(ours.pad(form(row), return_tensors=return_tensors, **options), expected)
        labelled = ours.pad(form(row | {"labels": 3}), return_tensors=return_tensors, **options)
        assert labelled.pop("labels") == 3
        assert_equal(labelled, expected)
    arrays = ours.pad(FORMS["arrays"](row), "max_length", 9)
    assert_equal(arrays, ours.pad(row, "max_length", 9, return_tensors="np"))


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("side", ["left", "right"])
def test_pad_a_batch_of_any_form(both, form, side):
    ours, reference = both
    rows = [dict(ours(text), labels=[i]) for i, text in enumerate(HOSTILE)]
    for options in ({}, {"pad_to_multiple_of": 16}, {"padding": "max_length", "max_length": 320}):
        options = {"padding_side": side, **options}
        expected = reference.pad([form(row) for row in rows], **options)
        assert_equal(ours.pad([form(row) for row in rows], **options), expected)
    together = {key: [row[key] for row in rows] for key in rows[0]}
    assert_equal(ours.pad(together, padding_side=side), reference.pad(dict(together), padding_side=side))
    assert_equal(ours.pad(ours(HOSTILE)), reference.pad(reference(HOSTILE)))


def test_pad_without_an_attention_mask(both):
    ours, reference = both
    rows = [{"input_ids": [1, 2]}, {"input_ids": [3]}]
    assert list(ours.pad(rows, return_attention_mask=False)) == ["input_ids"]
    assert list(reference.pad(rows, return_attention_mask=False)) == ["input_ids"]
    assert "attention_mask" in ours.pad(rows)


# --- words, characters and tokens


@pytest.mark.parametrize("split", [False, True])
def test_where_tokens_words_and_characters_are(both, split):
    texts = [text.split() for text in HOSTILE if text.split()] if split else HOSTILE
    batch, expected = (one(texts, list(reversed(texts)), is_split_into_words=split) for one in both)
    assert batch.n_sequences == expected.n_sequences == 2 and batch.is_fast
    for row in range(len(texts)):
        for token in range(len(batch["input_ids"][row])):
            for name in ("token_to_sequence", "token_to_word", "token_to_chars"):
                assert getattr(batch, name)(row, token) == getattr(expected, name)(row, token)
        for i in range(60):
            for sequence in (0, 1):
                for name in ("char_to_token", "char_to_word", "word_to_tokens"):
                    at = (row, i, sequence)
                    assert getattr(batch, name)(*at) == getattr(expected, name)(*at)
                if expected.word_to_tokens(row, i, sequence) is None:
                    assert batch.word_to_chars(row, i, sequence) is None
                else:
                    assert batch.word_to_chars(row, i, sequence) == expected.word_to_chars(row, i, sequence)


def test_where_they_are_in_a_single_text(both):
    batch, expected = (one("the unaffable fox") for one in both)
    assert batch.char_to_token(5) == expected.char_to_token(5) == batch.char_to_token(0, 5)
    assert batch.char_to_word(5) == expected.char_to_word(5) == 1
    assert batch.token_to_word(1) == expected.token_to_word(1) == 0
    assert batch.word_to_tokens(1) == expected.word_to_tokens(1)
    assert batch.word_to_tokens(1).start == batch.char_to_token(4)
    assert batch.word_to_chars(1) == expected.word_to_chars(1) == (4, 13)
    assert batch.token_to_chars(1) == expected.token_to_chars(1) == (0, 3)
    assert (batch.token_to_chars(1).start, batch.token_to_chars(1).end) == (0, 3)
    assert batch.token_to_chars(0) is None and batch.token_to_sequence(0) is None
    assert batch.token_to_word(-2) == batch.token_to_word(len(batch["input_ids"]) - 2) == 2
    with pytest.raises(IndexError):
        batch.token_to_word(99)


# --- a mapping that people's code knows


def test_lengths(both):
    ours, reference = both
    options = {"return_length": True}
    for texts in ("the fox", HOSTILE):
        assert dict(ours(texts, **options)) == dict(reference(texts, **options))
    found, expected = (one(HOSTILE, padding=True, return_tensors="np", **options) for one in both)
    assert np.array_equal(found["length"], expected["length"])
    windows = {"max_length": 9, "truncation": True, "return_overflowing_tokens": True}
    assert dict(ours(HOSTILE, **windows, **options)) == dict(reference(HOSTILE, **windows, **options))


def test_rows_and_data(both):
    batch, expected = (one(["the dog", "it"], padding=True) for one in both)
    assert batch[1].tokens == expected[1].tokens == batch.tokens(1)
    assert [row.ids for row in batch[0:2]] == [row.ids for row in expected[0:2]]
    assert batch.data == expected.data and dict(batch.items()) == dict(expected.items())
    batch.data["labels"] = [0, 1]
    assert batch.labels == [0, 1]


def test_convert_to_tensors(both):
    found, expected = (one("the dog") for one in both)
    for one in (found, expected):
        assert one.convert_to_tensors() is one and one["input_ids"] == list(one["input_ids"])
        assert one.convert_to_tensors("pt", prepend_batch_axis=True) is one
    assert_equal(found, expected)
    assert found.input_ids.shape[0] == 1
    assert_equal(found.convert_to_tensors("pt"), expected)
    data = {"input_ids": [[1, 2], [3, 4]], "scores": [[0.5, 1.0], [2.0, 3.0]]}
    for kind in ("pt", "np"):
        assert_equal(BatchEncoding(data, tensor_type=kind), transformers.BatchEncoding(data, tensor_type=kind))
    assert BatchEncoding(data) == data and BatchEncoding() == {}


def test_to_takes_devices_only():
    batch = BertTokenizer(vocab_path("uncased"))(["the dog", "it"], return_tensors="pt", padding=True)
    assert batch.to(device="cpu", non_blocking=True) is batch
    assert batch.to(torch.device("meta")).input_ids.device.type == "meta"
    with pytest.raises(TypeError, match="device: expected a torch.device, str or int, found torch.float16"):
        batch.to(torch.float16)


@pytest.mark.parametrize("kind", [None, "np", "pt"])
def test_a_batch_is_pickled_and_copied_with_its_words(kind):
    batch = BertTokenizer(vocab_path("uncased"))(["the dog", "it"], padding=True, return_tensors=kind)
    for other in (pickle.loads(pickle.dumps(batch)), copy.copy(batch), copy.deepcopy(batch)):
        assert type(other) is BatchEncoding
        assert_equal(other, batch)
        assert other.word_ids(1) == batch.word_ids(1) and other.char_to_token(0, 4) == batch.char_to_token(0, 4)


def test_a_column_shorter_than_its_text():
    tokenizer = BertTokenizer(vocab_path("uncased"))
    rows = [{"input_ids": [1, 2, 3], "attention_mask": [1, 1, 1]}, {"input_ids": [1, 2], "attention_mask": [1]}]
    with pytest.raises(ValueError, match="attention_mask of row 1: expected 2 entries, as input_ids has, found 1"):
        tokenizer.pad(rows)

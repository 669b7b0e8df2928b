"""Batches: tensors, padding, and what a batch knows about words."""

import pickle

import numpy as np
import pytest
import torch
import transformers
from reference_tokenizer import HOSTILE, PAIRS, reference_tokenizer, vocab_path

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
    assert ours.pad(tensors) == ours.pad({"input_ids": [[1, 2], [3]]})
    assert ours.pad(bare, padding=False)["input_ids"] == [row["input_ids"] for row in bare]
    collated = transformers.DataCollatorWithPadding(reference)(rows)
    assert torch.equal(ours.pad(rows, return_tensors="pt")["input_ids"], collated["input_ids"])

"""Fill-mask: the reference's probabilities, for every mask, best first."""

import pytest
import torch
from reference import TINY, ours_of, reference_model

from minibert.inference.fill_mask import fill_mask
from minibert.text.tokenizer import BertTokenizer

LETTERS = [chr(ord("a") + i) for i in range(26)]
TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{c}" for c in LETTERS)]
TOKENS += [f"[unused{i}]" for i in range(TINY["vocab_size"] - len(TOKENS))]


@pytest.fixture(scope="module")
def tokenizer():
    return BertTokenizer({token: i for i, token in enumerate(TOKENS)})


@pytest.mark.parametrize("class_name", ["BertForMaskedLM", "BertForPreTraining"])
def test_probabilities_are_the_references(tokenizer, class_name):
    theirs = reference_model(class_name)
    found = fill_mask(ours_of(theirs), tokenizer, "a [MASK] c d [MASK] xyz", top_k=7)
    ids = torch.tensor([tokenizer.encode("a [MASK] c d [MASK] xyz")])
    with torch.no_grad():
        outputs = theirs(ids)
    logits = outputs.logits if class_name == "BertForMaskedLM" else outputs.prediction_logits
    for candidates, position in zip(found, (2, 5), strict=True):
        expected = logits[0, position].softmax(-1).sort(descending=True)
        assert [c.token for c in candidates] == [TOKENS[i] for i in expected.indices[:7]]
        assert [c.probability for c in candidates] == pytest.approx(expected.values[:7].tolist(), rel=1e-5)


def test_number_of_candidates(tokenizer):
    model = ours_of(reference_model("BertForMaskedLM"))
    assert len(fill_mask(model, tokenizer, "[MASK] b")[0]) == 5
    (everything,) = fill_mask(model, tokenizer, "[MASK] b", top_k=10_000)
    assert sorted(c.token for c in everything) == sorted(TOKENS)
    assert sum(c.probability for c in everything) == pytest.approx(1, rel=1e-5)
    with pytest.raises(ValueError, match="top_k must be at least 1, got 0"):
        fill_mask(model, tokenizer, "[MASK] b", top_k=0)


def test_text_without_a_mask(tokenizer):
    model = ours_of(reference_model("BertForMaskedLM"))
    for text in ("a b c", "", "a mask"):
        with pytest.raises(ValueError, match=r"no \[MASK\]"):
            fill_mask(model, tokenizer, text)


def test_text_that_is_too_long(tokenizer):
    model = ours_of(reference_model("BertForMaskedLM"))
    longest = "a " * 21 + "[MASK]"  # 24 tokens with [CLS] and [SEP]
    assert len(fill_mask(model, tokenizer, longest)) == 1
    with pytest.raises(ValueError, match="25 tokens.*24"):
        fill_mask(model, tokenizer, "a " + longest)

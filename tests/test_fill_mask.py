"""Fill-mask: the reference's candidates, for every mask, best first."""

import logging

import pytest
from checkpoints import warnings_in
from pipeline_runs import TOKENS, checkpoint, our_tokenizer, reference_pipeline
from reference import ours_of, reference_model

from minibert import pipeline
from minibert.inference.base import InputError
from minibert.inference.fill_mask import FillMaskPipeline

MASKED = ["a [MASK] c d [MASK] xyz", "[MASK] b", "q r [MASK]. é 7", "[MASK] [MASK] [MASK]"]


@pytest.fixture(scope="module")
def fill():
    return pipeline("fill-mask", checkpoint("BertForMaskedLM"), precision="fp32", device="cpu")


def assert_same_candidates(found, expected):
    if isinstance(expected[0], list):
        assert len(found) == len(expected)
        for row, expected_row in zip(found, expected, strict=True):
            assert_same_candidates(row, expected_row)
        return
    assert [c.pop("score") for c in found] == pytest.approx([c.pop("score") for c in expected], rel=1e-4)
    assert found == expected


@pytest.mark.parametrize("options", [{}, {"top_k": 1}, {"top_k": 11}])
def test_candidates_are_the_references(fill, options):
    theirs = reference_pipeline("fill-mask", checkpoint("BertForMaskedLM"))
    assert_same_candidates(fill(MASKED, **options), theirs(MASKED, **options))
    for text in MASKED[:2]:
        assert_same_candidates(fill(text, **options), theirs(text, **options))


@pytest.mark.parametrize("targets", ["b", ["b", "xyz", "[unused3]", "b"], ["##c", "7", "de"]])
@pytest.mark.parametrize("options", [{}, {"top_k": 2}])
def test_targets_are_the_references(fill, caplog, targets, options):
    theirs = reference_pipeline("fill-mask", checkpoint("BertForMaskedLM"))
    with caplog.at_level(logging.WARNING, "minibert"):
        found = fill(MASKED, targets=targets, **options)
    assert_same_candidates(found, theirs(MASKED, targets=targets, **options))
    unknown = [word for word in ([targets] if isinstance(targets, str) else targets) if word not in TOKENS]
    assert [
        message.split("'")[1] for message in warnings_in(caplog) if "is not in the vocabulary" in message
    ] == unknown


@pytest.mark.parametrize(
    ("targets", "message"), [([], "at least one word"), ([" "], "one word"), ([3], "words, found 3")]
)
def test_targets_that_are_none(fill, targets, message):
    with pytest.raises(ValueError, match=f"targets: expected .*{message}"):
        fill("[MASK]", targets=targets)


def test_a_text_that_may_be_cut(fill):
    theirs = reference_pipeline("fill-mask", checkpoint("BertForMaskedLM"))
    options = {"tokenizer_kwargs": {"truncation": True}}
    text = "a [MASK]" + " b" * 40
    assert_same_candidates(fill(text, **options), theirs(text, **options))
    with pytest.raises(InputError, match=r"no \[MASK\]"):
        fill("b " * 40 + "[MASK]", truncation=True)


def test_a_list_of_one_text_is_a_list(fill):
    assert fill(MASKED[1:2]) == [fill(MASKED[1])]


def test_a_model_with_both_heads_of_pretraining():
    model = ours_of(reference_model("BertForPreTraining"))
    found = FillMaskPipeline(model, our_tokenizer())(MASKED)
    only = pipeline("fill-mask", checkpoint("BertForPreTraining"), precision="fp32", device="cpu")(MASKED)
    for candidates, expected in zip(found, only, strict=True):
        assert_same_candidates(candidates, expected)


def test_number_of_candidates(fill):
    assert len(fill("[MASK] b")) == 5
    everything = fill("[MASK] b", top_k=10_000)
    assert sorted(TOKENS[c["token"]] for c in everything) == sorted(TOKENS)
    assert sum(c["score"] for c in everything) == pytest.approx(1, rel=1e-5)
    with pytest.raises(ValueError, match="top_k must be at least 1, got 0"):
        fill("[MASK] b", top_k=0)


@pytest.mark.parametrize("text", ["a b c", "", "a mask"])
def test_text_without_a_mask(fill, text):
    with pytest.raises(InputError, match=r"no \[MASK\]") as error:
        fill(["[MASK] b", text])
    assert error.value.index == 1


def test_text_that_is_too_long(fill):
    longest = "a " * 21 + "[MASK]"  # 24 tokens with [CLS] and [SEP]
    assert len(fill(longest)) == 5
    with pytest.raises(InputError, match=r"25 tokens.*24"):
        fill("a " + longest)

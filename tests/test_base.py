"""What all pipelines share: one or many, in order; what cannot be worked on is named by its place."""

import logging
from collections import UserList

import pytest
import torch
from checkpoints import warnings_in
from pipeline_runs import checkpoint, our_tokenizer
from transformers.pipelines.pt_utils import KeyDataset

from minibert import pipeline
from minibert.inference.base import InputError
from minibert.inference.pipelines import TASKS


@pytest.fixture(scope="module")
def features():
    return pipeline("feature-extraction", checkpoint("BertModel"), precision="fp32", device="cpu")


def features_of(tokenizer):
    return pipeline("feature-extraction", checkpoint("BertModel"), "fp32", "cpu", tokenizer=tokenizer)


def test_one_or_many(features):
    texts = ["a b c", "d", "e f g h i j k", "l m"]
    many = features(texts)
    assert [len(vectors[0]) for vectors in many] == [5, 3, 9, 4]
    assert [features(text)[0][0][:3] for text in texts] == [
        pytest.approx(vectors[0][0][:3], rel=1e-4, abs=1e-5) for vectors in many
    ]
    assert features(texts[:1]) == [features(texts[0])]
    assert features([]) == []


@pytest.mark.parametrize(("wrong", "found"), [(7, "int 7"), (None, "NoneType None"), (("a", "b", "c"), "tuple")])
def test_what_is_no_text(features, wrong, found):
    with pytest.raises(InputError, match=f"expected a text, found {found}") as error:
        features(["a", wrong, "b"])
    assert error.value.index == 1


def test_what_is_cut_is_said(features, caplog):
    with caplog.at_level(logging.WARNING):
        assert len(features("a " * 22)[0]) == 24
        assert not warnings_in(caplog)
        assert [len(vectors[0]) for vectors in features(["a " * 23, "b", "c " * 99])] == [24, 3, 24]
    (message,) = warnings_in(caplog)
    assert message.startswith("2 of 3 texts: more than the 24 tokens")


def test_a_cut_that_was_asked_for_needs_no_word(features, caplog):
    with caplog.at_level(logging.WARNING):
        for options in ({"truncation": True}, {"max_length": 24}, {"tokenize_kwargs": {"truncation": True}}):
            assert len(features("a " * 40, **options)[0]) == 24
    assert not warnings_in(caplog)
    assert len(features("a " * 40, max_length=7, padding="max_length")[0]) == 7
    with pytest.raises(InputError, match="the text has 42 tokens, but the model reads only 24") as error:
        features(["a", "a " * 40], truncation=False)
    assert error.value.index == 1
    for wrong in (2, 25):
        with pytest.raises(
            ValueError, match=f"max_length must be from 3 to the 24 tokens that the model reads, got {wrong}"
        ):
            features("a", max_length=wrong)


@pytest.mark.parametrize("limit", [3, 4, 5, 7])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_tokenizer_of_any_settings(limit, side):
    """Which side is padded makes no difference; which side is cut is the tokenizer's choice."""
    tokenizer = our_tokenizer(model_max_length=limit, padding_side=side, truncation_side=side)
    found = features_of(tokenizer)(["a b c d e f g", "h"])
    kept = "abcdefg"[: limit - 2] if side == "right" else "abcdefg"[-(limit - 2) :]
    expected = features_of(our_tokenizer(model_max_length=24))([" ".join(kept), "h"])
    for rows, expected_rows in zip(found, expected, strict=True):
        torch.testing.assert_close(torch.tensor(rows), torch.tensor(expected_rows), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("limit", [0, 2])
def test_a_tokenizer_without_room(limit):
    with pytest.raises(
        ValueError, match=f"model_max_length of the tokenizer: expected at least .* a token .*, got {limit}"
    ):
        features_of(our_tokenizer(model_max_length=limit))("a")


class Indexed(torch.utils.data.Dataset):
    """A data set that knows only its length and its items, and fails in its own way beyond them."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return {0: "a", 1: "b c", 2: "d"}[index]


def test_whatever_gives_inputs(features):
    expected = features(["a", "b c", "d"])
    rows = [{"text": text} for text in ("a", "b c", "d")]
    many = (
        (text for text in ("a", "b c", "d")),
        Indexed(),
        KeyDataset(rows, "text"),
        UserList(["a", "b c", "d"]),
        {"a": 1, "b c": 2, "d": 3}.keys(),
    )
    for inputs in many:
        found = features(inputs)
        assert iter(found) is found and list(found) == expected
    classify = pipeline("text-classification", checkpoint("BertForSequenceClassification"), device="cpu")
    pairs = [{"text": "a", "text_pair": "b"}, {"text": "c"}]
    assert list(classify(UserList(pairs))) == classify(pairs)


def test_an_iterator_reads_no_further_than_it_must(features):
    read = []

    def texts(count):
        for i in range(count):
            read.append(i)
            yield "a"

    found = features(texts(10**9), batch_size=2)
    assert next(found) and len(read) == 2
    assert next(found) and len(read) == 2
    assert next(found) and len(read) == 4
    with pytest.raises(InputError, match="expected a text, found int 7") as error:
        list(features(iter(["a", "b", "c", 7]), batch_size=3))
    assert error.value.index == 3


def test_batch_size_is_how_many_are_computed_at_once(features, monkeypatch):
    sizes = []
    usual = features.model.forward
    monkeypatch.setattr(
        features.model, "forward", lambda input_ids, **rest: (sizes.append(len(input_ids)), usual(input_ids, **rest))[1]
    )
    features(["a b"] * 7)
    features(["a b"] * 7, batch_size=3)
    features(["a b"] * 7)
    assert sizes == [7, 3, 3, 1, 7]
    small = pipeline("feature-extraction", checkpoint("BertModel"), device="cpu", batch_size=2)
    assert small.batch_size == 2 and features.batch_size is None
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        features("a", batch_size=0)


def test_options_of_the_constructor_hold_until_a_call_says_otherwise():
    folder = checkpoint("BertForMaskedLM")
    fill = pipeline("fill-mask", folder, device="cpu", top_k=2)
    assert [len(fill("[MASK] a")), len(fill("[MASK] a", top_k=3)), len(fill("[MASK] a"))] == [2, 3, 2]
    with pytest.raises(TypeError, match="FillMaskPipeline takes the options top_k, targets, .*; got topk"):
        pipeline("fill-mask", folder, topk=2)


def test_an_unknown_option_is_named_with_the_pipeline_and_what_it_takes(features):
    takes = "the options return_tensors, truncation, max_length, padding"
    with pytest.raises(TypeError, match=f"^FeatureExtractionPipeline takes {takes}; got add_special_tokens$"):
        features("a", add_special_tokens=True)
    classify = pipeline("text-classification", checkpoint("BertForSequenceClassification"), device="cpu")
    takes = "the options top_k, function_to_apply, return_all_scores, truncation, max_length, padding"
    with pytest.raises(
        TypeError,
        match=f"^TextClassificationPipeline takes {takes}; got num_workers, x; num_workers: .* in threads already$",
    ):
        classify(["a"], padding=True, top_k=1, num_workers=8, x=1)
    compare = pipeline("sentence-similarity", checkpoint("BertModel"), device="cpu")
    with pytest.raises(TypeError, match="^SentenceSimilarityPipeline takes no options; got top_k$"):
        compare({"source_sentence": "a", "sentences": ["b"]}, top_k=1)
    answer = pipeline("question-answering", checkpoint("BertForQuestionAnswering"), device="cpu")
    takes = "the options top_k, max_answer_len, max_seq_len, doc_stride, handle_impossible_answer, align_to_words"
    with pytest.raises(TypeError, match=f"^QuestionAnsweringPipeline takes {takes}; got topk$"):
        answer(question="a", context="b", topk=2)


@pytest.mark.parametrize("task", TASKS)
def test_a_model_of_broken_weights_gives_no_answers(task):
    _, model_class, _ = TASKS[task]
    inputs = {
        "fill-mask": "[MASK] a",
        "question-answering": {"question": "a", "context": "b c"},
        "sentence-similarity": {"source_sentence": "a", "sentences": ["b"]},
    }
    found = pipeline(task, checkpoint(model_class.__name__), device="cpu")
    with torch.no_grad():
        next(found.model.parameters()).fill_(torch.nan)
    with pytest.raises(ValueError, match="the model gives NaN or infinity: its weights are broken"):
        found(inputs.get(task, "a b"))

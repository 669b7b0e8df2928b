"""What all pipelines share: one or many, in order; what cannot be worked on is named by its place."""

import logging

import pytest
from checkpoints import warnings_in
from pipeline_runs import checkpoint

from minibert import pipeline
from minibert.inference.base import InputError


@pytest.fixture(scope="module")
def features():
    return pipeline("feature-extraction", checkpoint("BertModel"), precision="fp32", device="cpu")


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


def test_an_unknown_option_is_named_with_the_pipeline_and_what_it_takes(features):
    with pytest.raises(TypeError, match="^FeatureExtractionPipeline takes no options; got truncation$"):
        features("a", truncation=True)
    classify = pipeline("text-classification", checkpoint("BertForSequenceClassification"), device="cpu")
    with pytest.raises(
        TypeError, match="^TextClassificationPipeline takes the options top_k; got padding, batch_size$"
    ):
        classify(["a"], padding=True, top_k=1, batch_size=8)
    answer = pipeline("question-answering", checkpoint("BertForQuestionAnswering"), device="cpu")
    takes = "the options top_k, max_answer_len, max_seq_len, doc_stride"
    with pytest.raises(TypeError, match=f"^QuestionAnsweringPipeline takes {takes}; got topk$"):
        answer(question="a", context="b", topk=2)

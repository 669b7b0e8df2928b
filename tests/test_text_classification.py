"""Text classification: the reference's labels and scores, in the reference's shapes."""

import pytest
import transformers
from pipeline_runs import TEXTS, checkpoint, our_tokenizer, reference_pipeline

from minibert import pipeline
from minibert.inference.base import InputError

CONFIGS = {
    "one class of four": {"num_labels": 4},
    "several classes": {"problem_type": "multi_label_classification", "num_labels": 5},
    "regression": {"problem_type": "regression", "num_labels": 1},
    "one class, yes or no": {"num_labels": 1},
}


def folder_of(name):
    return checkpoint("BertForSequenceClassification", **CONFIGS[name])


def classifier(name="several classes"):
    return pipeline("text-classification", folder_of(name), precision="fp32", device="cpu")


def assert_same(found, expected):
    assert type(found) is type(expected)
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for x, y in zip(found, expected, strict=True):
            assert_same(x, y)
    else:
        assert found == {"label": expected["label"], "score": pytest.approx(expected["score"], rel=1e-4, abs=1e-5)}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"top_k": None},
        {"top_k": 1},
        {"top_k": 3},
        {"function_to_apply": "none"},
        {"function_to_apply": "SOFTMAX", "top_k": None},
        {"function_to_apply": "sigmoid", "truncation": True, "max_length": 8, "padding": True},
    ],
)
def test_results_are_the_references(name, options):
    ours, theirs = classifier(name), reference_pipeline("text-classification", folder_of(name))
    for inputs in (
        TEXTS,
        TEXTS[0],
        {"text": "a b", "text_pair": "c d"},
        [{"text": "a b"}, {"text": "c", "text_pair": "d"}],
    ):
        assert_same(ours(inputs, **options), theirs(inputs, **options))


@pytest.mark.parametrize("options", [{"top_k": None}, {"top_k": 1}, {"function_to_apply": "none", "max_length": 5}])
def test_options_at_construction_are_the_references(options):
    ours = pipeline("sentiment-analysis", folder_of("one class of four"), "fp32", "cpu", **options)
    theirs = transformers.pipeline("sentiment-analysis", str(folder_of("one class of four")), device="cpu", **options)
    for inputs in (TEXTS[:2], TEXTS[0]):
        assert_same(ours(inputs), theirs(inputs))
        assert_same(ours(inputs, top_k=2), theirs(inputs, top_k=2))


def test_all_scores_in_the_order_of_the_labels():
    """As older versions of the reference have it; newer ones lack the option."""
    classify = classifier("one class of four")
    ((*found,),) = classify("a b", return_all_scores=True)
    assert [score["label"] for score in found] == [f"LABEL_{i}" for i in range(4)]
    assert sorted(found, key=lambda score: -score["score"]) == classify("a b", top_k=None)
    assert classify(["a b"], return_all_scores=True) == [found]
    assert classify("a b", return_all_scores=False) == classify("a b")


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_long_text_is_cut_on_the_side_of_the_tokenizer(side):
    folder = folder_of("one class of four")
    ours = pipeline("text-classification", folder, "fp32", "cpu", tokenizer=our_tokenizer(truncation_side=side))
    theirs = reference_pipeline("text-classification", folder)
    theirs.tokenizer.truncation_side = side
    text = " ".join("abcdefghijklmnopqrstuvwxyz" * 2)
    assert_same(ours(text, top_k=None), theirs(text, top_k=None, truncation=True))


def test_unknown_function():
    with pytest.raises(ValueError, match="function_to_apply must be one of softmax, sigmoid, none, .* got 'tanh'"):
        classifier()("a", function_to_apply="tanh")


@pytest.mark.parametrize("wrong", [{"texts": "a"}, {"text": "a", "label": 1}, {"text": 3}, 3])
def test_what_is_no_text(wrong):
    with pytest.raises(InputError, match=r"expected") as error:
        classifier()(["a", wrong])
    assert error.value.index == 1


@pytest.mark.parametrize("top_k", [0, -1])
def test_top_k(top_k):
    with pytest.raises(ValueError, match=f"top_k must be at least 1, or None for all classes, got {top_k}"):
        classifier()("a", top_k=top_k)

"""Text classification: the reference's labels and scores, in the reference's shapes."""

import pytest
from pipeline_runs import TEXTS, checkpoint, reference_pipeline

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
@pytest.mark.parametrize("options", [{}, {"top_k": None}, {"top_k": 1}, {"top_k": 3}])
def test_results_are_the_references(name, options):
    ours, theirs = classifier(name), reference_pipeline("text-classification", folder_of(name))
    for inputs in (
        TEXTS,
        TEXTS[0],
        {"text": "a b", "text_pair": "c d"},
        [{"text": "a b"}, {"text": "c", "text_pair": "d"}],
    ):
        assert_same(ours(inputs, **options), theirs(inputs, **options))


@pytest.mark.parametrize("wrong", [{"texts": "a"}, {"text": "a", "label": 1}, {"text": 3}, 3])
def test_what_is_no_text(wrong):
    with pytest.raises(InputError, match=r"expected") as error:
        classifier()(["a", wrong])
    assert error.value.index == 1


@pytest.mark.parametrize("top_k", [0, -1])
def test_top_k(top_k):
    with pytest.raises(ValueError, match=f"top_k must be at least 1, or None for all classes, got {top_k}"):
        classifier()("a", top_k=top_k)

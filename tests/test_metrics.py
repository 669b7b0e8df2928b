"""The scores, on cases that were counted by hand, and without the libraries that compute them."""

import sys

import numpy as np
import pytest

from minibert.finetuning import metrics


def test_accuracy():
    assert metrics.accuracy(np.array(["a", "b", "c", "d"]), np.array(["a", "x", "c", "d"])) == 0.75


def test_correlations():
    found = metrics.correlations(np.array([1.0, 2.0, 3.0, 100.0]), np.array([1.0, 2.0, 4.0, 3.0]))
    assert found["spearman"] == pytest.approx(0.8)  # 1 - 6 (1 + 1) / (4 (16 - 1))
    assert found["pearson"] == pytest.approx(52 / (7205 * 5) ** 0.5)


def test_nothing_correlates_with_a_constant():
    numbers = np.array([1.0, 2.0, 3.0])
    for pair in ((np.ones(3), numbers), (numbers, np.ones(3))):
        assert metrics.correlations(*pair) == {"pearson": 0.0, "spearman": 0.0}


def test_label_f1():
    found = metrics.label_f1(np.array([[1, 0, 0], [1, 1, 0]]), np.array([[1, 1, 0], [0, 1, 0]]))
    assert found["micro_f1"] == pytest.approx(2 * 2 / (3 + 3))
    assert found["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)


@pytest.mark.parametrize(
    ("expected", "predicted", "right", "chunks_expected", "chunks_predicted"),
    [
        ("B-NP I-NP O B-VP", "B-NP I-NP O B-VP", 2, 2, 2),
        ("B-NP I-NP O B-VP", "B-NP O O B-VP", 1, 2, 2),  # half a chunk is none
        ("B-NP I-NP", "B-NP B-NP", 0, 1, 2),
        ("B-NP I-NP", "I-NP I-NP", 1, 1, 1),  # conlleval: a chunk may begin with I
        ("B-NP I-NP", "B-NP I-VP", 0, 1, 2),  # another kind begins another chunk
        ("O O", "O O", 0, 0, 0),
    ],
)
def test_chunks_are_counted_as_conlleval_does(expected, predicted, right, chunks_expected, chunks_predicted):
    found = metrics.chunk_f1([predicted.split()], [expected.split()])
    precision, recall = right / max(chunks_predicted, 1), right / max(chunks_expected, 1)
    assert found["precision"] == pytest.approx(precision) and found["recall"] == pytest.approx(recall)
    assert found["f1"] == pytest.approx(2 * right / max(chunks_expected + chunks_predicted, 1))


@pytest.mark.parametrize(
    ("module", "name"), [("scipy.stats", "scipy"), ("sklearn.metrics", "scikit-learn"), ("seqeval.metrics", "seqeval")]
)
def test_a_library_that_is_not_there(monkeypatch, module, name):
    monkeypatch.setitem(sys.modules, module, None)
    calls = {
        "scipy": lambda: metrics.correlations(np.arange(2), np.arange(2)),
        "scikit-learn": lambda: metrics.label_f1(np.eye(2), np.eye(2)),
        "seqeval": lambda: metrics.chunk_f1([["O"]], [["O"]]),
    }
    with pytest.raises(ValueError, match=rf"{name}: pip install 'minibert\[finetune\]'"):
        calls[name]()

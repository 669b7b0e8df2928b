"""Scores, computed by the libraries that everyone compares with: scipy, scikit-learn and seqeval."""

import importlib
from typing import Any

import numpy as np


def one_array(arrays: np.ndarray | tuple[np.ndarray, ...]) -> np.ndarray:
    """The predictions, or the labels, of a model that has one kind of them."""
    assert isinstance(arrays, np.ndarray), "several kinds of logits have scores of their own"
    return arrays


def accuracy(predicted: np.ndarray, expected: np.ndarray) -> float:
    """The share of equal entries."""
    return float((predicted == expected).mean())


def correlations(predicted: np.ndarray, expected: np.ndarray) -> dict[str, float]:
    """{"pearson", "spearman"} of two (N,) arrays of numbers.

    Both are 0 where all of one side's numbers are equal, as an untrained model's may be: then nothing is correlated.
    """
    stats = library("scipy.stats")
    if np.ptp(predicted) == 0 or np.ptp(expected) == 0:
        return {"pearson": 0.0, "spearman": 0.0}
    pearson, spearman = stats.pearsonr(predicted, expected), stats.spearmanr(predicted, expected)
    return {"pearson": float(pearson.statistic), "spearman": float(spearman.statistic)}


def label_f1(predicted: np.ndarray, expected: np.ndarray) -> dict[str, float]:
    """{"micro_f1", "macro_f1"} over the labels, from two (N, C) arrays of zeros and ones."""
    f1_score = library("sklearn.metrics").f1_score
    kinds = ("micro", "macro")
    return {f"{kind}_f1": float(f1_score(expected, predicted, average=kind, zero_division=0.0)) for kind in kinds}


def chunk_f1(predicted: list[list[str]], expected: list[list[str]]) -> dict[str, float]:
    """{"precision", "recall", "f1"} over whole chunks, as conlleval computes them.

    Args:
        predicted, expected: for every sentence its tags (B-NP, I-NP, O, ...), as many as it has words.
    """
    seqeval = library("seqeval.metrics")
    names = ("precision", "recall", "f1")
    return {name: float(getattr(seqeval, f"{name}_score")(expected, predicted, zero_division=0)) for name in names}


def library(module: str) -> Any:
    """A library of the extra `finetune`; a task asks for its own before it trains.

    Raises `ValueError` that says how to get it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = {"sklearn": "scikit-learn"}.get(module.split(".")[0], module.split(".")[0])
        raise ValueError(f"the scores of this task are computed by {name}: pip install 'minibert[finetune]'") from error

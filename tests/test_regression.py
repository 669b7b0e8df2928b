"""Regression: numbers for pairs, and lines that are none."""

import numpy as np
import pytest

from minibert.finetuning.examples import Columns
from minibert.finetuning.regression import regression_task
from minibert.text.tokenizer import BertTokenizer
from minibert.training.evaluation_loop import EvalPrediction


def task(tmp_path, train, evaluation="score\tsentence1\tsentence2\n1\tc\td\n"):
    files = {}
    for split, content in (("train", train), ("eval", evaluation)):
        (tmp_path / f"{split}.tsv").write_text(content)
        files[split] = str(tmp_path / f"{split}.tsv")
    return regression_task(files, Columns(), BertTokenizer.from_pretrained("minibert-tiny"), 16)


def test_numbers(tmp_path):
    made = task(tmp_path, "score\tsentence1\tsentence2\n0\ta\tb\n4.6\tc\td\n-1e-1\te\tf\n")
    assert [item["labels"] for item in made.splits["train"].items] == [0.0, 4.6, -0.1]
    assert made.config == {"num_labels": 1, "problem_type": "regression"}
    assert made.description == "a number from -0.1 to 4.6"
    prediction = EvalPrediction(np.array([[1.0], [2.0], [10.0]]), np.array([5.0, 6.0, 7.0]))
    scores = made.splits["eval"].score(prediction)
    assert scores["spearman"] == pytest.approx(1) and 0.9 < scores["pearson"] < 0.95


@pytest.mark.parametrize("label", ["much", "nan", "inf"])
def test_what_is_no_number(tmp_path, label):
    with pytest.raises(ValueError, match=rf"train\.tsv, line 3: expected a number as label, found '{label}'"):
        task(tmp_path, f"score\tsentence1\tsentence2\n1\ta\tb\n{label}\tc\td\n")


def test_one_number_only(tmp_path):
    with pytest.raises(ValueError, match=r"train\.tsv, line 2, .* expected different numbers, all are 2\.0"):
        task(tmp_path, "label\ttext\n2\ta\n2.0\tb\n", "label\ttext\n1\ta\n")

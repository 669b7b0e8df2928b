"""Classification: class names and numbers, pairs, several labels, and scores."""

import numpy as np
import pytest

from minibert.finetuning.classification import (
    class_task,
    classification_task,
    hints,
    label_names,
    majority,
    score_one,
)
from minibert.finetuning.examples import Columns, Example
from minibert.text.tokenizer import BertTokenizer
from minibert.training.evaluation_loop import EvalPrediction


@pytest.fixture(scope="module")
def tokenizer():
    return BertTokenizer.from_pretrained("minibert-tiny")


def examples(*labels, pair=None):
    return [Example(f"text {i}", pair, label, f"data.tsv, line {i}") for i, label in enumerate(labels, start=2)]


def test_numbers_follow_the_names_in_order():
    assert label_names(examples("NUM", "ABBR", "HUM", "ABBR")) == ["ABBR", "HUM", "NUM"]
    assert label_names(examples("10", "9", "-1")) == ["-1", "9", "10"]


@pytest.mark.parametrize("word", ["NaN", "nan", "inf", "-Infinity"])
def test_what_is_no_number_is_a_word(word):
    for labels in (("10", word, "9"), ("9", "10", word), (word, "9", "10")):
        assert label_names(examples(*labels)) == sorted(["10", "9", word])


def test_a_number_in_two_forms():
    with pytest.raises(ValueError, match=r"data\.tsv, line 2, .*: the classes '1' and '1\.0' are one number"):
        label_names(examples("2", "1.0", "1"))


MISSING = "if it means that there is no label: remove its lines"


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (["yes", "no"], []),
        (["yes", "NaN"], [f"a class is called NaN; {MISSING}"]),
        ([str(i) for i in range(12)], ["all 12 classes are numbers; if they are scores: --task regression"]),
        ([str(i) for i in range(10)], []),
        (
            [*map(str, range(12)), "nan"],
            ["a class is called nan; if it means that there is no label: remove its lines"],
        ),
        ([["1"], ["nan"]], []),
    ],
)
def test_hints(tokenizer, labels, found):
    assert hints(class_task({"train": examples(*labels)}, tokenizer, 16)) == found


def test_what_is_cut_is_told(tokenizer):
    """As long as it may be is not longer."""
    train = [Example("a list " * n, None, f"{n % 2}", "here") for n in (1, 4, 5, 6, 9)]
    split = class_task({"train": train}, tokenizer, 12).splits["train"]
    assert [len(item["input_ids"]) for item in split.items] == [4, 10, 12, 12, 12]
    assert split.lost == ("2 of 5 texts are longer than 12 tokens, and cut",)
    pairs = [Example("a", "a list " * n, f"{n % 2}", "here") for n in (3, 4, 5)]
    assert class_task({"train": pairs}, tokenizer, 12).splits["train"].lost == (
        "1 of 3 texts are longer than 12 tokens, and cut",
    )
    assert class_task({"train": pairs}, tokenizer, 99).splits["train"].lost == ()


def test_the_task(tokenizer, tmp_path):
    (tmp_path / "train.tsv").write_text("label\ttext\nno\tReturn a list.\nyes\tRaise it.\n")
    (tmp_path / "eval.tsv").write_text("text\tlabel\nReturn a tuple.\tyes\n")
    files = {split: str(tmp_path / f"{split}.tsv") for split in ("train", "eval")}
    task = classification_task(files, Columns(), tokenizer, 4)
    assert task.config["id2label"] == {0: "no", 1: "yes"} and task.config["label2id"] == {"no": 0, "yes": 1}
    assert [item["labels"] for item in task.splits["train"].items] == [0, 1]
    (item,) = task.splits["eval"].items
    assert item["labels"] == 1
    assert item["input_ids"] == tokenizer("Return a tuple.", truncation=True, max_length=4)["input_ids"]
    assert len(item["input_ids"]) == len(item["token_type_ids"]) == 4


def test_pairs(tokenizer):
    task = class_task({"train": examples("a", "b", pair="other")}, tokenizer, 32)
    expected = tokenizer("text 2", "other")
    assert task.splits["train"].items[0]["input_ids"] == expected["input_ids"]
    assert task.splits["train"].items[0]["token_type_ids"] == expected["token_type_ids"]


def test_score():
    logits = np.array([[1.0, 2.0, 0.0], [3.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert score_one(EvalPrediction(logits, np.array([1, 1, 2]))) == {"accuracy": pytest.approx(2 / 3)}


def test_several_labels(tokenizer):
    train = examples(["x", "z"], [], ["y"])
    task = class_task({"train": train, "eval": examples(["z"], ["x", "y"])}, tokenizer, 32)
    assert np.array([item["labels"] for item in task.splits["train"].items]).tolist() == [
        [1, 0, 1],
        [0, 0, 0],
        [0, 1, 0],
    ]
    assert task.splits["train"].items[0]["labels"].dtype == np.float32  # whole numbers would be classes of tokens
    assert task.config["problem_type"] == "multi_label_classification" and task.metric == "micro_f1"
    expected = np.array([[0, 0, 1], [1, 1, 0]], dtype=np.float32)
    logits = np.array([[-1.0, 1.0, 2.0], [3.0, -1.0, -1.0]])  # x of x, y; z, and y too
    scores = task.splits["eval"].score(EvalPrediction(logits, expected))
    assert scores["micro_f1"] == pytest.approx(2 * 2 / (3 + 3))
    assert scores["macro_f1"] == pytest.approx((1 + 0 + 1) / 3)
    assert scores["accuracy"] == 0.0  # no text has all its labels right


def test_majority():
    assert majority(examples("a", "b", "b", "c")) == ("b", 0.5)


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": examples("a", "a")}, "data.tsv, line 2.* two classes or more, but the only label is 'a'"),
        ({"train": examples([], [])}, "data.tsv, line 2.* two classes or more, but there is none"),
        (
            {"train": examples("a", "b"), "eval": examples("b", "c")},
            "data.tsv, line 3: expected a label that was trained .a, b., found 'c'",
        ),
        ({"train": examples("a", ["b"])}, "data.tsv, line 3: expected one label .* found a list"),
        ({"train": examples(["a", "b"], "b")}, "data.tsv, line 3: expected a list of labels .* found one label"),
        (
            {"train": examples("a", "b"), "eval": examples("b", pair="other")},
            "data.tsv, line 2: expected single texts as in the training file, found pairs",
        ),
        (
            {"train": examples("a", "b", pair="other"), "eval": examples("b")},
            "data.tsv, line 2: expected pairs of texts as in the training file, found single",
        ),
    ],
)
def test_labels_that_cannot_be(tokenizer, splits, message):
    with pytest.raises(ValueError, match=message):
        class_task(splits, tokenizer, 32)

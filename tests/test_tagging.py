"""Tagging: CoNLL's columns, labels on first tokens, and words that must not get lost in the score."""

import numpy as np
import pytest

from minibert.finetuning.examples import Columns
from minibert.finetuning.tagging import first_token_labels, tagging_task
from minibert.labels import IGNORE_INDEX
from minibert.text.tokenizer import BertTokenizer
from minibert.training.evaluation_loop import EvalPrediction

CONLL = """-DOCSTART- -X- O

The DT B-NP
interpreter NN I-NP
reads VBZ B-VP

It PRP B-NP
stops\tVBZ\tB-VP
. . O
"""


@pytest.fixture(scope="module")
def tokenizer():
    return BertTokenizer.from_pretrained("minibert-tiny")


def write(path, text):
    path.write_text(text)
    return str(path)


def task(tmp_path, tokenizer, max_length=32, train=CONLL, evaluation=CONLL, columns=None):
    files = {"train": write(tmp_path / "train.txt", train), "eval": write(tmp_path / "eval.txt", evaluation)}
    return tagging_task(files, columns or Columns(), tokenizer, max_length)


def perfect(split, n_labels):
    """The prediction of a model that is right wherever there is a label, and sure of class 0 elsewhere."""
    longest = max(len(item["labels"]) for item in split.items)
    labels = np.array([item["labels"] + [IGNORE_INDEX] * (longest - len(item["labels"])) for item in split.items])
    return EvalPrediction(np.eye(n_labels)[np.where(labels == IGNORE_INDEX, 0, labels)], labels)


def test_labels_stand_on_first_tokens():
    labels, words = first_token_labels([None, 0, 0, 1, 3, 3, 3, None], [7, 8, 9, 6])
    none = IGNORE_INDEX
    assert labels == [none, 7, none, 8, 6, none, none, none]
    assert words == [0, 1, 3]


def test_items(tmp_path, tokenizer):
    made = task(tmp_path, tokenizer)
    names = ["B-NP", "B-VP", "I-NP", "O"]
    assert made.config["id2label"] == dict(enumerate(names)) and made.metric == "f1"
    item = made.splits["train"].items[0]
    assert item["input_ids"] == tokenizer("The interpreter reads")["input_ids"]
    labelled = [names[label] for label in item["labels"] if label != IGNORE_INDEX]
    assert labelled == ["B-NP", "I-NP", "B-VP"] and len(item["labels"]) == len(item["input_ids"])


def test_all_right_is_all_right(tmp_path, tokenizer):
    split = task(tmp_path, tokenizer).splits["eval"]
    assert split.score(perfect(split, 4)) == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "accuracy": 1.0}


def test_words_that_were_cut_off_are_missed(tmp_path, tokenizer):
    words = ["The", "list", "holds", "the", "items", "of", "the", "class", "."]
    tags = ["B-NP", "I-NP", "B-VP", "B-NP", "I-NP", "O", "B-NP", "I-NP", "O"]
    text = "\n".join(map(" ".join, zip(words, tags, strict=True))) + "\n"
    split = task(tmp_path, tokenizer, max_length=5, evaluation=text).splits["eval"]
    assert sum(label != IGNORE_INDEX for label in split.items[0]["labels"]) == 3
    scores = split.score(perfect(split, 4))
    assert scores["precision"] == 1.0 and scores["recall"] == 0.5  # two of four chunks
    assert scores["accuracy"] == pytest.approx(5 / 9)
    assert split.lost == ("6 of 9 words are beyond 5 tokens, or have none, and count as tagged O",)


def test_words_without_a_token_keep_their_place(tmp_path, tokenizer):
    text = "The B-NP\n\u200b I-NP\nlist I-NP\n"
    split = task(tmp_path, tokenizer, evaluation=text).splits["eval"]
    assert [label for label in split.items[0]["labels"] if label != IGNORE_INDEX] == [0, 2]
    assert split.score(perfect(split, 4))["accuracy"] == pytest.approx(2 / 3)


def test_comments_change_no_score(tmp_path, tokenizer):
    """Also with four columns, as many as some comments have words."""
    sentence = "The DT B-NP O\nlist NN I-NP B-X\n"
    plain, commented = sentence + "\n" + sentence, f"# sent_id = 1\n{sentence}\n# sent_id = 2\n{sentence}"
    made = [task(tmp_path, tokenizer, train=text, evaluation=text) for text in (plain, commented)]
    assert made[0].splits["train"].items == made[1].splits["train"].items and made[1].metric == "f1"
    assert made[0].description == made[1].description
    assert made[0].description == "1 kinds of chunks: X; column 4 of 4 tags the words in column 1"
    assert made[1].splits["eval"].lost == ("2 of 6 lines are comments or the like, and passed over",)


@pytest.mark.parametrize("marks", ["B-I-L-U-", "B-I-E-S-", "B-M-E-S-", "B-M-E-W-"])
def test_chunks_have_other_marks_too(tmp_path, tokenizer, marks):
    begin, inside, end, single = (marks[i : i + 2] for i in range(0, 8, 2))
    text = f"The {begin}X\nlist {inside}X\nholds {end}X\nitems {single}X\n. O\n"
    made = task(tmp_path, tokenizer, train=text, evaluation=text)
    split = made.splits["eval"]
    assert made.metric == "f1" and "1 kinds of chunks: X;" in made.description
    prediction = perfect(split, 5)
    assert split.score(prediction)["f1"] == 1.0
    names, labels = made.config["label2id"], prediction.label_ids
    wrong = np.where(labels == names[f"{end}X"], names["O"], labels)  # of two chunks, one lacks its end
    prediction = prediction._replace(predictions=np.eye(5)[np.where(wrong == IGNORE_INDEX, 0, wrong)])
    assert split.score(prediction)["f1"] == 0.5


def test_a_tag_among_chunks_that_is_none(tmp_path, tokenizer):
    text = "The DT B-NP\nlist NN I-NP\n, , O\nand CC and\n"
    with pytest.raises(
        ValueError, match=r"train\.txt, line 4: expected O or a tag of a chunk .*found 'and'.*column 3 of"
    ):
        task(tmp_path, tokenizer, train=text)
    made = task(tmp_path, tokenizer, train="The S-1\nlist N-2\n", evaluation="The S-1\n")  # no chunks, for want of O
    assert made.metric == "accuracy"


def test_tags_that_are_no_chunks(tmp_path, tokenizer):
    made = task(tmp_path, tokenizer, columns=Columns(label="2"))
    assert made.metric == "accuracy" and "kinds of words: ., DT, NN" in made.description
    assert made.splits["eval"].score(perfect(made.splits["eval"], 5)) == {"accuracy": 1.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("The DT B-NP\nlist NN\n", "line 2: expected 3 columns as in line 1, found 2: list NN"),
        ("The\nlist\n", "line 1: expected at least 2 columns, found 1: The"),
        ("\n\n", "no sentence in this file"),
        ("The O\nlist O\n", "expected two tags or more, but all words have 'O'"),
    ],
)
def test_files_that_cannot_be(tmp_path, tokenizer, text, message):
    with pytest.raises(ValueError) as error:
        task(tmp_path, tokenizer, train=text)
    assert "train.txt" in str(error.value) and message in str(error.value)


def test_an_unknown_tag(tmp_path, tokenizer):
    with pytest.raises(ValueError, match=r"eval\.txt, line 4: expected a tag that was trained .B-NP"):
        task(tmp_path, tokenizer, evaluation="The DT B-NP\nlist NN I-NP\n\nof IN B-PP\n")


@pytest.mark.parametrize("columns", [Columns(pair="2"), Columns(label_separator=",")])
def test_options_that_tagging_has_not(tmp_path, tokenizer, columns):
    with pytest.raises(ValueError, match="has no meaning for tagging"):
        task(tmp_path, tokenizer, columns=columns)


@pytest.mark.parametrize("columns", [Columns(label="ner"), Columns(text="0")])
def test_columns_are_numbers(tmp_path, tokenizer, columns):
    with pytest.raises(ValueError, match="-column: expected the number of a column, from 1"):
        task(tmp_path, tokenizer, columns=columns)


def test_a_column_too_far(tmp_path, tokenizer):
    with pytest.raises(ValueError, match=r"train\.txt, line 3: expected at least 4 columns, found 3"):
        task(tmp_path, tokenizer, columns=Columns(label="4"))

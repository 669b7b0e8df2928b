"""Scores of a model that is trained already: of whatever classes a file has, read as far as in training."""

import json

import pytest
from finetuning_runs import classification_files, write_table
from pipeline_runs import checkpoint, our_tokenizer

import minibert
from minibert.finetuning.examples import Columns
from minibert.finetuning.job import FinetuningOptions, finetune
from minibert.finetuning.runs import Plan
from minibert.finetuning.scoring import labelled_split, score

LABELS = ["a", "b", "c"]


def classifier(**changes):
    folder = checkpoint("BertForSequenceClassification", num_labels=3)
    return minibert.BertForSequenceClassification.from_pretrained(
        folder, id2label=dict(enumerate(LABELS)), label2id={name: i for i, name in enumerate(LABELS)}, **changes
    )


def tagger():
    folder = checkpoint("BertForTokenClassification", num_labels=3)
    names = ["O", "B-X", "I-X"]
    return minibert.BertForTokenClassification.from_pretrained(
        folder, id2label=dict(enumerate(names)), label2id={name: i for i, name in enumerate(names)}
    )


@pytest.mark.parametrize("present", [["c"], ["b", "c"], ["a", "b", "c"]])
def test_a_file_may_lack_classes(tmp_path, present):
    model, tokenizer = classifier(), our_tokenizer()
    rows = [(label, text) for label in present for text in ("a b", "c d e", "f")]
    split = labelled_split(model, tokenizer, str(write_table(tmp_path / "x.tsv", rows)))
    assert [item["labels"] for item in split.items] == [LABELS.index(label) for label, _ in rows]
    classify = minibert.pipeline("text-classification", model, "fp32", tokenizer=tokenizer)
    right = [found["label"] == label for (label, _), found in zip(rows, classify([t for _, t in rows]), strict=True)]
    assert score(model, tokenizer, split) == {"accuracy": pytest.approx(sum(right) / len(right))}


def test_tags_that_a_file_lacks(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("a I-X\nb I-X\n\nc I-X\n")
    split = labelled_split(tagger(), our_tokenizer(), str(path))
    assert [item["labels"] for item in split.items] == [[-100, 2, 2, -100], [-100, 2, -100]]
    assert score(tagger(), our_tokenizer(), split).keys() == {"precision", "recall", "f1", "accuracy"}


def test_columns_and_several_labels(tmp_path):
    path = write_table(tmp_path / "x.tsv", [("a,c", "t", "u"), ("", "v", "w")], header=("y", "one", "two"))
    columns = Columns("one", "two", "y", ",")
    split = labelled_split(classifier(problem_type="multi_label_classification"), our_tokenizer(), str(path), columns)
    assert [item["labels"].tolist() for item in split.items] == [[1, 0, 1], [0, 0, 0]]
    assert [sum(item["token_type_ids"]) for item in split.items] == [2, 2]
    with pytest.raises(ValueError, match="the model gives a text one label; the file does not"):
        labelled_split(classifier(), our_tokenizer(), str(path), columns)
    single = str(write_table(tmp_path / "y.tsv", [("a", "t")]))
    with pytest.raises(ValueError, match="gives a text several labels, for which there is --label-separator; the file"):
        labelled_split(classifier(problem_type="multi_label_classification"), our_tokenizer(), single)


@pytest.mark.parametrize(("limit", "chosen", "expected"), [(24, None, 24), (9, None, 9), (9, 7, 7), (9, 20, 20)])
def test_texts_are_read_as_far_as_the_tokenizer_says(tmp_path, limit, chosen, expected):
    path = str(write_table(tmp_path / "x.tsv", [("a", "b " * 50)]))
    split = labelled_split(classifier(), our_tokenizer(model_max_length=limit), path, max_length=chosen)
    assert [len(item["input_ids"]) for item in split.items] == [expected]


@pytest.mark.parametrize("wrong", [0, 25])
def test_a_length_that_the_model_does_not_read(tmp_path, wrong):
    path = str(write_table(tmp_path / "x.tsv", [("a", "b")]))
    with pytest.raises(
        ValueError, match=f"--max-length must be from 1 to the 24 tokens that the model reads, got {wrong}"
    ):
        labelled_split(classifier(), our_tokenizer(), path, max_length=wrong)


def test_what_does_not_fit(tmp_path):
    path = str(write_table(tmp_path / "x.tsv", [("a", "t"), ("d", "u")]))
    with pytest.raises(ValueError, match=r"x\.tsv, line 3: expected a label that was trained \(a, b, c\), found 'd'"):
        labelled_split(classifier(), our_tokenizer(), path)
    model = minibert.BertForMaskedLM.from_pretrained(checkpoint("BertForMaskedLM"))
    with pytest.raises(ValueError, match="--eval: BertForMaskedLM has no task with a score; leave it out"):
        labelled_split(model, our_tokenizer(), path)


def test_fine_tuning_remembers_how_far_it_read(tmp_path, monkeypatch):
    """The score of what was saved is the score that fine-tuning reported, at a length of its own."""
    files = {name: str(path) for name, path in classification_files(tmp_path).items()}
    plan = Plan(epochs=1, batch_size=8)
    finetune(FinetuningOptions(**files, max_length=11, plan=plan, output_dir=tmp_path / "out"))
    tokenizer = minibert.BertTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.model_max_length == 11
    model = minibert.BertForSequenceClassification.from_pretrained(tmp_path / "out")
    found = score(model, tokenizer, labelled_split(model, tokenizer, files["test"]))
    said = json.loads((tmp_path / "out" / "results.json").read_text())
    assert found["accuracy"] == pytest.approx(said["runs"][0]["scores"]["test"]["accuracy"])

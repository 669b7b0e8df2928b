"""Tokenizing for fine-tuning: the same items, however many texts are tokenized at a time."""

import json

import pytest
from finetuning_runs import sentences, tokenizer

from minibert.finetuning import task
from minibert.finetuning.examples import Columns, Example
from minibert.finetuning.question_answering import question_answering_task
from minibert.finetuning.tagging import tagging_task


def test_items_are_the_tokenizers_rows():
    examples = [
        Example(text, "It is." if i else "No.", label, "here") for i, (label, text) in enumerate(sentences(5, 0))
    ]
    items, _ = task.encode_examples(tokenizer(), examples, 10)
    expected = tokenizer()([(e.text, e.pair) for e in examples], truncation=True, max_length=10)
    assert [item["input_ids"] for item in items] == expected["input_ids"]
    assert [item["token_type_ids"] for item in items] == expected["token_type_ids"]
    assert all(set(item) == {"input_ids", "token_type_ids"} for item in items)


@pytest.fixture
def files(tmp_path):
    """Files of several sentences and questions that all differ, some longer than a window."""
    (tmp_path / "a.txt").write_text("\n\n".join("word N\n" * i + "list " + "NV"[i % 2] for i in range(1, 6)))
    paragraphs = []
    for i in range(4):
        context = f"{'The list is empty. ' * 30 * i}It is the key. {'No. ' * i}"
        answers = [{"text": "the key", "answer_start": context.index("the key")}]
        paragraphs.append({"context": context, "qas": [{"id": f"{i}", "question": "What?", "answers": answers}]})
    (tmp_path / "a.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    return tmp_path


@pytest.mark.parametrize(("build", "name"), [(tagging_task, "a.txt"), (question_answering_task, "a.json")])
def test_parts_make_no_difference(files, monkeypatch, build, name):
    paths = {"train": str(files / name)}
    whole = build(paths, Columns(), tokenizer(), 128).splits["train"].items
    monkeypatch.setattr(task, "PART", 2)
    assert build(paths, Columns(), tokenizer(), 128).splits["train"].items == whole
    assert len(whole) >= 5


@pytest.mark.parametrize(
    ("count", "shown"), [(2, "n0, n1"), (10, ", ".join(f"n{i}" for i in range(10))), (12, "n9 and 2 more")]
)
def test_long_lists_of_names_are_cut(count, shown):
    assert task.first_few(f"n{i}" for i in range(count)).endswith(shown)

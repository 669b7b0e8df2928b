"""Batches of examples of different lengths: nothing lost, nothing attended to that is padding."""

import numpy as np
import pytest
import torch
import transformers
from reference import our_model
from reference_tokenizer import vocab_path

from minibert import BertTokenizer, DataCollatorWithPadding, Trainer, TrainingArguments
from minibert.labels import IGNORE_INDEX


def texts(lengths, **columns):
    """Examples with so many tokens each; `columns` have a value for each of them."""
    examples = [{"input_ids": list(range(5, 5 + n)), "token_type_ids": [1] * n} for n in lengths]
    return [example | {name: values[i] for name, values in columns.items()} for i, example in enumerate(examples)]


def as_they_are(example):
    return example


def as_arrays(example):
    return {name: np.array(value) for name, value in example.items()}


def as_tensors(example):
    return {name: torch.tensor(value) for name, value in example.items()}


@pytest.mark.parametrize("form", [as_they_are, as_arrays, as_tensors])
@pytest.mark.parametrize("name", ["label", "labels", "label_ids"])
def test_texts_with_a_class(form, name):
    batch = DataCollatorWithPadding()([form(example) for example in texts([2, 4, 1], **{name: [1, 0, 2]})])
    expected = {
        "input_ids": [[5, 6, 0, 0], [5, 6, 7, 8], [5, 0, 0, 0]],
        "token_type_ids": [[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]],
        "labels": [1, 0, 2],
        "attention_mask": [[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]],
    }
    assert {name: tensor.tolist() for name, tensor in batch.items()} == expected
    assert {tensor.dtype for tensor in batch.values()} == {torch.long}


@pytest.mark.parametrize("form", [as_they_are, as_arrays, as_tensors])
def test_a_label_for_every_token(form):
    examples = texts([2, 4, 1], labels=[[1, IGNORE_INDEX], [0, 2, 1, IGNORE_INDEX], [3]])
    batch = DataCollatorWithPadding()([form(example) for example in examples])
    i = IGNORE_INDEX
    assert batch["labels"].tolist() == [[1, i, i, i], [0, 2, 1, i], [3, i, i, i]]
    assert batch["label_count"] == 5


def test_answers_are_counted_where_there_is_a_token():
    positions = {"start_positions": [0, 2, 1, -1], "end_positions": [1, 9, 1, 0]}
    masks = [[1, 1], [1, 1, 1, 1], [1], [1, 1, 1]]
    batch = DataCollatorWithPadding()(texts([2, 4, 1, 3], **positions))
    assert batch["label_count"] == 2 + 1 + 0 + 2  # 9 and 1 are beyond the ends of their texts
    masks[1] = [1, 1, 0, 1]
    assert DataCollatorWithPadding()(texts([2, 4, 1, 3], **positions, attention_mask=masks))["label_count"] == 4


CLASSES = [[1, 0, 2, 1, 0], [IGNORE_INDEX] * 3 + [2, 1], [0] + [IGNORE_INDEX] * 4, [2, 1, IGNORE_INDEX, 0, 1]]


@pytest.mark.parametrize(
    ("class_name", "head", "columns"),
    [
        ("BertForTokenClassification", "classifier.weight", {"labels": CLASSES}),
        (
            "BertForQuestionAnswering",
            "qa_outputs.weight",
            {"start_positions": [1, 7, 9, 2], "end_positions": [3, 9, 9, 9]},
        ),
    ],
)
def test_micro_batches_teach_the_same(tmp_path, class_name, head, columns):
    """Their losses are means over different numbers of labels; together they are the mean over all."""
    weights = []
    for size, accumulation in ((4, 1), (1, 4), (2, 2)):
        torch.manual_seed(1)
        model = our_model(class_name, num_labels=3)
        args = TrainingArguments(
            tmp_path,
            max_steps=5,
            per_device_train_batch_size=size,
            gradient_accumulation_steps=accumulation,
            learning_rate=1e-2,
            save_strategy="no",
            disable_tqdm=True,
        )
        Trainer(model, args, train_dataset=texts([5] * 4, **columns)).train()
        weights.append(model.get_parameter(head).detach())
    assert (weights[0] - weights[1]).abs().max() < 1e-5 and (weights[0] - weights[2]).abs().max() < 1e-5


@pytest.mark.parametrize("form", [as_they_are, as_arrays, as_tensors])
@pytest.mark.parametrize("labels", [[1.5, 0.0, -2.0], [[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]])
def test_numbers_and_several_classes_are_floats(form, labels):
    batch = DataCollatorWithPadding()([form(example) for example in texts([2, 2, 2], labels=labels)])
    assert batch["labels"].tolist() == labels and batch["labels"].dtype == torch.float32
    assert "label_count" not in batch  # also with as many classes as tokens


def test_other_entries_are_stacked():
    batch = DataCollatorWithPadding()(texts([2, 3], start_positions=[0, 1], weights=[[0.5, 1.0], [2.0, 3.0]]))
    assert batch["start_positions"].tolist() == [0, 1]
    assert batch["weights"].tolist() == [[0.5, 1.0], [2.0, 3.0]]
    no_texts = DataCollatorWithPadding()([{"x": torch.ones(3), "y": 1.0}, {"x": torch.zeros(3), "y": 2.0}])
    assert {name: tensor.tolist() for name, tensor in no_texts.items()} == {"x": [[1] * 3, [0] * 3], "y": [1, 2]}


def test_a_mask_that_is_there_is_kept():
    batch = DataCollatorWithPadding()(texts([3, 2], attention_mask=[[1, 0, 1], [1, 1]]))
    assert batch["attention_mask"].tolist() == [[1, 0, 1], [1, 1, 0]]


def test_the_same_as_the_reference_with_a_tokenizer():
    ours = BertTokenizer(vocab_path("uncased"), pad_token="[MASK]")  # so that its id is not 0
    theirs = transformers.BertTokenizer(str(vocab_path("uncased")), pad_token="[MASK]")
    sentences = ["The quick brown fox.", "They were there; then they went to the theatre.", "Café"]
    examples = [dict(ours(sentence)) | {"label": number} for number, sentence in enumerate(sentences)]
    batch = DataCollatorWithPadding(tokenizer=ours)(examples)
    expected = transformers.DataCollatorWithPadding(theirs)([dict(example) for example in examples])
    assert batch.keys() == expected.keys()
    assert all(torch.equal(batch[name], expected[name]) for name in batch)
    assert batch["input_ids"][2, -1] == ours.mask_token_id != 0


@pytest.mark.parametrize("multiple", [1, 4, 8])
def test_rows_filled_up_to_a_multiple(multiple):
    examples = texts([2, 5], labels=[[1, 2], [0, 1, 2, 3, 4]])
    batch = DataCollatorWithPadding(pad_to_multiple_of=multiple)(examples)
    width = {1: 5, 4: 8, 8: 8}[multiple]
    assert all(batch[name].shape == (2, width) for name in ("input_ids", "attention_mask", "token_type_ids", "labels"))
    assert batch["attention_mask"].sum(1).tolist() == [2, 5]
    assert batch["labels"][1, 5:].eq(IGNORE_INDEX).all() and batch["label_count"] == 7


def test_the_examples_stay_as_they_were():
    examples = texts([2, 4], label=[1, 0])
    DataCollatorWithPadding()(examples)
    assert examples == texts([2, 4], label=[1, 0])


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([(1, 2)], "example 0: expected a dict, found tuple"),
        ([{"a": 1, "b": 2}, {"a": 1}], "example 1: expected the same keys as example 0, a, b, found a"),
        ([{"label": 1, "labels": 1}], "example 0: expected one of label, labels and label_ids, found label, labels"),
        ([{"input_ids": [1], "text": "so"}], "text of example 0: expected numbers, found 'so'"),
        ([{"label": 1}, {"label": None}], "label of example 1: expected numbers, found None"),
        ([{"x": [[1], [1, 2]]}], "x of example 0: expected numbers"),
        ([{"x": [1]}, {"x": [1, 2]}], r"x of example 1: expected shape \(1,\) as in example 0, found \(2,\)"),
        ([{"input_ids": [[1, 2]]}], r"input_ids of example 0: .*shape \(1, 2\); tokenize without return_tensors"),
        (texts([2, 3], token_type_ids=[[0, 0], [0]]), "token_type_ids of example 1: expected one entry for each of"),
        (texts([2, 3], labels=[[0, 0], [0]]), "labels of example 1: expected one entry for each of its 3 input_ids"),
    ],
)
def test_what_does_not_fit_is_named(examples, message):
    with pytest.raises(ValueError, match=message):
        DataCollatorWithPadding()(examples)

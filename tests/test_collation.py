"""Batches of examples of different lengths: nothing lost, nothing attended to that is padding."""

import numpy as np
import pytest
import torch
import transformers
from reference import our_model
from reference_tokenizer import vocab_path

from minibert import (
    BertTokenizer,
    DataCollatorForLanguageModeling,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    default_data_collator,
)
from minibert.labels import IGNORE_INDEX
from minibert.training.batch import label_count


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


def test_answers_are_counted_where_there_is_a_token():
    positions = {"start_positions": [0, 2, 1, -1], "end_positions": [1, 9, 1, 0]}
    masks = [[1, 1], [1, 1, 1, 1], [1], [1, 1, 1]]
    batch = DataCollatorWithPadding()(texts([2, 4, 1, 3], **positions))
    assert label_count(batch) == 2 + 1 + 0 + 2  # 9 and 1 are beyond the ends of their texts
    masks[1] = [1, 1, 0, 1]
    assert label_count(DataCollatorWithPadding()(texts([2, 4, 1, 3], **positions, attention_mask=masks))) == 4


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
    assert batch["labels"][1, 5:].eq(IGNORE_INDEX).all() and label_count(batch) == 7


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


# --- how long, and on which side


def tokenizers():
    """The same vocabulary in both libraries."""
    return BertTokenizer(vocab_path("uncased")), transformers.BertTokenizer(str(vocab_path("uncased")))


SENTENCES = ["The quick brown fox.", "They were there; then they went to the theatre.", "Café"]


def assert_same_batches(ours, theirs, examples):
    batch, expected = ours(examples), theirs([dict(example) for example in examples])
    assert batch.keys() == expected.keys()
    assert all(torch.equal(batch[name], expected[name]) for name in expected)
    assert batch.to("cpu")["input_ids"] is batch.input_ids


@pytest.mark.parametrize(
    "options",
    [{}, {"pad_to_multiple_of": 8}, {"padding": "longest"}, {"padding": "max_length", "max_length": 20}]
    + [{"padding": "max_length", "max_length": 19, "pad_to_multiple_of": 8}],
)
@pytest.mark.parametrize("side", ["right", "left"])
def test_as_long_as_the_reference_makes_them(options, side):
    ours, theirs = tokenizers()
    ours.padding_side = theirs.padding_side = side
    examples = [dict(ours(sentence)) | {"label": number} for number, sentence in enumerate(SENTENCES)]
    mine = DataCollatorWithPadding(tokenizer=ours, **options)
    assert_same_batches(mine, transformers.DataCollatorWithPadding(theirs, **options), examples)
    tags = [dict(ours(s)) | {"labels": [7] * len(ours(s)["input_ids"])} for s in SENTENCES]
    mine = DataCollatorForTokenClassification(tokenizer=ours, label_pad_token_id=-1, **options)
    theirs_ = transformers.DataCollatorForTokenClassification(theirs, label_pad_token_id=-1, **options)
    assert_same_batches(mine, theirs_, tags)


def test_the_tokenizers_own_length():
    ours, _ = tokenizers()
    ours.model_max_length = 12
    assert DataCollatorWithPadding(ours, padding="max_length")(texts([3]))["input_ids"].shape == (1, 12)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"padding": False}, "padding must be True, 'longest' or 'max_length', got False"),
        ({"return_tensors": "np"}, "return_tensors must be 'pt', got 'np'"),
        ({"padding": "max_length"}, "padding='max_length' needs a max_length, or a tokenizer"),
    ],
)
def test_what_is_no_batch_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        DataCollatorWithPadding(**options)


def test_what_is_longer_than_it_may_be():
    collator = DataCollatorWithPadding(padding="max_length", max_length=4)
    with pytest.raises(ValueError, match="an example has 6 tokens, more than max_length=4; tokenize with truncation"):
        collator(texts([3, 6]))


def test_a_label_for_every_token_that_looks_like_one_for_each_example():
    """Two tokens each, two labels each: the collator for tokens does not have to guess."""
    batch = DataCollatorForTokenClassification()(texts([2, 2], labels=[[1, 0], [0, 1]]))
    assert batch["labels"].tolist() == [[1, 0], [0, 1]]
    with pytest.raises(ValueError, match="labels of example 1: expected one entry for each of its 3 input_ids"):
        DataCollatorForTokenClassification()(texts([2, 3], labels=[[1, 0], [0, 1]]))
    with pytest.raises(ValueError, match="labels of example 0: expected one entry for each"):
        DataCollatorForTokenClassification()(texts([2, 2], labels=[1, 0]))


# --- hidden words


@pytest.fixture(scope="module")
def masker():
    tokenizer = BertTokenizer(vocab_path("uncased"))
    return tokenizer, DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15)


def many(tokenizer, lengths):
    generator = torch.Generator().manual_seed(6)
    start, end = tokenizer.cls_token_id, tokenizer.sep_token_id
    ids = [torch.randint(110, 200, (length,), generator=generator).tolist() for length in lengths]
    return [{"input_ids": [start, *row, end], "token_type_ids": [0] * (len(row) + 2)} for row in ids]


def test_hidden_words_become_the_labels(masker):
    tokenizer, collator = masker
    examples = many(tokenizer, [200] * 60)
    torch.manual_seed(0)
    batch = collator(examples)
    ids = torch.tensor([example["input_ids"] for example in examples])
    hidden = batch["labels"] != IGNORE_INDEX
    assert not hidden[:, [0, -1]].any()
    assert torch.equal(batch["labels"][hidden], ids[hidden])
    assert torch.equal(batch["input_ids"][~hidden], ids[~hidden])
    assert (hidden.sum(1) == 30).all()  # 0.15 of 200
    became = batch["input_ids"][hidden]
    shares = [(became == tokenizer.mask_token_id).float().mean(), (became == ids[hidden]).float().mean()]
    assert shares[0] == pytest.approx(0.8, abs=0.03) and shares[1] == pytest.approx(0.1, abs=0.03)
    assert batch.keys() == {"input_ids", "token_type_ids", "attention_mask", "labels"}


@pytest.mark.parametrize("length", [1, 2, 3, 7, 11])
def test_the_share_is_right_in_short_texts_too(masker, length):
    """Where the reference hides each token with this probability, so that some texts have none."""
    tokenizer, collator = masker
    torch.manual_seed(1)
    hidden = (collator(many(tokenizer, [length] * 4000))["labels"] != IGNORE_INDEX).sum(1)
    assert hidden.float().mean() / length == pytest.approx(0.15, abs=0.015)
    assert set(hidden.tolist()) <= {int(0.15 * length), int(0.15 * length) + 1}


def test_masks_are_drawn_anew_from_the_global_generator(masker):
    tokenizer, collator = masker
    examples = many(tokenizer, [30, 40])
    torch.manual_seed(0)
    first, second = collator(examples), collator(examples)
    torch.manual_seed(0)
    again = collator(examples)
    assert not torch.equal(first["labels"], second["labels"])
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_padding_and_special_tokens_are_never_hidden(masker):
    tokenizer, _ = masker
    collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=1.0, pad_to_multiple_of=16)
    examples = many(tokenizer, [4, 9, 1])
    for example in examples:
        example["special_tokens_mask"] = [0, 1, *[0] * (len(example["input_ids"]) - 2)]  # the first word is one, too
    batch = collator(examples)
    assert batch["input_ids"].shape == (3, 16)
    assert (batch["labels"] != IGNORE_INDEX).sum(1).tolist() == [3, 8, 0]
    assert "special_tokens_mask" not in batch


def test_other_forms_of_examples(masker):
    tokenizer, collator = masker
    lists = collator([example["input_ids"] for example in many(tokenizer, [5, 9])])
    assert lists["labels"].shape == (2, 11)
    for name in ("label", "labels"):  # of a class, which is not what is learnt here
        labelled = collator([example | {name: 1} for example in many(tokenizer, [5, 9])])
        assert labelled["labels"].shape == (2, 11) and "label" not in labelled
    with pytest.raises(ValueError, match="example 0: expected input_ids, found x"):
        collator([{"x": 1}])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mlm": False}, "mlm=False is for models that read from left to right"),
        ({"whole_word_mask": True}, "whole_word_mask: whole words are hidden in pretraining"),
        ({"mask_replace_prob": 1.0}, "must be 0.8 and 0.1, as in BERT's recipe"),
        ({"random_replace_prob": 0.0}, "must be 0.8 and 0.1, as in BERT's recipe"),
        ({"seed": 1}, "seed: the Trainer's seed decides; in a loop of your own, call torch.manual_seed"),
        ({"mlm_probability": 0}, "mlm_probability must be a share above 0 and at most 1, got 0"),
        ({"mlm_probability": 15}, "mlm_probability must be a share above 0 and at most 1, got 15"),
        ({"return_tensors": "np"}, "return_tensors must be 'pt', got 'np'"),
    ],
)
def test_what_is_not_berts_recipe_is_refused(masker, options, words):
    with pytest.raises(ValueError, match=words):
        DataCollatorForLanguageModeling(masker[0], **options)


# --- without padding


@pytest.mark.parametrize(
    "examples",
    [
        [{"input_ids": [1, 2], "label": 1}, {"input_ids": [3, 4], "label": 0}],
        [{"input_ids": [1, 2], "label_ids": [1, 0]}, {"input_ids": [3, 4], "label_ids": [0, 1]}],
        [{"x": [0.5, 1.5], "label": 0.5, "text": "so"}, {"x": [1.0, 2.0], "label": 1.5, "text": ""}],
        [{"x": 1, "nothing": None}, {"x": 2, "nothing": 1}],
        [{"x": torch.ones(2, 3), "y": np.zeros(2)}, {"x": torch.zeros(2, 3), "y": np.ones(2)}],
    ],
)  # fmt: skip
def test_the_default_collator_is_that_of_the_reference(examples):
    batch, expected = default_data_collator(examples), transformers.default_data_collator(examples)
    assert batch.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(batch[name].double(), tensor.double())
        assert batch[name].is_floating_point() == tensor.is_floating_point()


def test_the_default_collator_does_not_pad():
    with pytest.raises(ValueError, match=r"input_ids of example 1: expected shape \(2,\) as in example 0"):
        default_data_collator([{"input_ids": [1, 2]}, {"input_ids": [3]}])
    with pytest.raises(ValueError, match="return_tensors must be 'pt', got 'np'"):
        default_data_collator([{"x": 1}], return_tensors="np")

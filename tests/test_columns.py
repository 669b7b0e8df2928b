"""Columns of a table that the model does not take are left out and named once; nothing else is."""

import logging

import pytest
import torch
from reference import our_model
from reference_tokenizer import vocab_path
from torch import nn

from minibert import (
    BertTokenizer,
    DataCollatorForLanguageModeling,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)
from minibert.finetuning.frozen import FrozenEncoderTrainer
from minibert.training.columns import KnownColumns


class Table:
    """Looks like a table of the `datasets` library: columns by name, rows by number."""

    def __init__(self, columns):
        self.columns = columns

    @property
    def column_names(self):
        return list(self.columns)

    def __len__(self):
        return len(next(iter(self.columns.values())))

    def __getitem__(self, index):
        return {name: column[index] for name, column in self.columns.items()}

    def __getitems__(self, indices):
        return [self[index] for index in indices]


def table(size=6, **more):
    ids = [[2, *range(5, 6 + i % 3), 3] for i in range(size)]
    columns = {"sentence": [f"text {i}" for i in range(size)], "idx": list(range(size)), "input_ids": ids}
    return Table(columns | {"label": [i % 2 for i in range(size)]} | more)


def train(folder, data, model=None, trainer_class=Trainer, data_collator=None, **changes):
    args = TrainingArguments(
        folder, per_device_train_batch_size=2, max_steps=2, save_strategy="no", disable_tqdm=True, **changes
    )
    model = model or our_model("BertForSequenceClassification", num_labels=2)
    trainer = trainer_class(model, args, data_collator, train_dataset=data, eval_dataset=data)
    trainer.train()
    return trainer


def said(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "minibert.training.columns"]


def test_they_are_left_out_and_named_once(tmp_path, caplog):
    trainer = train(tmp_path, table())
    trainer.evaluate()
    trainer.train()
    assert said(caplog) == [
        "left out of the data, because BertForSequenceClassification.forward does not take them: sentence, idx"
        " (remove_unused_columns=False keeps them)"
    ]


def test_the_run_is_that_without_them(tmp_path):
    ends = []
    for data in (table(), Table({name: table().columns[name] for name in ("input_ids", "label")})):
        torch.manual_seed(1)
        trainer = train(tmp_path, data)
        ends.append(torch.cat([p.flatten() for p in trainer.model.parameters()]))
    assert torch.equal(*ends)


def test_also_with_workers_it_is_said_once(tmp_path):
    logger = logging.getLogger("minibert.training.columns")
    handler = logging.FileHandler(tmp_path / "log")  # which workers would write to, too
    logger.addHandler(handler)
    try:
        train(tmp_path, table(), dataloader_num_workers=2)
    finally:
        logger.removeHandler(handler)
    assert (tmp_path / "log").read_text().count("left out of the data") == 1


def test_the_other_processes_say_nothing(tmp_path, caplog, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    KnownColumns(our_model("BertModel")).collate(list, [table()[0]])
    assert not said(caplog)


def test_nothing_is_said_where_nothing_is_left_out(tmp_path, caplog):
    train(tmp_path, Table({name: table().columns[name] for name in ("input_ids", "label")}))
    assert not said(caplog)


def test_kept_if_that_is_wished(tmp_path):
    with pytest.raises(ValueError, match="sentence of example 0: expected numbers, found 'text "):
        train(tmp_path, table(), remove_unused_columns=False)


@pytest.mark.parametrize("collator", [DataCollatorWithPadding(), None])
def test_lists_of_dicts_too(tmp_path, caplog, collator):
    train(tmp_path, [table()[i] for i in range(6)], data_collator=collator)
    assert len(said(caplog)) == 1


def test_a_collator_of_ones_own_gets_all_but_of_a_table(tmp_path, caplog):
    def collate(examples):
        keys.update(examples[0])
        return DataCollatorWithPadding()([{n: e[n] for n in ("input_ids", "label")} for e in examples])

    keys = set()
    train(tmp_path, [table()[i] for i in range(6)], data_collator=collate)
    assert keys == set(table().columns) and not said(caplog)
    keys.clear()
    train(tmp_path, table(), data_collator=collate)
    assert keys == {"input_ids", "label"} and len(said(caplog)) == 1


def test_label_names_are_kept(tmp_path):
    class Own(nn.Linear):
        def forward(self, x):
            return {"loss": super().forward(x).sum()}

    data = Table({"x": [[1.0, 2.0]], "target": [1.0], "labels": [1], "rest": [0]})
    seen = []
    args = TrainingArguments(tmp_path, label_names=["target"], disable_tqdm=True)
    trainer = Trainer(Own(2, 1), args, lambda examples: seen.append(set(examples[0])) or {"x": torch.ones(1, 2)})
    list(trainer.get_eval_dataloader(data))
    assert seen == [{"x", "target", "labels"}]


@pytest.mark.parametrize("labels", [{}, {"label": [1]}])
def test_nothing_left_is_an_error(tmp_path, labels):
    data = Table({"sentence": ["so"], "idx": [0]} | labels)
    with pytest.raises(ValueError, match=r"none of the columns sentence, idx.* is an argument of .*input_ids.*; toke"):
        train(tmp_path, data)


def test_what_takes_anything_is_given_all():
    class Any(nn.Module):
        def forward(self, **inputs):
            pass

    class Some(nn.Module):
        def forward(self, input_ids, **inputs):
            pass

    examples = [{"input_ids": [1], "idx": 0}]
    assert KnownColumns(Any()).collate(list, examples) == examples
    assert KnownColumns(Some()).collate(list, examples) == [{"input_ids": [1]}]
    assert KnownColumns(Some()).collate(list, [(1, 2)]) == [(1, 2)]


@pytest.mark.parametrize(
    "class_name",
    ["BertForMaskedLM", "BertForPreTraining", "BertForTokenClassification", "BertForQuestionAnswering", "BertModel"],
)
def test_what_our_models_take(class_name):
    known = KnownColumns(our_model(class_name))
    assert {"input_ids", "attention_mask", "token_type_ids", "position_ids", "inputs_embeds"} <= known.taken
    assert not known.takes_all and "idx" not in known.taken and "inputs" not in known.taken


def test_masks_are_drawn_on_tables_too(tmp_path):
    tokenizer = BertTokenizer(vocab_path("uncased"))
    data = Table({"text": ["so", "and so"], "label": [0, 1], "input_ids": [[2, 5, 6, 7, 3], [2, 8, 9, 3]]})
    model = our_model("BertForMaskedLM", vocab_size=len(tokenizer))
    trainer = train(
        tmp_path, data, model, data_collator=DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.9)
    )
    assert 0 < trainer.evaluate()["eval_loss"] < 10


def test_a_frozen_encoder_reads_tables(tmp_path, caplog):
    ends = []
    for trainer_class in (Trainer, FrozenEncoderTrainer):
        torch.manual_seed(1)
        model = our_model("BertForSequenceClassification", num_labels=2).freeze("encoder")
        caplog.clear()
        train(tmp_path / trainer_class.__name__, table(), model, trainer_class, learning_rate=0.1)
        assert len(said(caplog)) == 1
        ends.append(model.classifier.weight.detach())
    torch.testing.assert_close(ends[1], ends[0], rtol=1e-4, atol=1e-5)

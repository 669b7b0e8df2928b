"""Training a head on remembered features: the same as training it behind the frozen encoder, but for the time."""

import pytest
import torch
from reference import no_dropout, our_model

from minibert import DataCollatorWithPadding, Trainer, TrainingArguments
from minibert.finetuning.frozen import FrozenEncoderTrainer

# What follows the encoder, and a label of 12 examples for it.
HEADS = {
    "BertForSequenceClassification": lambda i, n: {"label": i % 3},
    "BertForTokenClassification": lambda i, n: {"labels": [(i + j) % 3 for j in range(n - 1)] + [-100]},
    "BertForQuestionAnswering": lambda i, n: {"start_positions": i % n, "end_positions": n - 1},
}


def examples_for(class_name, size=12):
    generator = torch.Generator().manual_seed(4)
    lengths = torch.randint(2, 20, (size,), generator=generator).tolist()
    return [
        {"input_ids": torch.randint(5, 97, (n,), generator=generator).tolist()} | HEADS[class_name](i, n)
        for i, n in enumerate(lengths)
    ]


def build(trainer_class, folder, model, data, **arguments):
    numbers = {"num_train_epochs": 4, "per_device_train_batch_size": 4, "learning_rate": 0.02, "logging_steps": 1}
    args = TrainingArguments(folder, disable_tqdm=True, **numbers | {"save_strategy": "no"} | arguments)
    return trainer_class(model.freeze("encoder"), args, train_dataset=data, eval_dataset=data)


def parameters(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("class_name", HEADS)
@pytest.mark.parametrize("group_by_length", [False, True])
def test_the_same_head_as_behind_the_frozen_encoder(tmp_path, class_name, group_by_length):
    data, heads = examples_for(class_name), []
    for trainer_class in (Trainer, FrozenEncoderTrainer):
        torch.manual_seed(1)
        model = our_model(class_name, num_labels=3)
        before = parameters(model)
        folder = tmp_path / trainer_class.__name__
        trainer = build(trainer_class, folder, model, data, group_by_length=group_by_length)
        output = trainer.train()
        after = parameters(model)
        assert all(torch.equal(after[name], before[name]) == name.startswith("bert.") for name in before)
        heads.append({name: p for name, p in after.items() if not name.startswith("bert.")})
        losses = output.training_loss, trainer.evaluate()["eval_loss"]
        heads[-1]["losses"] = torch.tensor(losses)
    for name, expected in heads[0].items():
        torch.testing.assert_close(heads[1][name], expected, rtol=1e-4, atol=1e-5, msg=name)


class CountingEncoder(torch.nn.Module):
    """Counts the tokens that pass through an encoder's layers."""

    def __init__(self, encoder):
        super().__init__()
        self.tokens = 0
        encoder.register_forward_pre_hook(self.count)

    def count(self, module, arguments):
        self.tokens += len(arguments[0])


def test_every_text_is_encoded_once(tmp_path):
    data = examples_for("BertForTokenClassification")
    model = our_model("BertForTokenClassification", num_labels=3)
    counter = CountingEncoder(model.bert.encoder)
    trainer = build(FrozenEncoderTrainer, tmp_path, model, data, num_train_epochs=7, eval_strategy="epoch")
    trainer.train()
    assert counter.tokens == 2 * sum(len(example["input_ids"]) for example in data)  # to train, to evaluate
    assert not list(tmp_path.glob("tmp*"))  # the features are gone


def test_afterwards_all_is_as_before_but_the_head(tmp_path):
    data = examples_for("BertForSequenceClassification")
    model = our_model("BertForSequenceClassification", num_labels=3)
    encoder, ids = model.bert, torch.tensor([[5, 6, 7]])
    trainer = build(FrozenEncoderTrainer, tmp_path, model, data)
    collator = trainer.data_collator
    trainer.train()
    assert model.bert is encoder and not any(module.training for module in model.modules())
    assert (trainer.train_dataset, trainer.eval_dataset, trainer.data_collator) == (data, data, collator)
    assert model(ids).logits.shape == (1, 3)
    assert trainer.predict(data).predictions.shape == (12, 3)


def test_also_after_an_error(tmp_path):
    model = our_model("BertForSequenceClassification", num_labels=3)
    encoder = model.bert
    data = [example | {"label": 7} for example in examples_for("BertForSequenceClassification")]
    trainer = build(FrozenEncoderTrainer, tmp_path, model, data)
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 3\)"):
        trainer.train()
    assert model.bert is encoder and trainer.train_dataset is data


def test_checkpoints_hold_the_whole_model(tmp_path):
    data = examples_for("BertForSequenceClassification")
    torch.manual_seed(1)
    model = our_model("BertForSequenceClassification", num_labels=3)
    kept = {"save_strategy": "epoch", "eval_strategy": "epoch", "load_best_model_at_end": True}
    trainer = build(FrozenEncoderTrainer, tmp_path, model, data, **kept)
    trainer.train()
    loaded, info = type(model).from_pretrained(trainer.best.checkpoint, output_loading_info=True)
    assert not any(info.values())
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), loaded.parameters(), strict=True))
    # And a run goes on from them: bit for bit the one that was not interrupted.
    torch.manual_seed(1)
    again = our_model("BertForSequenceClassification", num_labels=3)
    build(FrozenEncoderTrainer, tmp_path / "again", again, data, **kept).train(tmp_path / "checkpoint-6")
    last = type(model).from_pretrained(tmp_path / "checkpoint-12")
    end = type(model).from_pretrained(tmp_path / "again" / "checkpoint-12")
    assert all(torch.equal(p, q) for p, q in zip(last.parameters(), end.parameters(), strict=True))


def test_dropout_in_the_head_alone(tmp_path):
    """The features are those of evaluation; the head's own dropout stays."""
    data, ends = examples_for("BertForSequenceClassification"), []
    for changes in (no_dropout(), {**no_dropout(), "attention_probs_dropout_prob": 0.5}, {"classifier_dropout": 0.5}):
        torch.manual_seed(1)
        model = our_model("BertForSequenceClassification", num_labels=3, **changes)
        build(FrozenEncoderTrainer, tmp_path, model, data).train()
        ends.append(model.classifier.weight)
    assert torch.equal(ends[0], ends[1]) and not torch.equal(ends[0], ends[2])


def test_a_mask_with_gaps_and_a_collator_of_ones_own(tmp_path):
    """Only real tokens are remembered, wherever the collator puts them."""
    data = examples_for("BertForTokenClassification")
    for example in data:
        example["attention_mask"] = [1, *(j % 3 != 1 for j in range(1, len(example["input_ids"])))]
    ends = []
    for trainer_class in (Trainer, FrozenEncoderTrainer):
        torch.manual_seed(1)
        model = our_model("BertForTokenClassification", num_labels=3)
        trainer = build(trainer_class, tmp_path / trainer_class.__name__, model, data)
        trainer.data_collator = lambda items: DataCollatorWithPadding()(list(items))
        trainer.train()
        ends.append(model.classifier.weight)
    torch.testing.assert_close(ends[1], ends[0], rtol=1e-4, atol=1e-5)


def test_what_cannot_be_remembered_is_refused(tmp_path):
    with pytest.raises(ValueError, match="needs a model with one head, got BertForPreTraining"):
        build(FrozenEncoderTrainer, tmp_path, our_model("BertForPreTraining"), []).train()

    class Changing(list):
        def set_epoch(self, epoch):
            pass

    model = our_model("BertForSequenceClassification", num_labels=3)
    with pytest.raises(ValueError, match="examples that stay the same, but Changing changes them"):
        build(FrozenEncoderTrainer, tmp_path, model, Changing(examples_for("BertForSequenceClassification"))).train()
    with pytest.raises(ValueError, match="needs a train_dataset"):
        build(FrozenEncoderTrainer, tmp_path, model, []).train()

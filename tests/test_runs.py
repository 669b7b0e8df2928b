"""Runs of fine-tuning: what is loaded, trained, kept and scored, with one seed and with several."""

import logging

import pytest
import torch
from checkpoints import warnings_in
from finetuning_runs import checkpoint, classification_files, tokenizer
from safetensors.torch import load_file

from minibert import BertConfig, BertForSequenceClassification
from minibert.checkpoint.files import CheckpointError, write_tensors
from minibert.finetuning.classification import class_task, classification_task
from minibert.finetuning.examples import Columns, Example
from minibert.finetuning.runs import Plan, load_model, recipe_for, train_seeds
from minibert.training.checkpointing import checkpoints
from minibert.training.metrics_log import METRICS_FILE, read_metrics
from minibert.training.trainer import Trainer


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    files = classification_files(tmp_path_factory.mktemp("files"))
    return classification_task({s: str(path) for s, path in files.items()}, Columns(), tokenizer(), 32)


def train(task, folder, fresh=False, **plan):
    plan = {"model": str(checkpoint()), "epochs": 2, "lr": 3e-3} | plan
    return train_seeds(task, tokenizer(), Plan(**plan), folder, fresh)


def weights(folder):
    return load_file(folder / "model.safetensors")


# --- a run


def test_a_run_learns_and_leaves_the_best_model(task, tmp_path):
    (run,) = train(task, tmp_path, epochs=8, lr=1e-2)
    assert len(run.epochs) == 8
    assert run.scores["eval"]["accuracy"] == max(run.epochs) > 0.85 and run.scores["test"]["accuracy"] > 0.85
    model = BertForSequenceClassification.from_pretrained(tmp_path)
    assert model.config.label2id == {"good": 0, "poor": 1}
    items = task.splits["eval"].items
    right = sum(
        int(model(torch.tensor([i["input_ids"]]), token_type_ids=torch.tensor([i["token_type_ids"]])).logits.argmax())
        == i["labels"]
        for i in items
    )
    assert right / len(items) == pytest.approx(run.scores["eval"]["accuracy"], abs=0.07)  # one may change in bfloat16


def test_the_best_is_not_the_last(task, tmp_path, monkeypatch):
    """The scores of three epochs are 0.5, 0.9, 0.7: what is saved is what the second one left."""
    scripted = iter([0.5, 0.9, 0.7])
    split = task.splits["eval"]
    scores = {"eval": type(split)(split.items, lambda prediction: {"accuracy": next(scripted, 0.9)})}
    changed = type(task)(**{**vars(task), "splits": {"train": task.splits["train"]} | scores})
    (run,) = train(changed, tmp_path, epochs=3)
    assert run.epochs == [0.5, 0.9, 0.7]
    kept = {folder.name: weights(folder) for folder in checkpoints(tmp_path)}
    saved = weights(tmp_path)
    assert all(torch.equal(saved[name], tensor) for name, tensor in kept["checkpoint-6"].items())
    assert not torch.equal(saved["classifier.weight"], kept["checkpoint-9"]["classifier.weight"])


def test_stopping_early(task, tmp_path):
    (run,) = train(task, tmp_path, epochs=6, lr=1e-12, early_stopping=2)
    assert len(run.epochs) == 3  # nothing gets better after the first


@pytest.mark.parametrize(("freeze", "trained"), [("encoder", ["classifier"]), (1, ["layer.1", "pooler", "classifier"])])
def test_freezing(task, tmp_path, freeze, trained):
    train(task, tmp_path, freeze=freeze)
    before, after = weights(checkpoint()), weights(tmp_path)
    changed = [n for n, x in after.items() if not n.startswith("classifier") and not torch.equal(x, before[n])]
    assert all(any(part in name for part in trained) for name in changed)
    assert bool(changed) == (freeze == 1)


def test_layer_decay_reaches_the_optimizer(task, tmp_path):
    train(task, tmp_path, layer_decay=0.5, epochs=1)
    before, after = weights(checkpoint()), weights(tmp_path)

    def moved(name):
        return (after[name] - before[name]).abs().max()

    low, high = (moved(f"bert.encoder.layer.{i}.attention.self.query.weight") for i in (0, 1))
    assert 0.3 < low / high < 0.8  # Adam's steps are as long as the learning rate


# --- several seeds


@pytest.fixture(scope="module")
def three(task, tmp_path_factory):
    folder = tmp_path_factory.mktemp("three")
    return folder, train(task, folder, seeds=3, lr=1e-3)


def test_seeds_differ_and_the_best_is_on_top(three):
    folder, found = three
    assert [run.folder.name for run in found] == ["seed-42", "seed-43", "seed-44"]
    losses = [run.scores["eval"]["loss"] for run in found]
    assert len(set(losses)) == 3
    best = max(found, key=lambda run: run.scores["eval"]["accuracy"]).scores["eval"]["accuracy"]
    saved = weights(folder)["classifier.weight"]
    tops = [run for run in found if run.scores["eval"]["accuracy"] == best]
    kept = [weights(c)["classifier.weight"] for run in tops for c in checkpoints(run.folder)]
    assert any(torch.equal(saved, tensor) for tensor in kept)


def test_resuming_goes_on_with_the_seed_that_was_stopped(three, task, tmp_path, monkeypatch):
    train_one, seeds = Trainer.train, []

    def stopped(self, **options):
        seeds.append(self.args.seed)
        if self.args.seed == 43:
            raise KeyboardInterrupt
        return train_one(self, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "train", stopped)
        train(task, tmp_path, seeds=3, lr=1e-3)
    rows = len(read_metrics(tmp_path / "seed-42" / METRICS_FILE))
    found = train(task, tmp_path, seeds=3, lr=1e-3, resume=True)
    assert len(read_metrics(tmp_path / "seed-42" / METRICS_FILE)) == rows  # that one was ready
    assert [run.scores for run in found] == [run.scores for run in three[1]]
    assert [run.epochs for run in found] == [run.epochs for run in three[1]]


# --- loading


def test_random_weights_are_of_the_same_shape(task):
    pretrained, fresh = (load_model(task, str(checkpoint()), fresh) for fresh in (False, True))
    shapes = [{name: tensor.shape for name, tensor in m.state_dict().items()} for m in (pretrained, fresh)]
    assert shapes[0] == shapes[1]
    words = [model.get_input_embeddings().weight for model in (pretrained, fresh)]
    torch.testing.assert_close(words[0].std(), words[1].std(), rtol=0.05, atol=0)
    assert not torch.equal(*words)


def test_a_new_head_is_no_news(task, caplog):
    with caplog.at_level(logging.WARNING):
        load_model(task, str(checkpoint()))
    assert not warnings_in(caplog)


def test_a_head_of_another_size_is_drawn_anew(task, tmp_path):
    load_model(task, str(checkpoint())).save_pretrained(tmp_path)
    labels = ("a", "b", "c")
    other = class_task({"train": [Example("x", None, label, "here") for label in labels]}, tokenizer(), 8)
    assert load_model(other, str(tmp_path)).classifier.weight.shape == (3, 16)


def test_an_encoder_that_is_not_whole(task, tmp_path):
    tensors = {n: x for n, x in weights(checkpoint()).items() if "layer.1.attention.self.query" not in n}
    write_tensors(tmp_path / "model.safetensors", tensors)
    (tmp_path / "config.json").write_bytes((checkpoint() / "config.json").read_bytes())
    with pytest.raises(CheckpointError, match=r"not a whole encoder; the checkpoint lacks bert\.encoder\.layer\.1"):
        load_model(task, str(tmp_path))


def test_recipes():
    assert recipe_for(BertConfig.base(), "none") == (3, 5e-5)
    assert recipe_for(BertConfig.tiny(), "none") == (5, 5e-4)
    assert recipe_for(BertConfig.base(), "encoder") == (20, 1e-3)

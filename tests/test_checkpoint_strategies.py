"""When the Trainer evaluates and saves, which checkpoints it keeps, and which one is the best."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from minibert.training.arguments import TrainingArguments
from minibert.training.checkpointing import checkpoints, load_checkpoint
from minibert.training.metrics_log import METRICS_FILE, read_metrics
from minibert.training.trainer import Trainer


def steps(folder):
    """The checkpoints that are there, by step."""
    return sorted(int(path.name.removeprefix("checkpoint-")) for path in checkpoints(folder))


class Toy(nn.Module):
    """Learns a number, and says how far it is from it."""

    def __init__(self):
        super().__init__()
        self.guess = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return SimpleNamespace(loss=(self.guess - x).square().mean(), logits=self.guess.expand(len(x)))


def train(folder, scores=None, resume=None, train=True, **arguments):
    """12 steps, 4 an epoch; `scores`: what the evaluations say, one after the other."""
    numbers = {"max_steps": 12, "per_device_train_batch_size": 2, "learning_rate": 0.1, "disable_tqdm": True}
    said = iter(scores or [])
    trainer = Trainer(
        Toy(),
        TrainingArguments(folder, **(numbers | arguments)),
        lambda xs: {"x": torch.stack(xs)},
        torch.linspace(2, 4, 8),
        torch.linspace(2, 4, 8),
        compute_metrics=(lambda prediction: {"score": next(said)}) if scores else None,
    )
    trainer.evaluated = []
    evaluate = trainer.evaluate
    trainer.evaluate = lambda: trainer.evaluated.append(trainer.clock.step) or evaluate()
    if train:
        trainer.train(resume_from_checkpoint=resume)
    return trainer


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"save_strategy": "no"}, []),
        ({}, [12]),  # the end of a run is saved in any case
        ({"save_steps": 5}, [5, 10, 12]),
        ({"save_steps": 6}, [6, 12]),
        ({"save_strategy": "epoch"}, [4, 8, 12]),
        ({"save_strategy": "epoch", "max_steps": 10}, [4, 8, 10]),
        ({"save_steps": 2, "save_total_limit": 2}, [10, 12]),
    ],
)
def test_saves(tmp_path, arguments, expected):
    train(tmp_path, **arguments)
    assert steps(tmp_path) == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, []),
        ({"eval_strategy": "steps", "eval_steps": 5}, [5, 10]),
        ({"eval_strategy": "steps", "logging_steps": 6}, [6, 12]),
        ({"eval_strategy": "epoch"}, [4, 8, 12]),
        ({"eval_strategy": "epoch", "max_steps": 10}, [4, 8, 10]),
        ({"eval_strategy": "epoch", "max_steps": -1, "num_train_epochs": 2}, [4, 8]),
    ],
)
def test_evaluates(tmp_path, arguments, expected):
    assert train(tmp_path, save_strategy="no", **arguments).evaluated == expected


def test_a_new_run_over_an_old_one(tmp_path):
    """Its checkpoints count, although those of the old run say that they are further."""
    train(tmp_path, max_steps=40, save_steps=20)
    train(tmp_path, max_steps=9, save_steps=3, save_total_limit=2)
    assert steps(tmp_path) == [6, 9]
    assert train(tmp_path, resume=True).clock.step == 12


# --- the best one

BEST = {"eval_strategy": "steps", "save_strategy": "steps", "eval_steps": 2, "save_steps": 2}


def guess_at(folder, step):
    model = Toy()
    load_checkpoint(folder / f"checkpoint-{step}", model)
    return model.guess.item()


@pytest.mark.parametrize(("metric", "best"), [("score", 4), ("eval_score", 4), ("loss", 12), ("eval_loss", 12)])
def test_load_best_model_at_end(tmp_path, metric, best):
    scores = [0.1, 0.8, 0.3, 0.8, 0.2, 0.4]  # larger is better; the first of two equals
    trainer = train(tmp_path, scores, load_best_model_at_end=True, metric_for_best_model=metric, **BEST)
    assert trainer.best.checkpoint == tmp_path / f"checkpoint-{best}"
    assert trainer.model.guess.item() == guess_at(tmp_path, best)
    assert guess_at(tmp_path, 4) != guess_at(tmp_path, 12)
    expected = 0.8 if metric.endswith("score") else read_metrics(tmp_path / METRICS_FILE)[-1]["eval_loss"]
    assert trainer.best.metric == expected


def test_smaller_is_better_for_losses(tmp_path):
    def with_loss(prediction):
        return {"my_loss": next(values)}

    values = iter([5.0, 3.0, 4.0, 3.5, 6.0, 7.0])
    trainer = train(tmp_path, [0], train=False, load_best_model_at_end=True, metric_for_best_model="my_loss", **BEST)
    trainer.compute_metrics = with_loss
    trainer.train()
    assert trainer.best.checkpoint.name == "checkpoint-4" and trainer.best.metric == 3


def test_without_load_best_the_last_model_stays(tmp_path):
    trainer = train(tmp_path, [0.9, 0.8, 0.3, 0.1, 0.2, 0.4], metric_for_best_model="score", **BEST)
    assert trainer.model.guess.item() == guess_at(tmp_path, 12) != guess_at(tmp_path, 2)


def test_the_best_checkpoint_is_never_pruned(tmp_path):
    scores = [0.1, 0.8, 0.3, 0.1, 0.2, 0.4]
    train(tmp_path, scores, metric_for_best_model="score", save_total_limit=1, **BEST)
    assert steps(tmp_path) == [4, 12]


def test_the_best_checkpoint_survives_a_resume_in_a_moved_folder(tmp_path):
    how = {"metric_for_best_model": "score", "save_total_limit": 1, "load_best_model_at_end": True, **BEST}
    train(tmp_path / "here", [0.1, 0.8, 0.3], max_steps=6, **how)
    (tmp_path / "here").rename(tmp_path / "there")
    trainer = train(tmp_path / "there", [0.2, 0.3, 0.4], resume=True, **how)
    assert steps(tmp_path / "there") == [4, 12]
    assert (trainer.best.metric, trainer.best.checkpoint) == (0.8, tmp_path / "there" / "checkpoint-4")
    assert trainer.model.guess.item() == guess_at(tmp_path / "there", 4)


def test_an_unknown_metric_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match="metric_for_best_model: expected one of eval_loss, eval_score, found eval_f1"):
        train(tmp_path, [0.1], metric_for_best_model="f1", **BEST)


# --- stopping early


@pytest.mark.parametrize(
    ("scores", "patience", "last", "best"),
    [
        ([0.1, 0.8, 0.3, 0.8, 0.9, 1.0], 1, 6, 4),
        ([0.1, 0.8, 0.3, 0.8, 0.9, 1.0], 2, 8, 4),  # as good as the best is no better
        ([0.1, 0.8, 0.3, 0.8, 0.9, 1.0], 3, 12, 12),
        ([0.1, 0.8, 0.3, 0.9, 0.2, 0.2], 2, 12, 8),  # something better starts the count anew
        ([float("nan"), 0.2, 0.1, 0.0, 0.3, 0.3], 2, 8, 4),  # no number is no best
    ],
)
def test_early_stopping(tmp_path, scores, patience, last, best):
    how = {"load_best_model_at_end": True, "metric_for_best_model": "score", "early_stopping_patience": patience}
    trainer = train(tmp_path, scores, **how, **BEST)
    assert trainer.evaluated == list(range(2, last + 1, 2))
    assert trainer.clock.step == last and trainer.best.checkpoint == tmp_path / f"checkpoint-{best}"
    assert trainer.model.guess.item() == guess_at(tmp_path, best)


def test_patience_is_counted_over_a_resume(tmp_path):
    how = {"load_best_model_at_end": True, "metric_for_best_model": "score", "early_stopping_patience": 3, **BEST}
    train(tmp_path, [0.9, 0.8, 0.7], max_steps=6, **how)
    assert train(tmp_path, [0.6, 0.5, 0.4], resume=True, **how).evaluated == [8]
    assert train(tmp_path, [0.6], resume=True, **how).evaluated == []  # what has stopped stays so


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"early_stopping_patience": 0}, "early_stopping_patience must be at least 1, got 0"),
        ({"load_best_model_at_end": False}, "early_stopping_patience needs load_best_model_at_end=True"),
        ({"save_steps": 4}, "early_stopping_patience needs save_steps equal to eval_steps, got 4 and 2"),
    ],
)
def test_early_stopping_needs_every_evaluation_saved(arguments, words):
    how = {"load_best_model_at_end": True, "early_stopping_patience": 2, **BEST} | arguments
    with pytest.raises(ValueError, match=words):
        TrainingArguments("run", **how)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"eval_strategy": "no"}, "same eval_strategy and save_strategy.*'no' and 'steps'"),
        ({"eval_strategy": "epoch"}, "same eval_strategy and save_strategy.*'epoch' and 'steps'"),
        ({"save_steps": 3}, "save_steps that is a multiple of eval_steps, got 3 and 2"),
    ],
)
def test_what_is_not_evaluated_when_saved_cannot_be_best(arguments, words):
    with pytest.raises(ValueError, match=words):
        TrainingArguments("run", load_best_model_at_end=True, **(BEST | arguments))

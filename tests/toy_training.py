"""A toy that both libraries' Trainers can train, the same step by step: every batch is the whole of the data."""

import pytest
import torch
import transformers
from torch import nn

import minibert

LIBRARIES = {"transformers": transformers, "minibert": minibert}


class Toy(nn.Module):
    """A linear classifier of three classes that returns what people's own models return: a dict."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.linear = nn.Linear(4, 3)

    def forward(self, x, labels=None):
        logits = self.linear(x)
        return {"logits": logits} if labels is None else {"loss": cross_entropy(logits, labels), "logits": logits}


def cross_entropy(logits, labels, **how):
    return nn.functional.cross_entropy(logits, labels, **how)


def rows(size=12):
    """Four numbers and a class each."""
    x = torch.randn(size, 4, generator=torch.Generator().manual_seed(5))
    return [{"x": row, "labels": torch.tensor(i * i % 3)} for i, row in enumerate(x)]


def arguments(library, folder, **changes):
    numbers = {"per_device_train_batch_size": 12, "per_device_eval_batch_size": 5, "max_steps": 6, "learning_rate": 0.1}
    quiet = {"save_strategy": "no", "report_to": "none", "disable_tqdm": True, "use_cpu": True, "logging_steps": 1}
    return LIBRARIES[library].TrainingArguments(str(folder), **(numbers | quiet | changes))


def trainer_of(library, folder, make=lambda base: base, model=None, train=None, evaluation=None, changes=None, **more):
    """A Trainer of a library, of the class that `make` makes of its own, for the toy."""
    trainer = make(LIBRARIES[library].Trainer)(
        model=None if "model_init" in more else model or Toy(),
        args=arguments(library, folder, **(changes or {})),
        train_dataset=rows() if train is None else train,
        eval_dataset=rows(7) if evaluation is None else evaluation,
        **more,
    )
    if library == "transformers":
        trainer.remove_callback(transformers.PrinterCallback)
    return trainer


def weights(trainer):
    return torch.cat([p.detach().flatten() for p in trainer.model.parameters()])


def losses(trainer):
    return [row["loss"] for row in trainer.state.log_history if "loss" in row]


def both(tmp_path, **how):
    """The trainers of both libraries after the same run, theirs first."""
    trainers = []
    for library in LIBRARIES:
        trainer = trainer_of(library, tmp_path / library, **how)
        trainer.train()
        trainers.append(trainer)
    return trainers


def assert_same_run(theirs, ours):
    """The same weights, losses and evaluation."""
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-5, atol=1e-6)
    assert losses(ours) == pytest.approx(losses(theirs), rel=1e-3, abs=1e-4)  # theirs are rounded
    measured = [trainer.evaluate()["eval_loss"] for trainer in (theirs, ours)]
    assert measured[1] == pytest.approx(measured[0], rel=1e-5)

"""The numbers of a run: defaults are those of `transformers`, and a run that cannot be is refused by name."""

from dataclasses import MISSING, fields
from pathlib import Path

import pytest
import transformers
from torch import nn

from minibert.training.arguments import TrainingArguments
from minibert.training.trainer import Trainer


def test_defaults_are_those_people_know():
    ours = TrainingArguments(output_dir="run")
    theirs = {f.name: f.default for f in fields(transformers.TrainingArguments)}
    # None there: found out when it is needed.
    common = {name for name in vars(ours) if name != "output_dir" and theirs.get(name) not in (None, MISSING)}
    assert {"learning_rate", "warmup_steps", "per_device_train_batch_size", "seed", "max_grad_norm"} <= common
    assert {name: getattr(ours, name) for name in common} == {name: theirs[name] for name in common}


def test_folders_become_paths_and_logs_go_to_the_output():
    assert TrainingArguments("run").output_dir == Path("run")
    assert TrainingArguments("run").logging_dir == Path("run")
    assert TrainingArguments("run", logging_dir="logs").logging_dir == Path("logs")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("per_device_train_batch_size", 0),
        ("per_device_eval_batch_size", 0),
        ("logging_steps", 0),
        ("learning_rate", -1e-3),
        ("learning_rate", float("nan")),
        ("weight_decay", -0.1),
        ("adam_epsilon", -1e-8),
        ("max_grad_norm", -1),
        ("warmup_steps", -1),
        ("adam_beta1", 1.0),
        ("adam_beta2", -0.1),
        ("warmup_ratio", 1.5),
        ("num_train_epochs", 0),
        ("max_minutes", 0),
        ("max_minutes", -1),
        ("max_minutes", float("nan")),
        ("lr_scheduler_type", "staircase"),
        ("layerwise_lr_decay", 0),
        ("layerwise_lr_decay", 1.1),
    ],
)
def test_an_impossible_value_is_refused(name, value):
    with pytest.raises(ValueError, match=f"^{name} must be .*{value}"):
        TrainingArguments("run", **{name: value})


def test_all_can_be_left_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Trainer(nn.Linear(1, 1)).args == TrainingArguments("trainer_output")
    assert not list(tmp_path.iterdir())


def test_the_older_name_of_eval_strategy():
    assert TrainingArguments("run", evaluation_strategy="epoch").eval_strategy == "epoch"
    with pytest.raises(ValueError, match="^eval_strategy must be .*'never'"):
        TrainingArguments("run", evaluation_strategy="never")


def test_warm_up_in_steps_needs_a_run_in_steps():
    with pytest.raises(ValueError, match="^warmup_steps must be a ratio .*10"):
        TrainingArguments("run", max_minutes=1, warmup_steps=10)
    assert TrainingArguments("run", max_minutes=1, warmup_steps=0.1).warmup_steps == 0.1

"""The numbers of a run: defaults are those of `transformers`, and a run that cannot be is refused by name."""

from dataclasses import MISSING, fields
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import transformers
from torch import nn

from minibert.training.arguments import TrainingArguments
from minibert.training.evaluator import Evaluator
from minibert.training.trainer import Trainer


def test_defaults_are_those_people_know():
    ours = TrainingArguments(output_dir="run")
    theirs = {f.name: f.default for f in fields(transformers.TrainingArguments)}
    # None there: found out when it is needed.
    # Of report_to the versions disagree: what is installed in the older ones, nothing in the newest.
    unlike = {"output_dir", "report_to"}
    common = {name for name in vars(ours) if name not in unlike and theirs.get(name) not in (None, MISSING)}
    assert {"learning_rate", "warmup_steps", "per_device_train_batch_size", "seed", "max_grad_norm"} <= common
    assert {name: getattr(ours, name) for name in common} == {name: theirs[name] for name in common}


def test_folders_become_paths_and_logs_go_to_the_output():
    assert TrainingArguments("run").output_dir == Path("run")
    assert TrainingArguments().output_dir == TrainingArguments(None).output_dir == Path("trainer_output")
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
        ("max_tokens", 0),
        ("max_minutes", 0),
        ("max_minutes", -1),
        ("max_minutes", float("nan")),
        ("lr_scheduler_type", "staircase"),
        ("layerwise_lr_decay", 0),
        ("layerwise_lr_decay", 1.1),
        ("dataloader_num_workers", -1),
        ("logging_strategy", "never"),
        ("save_strategy", "best"),
        ("train_sampling_strategy", "sequential"),
        ("log_level", "loud"),
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
    with pytest.raises(ValueError, match="warmup_steps must be a ratio below 1 in a run of max_tokens"):
        TrainingArguments("run", max_tokens=1, warmup_steps=10)
    assert TrainingArguments("run", max_minutes=1, warmup_steps=0.1).warmup_steps == 0.1


def test_names_that_changed():
    assert TrainingArguments("run", train_sampling_strategy="group_by_length").group_by_length
    assert TrainingArguments("run", no_cuda=True).use_cpu and not TrainingArguments("run").use_cpu
    args = TrainingArguments("run", per_device_train_batch_size=3, per_device_eval_batch_size=4)
    assert (args.train_batch_size, args.eval_batch_size) == (3, 4)
    epoch = transformers.trainer_utils.IntervalStrategy.EPOCH
    args = TrainingArguments("run", eval_strategy=epoch, lr_scheduler_type=transformers.SchedulerType.COSINE)
    assert (args.eval_strategy, args.lr_scheduler_type) == ("epoch", "cosine")


@pytest.mark.parametrize(
    ("arguments", "metric", "greater"),
    [
        ({}, "loss", False),
        ({"metric_for_best_model": "eval_loss"}, "eval_loss", False),
        ({"metric_for_best_model": "f1"}, "f1", True),
        ({"metric_for_best_model": "perplexity", "greater_is_better": False}, "perplexity", False),
    ],
)
def test_what_is_better(arguments, metric, greater):
    args = TrainingArguments("run", **arguments)
    assert (args.metric_for_best_model, args.greater_is_better) == (metric, greater)


@pytest.mark.parametrize(
    ("report_to", "expected"),
    [(None, None), ("all", None), (["all"], None), ("none", False), (["none"], False), ([], False)]
    + [("tensorboard", True), (["tensorboard"], True)],
)
def test_where_numbers_go(report_to, expected):
    assert TrainingArguments("run", report_to=report_to).uses_tensorboard is expected


@pytest.mark.parametrize("report_to", ["wandb", ["tensorboard", "wandb"]])
def test_trackers_that_are_not_spoken_to(report_to):
    with pytest.raises(ValueError, match="^report_to='wandb' is not supported, only 'tensorboard' or 'none'; .*on_log"):
        TrainingArguments("run", report_to=report_to)


def test_a_tracker_that_is_not_installed(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="report_to='tensorboard' needs TensorBoard: pip install tensorboard"):
        TrainingArguments("run", report_to="tensorboard")
    assert TrainingArguments("run").uses_tensorboard is None


@pytest.mark.parametrize(
    ("gpu", "arguments", "found"),
    [(False, {}, "a CPU"), (True, {"use_cpu": True}, "a CPU"), (True, {"bf16": True}, "bf16=True")],
)
def test_float16_is_for_gpus(monkeypatch, gpu, arguments, found):
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    with pytest.raises(ValueError, match=f"^fp16=True is for a GPU, in place of bf16, found {found}; leave it out"):
        TrainingArguments("run", fp16=True, **arguments)
    assert TrainingArguments("run", fp16=gpu).fp16 is gpu


def test_each_of_three_asks_for_compiled_layers():
    assert not TrainingArguments("run").torch_compile
    for one in ({"torch_compile": True}, {"torch_compile_backend": "eager"}, {"torch_compile_mode": "max-autotune"}):
        assert TrainingArguments("run", **one).torch_compile


def test_tf32_is_for_a_gpu(monkeypatch):
    assert TrainingArguments("run", tf32=False, use_cpu=True).tf32 is False
    with pytest.raises(ValueError, match="^tf32=True is for a GPU, found a CPU"):
        TrainingArguments("run", tf32=True, use_cpu=True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    usual = torch.get_float32_matmul_precision()
    for chosen, inside in ((None, usual), (True, "high"), (False, "highest")):
        args = TrainingArguments("run", tf32=chosen)
        with Evaluator._float32_products(SimpleNamespace(args=args)):
            assert torch.get_float32_matmul_precision() == inside
        assert torch.get_float32_matmul_precision() == usual

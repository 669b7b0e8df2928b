"""Our Trainer and the reference's on the same examples, with all that they do around a step."""

import tempfile
import time
from typing import Any

import torch
import transformers

from benchmarks.pretraining_step import Workload, build_models
from benchmarks.timing import Speeds
from minibert.model.precision import has_fast_bf16
from minibert.training.arguments import TrainingArguments
from minibert.training.trainer import Trainer


def compare_trainers(work: Workload, rounds: int, steps: int) -> Speeds:
    """Steps per second of whole runs, in turn: each as it comes, ours in bf16 where the machine has it."""
    examples = work.examples(work.batch * min(steps, 20))
    our_name = f"minibert {'bf16' if has_fast_bf16() else 'fp32'}"
    runs = {our_name: _our_run, "transformers fp32": _their_run}
    for run in runs.values():
        run(work, examples, 2)
    speeds: Speeds = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            speeds[name].append(steps / run(work, examples, steps))
    return speeds


def _our_run(work: Workload, examples: list[dict], steps: int) -> float:
    """The seconds of a run of our Trainer."""
    model, _ = build_models(work)

    def collate(batch: list[dict]) -> dict[str, Any]:
        return torch.utils.data.default_collate(batch) | {"labelled_logits_only": True}

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(bf16=has_fast_bf16(), **_settings(work, folder, steps))
        return _seconds(Trainer(model, arguments, collate, examples))


def _their_run(work: Workload, examples: list[dict], steps: int) -> float:
    """The seconds of a run of `transformers.Trainer`."""
    _, model = build_models(work)
    with tempfile.TemporaryDirectory() as folder:
        quiet = {"report_to": "none", "dataloader_pin_memory": torch.cuda.is_available()}
        arguments = transformers.TrainingArguments(**quiet, **_settings(work, folder, steps))
        trainer = transformers.Trainer(model, arguments, train_dataset=examples)
        trainer.remove_callback(transformers.trainer_callback.PrinterCallback)
        return _seconds(trainer)


def _settings(work: Workload, folder: str, steps: int) -> dict[str, Any]:
    return {
        "output_dir": folder,
        "max_steps": steps,
        "per_device_train_batch_size": work.batch,
        "save_strategy": "no",
        "disable_tqdm": True,
    }


def _seconds(trainer: Trainer | transformers.Trainer) -> float:
    start = time.perf_counter()
    trainer.train()
    return time.perf_counter() - start

"""`Trainer`: the loop. Batches in, losses out; what the model computes is none of its business."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, default_collate
from tqdm import tqdm

from minibert.training.arguments import TrainingArguments
from minibert.training.batches import Batch, MicroBatch, StepBatches
from minibert.training.checkpointing import ResumeError, checkpoints, load_checkpoint, prune, save_checkpoint
from minibert.training.clock import RunClock
from minibert.training.ctrl_c import CtrlC
from minibert.training.distributed import Processes
from minibert.training.evaluation_loop import EvalPrediction, evaluation_loop
from minibert.training.metrics_log import MetricsLog
from minibert.training.optimization import build_optimizer


class TrainingError(ValueError):
    """A run that cannot go on; the message says at which step, and what to do."""


class Trainer:
    """Trains `model` on `train_dataset`.

    Args:
        model: called with a batch as keyword arguments; returns an object with a `.loss`.
        args: the numbers of the run.
        data_collator: makes a batch, a dict, from a list of the datasets' items. A batch may carry a
            `label_count`: over how many labels its loss is a mean. The model then gets the mean count of all
            micro-batches of the step, so that the step's loss is the mean over the labels of all of them.
        train_dataset: its items; if it has `set_epoch`, that is called with the epoch's number before each.
        eval_dataset: what `evaluate` uses.
        processing_class: a tokenizer, saved beside the model.
        compute_metrics: from an `EvalPrediction` to a dict of numbers.
    """

    def __init__(
        self,
        model: nn.Module,
        args: TrainingArguments,
        data_collator: Callable[[list], Batch] = default_collate,
        train_dataset: Dataset | None = None,
        eval_dataset: Dataset | None = None,
        processing_class: Any = None,
        compute_metrics: Callable[[EvalPrediction], dict[str, float]] | None = None,
    ) -> None:
        self.args = args
        self.data_collator = data_collator
        self.train_dataset = train_dataset
        self.eval_dataset = eval_dataset
        self.processing_class = processing_class
        self.compute_metrics = compute_metrics
        self.processes = Processes.join()
        self.model = model.to(self.processes.device)
        self.best_metric: float | None = None
        self.best_checkpoint: Path | None = None

    def train(self, resume_from_checkpoint: str | Path | bool | None = None) -> None:
        """Run from the first step, or from a checkpoint, to the last.

        Ctrl-C saves a checkpoint and then stops. Raises `TrainingError` for a loss that is no number,
        `ResumeError` for a checkpoint that cannot be used, and `OSError` for one that cannot be written.
        """
        args = self.args
        if self.train_dataset is None or len(self.train_dataset) == 0:
            raise ValueError("train needs a train_dataset with at least one example")
        torch.manual_seed(args.seed + self.processes.rank)  # dropout alone uses it
        self.optimizer = build_optimizer(
            self.model.named_parameters(),
            args.learning_rate,
            args.weight_decay,
            (args.adam_beta1, args.adam_beta2),
            args.adam_epsilon,
        )
        batches = StepBatches(self.train_dataset, self.data_collator, args, self.processes)
        self.clock = RunClock(args, batches.steps_per_epoch, self.processes)
        self.unlogged: list[dict[str, Tensor]] = []  # the losses of the steps since the last log
        self.position = (0, 0)  # the epoch, and how many of its steps are done
        self._resume(resume_from_checkpoint or args.resume_from_checkpoint)
        self.model.train()
        model = self.processes.wrap(self.model)
        steps = batches.from_position(*self.position)
        self.log = MetricsLog(args.logging_dir, self.processes.is_first, self.clock.step)
        with self.log, self._bar() as bar, CtrlC() as ctrl_c:
            while not self.clock.is_over:
                micro_batches, position = next(steps)
                losses = self._step(model, micro_batches)
                self.position = position
                self._after_step(losses, bar, ctrl_c)
        if args.load_best_model_at_end and self.best_checkpoint:
            load_checkpoint(self.best_checkpoint, self.model)
        self.model.eval()

    def _step(self, model: nn.Module, micro_batches: list[MicroBatch]) -> dict[str, Tensor]:
        """One step of gradient descent; returns this process's mean losses."""
        micro_batches = [MicroBatch(self._to_device(batch), weight) for batch, weight in micro_batches]
        self._share_label_count(micro_batches)
        for group in self.optimizer.param_groups:
            group["lr"] = self.clock.learning_rate
        losses: dict[str, Tensor] = {}
        for number, (batch, weight) in enumerate(micro_batches, start=1):
            # Gradients are averaged over the processes once a step, not once a micro-batch.
            last = number == len(micro_batches)
            with contextlib.nullcontext() if last or self.processes.count == 1 else model.no_sync():
                with torch.autocast(self.processes.device.type, torch.bfloat16, enabled=self.args.bf16):
                    outputs = model(**batch)
                share = weight / len(micro_batches)
                (outputs.loss * share).backward()
            for name, term in {"loss": outputs.loss, **(getattr(outputs, "loss_terms", None) or {})}.items():
                losses[name] = losses.get(name, 0) + term.detach() * share
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.args.max_grad_norm or float("inf"))
        if not (norm + losses["loss"]).isfinite():  # stop before it reaches the weights
            raise TrainingError(
                f"the loss is {losses['loss'].item()} and its gradient's norm {norm.item()} at step"
                f" {self.clock.step + 1}; try a lower learning_rate, or bf16=False"
            )
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.clock.tick(sum(int(b["attention_mask"].sum()) for b, _ in micro_batches if "attention_mask" in b))
        return losses

    def _share_label_count(self, micro_batches: list[MicroBatch]) -> None:
        """Give every micro-batch its part of the mean `label_count` of the whole step, over all processes."""
        counts = [batch["label_count"] * (weight > 0) for batch, weight in micro_batches if "label_count" in batch]
        if counts:
            mean = self.processes.mean(sum(counts) / len(counts)).item()
            for batch, weight in micro_batches:
                batch["label_count"] = mean * weight

    def _after_step(self, losses: dict[str, Tensor], bar: tqdm, ctrl_c: CtrlC) -> None:
        """Log, evaluate and save, where it is time to."""
        args, clock = self.args, self.clock
        self.unlogged.append(losses)
        epoch_ends = self.position[1] == 0 or clock.is_over
        if clock.step % args.logging_steps == 0 or clock.step == 1 or clock.is_over:
            # What is logged is the mean since the last time, as in the reference: single batches are noisy.
            since = {name: torch.stack([step[name] for step in self.unlogged]).mean() for name in losses}
            means = {name: self.processes.mean(term).item() for name, term in since.items()}
            self.unlogged.clear()
            learning_rate = self.optimizer.param_groups[0]["lr"]
            self._write(means | {"learning_rate": learning_rate, "tokens_per_second": clock.tokens_per_second})
            bar.set_postfix_str(f"loss {means['loss']:.3f}, {clock.tokens_per_second:,.0f} tokens/s")
        bar.update(clock.position - bar.n)
        metrics = None
        if _is_time(args.eval_strategy, args.eval_steps, clock.step, epoch_ends):
            metrics = self.evaluate()
            self.model.train()
        interrupted = self.processes.mean(ctrl_c.was_pressed).item() > 0  # in any process: all stop at the same step
        at_end = clock.is_over and args.save_strategy != "no"
        if _is_time(args.save_strategy, args.save_steps, clock.step, epoch_ends) or at_end or interrupted:
            folder = self._save(metrics)
        if interrupted:
            raise KeyboardInterrupt(f"saved {folder}; go on with resume_from_checkpoint=True (a script: --resume)")

    def evaluate(self, eval_dataset: Dataset | None = None) -> dict[str, float]:
        """The mean loss, and what `compute_metrics` makes of the predictions; all names begin with "eval_"."""
        dataset = eval_dataset if eval_dataset is not None else self.eval_dataset
        if dataset is None:
            raise ValueError("evaluate needs an eval_dataset, here or in the Trainer")
        size = self.args.per_device_eval_batch_size
        loss, prediction = evaluation_loop(
            self.model,
            self._to_device,
            dataset,
            self.data_collator,
            size,
            keep_predictions=self.compute_metrics is not None,
        )
        metrics = {"loss": loss} | (self.compute_metrics(prediction) if self.compute_metrics else {})
        metrics = {f"eval_{name.removeprefix('eval_')}": value for name, value in metrics.items()}
        if hasattr(self, "log"):
            self._write(metrics)
        return metrics

    def save_model(self, output_dir: str | Path | None = None) -> None:
        """Write the model, and the tokenizer if there is one, to `output_dir` (default: that of the run)."""
        if self.processes.is_first:
            for part in (self.model, self.processing_class):
                if part is not None:
                    part.save_pretrained(Path(output_dir or self.args.output_dir))
        self.processes.wait()

    def _save(self, metrics: dict[str, float] | None = None) -> Path:
        """Write a checkpoint, and remove the oldest one if there are too many."""
        folder = self.args.output_dir / f"checkpoint-{self.clock.step}"
        if metrics is not None and self._is_best(metrics):
            self.best_checkpoint = folder
        state = {
            "optimizer": self.optimizer.state_dict(),
            "clock": self.clock.state(),
            "position": self.position,
            "generators": self.processes.gather(torch.get_rng_state()),
            "cuda_generators": self.processes.gather(_cuda_generator_state()),
            "unlogged": self.processes.gather(self.unlogged),
            "best_metric": self.best_metric,
            # Relative, so that a run's folder can be moved.
            "best_checkpoint": self.best_checkpoint and os.path.relpath(self.best_checkpoint, folder.parent),
        }
        if self.processes.is_first:
            save_checkpoint(folder, self.model, [self.processing_class], state)
            if self.args.save_total_limit:
                prune(self.args.output_dir, self.args.save_total_limit, keep=self.best_checkpoint)
        self.processes.wait()
        return folder

    def _is_best(self, metrics: dict[str, float]) -> bool:
        name = f"eval_{self.args.metric_for_best_model.removeprefix('eval_')}"
        if name not in metrics:
            raise ValueError(f"metric_for_best_model: expected one of {', '.join(metrics)}, found {name}")
        better = self.best_metric is None or (
            metrics[name] < self.best_metric if name.endswith("loss") else metrics[name] > self.best_metric
        )
        if better:
            self.best_metric = metrics[name]
        return better

    def _resume(self, checkpoint: str | Path | bool | None) -> None:
        """Put everything back to where it was when the checkpoint was written."""
        if not checkpoint:
            return
        if checkpoint is True:
            found = checkpoints(self.args.output_dir)
            if not found:
                raise ResumeError(f"{self.args.output_dir}: no checkpoint there to resume from; start a new run")
            checkpoint = found[-1]
        checkpoint = Path(checkpoint)
        state = load_checkpoint(checkpoint, self.model)
        if len(state["generators"]) != self.processes.count:
            raise ResumeError(
                f"{checkpoint}: written by {len(state['generators'])} processes, resumed by {self.processes.count};"
                " start as many as before"
            )
        self.optimizer.load_state_dict(state["optimizer"])
        self.clock.restore(state["clock"])
        self.position = state["position"]
        torch.set_rng_state(state["generators"][self.processes.rank])
        if torch.cuda.is_available() and state["cuda_generators"][self.processes.rank] is not None:
            torch.cuda.set_rng_state(state["cuda_generators"][self.processes.rank])
        self.unlogged = [self._to_device(losses) for losses in state["unlogged"][self.processes.rank]]
        self.best_metric = state["best_metric"]
        self.best_checkpoint = state["best_checkpoint"] and checkpoint.parent / state["best_checkpoint"]

    def _to_device(self, batch: Batch) -> Batch:
        return {name: x.to(self.processes.device) if isinstance(x, Tensor) else x for name, x in batch.items()}

    def _write(self, metrics: dict[str, float]) -> None:
        self.log.write({"step": self.clock.step, "seconds": round(self.clock.seconds, 2)} | metrics)

    def _bar(self) -> tqdm:
        layout = "{desc} {percentage:3.0f}%|{bar}| {remaining} left{postfix}"
        hidden = self.args.disable_tqdm or not self.processes.is_first
        start = self.clock.position
        return tqdm(desc="training", total=self.clock.total, initial=start, disable=hidden, bar_format=layout)


def _is_time(strategy: str, every: int, step: int, epoch_ends: bool) -> bool:
    return step % every == 0 if strategy == "steps" else strategy == "epoch" and epoch_ends


def _cuda_generator_state() -> Tensor | None:
    return torch.cuda.get_rng_state() if torch.cuda.is_available() else None

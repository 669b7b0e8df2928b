"""`Trainer`: the loop. Batches in, losses out; what the model computes is none of its business."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm import tqdm

from minibert.training.arguments import TrainingArguments
from minibert.training.batches import Batch, MicroBatch, StepBatches
from minibert.training.best import Best
from minibert.training.checkpointing import (
    HOW_TO_GO_ON,
    ResumeError,
    load_checkpoint,
    load_last_checkpoint,
    prune,
    save_checkpoint,
)
from minibert.training.clock import RunClock
from minibert.training.collation import DataCollatorWithPadding
from minibert.training.ctrl_c import CtrlC
from minibert.training.distributed import Processes
from minibert.training.evaluation_loop import EvalPrediction, PredictionOutput, evaluation_loop, summarize
from minibert.training.failures import advice_when_out_of_memory, check_finite
from minibert.training.metrics_log import MetricsLog
from minibert.training.optimization import build_optimizer, layerwise_lr_scale
from minibert.training.run_folder import only_run_in


class TrainOutput(NamedTuple):
    """What `Trainer.train` returns."""

    global_step: int  # how many steps the run has, those before a resume included
    training_loss: float  # the mean over this call's steps
    metrics: dict[str, float]


class Trainer:
    """Trains `model` on `train_dataset`.

    Args:
        model: called with a batch as keyword arguments; returns an object with a `.loss`.
        args: the numbers of the run.
        data_collator: makes a batch, a dict, from a list of the datasets' items; default: `DataCollatorWithPadding`.
            A batch may carry a `label_count`: over how many labels its loss is a mean. The model then gets the mean
            count of all micro-batches of the step, so that the step's loss is the mean over the labels of all.
        train_dataset: its items; if it has `set_epoch`, that is called with the epoch's number before each.
        eval_dataset: what `evaluate` uses.
        processing_class: a tokenizer, saved beside the model.
        compute_metrics: from an `EvalPrediction` to a dict of numbers.
        tokenizer: the older name of `processing_class`.
    """

    def __init__(
        self,
        model: nn.Module,
        args: TrainingArguments | None = None,
        data_collator: Callable[[list], Batch] | None = None,
        train_dataset: Dataset | None = None,
        eval_dataset: Dataset | None = None,
        processing_class: Any = None,
        compute_metrics: Callable[[EvalPrediction], dict[str, float]] | None = None,
        tokenizer: Any = None,
    ) -> None:
        self.args = args or TrainingArguments()
        self.processing_class = tokenizer if processing_class is None else processing_class
        self.data_collator = data_collator or DataCollatorWithPadding(self.processing_class)
        self.train_dataset = train_dataset
        self.eval_dataset = eval_dataset
        self.compute_metrics = compute_metrics
        self.processes = Processes.join()
        self.model = model.to(self.processes.device)

    def train(self, resume_from_checkpoint: str | Path | bool | None = None) -> TrainOutput:
        """Run from the first step, or from a checkpoint, to the last.

        Ctrl-C saves a checkpoint and then stops. Raises `TrainingError` for a loss that is no number or a batch that is
        too large for the GPU, `ResumeError` for a checkpoint that cannot be used, `OSError` for one that cannot be
        written, and `RunFolderError` if another run is writing to the same folder.
        """
        if self.train_dataset is None or len(self.train_dataset) == 0:
            raise ValueError("train needs a train_dataset with at least one example")
        if self.args.eval_strategy != "no" and self.eval_dataset is None:
            raise ValueError(f"train needs an eval_dataset, because eval_strategy is {self.args.eval_strategy!r}")
        with only_run_in(self.args.output_dir, self.processes.is_first):
            return self._run(resume_from_checkpoint or self.args.resume_from_checkpoint)

    def _run(self, checkpoint: str | Path | bool | None) -> TrainOutput:
        """The loop itself."""
        batches = self._begin(checkpoint)
        model = self.processes.wrap(self.model)
        steps = batches.from_position(*self.position)
        first_step, loss_sum = self.clock.step, 0.0
        self.log = MetricsLog(self.args.logging_dir, self.processes.is_first, self.clock.step)
        with self.log, self._bar() as bar, CtrlC() as ctrl_c:
            while not (self.clock.is_over or self.best.is_long_ago):
                micro_batches, position = next(steps)
                with advice_when_out_of_memory(self.clock.step + 1):
                    losses = self._step(model, micro_batches)
                loss_sum += losses["loss"]
                self.position = position
                self._after_step(losses, bar, ctrl_c)
        if self.args.load_best_model_at_end and self.best.checkpoint:
            load_checkpoint(self.best.checkpoint, self.model)
        self.model.eval()
        steps_taken = self.clock.step - first_step
        loss = self.processes.mean(loss_sum / steps_taken).item() if steps_taken else float("nan")
        runtime = {"train_runtime": self.clock.seconds, "train_tokens_per_second": self.clock.tokens_per_second}
        return TrainOutput(self.clock.step, loss, runtime | {"train_loss": loss})

    def _begin(self, checkpoint: str | Path | bool | None) -> StepBatches:
        """Set up all that changes in a run, as it is at its first step or as the checkpoint has it."""
        args = self.args
        torch.manual_seed(args.seed + self.processes.rank)  # dropout alone uses it
        self.optimizer = build_optimizer(
            self.model.named_parameters(),
            args.learning_rate,
            args.weight_decay,
            (args.adam_beta1, args.adam_beta2),
            args.adam_epsilon,
            layerwise_lr_scale(self.model, args.layerwise_lr_decay),
        )
        batches = StepBatches(self.train_dataset, self.data_collator, args, self.processes)
        self.clock = RunClock(args, batches.steps_per_epoch, self.processes)
        self.unlogged: list[dict[str, Tensor]] = []  # the losses of the steps since the last log
        self.position = (0, 0)  # the epoch, and how many of its steps are done
        self.best = Best(args)
        self._resume(checkpoint)
        self.model.train()
        return batches

    def _step(self, model: nn.Module, micro_batches: list[MicroBatch]) -> dict[str, Tensor]:
        """One step of gradient descent; returns this process's mean losses."""
        micro_batches = [MicroBatch(self._to_device(batch), weight) for batch, weight in micro_batches]
        self._share_label_count(micro_batches)
        for group in self.optimizer.param_groups:
            group["lr"] = self.clock.learning_rate * group["lr_scale"]
        losses: dict[str, Tensor] = {}
        for number, (batch, weight) in enumerate(micro_batches, start=1):
            # Gradients are averaged over the processes once a step, not once a micro-batch.
            last = number == len(micro_batches)
            with contextlib.nullcontext() if last or self.processes.count == 1 else model.no_sync():
                outputs = self._forward(model, batch)
                share = weight / len(micro_batches)
                (outputs.loss * share).backward()
            for name, term in {"loss": outputs.loss, **(getattr(outputs, "loss_terms", None) or {})}.items():
                losses[name] = losses.get(name, 0) + term.detach() * share
        trained = [p for group in self.optimizer.param_groups for p in group["params"]]
        norm = nn.utils.clip_grad_norm_(trained, self.args.max_grad_norm or float("inf"))
        check_finite(losses["loss"], norm, self.clock.step + 1)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.clock.tick(sum(int(b["attention_mask"].sum()) for b, _ in micro_batches if "attention_mask" in b))
        return losses

    def _forward(self, model: nn.Module, batch: Batch) -> Any:
        with torch.autocast(self.processes.device.type, torch.bfloat16, enabled=self.args.bf16):
            return model(**batch)

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
            raise KeyboardInterrupt(f"saved {folder}; go on with {HOW_TO_GO_ON}")

    def evaluate(self, eval_dataset: Dataset | None = None) -> dict[str, float]:
        """The mean loss, and what `compute_metrics` makes of the predictions; all names begin with "eval_"."""
        dataset = eval_dataset if eval_dataset is not None else self.eval_dataset
        if dataset is None:
            raise ValueError("evaluate needs an eval_dataset, here or in the Trainer")
        metrics = self._evaluate(dataset, "eval", keep_predictions=self.compute_metrics is not None).metrics
        if hasattr(self, "log"):
            self._write(metrics)
        return metrics

    def predict(self, test_dataset: Dataset) -> PredictionOutput:
        """What the model predicts, in the order of `test_dataset`; if there are labels, they too, and metrics.

        The metrics are those of `evaluate`, but their names begin with "test_".
        """
        return self._evaluate(test_dataset, "test", keep_predictions=True)

    def _evaluate(self, dataset: Dataset, prefix: str, keep_predictions: bool) -> PredictionOutput:
        loss, prediction = evaluation_loop(
            self.model,
            lambda batch: self._forward(self.model, self._to_device(batch)),
            dataset,
            self.data_collator,
            self.args.per_device_eval_batch_size,
            keep_predictions,
        )
        metrics = summarize(loss, prediction, self.compute_metrics)
        metrics = {f"{prefix}_{name.removeprefix(f'{prefix}_')}": value for name, value in metrics.items()}
        return PredictionOutput(*(prediction or (None, None)), metrics)

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
        if metrics is not None:
            self.best.see(metrics, folder)
        state = {
            "optimizer": self.optimizer.state_dict(),
            "clock": self.clock.state(),
            "position": self.position,
            "generators": self.processes.gather(torch.get_rng_state()),
            "cuda_generators": self.processes.gather(_cuda_generator_state()),
            "unlogged": self.processes.gather(self.unlogged),
            "best": self.best.state(folder.parent),
        }
        if self.processes.is_first:
            save_checkpoint(folder, self.model, [self.processing_class], state)
            if self.args.save_total_limit:
                prune(self.args.output_dir, self.args.save_total_limit, keep=self.best.checkpoint)
        self.processes.wait()
        return folder

    def _resume(self, checkpoint: str | Path | bool | None) -> None:
        """Put everything back to where it was when the checkpoint was written."""
        if not checkpoint:
            return
        if checkpoint is True:
            checkpoint, state = load_last_checkpoint(self.args.output_dir, self.model)
        else:
            checkpoint, state = Path(checkpoint), load_checkpoint(Path(checkpoint), self.model)
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
        self.best.restore(state["best"], checkpoint.parent)

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

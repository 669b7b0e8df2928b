"""`Trainer`: the loop. Batches in, losses out; what the model computes is none of its business."""

import contextlib
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from tqdm import tqdm

from minibert.training.arguments import TrainingArguments
from minibert.training.batch import Batch, Examples, checked, to_device
from minibert.training.batches import MicroBatch, share_label_counts
from minibert.training.callbacks import TrainerControl
from minibert.training.checkpointing import HOW_TO_GO_ON, load_checkpoint
from minibert.training.ctrl_c import CtrlC
from minibert.training.evaluation_loop import EvalPrediction
from minibert.training.evaluator import Evaluator
from minibert.training.failures import advice_when_out_of_memory
from minibert.training.metrics_log import MetricsLog
from minibert.training.not_here import call_known, check_overrides, why_not_here
from minibert.training.resumable import Resumable
from minibert.training.run_folder import only_run_in


class TrainOutput(NamedTuple):
    """What `Trainer.train` returns."""

    global_step: int  # how many steps the run has, those before a resume included
    training_loss: float  # the mean over this call's steps
    metrics: dict[str, float]


class Trainer(Resumable):
    """Trains `model` on `train_dataset`.

    A subclass may override `compute_loss`, `training_step`, `prediction_step`, `evaluate`, `log`, the methods `get_...`
    and `create_...`, and whatever is its own.

    Args:
        model: called with a batch as keyword arguments; returns an object or mapping with a loss, or a tuple that
            begins with it.
        args: the numbers of the run.
        data_collator: makes a batch, a dict, from a list of the datasets' items; default: `DataCollatorWithPadding`.
            If the model takes a `label_count`, or the batch has one, the model gets the mean count of labels of all
            micro-batches of the step, so that the step's loss is the mean over the labels of all.
        train_dataset: its items; if it has `set_epoch`, that is called with the epoch's number before each.
        eval_dataset: what `evaluate` uses; or several by name.
        processing_class: a tokenizer, saved beside the model.
        model_init: makes the model, anew for every `train`; instead of `model`.
        compute_loss_func: from what the model returns without its labels, the labels, and `num_items_in_batch` as in
            `compute_loss`, to the loss.
        compute_metrics: from an `EvalPrediction` to a dict of numbers.
        callbacks: see `TrainerCallback`.
        optimizers: an optimizer, and a schedule with PyTorch's methods; None: what the `args` say.
        preprocess_logits_for_metrics: from a batch's predictions and labels to what is kept of the predictions.
        tokenizer: the older name of `processing_class`.

    Raises: `TypeError` for an override that nothing would call, or arguments that do not go together.
    """

    def __init__(
        self,
        model: nn.Module | None = None,
        args: TrainingArguments | None = None,
        data_collator: Callable[[list], Batch] | None = None,
        train_dataset: Examples | None = None,
        eval_dataset: Examples | dict[str, Examples] | None = None,
        processing_class: Any = None,
        model_init: Callable[..., nn.Module] | None = None,
        compute_loss_func: Callable | None = None,
        compute_metrics: Callable[[EvalPrediction], dict[str, float]] | None = None,
        callbacks: Iterable[Any] | None = None,
        optimizers: tuple[Any, Any] = (None, None),
        optimizer_cls_and_kwargs: None = None,
        preprocess_logits_for_metrics: Callable[[Any, Any], Any] | None = None,
        tokenizer: Any = None,
    ) -> None:
        check_overrides(type(self), Trainer)
        args = TrainingArguments() if args is None else args
        self.model_init, self.optimizers, self.train_dataset = model_init, optimizers, train_dataset
        self._check_arguments(model, args, optimizer_cls_and_kwargs)
        super().__init__(
            self._new_model(args.seed) if model is None else model,
            args,
            data_collator,
            eval_dataset,
            tokenizer if processing_class is None else processing_class,
            compute_loss_func,
            compute_metrics,
            callbacks,
            preprocess_logits_for_metrics,
        )
        self.optimizer, self.lr_scheduler = optimizers
        self.takes_label_count = "label_count" in inspect.signature(self.model.forward).parameters
        self._tell("on_init_end")

    def train(self, resume_from_checkpoint: str | Path | bool | None = None) -> TrainOutput:
        """Run from the first step, or from a checkpoint, to the last.

        Ctrl-C saves a checkpoint and then stops. Raises `TrainingError` for a loss that is no number or a batch that is
        too large for the GPU, `ResumeError` for a checkpoint that cannot be used, `OSError` for one that cannot be
        written, and `RunFolderError` if another run is writing to the same folder.
        """
        own_loader = type(self).get_eval_dataloader is not Evaluator.get_eval_dataloader
        if self.args.eval_strategy != "no" and self.eval_dataset is None and not own_loader:
            raise ValueError(f"train needs an eval_dataset, because eval_strategy is {self.args.eval_strategy!r}")
        with only_run_in(self.args.output_dir, self.processes.is_first), self._float32_products():
            return self._run(resume_from_checkpoint or self.args.resume_from_checkpoint)

    def _run(self, checkpoint: str | Path | bool | None) -> TrainOutput:
        """The loop itself."""
        args = self.args
        batches = self._begin(checkpoint)
        model = self.processes.wrap(self.model, bool(args.ddp_find_unused_parameters))
        first_step, loss_sum = self.clock.step, torch.zeros((), device=self.processes.device)
        self.metrics_log = MetricsLog(args.logging_dir, self.processes.is_first, first_step, args.uses_tensorboard)
        self.control = TrainerControl()
        with self.metrics_log, self.clock.bar() as bar, CtrlC() as ctrl_c:
            self._tell("on_train_begin")
            while not self._is_over:
                self.control.should_epoch_stop = False
                self._tell("on_epoch_begin")
                for micro_batches, position in batches.rest_of_epoch(*self.position):
                    with advice_when_out_of_memory(self.clock.step + 1):
                        losses = self._step(model, micro_batches)
                    loss_sum = loss_sum + losses["loss"]
                    self.position = position
                    self._after_step(losses, bar, ctrl_c)
                    if self._is_over or self.control.should_epoch_stop:
                        break
        self.finite.look()
        if args.load_best_model_at_end and self.best.checkpoint:
            load_checkpoint(self.best.checkpoint, self.model)
        self.model.eval()
        steps_taken = self.clock.step - first_step
        loss = self.processes.mean(loss_sum / steps_taken).item() if steps_taken else float("nan")
        runtime = {"train_runtime": self.clock.seconds, "train_tokens_per_second": self.clock.tokens_per_second}
        metrics = runtime | {"train_loss": loss, "epoch": self.state.epoch}
        self.log(metrics)  # the metrics file is closed: it is about steps
        self._tell("on_train_end")
        return TrainOutput(self.clock.step, loss, metrics)

    @property
    def _is_over(self) -> bool:
        return self.clock.is_over or self.control.should_training_stop

    # --- a step

    def _step(self, model: Any, micro_batches: list[MicroBatch]) -> dict[str, Tensor]:
        """One step of gradient descent; returns this process's mean losses."""
        control = self.control
        control.should_log = control.should_evaluate = control.should_save = False
        self._tell("on_step_begin")
        model.train()  # a callback may have looked at it without dropout
        counted = [b for b, weight in micro_batches if "attention_mask" in checked(b) and weight > 0]
        tokens = sum(int(batch["attention_mask"].sum()) for batch in counted)
        counts = self._label_counts(micro_batches)
        losses: dict[str, Tensor] = {}
        for number, ((batch, weight), count) in enumerate(zip(micro_batches, counts, strict=True), start=1):
            # Gradients are averaged over the processes once a step, not once a micro-batch.
            last = number == len(micro_batches)
            self.share, self.loss_terms = weight / len(micro_batches), {}
            with contextlib.nullcontext() if last or self.processes.count == 1 else model.no_sync():
                inputs = to_device(batch, self.processes.device)
                loss = call_known(self.training_step, model, inputs, num_items_in_batch=count)
            terms = {name: term.detach() * self.share for name, term in self.loss_terms.items()}
            for name, term in {"loss": torch.as_tensor(loss).detach(), **terms}.items():
                losses[name] = losses.get(name, 0) + term
            if not last:
                self._tell("on_substep_end")
        self._update_weights(losses["loss"])
        self.clock.tick(tokens)
        self.lr_scheduler.step()
        return losses

    def training_step(self, model: nn.Module, inputs: Batch, num_items_in_batch: float | None = None) -> Tensor:
        """Add the gradients of a micro-batch to those of the step; made to be overridden.

        Args:
            num_items_in_batch: as in `compute_loss`.

        Returns: the micro-batch's part in the step's loss: the loss times its share of the step's examples.
        """
        with self._autocast():
            loss = call_known(self.compute_loss, model, dict(inputs), num_items_in_batch=num_items_in_batch)
        loss = loss * self.share
        self.scaler.scale(loss).backward()
        return loss.detach()

    def _label_counts(self, micro_batches: list[MicroBatch]) -> list[float | None]:
        """For each micro-batch, what its loss divides by, if that is counted; the model learns of it, too."""
        has_count = any("label_count" in batch for batch, _ in micro_batches)
        is_own = self.compute_loss_func or type(self).compute_loss is not Evaluator.compute_loss
        if not (has_count or self.takes_label_count or is_own):
            return [None] * len(micro_batches)
        counts = share_label_counts(micro_batches, self.processes)
        for (batch, _), count in zip(micro_batches, counts, strict=True):
            if count is not None and ("label_count" in batch or self.takes_label_count):
                batch["label_count"] = count
        return counts

    def _update_weights(self, loss: Tensor) -> None:
        self.scaler.unscale_(self.optimizer)
        self.learning_rate = self.optimizer.param_groups[0]["lr"]
        trained = [p for group in self.optimizer.param_groups for p in group["params"]]
        norm = nn.utils.clip_grad_norm_(trained, self.args.max_grad_norm or float("inf"))
        # In float16 an infinite gradient is how the scaler learns that its scale is too large: it leaves out the step.
        self.finite.add(loss, torch.zeros_like(norm) if self.args.fp16 else norm, self.clock.step + 1)
        self._tell("on_pre_optimizer_step")
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self._tell("on_optimizer_step")
        self.optimizer.zero_grad()

    # --- between two steps

    def _after_step(self, losses: dict[str, Tensor], bar: tqdm, ctrl_c: CtrlC) -> None:
        """Log, evaluate and save, where it is time to, or a callback wants it."""
        step, args = self.clock.step, self.args
        # In float64, so that nothing is lost in a sum over however many steps.
        self.unlogged = {name: self.unlogged.get(name, 0) + term.double() for name, term in losses.items()}
        self.unlogged_steps += 1
        self._update_state()
        self._wish("steps", lambda every: step % every == 0)
        self.control.should_log |= step == 1 and args.logging_first_step
        self.control.should_log |= self.clock.is_over and args.logging_strategy == "steps"
        self.control.should_save |= self._is_over and args.save_strategy != "no"
        self._tell("on_step_end")
        interrupted = self._agree(ctrl_c.was_pressed)
        metrics = self._log_and_evaluate(bar)
        if self.position[1] == 0 or self._is_over or self.control.should_epoch_stop:
            if self.control.should_epoch_stop and self.position[1] > 0:
                self.position = (self.position[0] + 1, 0)
                by_epochs = args.max_steps <= 0 and args.counts_steps
                self.control.should_training_stop |= by_epochs and self.position[0] >= args.num_train_epochs
            self._wish("epoch", lambda every: True)
            self._tell("on_epoch_end")
            interrupted |= self._agree(ctrl_c.was_pressed)
            metrics = self._log_and_evaluate(bar) or metrics
        bar.update(self.clock.progress - bar.n)
        self.control.should_save |= interrupted
        if self.control.should_save:  # last of all: a run that goes on from here has the rest behind it
            folder = self._save_run(metrics)
        if interrupted:
            raise KeyboardInterrupt(f"saved {folder}; go on with {HOW_TO_GO_ON}")

    def _wish(self, strategy: str, is_time: Callable[[int], bool]) -> None:
        """Ask for what the arguments say is to be done by `strategy`: at some steps, or after every epoch."""
        args, control = self.args, self.control
        control.should_log |= args.logging_strategy == strategy and is_time(args.logging_steps)
        control.should_evaluate |= args.eval_strategy == strategy and is_time(args.eval_steps)
        control.should_save |= args.save_strategy == strategy and is_time(args.save_steps)

    def _agree(self, interrupted: bool) -> bool:
        """Let all processes do what any is asked to do; returns whether Ctrl-C was pressed in any."""
        if self.processes.count == 1:
            return interrupted
        wishes = vars(self.control) | {"interrupted": interrupted}
        agreed = (self.processes.mean(torch.tensor([float(wish) for wish in wishes.values()])) > 0).tolist()
        self.control = TrainerControl(*agreed[:-1])
        return agreed[-1]

    def _log_and_evaluate(self, bar: tqdm) -> dict[str, float] | None:
        """What `self.control` wants of both; returns what was measured."""
        if self.control.should_log or self.control.should_evaluate:
            self.finite.look()
        if self.control.should_log and self.unlogged:
            # What is logged is the mean since the last time, as in the reference: single batches are noisy.
            means = {
                name: self.processes.mean(total / self.unlogged_steps).item() for name, total in self.unlogged.items()
            }
            self.unlogged, self.unlogged_steps = {}, 0
            speed = self.clock.tokens_per_second
            self.log(means | {"learning_rate": self.learning_rate, "tokens_per_second": speed})
            bar.set_postfix_str(f"loss {means['loss']:.3f}, {speed:,.0f} tokens/s")
        wants_evaluation, self.control.should_evaluate = self.control.should_evaluate, False
        self.control.should_log = False
        return self.evaluate() if wants_evaluation else None

    # --- what it was made with

    def _check_arguments(self, model: nn.Module | None, args: Any, optimizer_cls_and_kwargs: Any) -> None:
        if not isinstance(args, TrainingArguments):
            raise TypeError(f"args: expected minibert's TrainingArguments, found {type(args)}")
        if (model is None) == (self.model_init is None):
            raise TypeError("a Trainer needs either a model, or a model_init that makes one")
        if optimizer_cls_and_kwargs is not None:
            raise TypeError("optimizer_cls_and_kwargs is not supported: override create_optimizer")
        optimizer, schedule = self.optimizers
        if optimizer is None and schedule is not None:
            raise TypeError("optimizers: a schedule belongs to an optimizer; give both")
        if optimizer is not None and self.model_init is not None:
            raise TypeError("optimizers: the model is made anew by model_init; override create_optimizer")
        if args.fp16 and type(self).training_step is not Trainer.training_step:
            raise TypeError("fp16 scales the loss, of which a training_step of one's own knows nothing; use bf16=True")

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(why_not_here(type(self), name))

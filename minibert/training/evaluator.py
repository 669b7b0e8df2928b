"""`Evaluator`: what a `Trainer` can tell of its model without training it."""

import contextlib
import functools
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn

from minibert.training.arguments import TrainingArguments
from minibert.training.batch import Batch, Examples, label_count, to_device
from minibert.training.callbacks import Callbacks, EarlyStoppingCallback, TrainerControl, TrainerState
from minibert.training.collation import (
    DataCollatorForLanguageModeling,
    DataCollatorWithPadding,
    default_data_collator,
)
from minibert.training.columns import KnownColumns
from minibert.training.distributed import Processes
from minibert.training.evaluation_batches import EvaluationBatches
from minibert.training.evaluation_loop import EvalPrediction, Predicted, PredictionOutput, evaluate_batches, summarize
from minibert.training.metrics_log import MetricsLog
from minibert.training.not_here import call_known
from minibert.training.reports import Reports
from minibert.training.returned import labels_of, loss_of, one_or_all, predictions_of

OUR_COLLATORS = (DataCollatorWithPadding, DataCollatorForLanguageModeling)


class Evaluator(Reports):
    """A model with its data, its measures and its callbacks; the arguments are those of `Trainer`."""

    def __init__(
        self,
        model: nn.Module,
        args: TrainingArguments,
        data_collator: Callable[[list], Batch] | None,
        eval_dataset: Examples | dict[str, Examples] | None,
        processing_class: Any,
        compute_loss_func: Callable | None,
        compute_metrics: Callable[[EvalPrediction], dict[str, float]] | None,
        callbacks: Iterable[Any] | None,
        preprocess_logits_for_metrics: Callable[[Any, Any], Any] | None,
    ) -> None:
        self.args = args
        self.processing_class = processing_class
        self.eval_dataset = eval_dataset
        self.compute_loss_func = compute_loss_func
        self.compute_metrics = compute_metrics
        self.preprocess_logits_for_metrics = preprocess_logits_for_metrics
        self.processes = Processes.join(args.use_cpu)
        self.model: Any = self._ready(model)
        self.data_collator = data_collator or DataCollatorWithPadding(processing_class)
        self.known_columns = KnownColumns(model, args.label_names)
        self.state, self.control = self._new_state(), TrainerControl()
        self.metrics_log: MetricsLog | None = None  # while a run is on
        patience = args.early_stopping_patience
        self.callbacks = Callbacks([*(callbacks or ()), *([EarlyStoppingCallback(patience)] if patience else ())])
        if args.log_level != "passive":
            logging.getLogger("minibert").setLevel(args.log_level.upper())

    # --- a batch

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: float | None = None,
    ) -> Any:
        """The loss of a batch, of training or evaluation; made to be overridden.

        Args:
            inputs: a dict of its own, from which may be taken what the model should not get.
            num_items_in_batch: over how many labels the loss is to be a mean, if they are counted: divide a sum by it.
                Where a step has several batches, that is their mean number: the mean of their losses is that over all.

        Returns: the loss; with `return_outputs` also what the model returned, from which predictions are taken.
            In evaluation the loss may be None.

        Raises: `ValueError` if the model returns no loss to train with.
        """
        labels = inputs.pop("labels", None) if self.compute_loss_func else None
        outputs = model(**inputs)
        if self.compute_loss_func:
            loss = self.compute_loss_func(outputs, labels, num_items_in_batch=num_items_in_batch)
        else:
            loss = loss_of(outputs)
        if model.training and (loss is None or loss.numel() != 1):
            raise ValueError(
                f"{type(self.model).__name__} returned no loss for a batch of {', '.join(inputs)}: labels are missing,"
                " or have another name; else override compute_loss, or pass compute_loss_func"
            )
        # For the log alone, which shows them beside their sum.
        self.loss_terms = getattr(outputs, "loss_terms", None) or {}
        return (loss, outputs) if return_outputs else loss

    def prediction_step(
        self, model: nn.Module, inputs: Batch, prediction_loss_only: bool, ignore_keys: list[str] | None = None
    ) -> Predicted:
        """The loss, the predictions and the labels of a batch in evaluation; made to be overridden.

        Each may be None; predictions and labels may be a tensor or a tuple of them, with a row for each example.
        """
        labels = labels_of(inputs, self.args.label_names)
        with self._autocast():
            if labels:
                options = {"return_outputs": True, "num_items_in_batch": label_count(inputs)}
                found = call_known(self.compute_loss, model, dict(inputs), **options)
                if not isinstance(found, tuple) or len(found) != 2:
                    raise TypeError(
                        f"{type(self).__name__}.compute_loss must return (loss, outputs) when return_outputs is True,"
                        f" which it is in evaluation; it returned a {type(found).__name__}"
                    )
                loss, outputs = found
            else:  # some models know a loss all the same, but a tuple would begin with its logits
                outputs = model(**inputs)
                loss = None if isinstance(outputs, tuple) else loss_of(outputs)
        if prediction_loss_only:
            return loss, None, None
        return loss, one_or_all(predictions_of(outputs, loss is not None, ignore_keys or ())), one_or_all(labels)

    def _ready(self, model: nn.Module) -> nn.Module:
        """The model on its device, and compiled if it is to be."""
        chosen = {"backend": self.args.torch_compile_backend, "mode": self.args.torch_compile_mode}
        if self.args.torch_compile:
            model.compile(**{name: value for name, value in chosen.items() if value})
        return model.to(self.processes.device)

    @contextlib.contextmanager
    def _float32_products(self) -> Iterator[None]:
        """Inside, products of float32 matrices are computed as `args.tf32` says."""
        if self.args.tf32 is None:
            yield
            return
        usual = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high" if self.args.tf32 else "highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(usual)

    def _autocast(self) -> contextlib.AbstractContextManager:
        low = torch.float16 if self.args.fp16 else torch.bfloat16
        return torch.autocast(self.processes.device.type, low, enabled=self.args.fp16 or self.args.bf16)

    # --- a data set

    def _collator_of(self, dataset: Examples) -> Callable[[list], Batch]:
        """What makes batches of a data set, without the columns that the model does not take.

        Of what is no table, a collator of one's own gets all: it knows what it needs.
        """
        is_ours = isinstance(self.data_collator, OUR_COLLATORS) or self.data_collator is default_data_collator
        if self.args.remove_unused_columns and (is_ours or hasattr(dataset, "column_names")):
            return functools.partial(self.known_columns.collate, self.data_collator)
        return self.data_collator

    def get_eval_dataloader(self, eval_dataset: Examples | None = None) -> Iterable[Batch]:
        """The batches to evaluate on; made to be overridden, by what gives batches in the order of the data."""
        dataset: Any = self.eval_dataset if eval_dataset is None else eval_dataset
        if dataset is None:
            raise ValueError("evaluate needs an eval_dataset, here or in the Trainer")
        return self._batches_of(dataset)

    def get_test_dataloader(self, test_dataset: Examples) -> Iterable[Batch]:
        """The same for `predict`; an own `get_eval_dataloader` may know its own data set alone."""
        return self._batches_of(test_dataset)

    def _batches_of(self, dataset: Any) -> EvaluationBatches:
        args = self.args
        collate = self._collator_of(dataset)
        return EvaluationBatches(dataset, args.per_device_eval_batch_size, collate, args.dataloader_num_workers)

    def evaluate(
        self,
        eval_dataset: Examples | dict[str, Examples] | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """The mean loss, and what `compute_metrics` makes of the predictions; all names begin with "eval_".

        Args:
            eval_dataset: instead of the trainer's; of several by name, all are measured, as "eval_<name>_...".
            ignore_keys: outputs of the model that are no predictions.
        """
        datasets: Any = self.eval_dataset if eval_dataset is None else eval_dataset
        if not isinstance(datasets, dict):
            datasets = {"": datasets}
        metrics: dict[str, float] = {}
        for name, dataset in datasets.items():
            prefix = f"{metric_key_prefix}_{name}" if name else metric_key_prefix
            wanted = self.compute_metrics is not None and not self.args.prediction_loss_only
            metrics |= self._measure(self.get_eval_dataloader(dataset), prefix, wanted, ignore_keys).metrics
        self.log(metrics)
        self._tell("on_evaluate", metrics=metrics)
        return metrics

    def predict(
        self, test_dataset: Examples, ignore_keys: list[str] | None = None, metric_key_prefix: str = "test"
    ) -> PredictionOutput:
        """What the model predicts, in the order of `test_dataset`; if there are labels, they too, and metrics.

        The metrics are those of `evaluate`, but their names begin with "test_".
        """
        output = self._measure(self.get_test_dataloader(test_dataset), metric_key_prefix, True, ignore_keys)
        self._tell("on_predict", metrics=output.metrics)
        return output

    def _measure(
        self, batches: Iterable[Batch], prefix: str, keep_predictions: bool, ignore_keys: list[str] | None
    ) -> PredictionOutput:
        def step(batch: Batch) -> Predicted:
            inputs = to_device(batch, self.processes.device)
            loss, predicted, labels = self.prediction_step(self.model, inputs, not keep_predictions, ignore_keys)
            if self.preprocess_logits_for_metrics is not None and predicted is not None:
                predicted = self.preprocess_logits_for_metrics(predicted, labels)
            self._tell("on_prediction_step", eval_dataloader=batches)
            return loss, predicted, labels

        with self._float32_products():
            loss, prediction = evaluate_batches(self.model, step, batches, keep_predictions, self.args.order_seed)
        metrics = summarize(loss, prediction, self.compute_metrics if keep_predictions else None)
        metrics = {f"{prefix}_{name.removeprefix(f'{prefix}_')}": value for name, value in metrics.items()}
        predictions, labels = prediction or (None, None)
        return PredictionOutput(predictions, labels, metrics)

    # --- what is known, told and written

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Take note of numbers: for `state.log_history`, the callbacks and, while a run is on, its metrics file.

        Args:
            start_time: the reference has it, and older code passes it on; it is not used.
        """
        numbers = {name: value.item() if hasattr(value, "item") else value for name, value in logs.items()}
        state = self.state
        row = {"step": state.global_step, "epoch": state.epoch, "seconds": round(state.seconds, 2)} | numbers
        state.log_history.append(row)
        if self.metrics_log is not None:
            self.metrics_log.write(row)
        self._tell("on_log", logs=dict(row))

    def _new_state(self) -> TrainerState:
        args, first = self.args, self.processes.is_first
        return TrainerState(
            logging_steps=args.logging_steps,
            eval_steps=args.eval_steps,
            save_steps=args.save_steps,
            train_batch_size=args.per_device_train_batch_size,
            is_local_process_zero=first,
            is_world_process_zero=first,
        )

    def _tell(self, event: str, **others: Any) -> None:
        if not self.callbacks.all:
            return
        known = {"model": self.model, "processing_class": self.processing_class, "tokenizer": self.processing_class}
        run = {name: getattr(self, name, None) for name in ("optimizer", "lr_scheduler")}
        loaders = {"train_dataloader": getattr(self, "train_dataloader", None), "eval_dataloader": None}
        self.control = self.callbacks.tell(
            event, self.args, self.state, self.control, **(known | run | loaders | others)
        )

    def add_callback(self, callback: Any) -> None:
        """Add a callback, or an object of this class."""
        self.callbacks.add(callback)

    def pop_callback(self, callback: Any) -> Any:
        """Take out and return this callback, or the first of this class."""
        return self.callbacks.pop(callback)

    def remove_callback(self, callback: Any) -> None:
        """Take it out."""
        self.callbacks.pop(callback)

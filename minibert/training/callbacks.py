"""Callbacks: what one's own code hears of a run while it goes on, and how it can change its course."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from minibert.checkpoint.files import write_text
from minibert.training.arguments import TrainingArguments
from minibert.training.best import is_better, metric_of


@dataclass
class TrainerState:
    """Where a run is, and what it has measured."""

    epoch: float = 0.0  # 1.5: in the middle of the second
    global_step: int = 0
    seconds: float = 0.0  # of training
    max_steps: int = 0
    logging_steps: int = 500
    eval_steps: int = 500
    save_steps: int = 500
    train_batch_size: int | None = None
    num_train_epochs: int = 0  # begun, at least
    num_input_tokens_seen: int = 0  # without padding
    log_history: list[dict[str, float]] = field(default_factory=list)  # all that was logged, each with step and epoch
    best_metric: float | None = None  # of the checkpoints that were evaluated, by `metric_for_best_model`
    best_global_step: int | None = None
    best_model_checkpoint: str | None = None
    is_local_process_zero: bool = True
    is_world_process_zero: bool = True

    def save_to_json(self, json_path: str | Path) -> None:
        """Write it to a file."""
        write_text(Path(json_path), json.dumps(asdict(self), indent=2, sort_keys=True) + "\n")

    @classmethod
    def load_from_json(cls, json_path: str | Path) -> Self:
        """Read what `save_to_json` wrote."""
        return cls(**json.loads(Path(json_path).read_text(encoding="utf-8")))


@dataclass
class TrainerControl:
    """What happens next. A callback changes it; if several processes train, one that wants something is enough.

    should_epoch_stop and should_training_stop take effect after the present step, the others at once.
    """

    should_training_stop: bool = False
    should_epoch_stop: bool = False
    should_save: bool = False
    should_evaluate: bool = False
    should_log: bool = False


class TrainerCallback:
    """What to do at the events of a run: override some of the methods below.

    Each is called with the `TrainingArguments`, the `TrainerState`, the `TrainerControl`, and by name with `model`,
    `processing_class`, `optimizer`, `lr_scheduler`, `train_dataloader` and `eval_dataloader`; `on_log` also with
    `logs`, `on_evaluate` and `on_predict` with `metrics`. It may return another `TrainerControl`.
    """

    def _nothing(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any) -> Any:
        """Nothing, if it is not overridden."""

    on_init_end = _nothing
    on_train_begin = on_train_end = _nothing
    on_epoch_begin = on_epoch_end = _nothing
    on_step_begin = on_step_end = _nothing
    on_substep_end = _nothing  # after every micro-batch of a step but the last
    on_pre_optimizer_step = on_optimizer_step = _nothing  # just before, and just after; the gradients are there
    on_log = on_evaluate = on_predict = on_save = _nothing
    on_prediction_step = _nothing  # after every batch of an evaluation


EVENTS = {name for name in vars(TrainerCallback) if name.startswith("on_")}

# The reference's own class has this, too: it comes with uploads, and there are none. Who overrides it waits in vain.
_NEVER_TOLD = "on_push_begin"


class Callbacks:
    """The callbacks of a trainer, in the order in which they are told."""

    def __init__(self, callbacks: Iterable[Any]) -> None:
        self.all: list[Any] = []
        for callback in callbacks:
            self.add(callback)

    def add(self, callback: Any) -> None:
        """Add one: an object, or a class that needs no arguments.

        Raises `TypeError` for a method "on_..." that is no event: nothing would ever call it.
        """
        callback = callback() if isinstance(callback, type) else callback
        for name in dir(callback):
            known = name in EVENTS or (name == _NEVER_TOLD and name not in vars(type(callback)))
            if name.startswith("on_") and not known:
                expected = ", ".join(sorted(EVENTS))
                raise TypeError(f"{type(callback).__name__}.{name} would never be called; the events are {expected}")
        self.all.append(callback)

    def pop(self, callback: Any) -> Any:
        """Take out, and return, this callback, or the first one of this class; None if there is none."""
        for known in self.all:
            if known is callback or (isinstance(callback, type) and isinstance(known, callback)):
                self.all.remove(known)
                return known
        return None

    def tell(
        self, event: str, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> TrainerControl:
        """Tell all of them; returns what is to happen."""
        for callback in self.all:
            method = getattr(callback, event, None)
            control = (method and method(args, state, control, **others)) or control
        return control


class EarlyStoppingCallback(TrainerCallback):
    """Stops a run whose evaluations do not get better.

    It asks `state.log_history`, which a checkpoint holds: patience is counted over an interruption, too, and what has
    stopped stays so.

    Args:
        early_stopping_patience: after so many evaluations in a row that were no better than the best before them.
        early_stopping_threshold: better means by more than this.
    """

    def __init__(self, early_stopping_patience: int = 1, early_stopping_threshold: float = 0.0) -> None:
        self.early_stopping_patience = early_stopping_patience
        self.early_stopping_threshold = early_stopping_threshold

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> None:
        """Raises `ValueError` for a run without evaluations."""
        if args.eval_strategy == "no":
            raise ValueError("EarlyStoppingCallback needs evaluations, but eval_strategy is 'no'")
        self._stop_if_it_is_time(args, state, control)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any) -> None:
        """Raises `ValueError` if `metric_for_best_model` was not measured."""
        metric_of(others["metrics"], args.metric_for_best_model)
        self._stop_if_it_is_time(args, state, control)

    def _stop_if_it_is_time(self, args: TrainingArguments, state: TrainerState, control: TrainerControl) -> None:
        best, no_better = None, 0
        for row in state.log_history:
            if not any(name.startswith("eval_") for name in row):
                continue
            value = metric_of(row, args.metric_for_best_model)
            if is_better(value, best, bool(args.greater_is_better)):
                too_little = best is not None and abs(value - best) <= self.early_stopping_threshold
                best, no_better = value, no_better + 1 if too_little else 0
            else:
                no_better += 1
        if no_better >= self.early_stopping_patience:
            control.should_training_stop = True

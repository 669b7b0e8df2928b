"""The best evaluation of a run, and which checkpoint has it."""

import math
import os
from pathlib import Path
from typing import Any

from minibert.training.arguments import TrainingArguments


def is_better(value: float, than: float | None, greater: bool) -> bool:
    """Whether a metric is better than the best one before, if there was one that is a number."""
    if than is None or math.isnan(than):
        return True
    return value > than if greater else value < than


def metric_of(metrics: dict[str, float], name: str | None) -> float:
    """The metric that `metric_for_best_model` names. Raises `ValueError` if it is not there."""
    name = f"eval_{(name or 'loss').removeprefix('eval_')}"
    if name not in metrics:
        raise ValueError(f"metric_for_best_model: expected one of {', '.join(metrics)}, found {name}")
    return metrics[name]


class Best:
    """The best of the evaluations that a checkpoint was written after.

    metric: `args.metric_for_best_model` then; None before the first.
    checkpoint: the folder.
    """

    def __init__(self, args: TrainingArguments) -> None:
        self.args = args
        self.metric: float | None = None
        self.checkpoint: Path | None = None

    def see(self, metrics: dict[str, float], checkpoint: Path) -> None:
        """Take note of an evaluation. Raises `ValueError` if `metric_for_best_model` is not in it."""
        value = metric_of(metrics, self.args.metric_for_best_model)
        if is_better(value, self.metric, bool(self.args.greater_is_better)):
            self.metric, self.checkpoint = value, checkpoint

    def state(self, folder: Path) -> dict[str, Any]:
        """What a resumed run needs to know; the checkpoint relative to `folder`, so that a run can be moved."""
        return {"metric": self.metric, "checkpoint": self.checkpoint and os.path.relpath(self.checkpoint, folder)}

    def restore(self, state: dict[str, Any], folder: Path) -> None:
        """Go on from `state()` of the interrupted run, whose folder may have been moved to `folder`."""
        self.metric = state["metric"]
        self.checkpoint = state["checkpoint"] and folder / state["checkpoint"]

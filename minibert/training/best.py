"""The best evaluation of a run: which checkpoint has it, and how long nothing better came."""

import math
import os
from pathlib import Path
from typing import Any

from minibert.training.arguments import TrainingArguments


class Best:
    """The best of the evaluations that a checkpoint was written after.

    metric: `args.metric_for_best_model` then; None before the first.
    checkpoint: the folder.
    evaluations_since: how many were no better.
    """

    def __init__(self, args: TrainingArguments) -> None:
        self.args = args
        self.metric: float | None = None
        self.checkpoint: Path | None = None
        self.evaluations_since = 0

    def see(self, metrics: dict[str, float], checkpoint: Path) -> None:
        """Take note of an evaluation. Raises `ValueError` if `metric_for_best_model` is not in it."""
        name = f"eval_{self.args.metric_for_best_model.removeprefix('eval_')}"
        if name not in metrics:
            raise ValueError(f"metric_for_best_model: expected one of {', '.join(metrics)}, found {name}")
        value = metrics[name]
        self.evaluations_since += 1
        is_first = self.metric is None or math.isnan(self.metric)
        if is_first or (value < self.metric if name.endswith("loss") else value > self.metric):
            self.metric, self.checkpoint, self.evaluations_since = value, checkpoint, 0

    @property
    def is_long_ago(self) -> bool:
        """Whether it is time to stop early."""
        patience = self.args.early_stopping_patience
        return patience is not None and self.evaluations_since >= patience

    def state(self, folder: Path) -> dict[str, Any]:
        """What a resumed run needs to know; the checkpoint relative to `folder`, so that a run can be moved."""
        checkpoint = self.checkpoint and os.path.relpath(self.checkpoint, folder)
        return {"metric": self.metric, "checkpoint": checkpoint, "evaluations_since": self.evaluations_since}

    def restore(self, state: dict[str, Any], folder: Path) -> None:
        """Go on from `state()` of the interrupted run, whose folder may have been moved to `folder`."""
        self.metric, self.evaluations_since = state["metric"], state["evaluations_since"]
        self.checkpoint = state["checkpoint"] and folder / state["checkpoint"]

"""`TrainingArguments`: every number of a training run, under the names and with the defaults of `transformers`."""

from dataclasses import dataclass
from pathlib import Path

from minibert.training.optimization import SCHEDULES


@dataclass
class TrainingArguments:
    """How long, how fast and from which seed to train.

    Raises `ValueError`, naming the argument, for a run that cannot be.
    """

    output_dir: str | Path

    # How long: epochs, unless max_steps says otherwise; max_minutes of wall-clock time wins over both, and the
    # learning rate has decayed when the time is up.
    num_train_epochs: float = 3.0
    max_steps: int = -1
    max_minutes: float | None = None

    per_device_train_batch_size: int = 8
    per_device_eval_batch_size: int = 8

    # AdamW (Loshchilov & Hutter 2019): decoupled weight decay, on matrices only.
    learning_rate: float = 5e-5
    weight_decay: float = 0.0
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-8
    max_grad_norm: float = 1.0

    lr_scheduler_type: str = "linear"
    warmup_steps: float = 0  # below 1: a ratio of the whole run
    warmup_ratio: float = 0.0

    logging_dir: str | Path | None = None  # default: output_dir
    logging_steps: int = 500

    seed: int = 42
    bf16: bool = False  # autocast the forward pass to bfloat16; the parameters stay in float32
    disable_tqdm: bool = False

    def __post_init__(self) -> None:
        self.output_dir = Path(self.output_dir)
        self.logging_dir = self.output_dir if self.logging_dir is None else Path(self.logging_dir)
        for name in ("per_device_train_batch_size", "per_device_eval_batch_size", "logging_steps"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        for name in ("learning_rate", "weight_decay", "adam_epsilon", "max_grad_norm", "warmup_steps"):
            self._require(name, getattr(self, name) >= 0, "at least 0")
        for name in ("adam_beta1", "adam_beta2", "warmup_ratio"):
            self._require(name, 0 <= getattr(self, name) < 1, "in [0, 1)")
        self._require("num_train_epochs", self.num_train_epochs > 0, "above 0")
        self._require("max_minutes", self.max_minutes is None or self.max_minutes > 0, "above 0")
        self._require("lr_scheduler_type", self.lr_scheduler_type in SCHEDULES, f"one of {', '.join(SCHEDULES)}")

    def _require(self, name: str, fulfilled: bool, expected: str) -> None:
        if not fulfilled:
            raise ValueError(f"{name} must be {expected}, got {getattr(self, name)!r}")

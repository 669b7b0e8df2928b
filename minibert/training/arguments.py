"""`TrainingArguments`: every number of a training run, under the names and with the defaults of `transformers`."""

from dataclasses import dataclass
from pathlib import Path

from minibert.training.optimization import SCHEDULES

STRATEGIES = ("no", "steps", "epoch")


@dataclass
class TrainingArguments:
    """How long, how fast and from which seed to train.

    Raises `ValueError`, naming the argument, for a run that cannot be.
    """

    output_dir: str | Path = "trainer_output"

    # How long: epochs, unless max_steps says otherwise; max_minutes of wall-clock time wins over both, and the
    # learning rate has decayed when the time is up.
    num_train_epochs: float = 3.0
    max_steps: int = -1
    max_minutes: float | None = None

    # One step is taken on processes × gradient_accumulation_steps × per_device_train_batch_size examples.
    per_device_train_batch_size: int = 8
    per_device_eval_batch_size: int = 8
    gradient_accumulation_steps: int = 1
    group_by_length: bool = False  # batches of similar lengths; the items need input_ids

    # AdamW (Loshchilov & Hutter 2019): decoupled weight decay, on matrices only.
    learning_rate: float = 5e-5
    weight_decay: float = 0.0
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-8
    max_grad_norm: float = 1.0
    layerwise_lr_decay: float = 1.0  # every layer learns at so many times the rate of the one above it

    lr_scheduler_type: str = "linear"
    warmup_steps: float = 0  # below 1: a ratio of the whole run
    warmup_ratio: float = 0.0

    logging_dir: str | Path | None = None  # default: output_dir
    logging_steps: int = 500
    eval_strategy: str = "no"
    evaluation_strategy: str | None = None  # the older name of eval_strategy
    eval_steps: int | None = None  # default: logging_steps
    save_strategy: str = "steps"
    save_steps: int = 500
    save_total_limit: int | None = None  # so many checkpoints are kept, the best one not counted
    load_best_model_at_end: bool = False
    metric_for_best_model: str = "loss"  # smaller is better for names that end in "loss", else larger is
    early_stopping_patience: int | None = None  # stop when so many evaluations in a row brought nothing better
    resume_from_checkpoint: str | Path | bool | None = None  # a folder; True: the last one in output_dir

    seed: int = 42
    bf16: bool = False  # autocast the forward pass to bfloat16; the parameters stay in float32
    disable_tqdm: bool = False

    def __post_init__(self) -> None:
        self.output_dir = Path(self.output_dir)
        self.logging_dir = self.output_dir if self.logging_dir is None else Path(self.logging_dir)
        self.eval_strategy = self.evaluation_strategy or self.eval_strategy
        self.eval_steps = self.logging_steps if self.eval_steps is None else self.eval_steps
        for name in ("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        for name in ("logging_steps", "eval_steps", "save_steps"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        for name in ("learning_rate", "weight_decay", "adam_epsilon", "max_grad_norm", "warmup_steps"):
            self._require(name, getattr(self, name) >= 0, "at least 0")
        for name in ("adam_beta1", "adam_beta2", "warmup_ratio"):
            self._require(name, 0 <= getattr(self, name) < 1, "in [0, 1)")
        self._require("layerwise_lr_decay", 0 < self.layerwise_lr_decay <= 1, "in (0, 1]")
        self._require("num_train_epochs", self.num_train_epochs > 0, "above 0")
        if self.max_minutes is not None:
            self._require("warmup_steps", self.warmup_steps < 1, "a ratio below 1 in a run of max_minutes")
        self._require("max_minutes", self.max_minutes is None or self.max_minutes > 0, "above 0")
        self._require("save_total_limit", self.save_total_limit is None or self.save_total_limit > 0, "above 0")
        self._require("lr_scheduler_type", self.lr_scheduler_type in SCHEDULES, f"one of {', '.join(SCHEDULES)}")
        for name in ("eval_strategy", "save_strategy"):
            self._require(name, getattr(self, name) in STRATEGIES, f"one of {', '.join(STRATEGIES)}")
        if self.load_best_model_at_end:
            self._require_a_best_checkpoint()
        if self.early_stopping_patience is not None:
            self._require("early_stopping_patience", self.early_stopping_patience >= 1, "at least 1")
            self._require_every_evaluation_saved()

    def _require_a_best_checkpoint(self) -> None:
        """The best checkpoint is one that was evaluated when it was saved."""
        strategies = {self.eval_strategy, self.save_strategy}
        if len(strategies) > 1 or "no" in strategies:
            raise ValueError(
                "load_best_model_at_end needs the same eval_strategy and save_strategy, 'steps' or 'epoch', got"
                f" {self.eval_strategy!r} and {self.save_strategy!r}"
            )
        if self.save_strategy == "steps" and self.save_steps % self.eval_steps:
            raise ValueError(
                "load_best_model_at_end needs a save_steps that is a multiple of eval_steps, got"
                f" {self.save_steps} and {self.eval_steps}"
            )

    def _require_every_evaluation_saved(self) -> None:
        """Whoever stops because it does not get better wants the best, and every evaluation may be that."""
        if not self.load_best_model_at_end:
            raise ValueError("early_stopping_patience needs load_best_model_at_end=True")
        if self.save_strategy == "steps" and self.save_steps != self.eval_steps:
            found = f"{self.save_steps} and {self.eval_steps}"
            raise ValueError(f"early_stopping_patience needs save_steps equal to eval_steps, got {found}")

    def _require(self, name: str, fulfilled: bool, expected: str) -> None:
        if not fulfilled:
            raise ValueError(f"{name} must be {expected}, got {getattr(self, name)!r}")

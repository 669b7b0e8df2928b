"""`TrainingArguments`: every number of a training run, under the names and with the defaults of `transformers`."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import torch

from minibert.training.distributed import Processes
from minibert.training.not_here import takes_what_asks_for_nothing
from minibert.training.optimization import OPTIMIZERS, SCHEDULES

STRATEGIES = ("no", "steps", "epoch")
LOG_LEVELS = ("passive", "debug", "info", "warning", "error", "critical")


@takes_what_asks_for_nothing
@dataclass
class TrainingArguments:
    """How long, how fast and from which seed to train.

    Raises `ValueError`, naming the argument, for a run that cannot be, and for what only the reference has.
    """

    output_dir: Path = Path("trainer_output")  # or its name

    # How long: epochs, unless max_steps says otherwise; max_tokens to train on, max_minutes of wall-clock time, or the
    # first of them that is used up, win over both, and the learning rate has decayed by then.
    num_train_epochs: float = 3.0
    max_steps: int = -1
    max_tokens: int | None = None  # without padding, over all processes; the step that reaches them is the last
    max_minutes: float | None = None

    # One step is taken on processes × gradient_accumulation_steps × per_device_train_batch_size examples.
    per_device_train_batch_size: int = 8
    per_device_eval_batch_size: int = 8
    gradient_accumulation_steps: int = 1
    group_by_length: bool = False  # batches of similar lengths; the items need input_ids
    train_sampling_strategy: str = "random"  # or "group_by_length", which is the newer name of that
    dataloader_num_workers: int = 0  # so many processes make the batches; 0: the one that trains
    dataloader_pin_memory: bool = True  # on a GPU, training batches wait in memory that is copied from quickly
    remove_unused_columns: bool = True  # of the examples, those that the model's forward does not take
    label_names: list[str] | None = None  # of a batch; default: what is called "...label..." or "...positions"
    prediction_loss_only: bool = False  # evaluate the loss alone

    # AdamW (Loshchilov & Hutter 2019): decoupled weight decay, on matrices only. Or "muon", see muon.py.
    optim: str = "adamw_torch_fused"
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

    logging_dir: Path = None  # type: ignore[assignment] # or its name; default: output_dir
    logging_strategy: str = "steps"  # the end of a run is logged in any case, but for "no"
    logging_first_step: bool = False
    logging_steps: int = 500
    report_to: str | list[str] | None = None  # beside metrics.jsonl: "none", or "tensorboard"; None: if it is installed
    log_level: str = "passive"  # of the package's logger: "debug", "info", "warning", ...; "passive": as it is
    eval_strategy: str = "no"
    evaluation_strategy: str | None = None  # the older name of eval_strategy
    eval_steps: int = None  # type: ignore[assignment] # default: logging_steps
    save_strategy: str = "steps"
    save_steps: int = 500
    save_total_limit: int | None = None  # so many checkpoints are kept, the best one not counted
    load_best_model_at_end: bool = False
    metric_for_best_model: str | None = None  # default: "loss"
    greater_is_better: bool | None = None  # default: not for names that end in "loss"
    early_stopping_patience: int | None = None  # stop when so many evaluations in a row brought nothing better
    resume_from_checkpoint: str | Path | bool | None = None  # a folder; True: the last one in output_dir

    seed: int = 42
    data_seed: int | None = None  # of the order of the examples, and what is random in them; default: seed
    bf16: bool = False  # autocast the forward pass to bfloat16; the parameters stay in float32
    fp16: bool = False  # the same with float16, for GPUs without bfloat16
    tf32: bool | None = None  # a GPU multiplies float32 with 10 binary digits, for speed; None: as PyTorch is set
    torch_compile: bool = False  # the model's layers become programs made for this machine, at the first batch
    torch_compile_backend: str | None = None  # either of these asks for it, too; default: PyTorch's
    torch_compile_mode: str | None = None
    gradient_checkpointing: bool = False  # less memory, more time
    ddp_find_unused_parameters: bool | None = None  # for several processes whose loss leaves out some parameters
    use_cpu: bool = False  # although there is a GPU
    no_cuda: bool = False  # the older name of use_cpu
    disable_tqdm: bool = False

    def __post_init__(self) -> None:
        self.output_dir = Path(self.output_dir or "trainer_output")
        self.logging_dir = self.output_dir if self.logging_dir is None else Path(self.logging_dir)
        self.eval_strategy = self.evaluation_strategy or self.eval_strategy
        self.eval_steps = self.logging_steps if self.eval_steps is None else self.eval_steps
        self.use_cpu = self.use_cpu or self.no_cuda
        self.torch_compile |= bool(self.torch_compile_backend or self.torch_compile_mode)
        self.metric_for_best_model = self.metric_for_best_model or "loss"
        if self.greater_is_better is None:
            self.greater_is_better = not self.metric_for_best_model.endswith("loss")
        self._check_numbers()
        self._check_choices()
        if self.load_best_model_at_end:
            self._require_a_best_checkpoint()
        if self.early_stopping_patience is not None:
            self._require("early_stopping_patience", self.early_stopping_patience >= 1, "at least 1")
            self._require_every_evaluation_saved()

    @property
    def counts_steps(self) -> bool:
        """Whether steps are what the run is measured in, so that their number is known before."""
        return self.max_tokens is None and self.max_minutes is None

    @property
    def order_seed(self) -> int:
        """What decides in which order the examples come."""
        return self.seed if self.data_seed is None else self.data_seed

    @property
    def uses_tensorboard(self) -> bool | None:
        """Whether TensorBoard's files are written; None: where it is installed."""
        return None if self.report_to in (None, "all", ["all"]) else "tensorboard" in self.report_to

    @property
    def device(self) -> torch.device:
        """What this process computes on."""
        return Processes.join(self.use_cpu).device

    @property
    def train_batch_size(self) -> int:
        """The reference's other name of `per_device_train_batch_size`."""
        return self.per_device_train_batch_size

    @property
    def eval_batch_size(self) -> int:
        """The reference's other name of `per_device_eval_batch_size`."""
        return self.per_device_eval_batch_size

    def _check_numbers(self) -> None:
        for name in ("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        for name in ("logging_steps", "eval_steps", "save_steps"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        for name in ("learning_rate", "weight_decay", "adam_epsilon", "max_grad_norm", "warmup_steps"):
            self._require(name, getattr(self, name) >= 0, "at least 0")
        for name in ("adam_beta1", "adam_beta2", "warmup_ratio"):
            self._require(name, 0 <= getattr(self, name) < 1, "in [0, 1)")
        self._require("dataloader_num_workers", self.dataloader_num_workers >= 0, "at least 0")
        self._require("layerwise_lr_decay", 0 < self.layerwise_lr_decay <= 1, "in (0, 1]")
        self._require("num_train_epochs", self.num_train_epochs > 0, "above 0")
        if not self.counts_steps:
            self._require(
                "warmup_steps", self.warmup_steps < 1, "a ratio below 1 in a run of max_tokens or max_minutes"
            )
        self._require("max_tokens", self.max_tokens is None or self.max_tokens > 0, "above 0")
        self._require("max_minutes", self.max_minutes is None or self.max_minutes > 0, "above 0")
        self._require("save_total_limit", self.save_total_limit is None or self.save_total_limit > 0, "above 0")

    def _check_choices(self) -> None:
        choices: dict[str, tuple[str, ...]] = dict.fromkeys(
            ("logging_strategy", "eval_strategy", "save_strategy"), STRATEGIES
        )
        choices |= {"lr_scheduler_type": tuple(SCHEDULES), "log_level": LOG_LEVELS, "optim": OPTIMIZERS}
        choices |= {"train_sampling_strategy": ("random", "group_by_length")}
        for name, values in choices.items():
            setattr(self, name, getattr(getattr(self, name), "value", getattr(self, name)))  # of an Enum
            self._require(name, getattr(self, name) in values, f"one of {', '.join(values)}")
        self.group_by_length = self.group_by_length or self.train_sampling_strategy == "group_by_length"
        reports = [self.report_to] if isinstance(self.report_to, str) else self.report_to or []
        for name in reports:
            if name not in ("all", "none", "tensorboard"):
                raise ValueError(
                    f"report_to={name!r} is not supported, only 'tensorboard' or 'none'; for other trackers write a"
                    " TrainerCallback with on_log"
                )
        if self.uses_tensorboard and importlib.util.find_spec("tensorboard") is None:
            raise ValueError("report_to='tensorboard' needs TensorBoard: pip install tensorboard, or report_to='none'")
        on_cpu = self.use_cpu or not torch.cuda.is_available()
        if self.tf32 and on_cpu:
            raise ValueError("tf32=True is for a GPU, found a CPU; leave it out")
        if self.fp16 and (self.bf16 or on_cpu):
            found = "bf16=True" if self.bf16 else "a CPU"
            raise ValueError(f"fp16=True is for a GPU, in place of bf16, found {found}; leave it out, or use bf16=True")

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

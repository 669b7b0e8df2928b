"""What changes in a run: how it is at the first step, how it is saved, and how it is brought back."""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader

from minibert.training.batch import Examples, to_device
from minibert.training.batches import StepBatches, StepSampler
from minibert.training.best import Best
from minibert.training.checkpointing import (
    ResumeError,
    check_same_run,
    load_checkpoint,
    load_last_checkpoint,
    prune,
    save_checkpoint,
)
from minibert.training.clock import RunClock
from minibert.training.ctrl_c import ignore_ctrl_c
from minibert.training.evaluator import Evaluator
from minibert.training.failures import FiniteCheck
from minibert.training.optimization import RunSchedule, build_optimizer, layerwise_lr_scale
from minibert.training.seeding import seed_of_batch

# Of a group of parameters: which they are, the rate of a step, and how the same update is computed.
NOT_COMPARED = {"params", "lr", "foreach", "fused", "capturable", "differentiable"}


class Resumable(Evaluator):
    """The part of a `Trainer` that sets up a run, and writes and reads its checkpoints."""

    train_dataset: Examples | None
    model_init: Callable[..., nn.Module] | None
    optimizers: tuple[Any, Any]  # an optimizer and its schedule, if they are the user's own
    optimizer: Any
    lr_scheduler: Any

    def get_train_dataloader(self) -> DataLoader:
        """The batches to train on; made to be overridden.

        Returns: a loader of (micro-)batches; `StepBatches` says what one's own must have.
        """
        if self.train_dataset is None or not hasattr(self.train_dataset, "__len__") or len(self.train_dataset) == 0:
            raise ValueError("train needs a train_dataset with at least one example, and a length")
        args = self.args
        return DataLoader(
            self.train_dataset,
            batch_sampler=StepSampler(self.train_dataset, args, self.processes),
            collate_fn=self._collator_of(self.train_dataset),
            num_workers=args.dataloader_num_workers,
            worker_init_fn=ignore_ctrl_c,
            pin_memory=args.dataloader_pin_memory and self.processes.device.type == "cuda",
        )

    def create_optimizer(self) -> Any:
        """Set and return `self.optimizer`; made to be overridden. An optimizer that was given stays as it is."""
        if self.optimizer is None:
            args = self.args
            self.optimizer = build_optimizer(
                self.model.named_parameters(),
                args.learning_rate,
                args.weight_decay,
                (args.adam_beta1, args.adam_beta2),
                args.adam_epsilon,
                layerwise_lr_scale(self.model, args.layerwise_lr_decay),
                args.optim,
                args.bf16,
            )
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Set and return `self.lr_scheduler`; made to be overridden, by one that has PyTorch's methods.

        It is asked for a `step` after each of the run's steps.
        """
        if self.lr_scheduler is None:
            optimizer = self.optimizer if optimizer is None else optimizer
            self.lr_scheduler = RunSchedule(optimizer, lambda: self.clock.learning_rate_factor)
        return self.lr_scheduler

    def create_optimizer_and_scheduler(self, num_training_steps: int) -> None:
        """Both; made to be overridden."""
        self.create_optimizer()
        self.create_scheduler(num_training_steps=num_training_steps, optimizer=self.optimizer)

    def _begin(self, checkpoint: str | Path | bool | None) -> StepBatches:
        """Set up all that changes in a run, as it is at its first step or as the checkpoint has it."""
        args = self.args
        if self.model_init is not None:
            self.model = self._ready(self._new_model(args.seed))
        folder, saved = self._read(checkpoint) if checkpoint else (None, None)
        torch.manual_seed(args.seed + self.processes.rank)  # dropout alone uses it
        if args.gradient_checkpointing:
            if not hasattr(self.model, "gradient_checkpointing_enable"):
                name = type(self.model).__name__
                raise ValueError(f"gradient_checkpointing needs gradient_checkpointing_enable; {name} has none")
            self.model.gradient_checkpointing_enable()
        self.train_dataloader = self.get_train_dataloader()
        self.batches = StepBatches(self.train_dataloader, args, self.processes)
        if saved and saved.get("processes") != self.processes.count:
            self.batches.divide_as(saved.get("facts") or {})
        self.clock = RunClock(args, self.batches.steps_per_epoch, self.processes)
        self.optimizer, self.lr_scheduler = self.optimizers
        self.create_optimizer_and_scheduler(self.clock.total_steps)
        self._check_schedule()
        self.options = self._options()
        self.scaler = torch.amp.GradScaler(self.processes.device.type, enabled=args.fp16)
        self.finite = FiniteCheck(self.processes.device)
        self.unlogged: dict[str, Tensor] = {}  # the sums of the losses since the last log
        self.unlogged_steps = 0
        self.position = (0, 0)  # the epoch, and how many of its steps are done
        self.best = Best(args)
        self.state = self._new_state()
        if args.counts_steps:  # else nobody knows
            self.state.max_steps = self.clock.total_steps
            self.state.num_train_epochs = -(-self.clock.total_steps // self.batches.steps_per_epoch)
        if folder is not None:
            self._resume(folder, saved)
        self._update_state()
        return self.batches

    def _new_model(self, seed: int) -> nn.Module:
        """What `model_init` makes; the reference's may have an argument, which is of no use here."""
        torch.manual_seed(seed)
        assert self.model_init is not None
        return self.model_init(*[None] * len(inspect.signature(self.model_init).parameters))

    def _check_schedule(self) -> None:
        for name, part in (("create_optimizer", self.optimizer), ("create_scheduler", self.lr_scheduler)):
            if part is None:
                raise TypeError(f"{name} has made nothing: it must set self.optimizer, or self.lr_scheduler")
        if isinstance(self.lr_scheduler, ReduceLROnPlateau):
            raise TypeError("ReduceLROnPlateau waits for metrics, but a schedule here is told of steps alone")
        if not self.args.counts_steps and not isinstance(self.lr_scheduler, RunSchedule):
            length = "max_tokens" if self.args.max_tokens else "max_minutes"
            raise TypeError(f"a schedule of one's own counts steps, and a run of {length} has no number of them")

    def _update_state(self) -> None:
        """Tell `self.state` where the run is."""
        (epoch, step), clock = self.position, self.clock
        self.state.epoch = epoch + self.batches.plan.share_of_epoch(step)
        self.state.global_step, self.state.seconds = clock.step, clock.seconds
        self.state.num_input_tokens_seen = clock.tokens
        self.state.best_metric = self.best.metric
        if self.best.checkpoint:
            self.state.best_model_checkpoint = str(self.best.checkpoint)
            self.state.best_global_step = int(self.best.checkpoint.name.removeprefix("checkpoint-"))

    @property
    def _facts(self) -> dict[str, Any]:
        """What must stay as it is for a position to mean the same examples, and the saved state the same update."""
        parts = {"optimizer": self.optimizer, "schedule": self.lr_scheduler}
        kinds = {name: type(part).__name__ for name, part in parts.items()}
        return self.batches.facts | kinds

    def _options(self) -> list[dict[str, Any]]:
        """Of each group of parameters what a loaded state would silently replace, its weight decay for example.

        That is as the run begins: a schedule of one's own may change it. The learning rate is among it only there,
        since another one takes effect in a `RunSchedule`.
        """
        is_ours = isinstance(self.lr_scheduler, RunSchedule)
        left_out = NOT_COMPARED | {"initial_lr"} if is_ours else NOT_COMPARED
        groups = self.optimizer.param_groups
        return [{name: value for name, value in group.items() if name not in left_out} for group in groups]

    def _save_run(self, metrics: dict[str, float] | None) -> Path:
        """Write a checkpoint, and remove the oldest one if there are too many.

        Args:
            metrics: of the evaluation at this step, if there was one.

        Raises: `TrainingError` if the weights were spoiled since that was looked at.
        """
        self.finite.look()
        folder = self.args.output_dir / f"checkpoint-{self.clock.step}"
        if metrics is not None:
            self.best.see(metrics, folder)
            self._update_state()
        state = {
            "facts": self._facts,
            "options": self.options,
            "processes": self.processes.count,
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.lr_scheduler.state_dict(),
            "scaler": self.scaler.state_dict(),
            "clock": self.clock.state(),
            "position": self.position,
            "unlogged": self.processes.gather(self.unlogged),
            "unlogged_steps": self.unlogged_steps,
            "log_history": self.state.log_history,
            "best": self.best.state(folder.parent),
            **self.processes.random_states(),
        }
        if self.processes.is_first:
            save_checkpoint(folder, self.model, [self.processing_class], state)
            if self.args.save_total_limit:
                prune(self.args.output_dir, self.args.save_total_limit, keep=self.best.checkpoint)
        self.processes.wait()
        self._tell("on_save")
        return folder

    def _read(self, checkpoint: Any) -> tuple[Path, dict[str, Any]]:
        """Put the checkpoint's tensors into the model; returns the checkpoint, and all else that it holds."""
        if checkpoint is True:
            return load_last_checkpoint(self.args.output_dir, self.model)
        return Path(checkpoint), load_checkpoint(Path(checkpoint), self.model)

    def _resume(self, folder: Path, state: Any) -> None:
        """Put everything else back to where it was when the checkpoint was written."""
        check_same_run(folder, state.get("facts"), self._facts)
        # An earlier minibert wrote no options, another PyTorch has others. Another number of groups is refused below.
        for was, now in zip(state.get("options", []), self.options, strict=False):
            both = [name for name in was if name in now]
            check_same_run(folder, {name: was[name] for name in both}, {name: now[name] for name in both})
        try:
            self.optimizer.load_state_dict(state["optimizer"])
        except ValueError as error:
            raise ResumeError(
                f"{folder}: its optimizer has other groups of parameters ({error}); freeze the same layers as"
                " before, with the same layerwise_lr_decay"
            ) from error
        if state["scaler"]:  # of a run in float16
            self.scaler.load_state_dict(state["scaler"])
        self.clock.restore(state["clock"])
        self.lr_scheduler.load_state_dict(state["schedule"])
        self.position = state["position"]
        unlogged = state["unlogged"]
        self.unlogged_steps = state.get("unlogged_steps", len(unlogged[0]))
        if "unlogged_steps" not in state:  # an earlier minibert kept the losses of every step
            unlogged = [sum_losses(steps) for steps in unlogged]
        if state["processes"] == self.processes.count:
            own = unlogged[self.processes.rank]
        else:  # what would have been logged
            own = {name: total / len(unlogged) for name, total in sum_losses(unlogged).items()}
        self.unlogged = to_device(own, self.processes.device)
        self.state.log_history = state["log_history"]
        self.best.restore(state["best"], folder.parent)
        self.processes.restore_random_states(state, seed_of_batch(self.args.seed, *self.position))


def sum_losses(losses: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Of each name, the sum over all."""
    names = list(losses[0]) if losses else []
    return {name: torch.stack([each[name] for each in losses]).double().sum() for name in names}

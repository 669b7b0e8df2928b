"""What changes the weights: AdamW or Muon, and the schedule of its learning rate."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from minibert.training.muon import Muon

OPTIMIZERS = ("adamw_torch_fused", "adamw_torch", "muon")  # the first two are the same one here

# The share of the peak learning rate after a share `progress` (0 to 1) of the run that follows the warm-up.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "linear": lambda progress: 1 - progress,
    "cosine": lambda progress: 0.5 * (1 + math.cos(math.pi * progress)),
    "constant": lambda progress: 1.0,
    "constant_with_warmup": lambda progress: 1.0,  # here "constant" warms up, too, if it is told to
}


def learning_rate_factor(schedule: str, progress: float, warmup: float) -> float:
    """The share of the peak learning rate at `progress` of the run: a linear rise until `warmup`, then `schedule`.

    Both are shares of the run, whether it is measured in steps or in minutes.
    """
    if progress < warmup:
        return progress / warmup
    return SCHEDULES[schedule]((progress - warmup) / (1 - warmup)) if progress < 1 else SCHEDULES[schedule](1.0)


def layerwise_lr_scale(model: nn.Module, decay: float) -> Callable[[str], float]:
    """From a parameter's name to its share of the learning rate, the smaller the deeper it lies: decay ** depth.

    How deep that is, is the model's business: raises `ValueError` if it has no `depth_below_head(parameter_name)`.
    """
    if decay == 1:
        return lambda name: 1.0
    if not hasattr(model, "depth_below_head"):
        found = type(model).__name__
        raise ValueError(f"layerwise_lr_decay needs a model with depth_below_head(parameter_name); {found} has none")
    depth: Any = model.depth_below_head
    return lambda name: decay ** depth(name)


def build_optimizer(
    named_parameters: Iterable[tuple[str, nn.Parameter]],
    learning_rate: float,
    weight_decay: float,
    betas: tuple[float, float],
    epsilon: float,
    lr_scale: Callable[[str], float] = lambda name: 1.0,
    optim: str = "adamw_torch_fused",
    bf16: bool = False,
) -> torch.optim.AdamW:
    """The optimizer of the parameters that are trained; weight decay on matrices, none on biases and LayerNorm.

    Args:
        lr_scale: from a parameter's name to its share of the learning rate; the groups with the largest come first.
        optim: one of `OPTIMIZERS`. "muon" is for the matrices of the encoder's layers, AdamW for all else.
        bf16: Muon multiplies its matrices in bfloat16.

    Raises: `ValueError` for "muon" and a model without encoder layers.
    """
    by_scale: dict[float, list[tuple[str, nn.Parameter]]] = {}
    for name, parameter in named_parameters:
        if parameter.requires_grad:
            by_scale.setdefault(lr_scale(name), []).append((name, parameter))
    groups: list[dict[str, Any]] = []
    for scale, trained in sorted(by_scale.items(), reverse=True):
        lr = learning_rate * scale
        hidden = [p for name, p in trained if optim == "muon" and ".layer." in name and p.ndim == 2]
        others = [p for _, p in trained if not any(p is h for h in hidden)]
        groups.append({"params": [p for p in others if p.ndim > 1], "weight_decay": weight_decay, "lr": lr})
        groups.append({"params": [p for p in others if p.ndim <= 1], "weight_decay": 0.0, "lr": lr})
        if hidden:
            groups.append({"params": hidden, "weight_decay": weight_decay, "lr": lr, "hidden_matrices": True})
    # fused: one pass over memory for the whole update, the same formula.
    options: dict[str, Any] = {"lr": learning_rate, "betas": betas, "eps": epsilon, "fused": True}
    if optim != "muon":
        return torch.optim.AdamW(groups, **options)
    if not any("hidden_matrices" in group for group in groups):
        raise ValueError("optim='muon' is for matrices of encoder layers, of which none is trained; use 'adamw_torch'")
    return Muon(groups, torch.bfloat16 if bf16 else torch.float32, **options)


class RunSchedule:
    """Sets the learning rates of a run, with the methods of PyTorch's schedulers.

    It has no state of its own: how far the run is, in steps or in minutes, its clock knows.

    Args:
        optimizer: each of its groups of parameters begins with the peak of its learning rate.
        factor: the share of the peaks for the step that comes next.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, factor: Callable[[], float]) -> None:
        self.optimizer = optimizer
        self.factor = factor
        # PyTorch's own name for it, by which a second schedule for the same optimizer knows the peak, too.
        self.peaks = [group.setdefault("initial_lr", group["lr"]) for group in optimizer.param_groups]
        self.step()

    def step(self) -> None:
        """Set the rates for the step that comes next."""
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * self.factor()

    def get_last_lr(self) -> list[float]:
        """The rates of all groups."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Set the rates anew, after the optimizer, which brings its old peaks, and the clock were restored."""
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["initial_lr"] = peak
        self.step()


def get_scheduler(
    name: str,
    optimizer: torch.optim.Optimizer,
    num_warmup_steps: int | None = None,
    num_training_steps: int | None = None,
) -> LambdaLR:
    """A schedule for a loop of one's own: call its `step` after each of the optimizer's.

    Args:
        name: one of `SCHEDULES`.
        num_warmup_steps: so many steps lead up to the optimizer's rate, in a straight line.
        num_training_steps: how long the run is; not needed where the rate stays.

    Raises: `ValueError` for another name, or numbers that do not go with it.
    """
    if name not in SCHEDULES:
        raise ValueError(f"name must be one of {', '.join(SCHEDULES)}, got {name!r}")
    if num_training_steps is None and not name.startswith("constant"):
        raise ValueError(f"the schedule {name!r} needs num_training_steps")
    if name == "constant" and num_warmup_steps:
        raise ValueError("the schedule 'constant' has no warm-up: leave it out, or choose 'constant_with_warmup'")
    return _step_schedule(name, optimizer, num_warmup_steps or 0, num_training_steps)


def get_linear_schedule_with_warmup(
    optimizer: torch.optim.Optimizer, num_warmup_steps: int, num_training_steps: int, last_epoch: int = -1
) -> LambdaLR:
    """As `get_scheduler("linear", ...)`; `last_epoch` is the step to go on from."""
    return _step_schedule("linear", optimizer, num_warmup_steps, num_training_steps, last_epoch)


def get_cosine_schedule_with_warmup(
    optimizer: torch.optim.Optimizer, num_warmup_steps: int, num_training_steps: int, last_epoch: int = -1
) -> LambdaLR:
    """As `get_scheduler("cosine", ...)`; `last_epoch` is the step to go on from."""
    return _step_schedule("cosine", optimizer, num_warmup_steps, num_training_steps, last_epoch)


def get_constant_schedule(optimizer: torch.optim.Optimizer, last_epoch: int = -1) -> LambdaLR:
    """As `get_scheduler("constant", ...)`; `last_epoch` is the step to go on from."""
    return _step_schedule("constant", optimizer, 0, None, last_epoch)


def get_constant_schedule_with_warmup(
    optimizer: torch.optim.Optimizer, num_warmup_steps: int, last_epoch: int = -1
) -> LambdaLR:
    """As `get_scheduler("constant_with_warmup", ...)`; `last_epoch` is the step to go on from."""
    return _step_schedule("constant_with_warmup", optimizer, num_warmup_steps, None, last_epoch)


def _step_schedule(
    name: str, optimizer: torch.optim.Optimizer, warmup: int, steps: int | None, last_epoch: int = -1
) -> LambdaLR:
    total = steps or warmup + 1  # where the rate stays, any length will do that holds the warm-up

    def factor(step: int) -> float:
        return learning_rate_factor(name, step / total, warmup / total)

    return LambdaLR(optimizer, factor, last_epoch)

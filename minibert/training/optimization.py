"""What changes the weights: AdamW, and the schedule of its learning rate."""

import math
from collections.abc import Callable, Iterable

import torch
from torch import nn

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
    return lambda name: decay ** model.depth_below_head(name)


def build_optimizer(
    named_parameters: Iterable[tuple[str, nn.Parameter]],
    learning_rate: float,
    weight_decay: float,
    betas: tuple[float, float],
    epsilon: float,
    lr_scale: Callable[[str], float] = lambda name: 1.0,
) -> torch.optim.AdamW:
    """AdamW over the parameters that are trained; weight decay on matrices, none on biases and LayerNorm.

    Args:
        lr_scale: from a parameter's name to its share of the learning rate. Every group of parameters keeps its
            own as `lr_scale`, for whoever changes the rate on the way; the largest comes first.
    """
    by_scale: dict[float, list[nn.Parameter]] = {}
    for name, parameter in named_parameters:
        if parameter.requires_grad:
            by_scale.setdefault(lr_scale(name), []).append(parameter)
    groups = []
    for scale, trained in sorted(by_scale.items(), reverse=True):
        shared = {"lr": learning_rate * scale, "lr_scale": scale}
        groups.append({"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay} | shared)
        groups.append({"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0} | shared)
    # fused: one pass over memory for the whole update, the same formula.
    return torch.optim.AdamW(groups, lr=learning_rate, betas=betas, eps=epsilon, fused=True)

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
}


def learning_rate_factor(schedule: str, progress: float, warmup: float) -> float:
    """The share of the peak learning rate at `progress` of the run: a linear rise until `warmup`, then `schedule`.

    Both are shares of the run, whether it is measured in steps or in minutes.
    """
    if progress < warmup:
        return progress / warmup
    return SCHEDULES[schedule]((progress - warmup) / (1 - warmup)) if progress < 1 else SCHEDULES[schedule](1.0)


def build_optimizer(
    named_parameters: Iterable[tuple[str, nn.Parameter]],
    learning_rate: float,
    weight_decay: float,
    betas: tuple[float, float],
    epsilon: float,
) -> torch.optim.AdamW:
    """AdamW over the parameters that are trained; weight decay on matrices, none on biases and LayerNorm."""
    trained = [p for _, p in named_parameters if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    # fused: one pass over memory for the whole update, the same formula.
    return torch.optim.AdamW(groups, lr=learning_rate, betas=betas, eps=epsilon, fused=True)

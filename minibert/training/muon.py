"""Muon (Jordan et al. 2024): every direction of a matrix learns at the same rate.

The gradient of a matrix is nearly always dominated by a few directions, and gradient descent, AdamW included, spends
its steps on those. Muon takes the momentum U S Vᵀ of a matrix and steps along U Vᵀ, in which all singular values are 1.
A small BERT learns much more from a step like that (docs/recipe.md). It is made for matrices that multiply hidden
states; embeddings, biases and heads stay with AdamW.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

# Five steps of an odd polynomial that drives singular values towards 1 (https://kellerjordan.github.io/posts/muon): to
# between 0.68 and 1.21, if they were at least 0.0016 of the matrix's norm. Smaller ones have not arrived yet: they grow
# up to 485-fold, which the steep slope at zero is for.
COEFFICIENTS, ITERATIONS = (3.4445, -4.7750, 2.0315), 5

MOMENTUM = 0.95

# 0.2 would make the update as large as AdamW's, in the mean square (Liu et al. 2025, "Muon is scalable for LLM
# training", section 2.2), so that one learning rate does for both. Twice that is what we measured to be better.
UPDATE_SIZE = 0.4


class Muon(torch.optim.AdamW):
    """AdamW, but for the groups that have `hidden_matrices=True`, whose matrices are updated by Muon.

    Args:
        products_in: the type in which matrices are multiplied; bfloat16 is exact enough, where it is fast.
        options: those of AdamW.
    """

    def __init__(
        self, params: Iterable[dict[str, Any]], products_in: torch.dtype = torch.float32, **options: Any
    ) -> None:
        super().__init__(params, **options)
        self.products_in = products_in
        # A fused AdamW skips a step with infinite gradients by itself. Here PyTorch's gradient scaler has to do it.
        self._step_supports_amp_scaling = False

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group({"hidden_matrices": False} | param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient.

        Args:
            closure: computes the gradients anew, before the update, and returns the loss, which is returned.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        gradients: dict[Tensor, Tensor | None] = {}
        for group in self.param_groups:
            if group["hidden_matrices"]:
                trained = [p for p in group["params"] if p.grad is not None]
                self._step_matrices(trained, group["lr"], group["weight_decay"])
                gradients |= {p: p.grad for p in trained}
        for parameter in gradients:
            parameter.grad = None  # AdamW passes over it
        super().step()
        for parameter, gradient in gradients.items():
            parameter.grad = gradient
        return loss

    def _step_matrices(self, matrices: list[Tensor], lr: float, weight_decay: float) -> None:
        by_shape: dict[torch.Size, list[Tensor]] = {}
        for matrix in matrices:
            by_shape.setdefault(matrix.shape, []).append(matrix)
        for (rows, columns), alike in by_shape.items():
            gradients = torch.stack([self._direction(matrix) for matrix in alike])
            directions = orthogonalised(gradients.to(self.products_in))
            size = UPDATE_SIZE * math.sqrt(max(rows, columns))
            for matrix, direction in zip(alike, directions, strict=True):
                matrix.mul_(1 - lr * weight_decay).add_(direction, alpha=-lr * size)

    def _direction(self, matrix: Tensor) -> Tensor:
        """The gradient, and what it was before: Nesterov's momentum."""
        state = self.state[matrix]
        if not state:
            state["step"] = torch.zeros(())  # AdamW asks for it when a state is loaded
            state["momentum_buffer"] = torch.zeros_like(matrix)
        gradient = matrix.grad
        assert gradient is not None
        momentum = state["momentum_buffer"].lerp_(gradient, 1 - MOMENTUM)
        return gradient.lerp(momentum, MOMENTUM)


def orthogonalised(matrices: Tensor) -> Tensor:
    """U Vᵀ, nearly, of each of the matrices U S Vᵀ: (n, rows, columns), without computing U or V (Newton-Schulz)."""
    a, b, c = COEFFICIENTS
    is_tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if is_tall else matrices  # the smaller side first, which makes the products small
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)  # no singular value is above 1 then
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if is_tall else x

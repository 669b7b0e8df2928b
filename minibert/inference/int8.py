"""Linear layers whose products are computed in 8-bit integers, on a CPU.

Integers multiply two to eight times as fast as fp32, but there are only 256 of them. So every row of a weight matrix
(an output channel) and every row of activations (a token) is stretched to use them all, each by a scale of its own:

    w = s q_w, q_w from -127 to 127         s: the row's largest |w| / 127
    x = lo + m q_x, q_x from 0 to 255       lo: the row's smallest value, m: (its largest value - lo) / 255

    x · w = m (s q_x · q_w) + lo (s Σ q_w)          the first product in integers, the last sum known in advance

Nothing is calibrated, and what a token gets does not depend on the batch that it is in. Starting at the smallest value
matters: behind a GELU, half of the range around zero would be empty.

Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", section 2.1; Dettmers et al. 2022, "LLM.int8()", section 2 (a scale for each row and each column).
"""

import functools

import torch
from torch import Tensor, nn

ZERO = 128  # is subtracted from q_x inside the product, where signed numbers are at home
SMALLEST = torch.finfo(torch.float32).tiny  # of scales: a row of one value has a range of 0


class Int8Linear(nn.Linear):
    """A linear layer that `in_int8` has made of another. It computes, and cannot be trained."""

    def pack(self) -> None:
        """Take the integers from `weight`, which is not read again. Raises `ValueError` for one not on a CPU."""
        check_device(self.weight.device)
        weight = self.weight.detach().float()
        self.scale = (weight.abs().amax(1) / largest_weight()).clamp_min_(SMALLEST)  # s
        integers = (weight / self.scale[:, None]).round_().to(torch.int8)
        self.packed = torch.ops.onednn.qlinear_prepack(integers, None)
        self.sums = integers.float().sum(1) * self.scale
        self.shift = torch.zeros(len(weight)) if self.bias is None else self.bias.detach().float()

    def forward(self, x: Tensor) -> Tensor:
        """(T, D) -> (T, F), in fp32"""
        lowest, highest = x.amin(1, keepdim=True), x.amax(1, keepdim=True)
        step = ((highest - lowest) / 255).clamp_min_(SMALLEST)  # m
        integers = (
            (x - (lowest - step / 2)).div_(step).to(torch.uint8)
        )  # cut off, so half a step more is to the nearest
        y = torch.addcmul(self.shift, _product(integers, self.packed, self.scale), step)
        return y.addcmul_(torch.add(lowest, step, alpha=ZERO), self.sums)


def in_int8(linear: nn.Linear) -> Int8Linear:
    """`linear` itself, which is another class from now on; its hooks stay. Raises `ValueError` as `pack`."""
    linear.__class__ = Int8Linear
    assert isinstance(linear, Int8Linear)
    linear.pack()
    return linear


def check_device(device: torch.device) -> None:
    """Raise `ValueError` where there are no such products."""
    if device.type != "cpu":
        raise ValueError(f"precision: int8 is for CPUs, and the model is on {device}; pass precision='bf16' there")
    if not torch.backends.mkldnn.is_available():
        raise ValueError(
            "precision: int8 is computed by oneDNN, which this PyTorch was built without; pass precision='fp32'"
        )


@functools.cache
def largest_weight() -> int:
    """Up to where a weight's integers may go so that every product is exact: 127, or 63 on older processors.

    AVX2 and AVX-512 without VNNI add two neighbouring products in 16 bits, silently cut at 32,767. This asks the
    processor itself, by such a product.
    """
    weight = torch.ops.onednn.qlinear_prepack(torch.full((1, 2), 127, dtype=torch.int8), None)
    largest = torch.full((1, 2), 255, dtype=torch.uint8)
    exact = _product(largest, weight, torch.ones(1), zero=0).item() == 2 * 255 * 127
    return 127 if exact else 63


def _product(x: Tensor, packed: Tensor, scale: Tensor, zero: int = ZERO) -> Tensor:
    """s (x - zero) · q_w: x (T, D) uint8 and a packed weight (F, D) -> (T, F) in fp32"""
    no_offsets = torch.zeros(len(scale), dtype=torch.long)  # of the weights
    # No bias, no new scale, no activation.
    return torch.ops.onednn.qlinear_pointwise(
        x, 1.0, zero, packed, scale, no_offsets, None, 1.0, 0, torch.float32, "none", [], ""
    )

"""The floating-point operations that a pretraining step needs, and how many the machine can do."""

import time
from collections.abc import Sequence

import torch

from minibert.model.config import BertConfig


def pretraining_flops(config: BertConfig, lengths: Sequence[int], labels: int) -> int:
    """Operations of one step: a multiplication and an addition for each pair of numbers that meet in a matmul.

        forward = Σ over sequences of n tokens: L (n (8 D² + 4 D F) + 4 n² D)     the encoder
                + B (2 D² + 4 D)                                                  pooler and NSP, on [CLS] alone
                + labels (2 D² + 2 D V)                                           MLM transform and logits
        step    = 3 forward

    8 D² are the four projections of attention, 4 n² D its two products; padding and the logits of unlabelled
    positions are not needed, so they do not count. The backward pass has two products for each of the forward:
    one for the gradient of either factor. Element-wise work, softmax and the optimizer do not count either.

    Args:
        lengths: the real tokens of each sequence, B numbers.
        labels: how many positions of the batch have a label.
    """
    hidden, feed_forward = config.hidden_size, config.intermediate_size
    per_token = 8 * hidden**2 + 4 * hidden * feed_forward
    encoder = config.num_hidden_layers * sum(n * per_token + 4 * n**2 * hidden for n in lengths)
    nsp = len(lengths) * (2 * hidden**2 + 4 * hidden)
    mlm = labels * (2 * hidden**2 + 2 * hidden * config.vocab_size)
    return 3 * (encoder + nsp + mlm)


def matmul_speed(dtype: torch.dtype, device: torch.device) -> float:
    """Operations per second in a product of large square matrices: the best of several sizes and tries."""
    sizes = (4096, 8192, 16384) if device.type == "cuda" else (1024, 2048)
    return max(_product_speed(size, dtype, device) for size in sizes for _ in range(4))


def _product_speed(size: int, dtype: torch.dtype, device: torch.device) -> float:
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    synchronize(device)
    start = time.perf_counter()
    left @ right
    synchronize(device)
    return 2 * size**3 / (time.perf_counter() - start)


def synchronize(device: torch.device) -> None:
    """Wait for the device: a GPU returns from a call long before the work is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)

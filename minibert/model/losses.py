"""The losses. Each is a mean over the labels that are given; without any, it is zero, not NaN.

MLM and NSP are the two of pretraining (Devlin et al. 2019, section 3.1, tasks 1 and 2). Textbooks write both as
sums of -log p; code everywhere takes the mean, so that the learning rate does not depend on the batch size.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from minibert.labels import IGNORE_INDEX
from minibert.model.packing import is_on_gpu

BLOCK = 2**19  # logits: 2 MB in fp32


def cross_entropy(
    logits: Tensor, labels: Tensor, ignore_index: int = IGNORE_INDEX, label_count: float | None = None
) -> Tensor:
    """-log softmax(logits)[label], averaged over the labels that are not `ignore_index`.

    Args:
        logits: (N, C)
        labels: (N,) class numbers; raises `ValueError` for a number that is not a class
        label_count: divide by this instead of the number of labels. Of two batches with 2 and 6 labels, both divide by
            4, the mean; then the mean of the two losses is the mean over all 8 labels.
    """
    _check_labels(labels, logits, ignore_index)
    # Logits over a vocabulary are much larger than a processor's cache. Some rows at a time, softmax and its gradient
    # stay in it, and the memory of one block serves the next. A GPU would only have more kernels to launch.
    at_once = logits.is_cuda or torch.compiler.is_compiling()
    rows = max(1, BLOCK // logits.shape[1])
    blocks = [(logits, labels)] if at_once else zip(logits.split(rows), labels.split(rows), strict=True)
    losses = [F.cross_entropy(x, y, ignore_index=ignore_index, reduction="sum") for x, y in blocks]
    total = sum(losses[1:], losses[0])
    if label_count is None:
        return total / (labels != ignore_index).sum().clamp(min=1)
    return total / label_count if label_count else total  # without any label the total is zero


def _check_labels(labels: Tensor, logits: Tensor, ignore_index: int) -> None:
    num_examples, num_classes = logits.shape
    if labels.shape != (num_examples,) or labels.dtype != torch.long:
        found = f"{tuple(labels.shape)} of {labels.dtype}"
        raise ValueError(f"labels must be {num_examples} class numbers (torch.long), got shape {found}")
    if torch.compiler.is_compiling():
        return  # a check that looks at values cannot be traced
    is_wrong = (labels != ignore_index) & ((labels < 0) | (labels >= num_classes))
    if is_on_gpu(labels):
        torch._assert_async(~is_wrong.any(), f"labels must lie in [0, {num_classes}) or be {ignore_index}")
    elif len(wrong := labels[is_wrong]):
        raise ValueError(f"labels must lie in [0, {num_classes}) or be {ignore_index}, got {int(wrong[0])}")


def mlm_loss(logits: Tensor, labels: Tensor, label_count: float | None = None) -> Tensor:
    """Masked language modelling: `cross_entropy` over the vocabulary at the labelled positions.

    Args:
        logits: (N, V)
        labels: (N,) the original token ids, IGNORE_INDEX at positions that are not predicted
        label_count: as in `cross_entropy`
    """
    return cross_entropy(logits, labels, label_count=label_count)


def nsp_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Next sentence prediction: `cross_entropy` over two classes, IS_NEXT = 0 and IS_RANDOM = 1.

    The textbook's sigmoid form with y = 1 for "B follows A" is the same number: two-way softmax is a sigmoid of
    the difference of the logits, and y is the label flipped.

    Args:
        logits: (B, 2)
        labels: (B,)
    """
    return cross_entropy(logits, labels)


def sequence_loss(logits: Tensor, labels: Tensor, problem_type: str) -> Tensor:
    """The loss of a sequence classifier with `problem_type` as in the config.

    Args:
        logits: (B, C)
        labels: (B,) class numbers; for several labels at once (B, C) of 0.0 and 1.0; for regression (B,) or
            (B, C) numbers
    """
    if problem_type == "regression":
        return F.mse_loss(logits.squeeze(-1), labels.view_as(logits).squeeze(-1).to(logits.dtype))
    if problem_type == "single_label_classification":
        return cross_entropy(logits, labels.view(-1))
    return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))


def span_loss(
    start_logits: Tensor, end_logits: Tensor, starts: Tensor, ends: Tensor, label_count: float | None = None
) -> Tensor:
    """The mean of two cross-entropies over positions, one for the answer's start and one for its end.

    An answer beyond the sequence (cut off by truncation) is ignored. Padding takes no part in the softmax, because
    its logits are the lowest number; in the reference it does, so on padded batches the two losses differ.

    Args:
        start_logits, end_logits: (B, S)
        starts, ends: (B,) positions, inclusive
        label_count: divide the sum by this instead of by the number of positions that are not ignored, starts and ends
            together; what for, `cross_entropy` says
    """
    total = _position_loss(start_logits, starts, label_count) + _position_loss(end_logits, ends, label_count)
    return total / 2 if label_count is None else total


def _position_loss(logits: Tensor, positions: Tensor, label_count: float | None) -> Tensor:
    beyond = logits.shape[1]
    positions = positions.view(-1).clamp(0, beyond)
    # An answer that points into the padding is ignored, too: the logit there is the lowest number, and the loss would
    # be infinite. One more column lets `beyond` be looked up like the others.
    padding = F.pad(logits, (0, 1)).gather(1, positions[:, None])[:, 0] == torch.finfo(logits.dtype).min
    return cross_entropy(logits, positions.masked_fill(padding, beyond), beyond, label_count)

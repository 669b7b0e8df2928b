"""A pass over an evaluation set without training on it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from minibert.labels import IGNORE_INDEX


class EvalPrediction(NamedTuple):
    """What `compute_metrics` gets: arrays, or tuples of them for models with several logits or labels."""

    predictions: np.ndarray | tuple[np.ndarray, ...]  # the outputs called "...logits"
    label_ids: np.ndarray | tuple[np.ndarray, ...]  # the batches' entries called "...label..." or "...positions"


@torch.inference_mode()
def evaluation_loop(
    model: nn.Module,
    to_device: Callable[[dict], dict],
    dataset: Dataset,
    collate: Callable[[list], dict],
    batch_size: int,
    keep_predictions: bool,
) -> tuple[float, EvalPrediction | None]:
    """The mean loss, and everything that was predicted if it is to be kept.

    A batch weighs as much as it has labels (`label_count`), or else examples.
    """
    if len(dataset) == 0:
        raise ValueError("eval_dataset: expected at least one example, found none")
    model.eval()
    total, weights = 0.0, 0.0
    predictions, labels = [], []
    # A generator of its own, because a DataLoader always draws a number: evaluating must not change the training.
    loader = DataLoader(dataset, batch_size=batch_size, collate_fn=collate, generator=torch.Generator())
    for batch in tqdm(loader, desc="evaluating", leave=False, disable=len(loader) < 10):
        batch = to_device(batch)
        outputs = model(**batch)
        weight = batch["label_count"] if "label_count" in batch else len(next(iter(batch.values())))
        total += outputs.loss.item() * weight
        weights += weight
        if keep_predictions:
            predictions.append([_array(x) for name, x in vars(outputs).items() if _is_prediction(name, x)])
            labels.append([_array(x) for name, x in batch.items() if _is_label(name, x)])
    prediction = EvalPrediction(_join(predictions), _join(labels)) if keep_predictions else None
    return total / max(weights, 1), prediction


def _is_prediction(name: str, value: Any) -> bool:
    return name.endswith("logits") and isinstance(value, Tensor)


def _is_label(name: str, value: Any) -> bool:
    return ("label" in name or name.endswith("positions")) and isinstance(value, Tensor)


def _array(tensor: Tensor) -> np.ndarray:
    return (tensor.float() if tensor.is_floating_point() else tensor).cpu().numpy()  # NumPy has no bfloat16


def _join(batches: list[list[np.ndarray]]) -> np.ndarray | tuple[np.ndarray, ...]:
    columns = [_stack(column) for column in zip(*batches, strict=True)]
    return columns[0] if len(columns) == 1 else tuple(columns)


def _stack(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """One array of all batches; where they differ in length, the shorter ones are padded with IGNORE_INDEX."""
    if arrays[0].ndim < 2:
        return np.concatenate(arrays)
    longest = max(array.shape[1] for array in arrays)
    widths = [[(0, 0), (0, longest - array.shape[1]), *[(0, 0)] * (array.ndim - 2)] for array in arrays]
    return np.concatenate([np.pad(a, w, constant_values=IGNORE_INDEX) for a, w in zip(arrays, widths, strict=True)])

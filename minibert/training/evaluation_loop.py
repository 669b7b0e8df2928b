"""A pass over an evaluation set without training on it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from minibert.labels import IGNORE_INDEX


class EvalPrediction(NamedTuple):
    """What `compute_metrics` gets: an array, or a tuple of arrays for models with several outputs."""

    predictions: Any
    label_ids: Any


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
    model.eval()
    total, weights = 0.0, 0.0
    logits, labels = [], []
    loader = DataLoader(dataset, batch_size=batch_size, collate_fn=collate)
    for batch in tqdm(loader, desc="evaluating", leave=False, disable=len(loader) < 10):
        batch = to_device(batch)
        outputs = model(**batch)
        weight = batch.get("label_count", len(next(iter(batch.values()))))
        total += outputs.loss.item() * weight
        weights += weight
        if keep_predictions:
            logits.append(outputs.logits.float().cpu().numpy())
            labels.append(batch["labels"].cpu().numpy())
    prediction = EvalPrediction(_stack(logits), _stack(labels)) if keep_predictions else None
    return total / max(weights, 1), prediction


def _stack(arrays: list[np.ndarray]) -> np.ndarray:
    """One array of all batches; where they differ in length, the shorter ones are padded with IGNORE_INDEX."""
    if arrays[0].ndim < 2:
        return np.concatenate(arrays)
    longest = max(array.shape[1] for array in arrays)
    widths = [[(0, 0), (0, longest - array.shape[1]), *[(0, 0)] * (array.ndim - 2)] for array in arrays]
    return np.concatenate([np.pad(a, w, constant_values=IGNORE_INDEX) for a, w in zip(arrays, widths, strict=True)])

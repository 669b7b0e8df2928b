"""A pass over an evaluation set without training on it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm import tqdm

from minibert.labels import IGNORE_INDEX
from minibert.training.batches import Batch, batches_by_length


class EvalPrediction(NamedTuple):
    """What `compute_metrics` gets: arrays, or tuples of them for models with several logits or labels."""

    predictions: np.ndarray | tuple[np.ndarray, ...]  # the outputs called "...logits"
    label_ids: np.ndarray | tuple[np.ndarray, ...]  # the batches' entries called "...label..." or "...positions"


class PredictionOutput(NamedTuple):
    """What `Trainer.predict` returns: an `EvalPrediction`, whose labels may be missing, and metrics."""

    predictions: np.ndarray | tuple[np.ndarray, ...] | None
    label_ids: np.ndarray | tuple[np.ndarray, ...] | None
    metrics: dict[str, float]


@torch.inference_mode()
def evaluation_loop(
    model: nn.Module,
    forward: Callable[[Batch], Any],
    dataset: Dataset,
    collate: Callable[[list], Batch],
    batch_size: int,
    keep_predictions: bool,
) -> tuple[float | None, EvalPrediction | None]:
    """The mean loss, if there are labels, and everything that was predicted, if it is to be kept.

    A batch weighs as much as it has labels (`label_count`), or else examples. Examples of similar lengths share
    a batch, but predictions come in the order of `dataset`.
    """
    if len(dataset) == 0:
        raise ValueError("expected a data set with at least one example to evaluate on, found none")
    model.eval()
    total, weights = 0.0, 0.0
    order, predictions, labels = [], [], []
    with tqdm(total=len(dataset), desc="evaluating", leave=False, disable=len(dataset) < 10 * batch_size) as bar:
        for indices, examples in batches_by_length(dataset, batch_size):
            batch = collate(examples)
            outputs = forward(batch)
            if getattr(outputs, "loss", None) is not None:
                weight = batch.get("label_count", len(indices))
                total += outputs.loss.item() * weight
                weights += weight
            if keep_predictions:
                order += indices
                predictions.append(_rows(vars(outputs), _is_prediction, len(indices)))
                labels.append(_rows(batch, _is_label, len(indices)))
            bar.update(len(indices))
    back = np.argsort(order)
    prediction = EvalPrediction(_join(predictions, back), _join(labels, back)) if keep_predictions else None
    return total / weights if weights else None, prediction


def summarize(
    loss: float | None,
    prediction: EvalPrediction | None,
    compute_metrics: Callable[[EvalPrediction], dict[str, float]] | None,
) -> dict[str, float]:
    """The loss, and what `compute_metrics` makes of the predictions; nothing where there are no labels."""
    metrics = {} if loss is None else {"loss": loss}
    if compute_metrics and (metrics or prediction.label_ids is not None):
        metrics |= compute_metrics(prediction)
    # Numbers of NumPy's own types cannot be written as JSON.
    return {name: value.item() if hasattr(value, "item") else value for name, value in metrics.items()}


def _is_prediction(name: str) -> bool:
    return name.endswith("logits")


def _is_label(name: str) -> bool:
    return "label" in name or name.endswith("positions")


def _rows(tensors: dict[str, Any], is_wanted: Callable[[str], bool], size: int) -> list[np.ndarray]:
    """The tensors that are wanted, as arrays, which have a row for every one of `size` examples."""
    wanted = {name: x for name, x in tensors.items() if is_wanted(name) and isinstance(x, Tensor)}
    for name, tensor in wanted.items():
        if len(tensor) != size:
            raise ValueError(f"{name}: expected a row for each of the batch's {size} examples, found {len(tensor)}")
    # NumPy has no bfloat16.
    return [(x.float() if x.is_floating_point() else x).cpu().numpy() for x in wanted.values()]


def _join(batches: list[list[np.ndarray]], order: np.ndarray) -> np.ndarray | tuple[np.ndarray, ...] | None:
    columns = [_stack(column)[order] for column in zip(*batches, strict=True)]
    return tuple(columns) if len(columns) > 1 else columns[0] if columns else None


def _stack(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """One array of all batches; where they differ in length, the shorter ones are padded with IGNORE_INDEX."""
    if arrays[0].ndim < 2:
        return np.concatenate(arrays)
    longest = max(array.shape[1] for array in arrays)
    widths = [[(0, 0), (0, longest - array.shape[1]), *[(0, 0)] * (array.ndim - 2)] for array in arrays]
    return np.concatenate([np.pad(a, w, constant_values=IGNORE_INDEX) for a, w in zip(arrays, widths, strict=True)])

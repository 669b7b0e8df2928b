"""A pass over an evaluation set without training on it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from minibert.labels import IGNORE_INDEX
from minibert.training.batch import Batch, Examples, examples_in, label_count
from minibert.training.distributed import Processes
from minibert.training.evaluation_batches import EvaluationBatches
from minibert.training.returned import labels_of, loss_of, one_or_all, predictions_of
from minibert.training.seeding import drawn


class EvalPrediction(NamedTuple):
    """What `compute_metrics` gets: arrays, or tuples of them for models with several logits or labels."""

    predictions: np.ndarray | tuple[np.ndarray, ...]  # the outputs called "...logits", or all but the loss
    label_ids: np.ndarray | tuple[np.ndarray, ...]  # the batches' entries called "...label..." or "...positions"


class PredictionOutput(NamedTuple):
    """What `Trainer.predict` returns: an `EvalPrediction`, whose labels may be missing, and metrics."""

    predictions: np.ndarray | tuple[np.ndarray, ...] | None
    label_ids: np.ndarray | tuple[np.ndarray, ...] | None
    metrics: dict[str, float]


# Of a batch: the loss, and what was predicted and what is right, None or a tensor or several.
Predicted = tuple[Tensor | None, Any, Any]


def evaluation_loop(
    model: nn.Module,
    forward: Callable[[Batch], Any],
    dataset: Examples,
    collate: Callable[[list], Batch],
    batch_size: int,
    keep_predictions: bool,
) -> tuple[float | None, EvalPrediction | None]:
    """As `evaluate_batches`, for a data set and a function from a batch to what the model returns."""

    def step(batch: Batch) -> Predicted:
        outputs = forward(batch)
        loss = loss_of(outputs)
        return loss, one_or_all(predictions_of(outputs, loss is not None)), one_or_all(labels_of(batch))

    return evaluate_batches(model, step, EvaluationBatches(dataset, batch_size, collate), keep_predictions)


@torch.inference_mode()
def evaluate_batches(
    model: nn.Module,
    step: Callable[[Batch], Predicted],
    batches: Any,
    keep_predictions: bool,
    seed: int = 0,
) -> tuple[float | None, EvalPrediction | None]:
    """The mean loss, if there are labels, and everything that was predicted, if it is to be kept.

    A batch weighs as much as it has labels, or else examples. Several processes share the batches, which must be the
    same in all of them, and all return what one process alone would.

    Args:
        batches: predictions come in the order of the batches, or, if they are `EvaluationBatches`, in that of the data.
        seed: what is random in the batches is drawn with it, the same at every evaluation.
    """
    if hasattr(batches, "dataset") and hasattr(batches.dataset, "__len__") and len(batches.dataset) == 0:
        raise ValueError("expected a data set with at least one example to evaluate on, found none")
    model.eval()
    processes = Processes.join()
    measured = []
    count = len(batches) if hasattr(batches, "__len__") else None
    hidden = not processes.is_first or (count is not None and count < 10)
    with tqdm(total=count, desc="evaluating", leave=False, disable=hidden) as bar:
        # All are drawn, so that what is random in each does not depend on who computes it.
        for number, batch in enumerate(drawn(batches, seed, epoch=0)):
            if number % processes.count == processes.rank:
                measured.append((number, _measure(step, batch, keep_predictions)))
            bar.update()
    losses, weights, predictions, labels = list(zip(*processes.in_order(measured), strict=True)) or [()] * 4
    order = np.argsort(batches.order) if isinstance(batches, EvaluationBatches) else slice(None)
    prediction = EvalPrediction(_join(predictions, order), _join(labels, order)) if keep_predictions else None
    return sum(losses) / sum(weights) if sum(weights) else None, prediction


def _measure(
    step: Callable[[Batch], Predicted], batch: Batch, keep_predictions: bool
) -> tuple[float, int, list[np.ndarray], list[np.ndarray]]:
    """Of a batch: the loss times its weight, the weight, 0 if there is no loss, and what was predicted and is right."""
    size, counted = examples_in(batch), label_count(batch)
    loss, predicted, right = step(batch)
    weight = 0 if loss is None else size if counted is None else counted
    total = loss.item() * weight if loss is not None and weight else 0.0
    if not keep_predictions:
        return total, weight, [], []
    return total, weight, _rows(predicted, size, "predictions"), _rows(right, size, "labels")


def summarize(
    loss: float | None,
    prediction: EvalPrediction | None,
    compute_metrics: Callable[[EvalPrediction], dict[str, float]] | None,
) -> dict[str, float]:
    """The loss, and what `compute_metrics` makes of the predictions; nothing where there are no labels."""
    metrics = {} if loss is None else {"loss": loss}
    if compute_metrics and prediction and (metrics or prediction.label_ids is not None):
        if prediction.predictions is None:
            raise ValueError(
                "compute_metrics needs predictions, but the outputs hold no tensor beside the loss; let the model, or"
                " compute_loss, return its logits"
            )
        metrics |= compute_metrics(prediction)
    # Numbers of NumPy's own types cannot be written as JSON.
    return {name: value.item() if hasattr(value, "item") else value for name, value in metrics.items()}


def _rows(tensors: Any, size: int, what: str) -> list[np.ndarray]:
    """The tensors as arrays, which have a row for every one of `size` examples."""
    several = tensors if isinstance(tensors, tuple | list) else () if tensors is None else (tensors,)
    for tensor in several:
        if len(tensor) != size:
            raise ValueError(f"{what}: expected a row for each of the batch's {size} examples, found {len(tensor)}")
    # NumPy has no bfloat16.
    return [(x.float() if x.is_floating_point() else x).cpu().numpy() for x in several]


def _join(batches: list[list[np.ndarray]], order: np.ndarray | slice) -> Any:
    columns = [_stack(column)[order] for column in zip(*batches, strict=True)]
    return tuple(columns) if len(columns) > 1 else columns[0] if columns else None


def _stack(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """One array of all batches; where they differ in length, the shorter ones are padded with IGNORE_INDEX."""
    if arrays[0].ndim < 2:
        return np.concatenate(arrays)
    longest = max(array.shape[1] for array in arrays)
    widths = [[(0, 0), (0, longest - array.shape[1]), *[(0, 0)] * (array.ndim - 2)] for array in arrays]
    return np.concatenate([np.pad(a, w, constant_values=IGNORE_INDEX) for a, w in zip(arrays, widths, strict=True)])

"""What a model returned: an object, a mapping or a tuple, as people's models do."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from minibert.training.batch import Batch


def loss_of(outputs: Any) -> Tensor | None:
    """The loss: what is called so, or a tuple's first entry."""
    if isinstance(outputs, Mapping):
        return outputs.get("loss")
    return outputs[0] if isinstance(outputs, tuple | list) else getattr(outputs, "loss", None)


def predictions_of(outputs: Any, has_loss: bool, ignored: Iterable[str] = ()) -> tuple[Tensor, ...]:
    """The tensors called "...logits"; where nothing is, all but the loss and what is in `ignored`.

    Args:
        has_loss: whether a tuple begins with a loss.
    """
    if isinstance(outputs, Tensor):
        return (outputs,)
    if isinstance(outputs, tuple | list):
        return tuple(x for x in outputs[has_loss:] if isinstance(x, Tensor) and x.ndim)
    named = outputs if isinstance(outputs, Mapping) else vars(outputs)
    tensors = {n: x for n, x in named.items() if isinstance(x, Tensor) and x.ndim and n not in {"loss", *ignored}}
    logits = tuple(x for name, x in tensors.items() if name.endswith("logits"))
    return logits or tuple(tensors.values())


def labels_of(batch: Batch, label_names: list[str] | None = None) -> tuple[Tensor, ...]:
    """The batch's entries that are called so; by default those called "...label..." or "...positions"."""
    if label_names is not None:
        return tuple(batch[name] for name in label_names if name in batch)
    named = ((name, x) for name, x in batch.items() if "label" in name or name.endswith("positions"))
    return tuple(x for _, x in named if isinstance(x, Tensor))


def one_or_all(tensors: tuple[Any, ...]) -> Any:
    """The only one, or all of several; None of none."""
    return (tensors[0] if len(tensors) == 1 else tensors) if tensors else None

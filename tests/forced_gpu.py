"""A GPU where there is none: every branch that is for one is taken, and where it would be waited for is counted."""

from collections import Counter
from typing import Any, Self

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves


def force_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """All tensors count as lying on a GPU; they are still computed here."""
    for module in ("packing", "inputs", "losses"):
        monkeypatch.setattr(f"minibert.model.{module}.is_on_gpu", lambda x: True)
    monkeypatch.setattr("minibert.training.failures.steps_between_looks", lambda device: 20)


def copied_to_gpu(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """What `to_device` does for a GPU: other tensors than those of the batch."""
    with _disable_current_modes():
        return {name: x.clone() if isinstance(x, Tensor) else x for name, x in batch.items()}


class Waits(TorchDispatchMode):
    """Counts the operations at which a processor waits for a GPU: those that need a value, or a size, of it.

    What is made of `at_hand` alone lies in the processor's own memory, and is not counted.
    """

    NEED_VALUES = ("_local_scalar_dense", "equal", "is_nonzero", "tolist", "numpy", "cpu")
    NEED_SIZES = ("nonzero", "masked_select", "unique_consecutive", "_unique", "_unique2", "unique_dim", "bincount")

    def __init__(self, *at_hand: Any) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()
        self._copies = _Copies(self)
        self._at_hand: dict[int, Tensor] = {}  # by their ids; held, so that no other tensor gets one of these
        self._keep_at_hand(at_hand)

    def __enter__(self) -> Self:
        self._copies.__enter__()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._copies.__exit__(*error)

    def note(self, name: str, inputs: Any, result: Any) -> None:
        """An operation."""
        tensors = [x for x in tree_leaves(inputs) if isinstance(x, Tensor)]
        if tensors and all(id(x) in self._at_hand for x in tensors):
            self._keep_at_hand(result)
        elif name in self.NEED_VALUES + self.NEED_SIZES or (name.startswith("index") and _has_mask(inputs[0])):
            self.count[name] += 1

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.note(func.overloadpacket.__name__, (args, kwargs), result)
        return result

    def _keep_at_hand(self, tensors: Any) -> None:
        self._at_hand |= {id(x): x for x in tree_leaves(tensors) if isinstance(x, Tensor)}


class _Copies(TorchFunctionMode):
    """Tells of methods that copy from a GPU, and do nothing at all on a CPU."""

    def __init__(self, waits: Waits) -> None:
        super().__init__()
        self.waits = waits

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in (Tensor.tolist, Tensor.numpy, Tensor.cpu):
            self.waits.note(func.__name__, (args, kwargs), ())
        return func(*args, **(kwargs or {}))


def _has_mask(args: tuple[Any, ...]) -> bool:
    """Whether an `index` is by a mask: how many rows that gives, its values say."""
    chosen = args[1] if len(args) > 1 and isinstance(args[1], tuple | list) else ()
    return any(i.dtype in (torch.bool, torch.uint8) for i in chosen if i is not None)

"""A model's skeleton: parameters with a shape and no numbers, until a checkpoint's tensors take their place."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

# By the names that they have in `torch.nn.init` and as methods of tensors.
DRAWING = ("normal_", "uniform_", "kaiming_uniform_")


@contextlib.contextmanager
def skeleton() -> Iterator[None]:
    """Inside, a new module takes no memory, and its initial weights are not drawn."""
    with torch.device("meta"), _DrawNothing():
        yield


class _DrawNothing(TorchFunctionMode):
    """Passes over random numbers: without memory there is no place for them.

    PyTorch would pass over them, too, but import its compiler on the way, which takes seconds.
    """

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", None) in DRAWING:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)

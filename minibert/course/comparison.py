"""What is wrong with what a function returned: the first thing that differs from what it should have returned."""

import math
from typing import Any

import torch
from torch import Tensor

# In fp32; another order of the same operations stays far within.
RELATIVE, ABSOLUTE = 1e-4, 1e-5


def find_fault(found: Any, expected: Any, part: str = "") -> str | None:
    """The first difference, in words; None: there is none.

    Numbers may be Python's or PyTorch's. Not-a-number equals itself, because a known mistake may give it.

    part: what to call the thing, where a function returns several.
    """
    of_part = f" of {part}" if part else ""
    if found is None and expected is not None:
        return f"returns None{of_part}: is a `return` missing?"
    if is_number(expected):
        return number_fault(found, expected if isinstance(expected, int) else float(expected), of_part)
    if isinstance(expected, Tensor):
        return tensor_fault(found, expected, of_part)
    if isinstance(expected, list | tuple):
        return list_fault(found, expected, of_part)
    return None if found == expected else f"wrong{of_part or ' value'}: expected {expected!r}, found {found!r}"


def returned_fault(found: Any, expected: Any, parts: tuple[str, ...]) -> str | None:
    """As `find_fault`, of a function that returns several things, called `parts`."""
    if len(parts) == 1:
        return find_fault(found, expected, *parts)
    if found is None:
        return "returns None: is a `return` missing?"
    found = list(found) if isinstance(found, list | tuple) else [found]
    if len(found) != len(parts):
        return f"returns {len(found)} value{'s' * (len(found) != 1)}, expected {len(parts)}: {', '.join(parts)}"
    faults = (find_fault(*both) for both in zip(found, expected, parts, strict=True))
    return next((fault for fault in faults if fault), None)


def is_number(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.ndim == 0
    return isinstance(value, int | float) and not isinstance(value, bool)


def number_fault(found: Any, expected: float, of_part: str) -> str | None:
    """Whole numbers must be met exactly."""
    if not is_number(found):
        return f"wrong type{of_part}: expected a number, found {kind(found)}"
    number = float(found)
    if isinstance(expected, int):
        near = number == expected
    else:
        near = (
            math.isclose(number, expected, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
            or math.isnan(number)
            and math.isnan(expected)
        )
    return None if near else f"wrong value{of_part}: expected {expected:.9g}, found {number:.9g}"


def tensor_fault(found: Any, expected: Tensor, of_part: str) -> str | None:
    if not isinstance(found, Tensor):
        return f"wrong type{of_part}: expected a tensor, found {kind(found)}"
    if found.shape != expected.shape:
        return f"wrong shape{of_part}: expected {tuple(expected.shape)}, found {tuple(found.shape)}"
    if (found.dtype == torch.bool) != (expected.dtype == torch.bool):
        return f"wrong type{of_part}: expected numbers of {expected.dtype}, found {found.dtype}"
    near = torch.isclose(found.detach().double(), expected.double(), rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True)
    if near.all():
        return None
    place = tuple((~near).nonzero()[0].tolist())
    numbers = f"expected {expected[place].item():.5g}, found {found[place].item():.5g}"
    return f"wrong values{of_part}, {int((~near).sum())} of {near.numel()}, the first at {list(place)}: {numbers}"


def list_fault(found: Any, expected: list | tuple, of_part: str) -> str | None:
    wanted = type(expected).__name__
    if not isinstance(found, list | tuple):
        return f"wrong type{of_part}: expected a {wanted}, found {kind(found)}"
    if len(found) != len(expected):
        return f"wrong length{of_part}: expected {len(expected)}, found {len(found)}: {shortened(found)}"
    for place, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        if fault := find_fault(ours, theirs):
            return f"element {place}{of_part}: {fault}"
    return None


def kind(value: Any) -> str:
    """What a value is, in words."""
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__


def shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."

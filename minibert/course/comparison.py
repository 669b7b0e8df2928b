"""What is wrong with what a function returned: the first thing that differs from what it should have returned."""

import math
from typing import Any

import torch
from torch import Tensor

from minibert.course.phrases import Phrase

# In fp32; another order of the same operations stays far within.
RELATIVE, ABSOLUTE = 1e-4, 1e-5


def find_fault(found: Any, expected: Any, part: str = "") -> Phrase | None:
    """The first difference, in words; None: there is none.

    Numbers may be Python's or PyTorch's. Not-a-number equals itself, because a known mistake may give it.

    part: what to call the thing, where a function returns several.
    """
    of_part = Phrase(" of {part}", part=part) if part else ""
    if found is None and expected is not None:
        return Phrase("returns None{of_part}: is a `return` missing?", of_part=of_part)
    if is_number(expected):
        return number_fault(found, expected if isinstance(expected, int) else float(expected), of_part)
    if isinstance(expected, Tensor):
        return tensor_fault(found, expected, of_part)
    if isinstance(expected, list | tuple):
        return list_fault(found, expected, of_part)
    return None if found == expected else wrong_value(of_part, repr(expected), repr(found))


def returned_fault(found: Any, expected: Any, parts: tuple[str, ...]) -> Phrase | None:
    """As `find_fault`, of a function that returns several things, called `parts`."""
    if len(parts) == 1:
        return find_fault(found, expected, *parts)
    if found is None:
        return Phrase("returns None{of_part}: is a `return` missing?", of_part="")
    found = list(found) if isinstance(found, list | tuple) else [found]
    if len(found) != len(parts):
        return Phrase(
            "returns the wrong number of values: expected {expected}, found {found}",
            expected=f"{len(parts)} ({', '.join(parts)})",
            found=len(found),
        )
    faults = (find_fault(*both) for both in zip(found, expected, parts, strict=True))
    return next((fault for fault in faults if fault), None)


def is_number(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.ndim == 0
    return isinstance(value, int | float) and not isinstance(value, bool)


def number_fault(found: Any, expected: float, of_part: str) -> Phrase | None:
    """Whole numbers must be met exactly."""
    if not is_number(found):
        return wrong_type(of_part, Phrase("a number"), kind(found))
    number = float(found)
    if isinstance(expected, int):
        near = number == expected
    else:
        near = (
            math.isclose(number, expected, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
            or math.isnan(number)
            and math.isnan(expected)
        )
    return None if near else wrong_value(of_part, f"{expected:.9g}", f"{number:.9g}")


def tensor_fault(found: Any, expected: Tensor, of_part: str) -> Phrase | None:
    if not isinstance(found, Tensor):
        return wrong_type(of_part, Phrase("a tensor"), kind(found))
    if found.shape != expected.shape:
        shapes = {"expected": tuple(expected.shape), "found": tuple(found.shape)}
        return Phrase("wrong shape{of_part}: expected {expected}, found {found}", of_part=of_part, **shapes)
    if (found.dtype == torch.bool) != (expected.dtype == torch.bool):
        return wrong_type(of_part, Phrase("numbers of {dtype}", dtype=expected.dtype), str(found.dtype))
    near = torch.isclose(found.detach().double(), expected.double(), rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True)
    if near.all():
        return None
    place = tuple((~near).nonzero()[0].tolist())
    return Phrase(
        "wrong values{of_part}, {wrong} of {all}, the first at {place}: expected {expected}, found {found}",
        of_part=of_part,
        wrong=int((~near).sum()),
        all=near.numel(),
        place=list(place),
        expected=f"{expected[place].item():.5g}",
        found=f"{found[place].item():.5g}",
    )


def list_fault(found: Any, expected: list | tuple, of_part: str) -> Phrase | None:
    if not isinstance(found, list | tuple):
        return wrong_type(of_part, Phrase("a {kind}", kind=type(expected).__name__), kind(found))
    if len(found) != len(expected):
        lengths = {"expected": len(expected), "found": len(found), "list": shortened(found)}
        return Phrase("wrong length{of_part}: expected {expected}, found {found}: {list}", of_part=of_part, **lengths)
    for place, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        if fault := find_fault(ours, theirs):
            return Phrase("element {place}{of_part}: {fault}", place=place, of_part=of_part, fault=fault)
    return None


def wrong_value(of_part: str, expected: str, found: str) -> Phrase:
    both = {"expected": expected, "found": found}
    return Phrase("wrong value{of_part}: expected {expected}, found {found}", of_part=of_part, **both)


def wrong_type(of_part: str, expected: str, found: str) -> Phrase:
    both = {"expected": expected, "found": found}
    return Phrase("wrong type{of_part}: expected {expected}, found {found}", of_part=of_part, **both)


def kind(value: Any) -> str:
    """What a value is, in words."""
    if isinstance(value, Tensor):
        return Phrase("a tensor of shape {shape}", shape=tuple(value.shape))
    return type(value).__name__


def shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."

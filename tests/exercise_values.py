"""The values that the grader of `notebooks/exercises` compares with.

    python tests/exercise_values.py

writes `notebooks/exercises/reference_values.json` anew. `test_exercises.py` proves them.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from exercise_answers import RIGHT
from exercise_mistakes import WRONG
from torch import Tensor

from minibert.checkpoint.files import write_text

FOLDER = Path(__file__).parent.parent / "notebooks" / "exercises"
sys.path.insert(0, str(FOLDER))

from grade import as_argument  # noqa: E402 (it lies in no package)


def arguments() -> dict[str, dict[str, dict[str, Any]]]:
    """{function: {case: arguments}}, drawn so that every mistake shows."""
    draw = Drawer()
    norm = {"weight": draw.normal(4, middle=1), "bias": draw.normal(4)}
    tables = {"word": draw.normal(7, 4), "segment": draw.normal(2, 4), "position": draw.normal(6, 4)}
    embedding = {**tables, "norm_weight": norm["weight"], "norm_bias": norm["bias"], "eps": 0.1}
    weights = {
        "attention_norm.weight": draw.normal(4, middle=1),
        "attention_norm.bias": draw.normal(4),
        "feed_forward.up.weight": draw.normal(6, 4),
        "feed_forward.up.bias": draw.normal(6),
        "feed_forward.down.weight": draw.normal(4, 6),
        "feed_forward.down.bias": draw.normal(4),
        "feed_forward_norm.weight": draw.normal(4, middle=1),
        "feed_forward_norm.bias": draw.normal(4),
    }
    attend = {"mix": draw.normal(3, 3), "projection": draw.normal(4, 4)}
    qkv = {name: draw.normal(2, 2, 4, 3) for name in ("query", "key", "value")}
    hidden = [[True, True, False, True], [True, False, True, True]]
    optimizer = {"parameter": draw.normal(2, 3), "gradient": draw.normal(2, 3), "lr": 0.1, "beta1": 0.9, "beta2": 0.99}
    optimizer |= {"eps": 0.01, "weight_decay": 0.5}
    zeros, later = [[0.0] * 3] * 2, {"m": draw.normal(2, 3), "v": draw.uniform(2, 3), "step": 3}
    return {
        "embed": {
            "one sentence": {"token_ids": [3, 0, 5], "segment_ids": [0, 0, 0], **embedding},
            "two sentences": {"token_ids": [1, 6, 6, 2, 4], "segment_ids": [0, 0, 1, 1, 1], **embedding},
        },
        "scaled_dot_product_attention": {
            "all keys visible": {**qkv, "key_mask": [[True] * 4] * 2},
            "with hidden keys": {**qkv, "key_mask": hidden},
        },
        "split_heads": {
            "one head": {"x": draw.normal(2, 3, 4), "num_heads": 1},
            "three heads of two": {"x": draw.normal(2, 4, 6), "num_heads": 3},
        },
        "merge_heads": {
            "one head": {"x": draw.normal(2, 1, 3, 4)},
            "three heads of two": {"x": draw.normal(2, 3, 4, 2)},
        },
        "encoder_layer": {"three tokens": {"x": draw.normal(3, 4), "attend": attend, "weights": weights, "eps": 0.1}},
        "mask_tokens": {
            # 4 of 25: by int(), and by 15% of those that are not special, it were 3. 6 of 42, and 1 of 3: by ceil(), 7.
            "twenty-five tokens": masking(draw, 25, action=[0.1, 0.85, 0.95, 0.3]),
            "forty-two tokens": masking(draw, 42, action=[0.1, 0.85, 0.5, 0.95, 0.8, 0.79]),
            "three tokens": masking(draw, 3, action=[0.3]),
        },
        "adamw_step": {
            "the first step": {**optimizer, "m": zeros, "v": zeros, "step": 1},
            "the third step": {**optimizer, **later},
        },
    }


def masking(draw: "Drawer", length: int, action: list[float]) -> dict[str, Any]:
    """A sequence in which the dice would choose [CLS] first; the chosen tokens get the given actions, in order.

    The order is below 0.5, so that more than the right number of tokens are below 0.15.
    """
    order = draw.ranks(length, below=0.5)
    order[0], order[-1] = 0.0, 0.001
    actions = draw.uniform(length)
    inside = sorted(range(1, length - 1), key=lambda position: order[position])
    for position, value in zip(inside, action, strict=False):
        actions[position] = value
    return {
        "token_ids": [2, *range(20, 18 + length), 3],
        "is_special": [True, *[False] * (length - 2), True],
        "order": order,
        "action": actions,
        "random_ids": list(range(500, 500 + length)),
        "mask_id": 4,
    }


class Drawer:
    """Random numbers with few digits, as nested lists."""

    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(0)

    def normal(self, *shape: int, middle: float = 0.0) -> list:
        return rounded(middle + torch.randn(*shape, generator=self.generator), 2)

    def ranks(self, count: int, below: float) -> list[float]:
        """Numbers from 0.01 on, no two alike."""
        return rounded((torch.randperm(count, generator=self.generator) + 1) / (count + 1) * below, 3)

    def uniform(self, *shape: int) -> list:
        return rounded(0.01 + 0.98 * torch.rand(*shape, generator=self.generator), 3)


def rounded(x: Tensor, digits: int) -> list:
    """Nested lists of numbers with so many digits."""
    if not x.is_floating_point():
        return x.tolist()
    return [rounded(row, digits) for row in x] if x.ndim else round(x.item(), digits)


def answer(function: Callable, arguments: dict[str, Any]) -> list:
    """What `function` returns, as the JSON file keeps it."""
    found = function(*(as_argument(value) for value in arguments.values()))
    return [rounded(part, 6) for part in (found if isinstance(found, tuple) else [found])]


def reference_values() -> dict[str, list[dict]]:
    """The content of `reference_values.json`."""
    values = {}
    for name, cases in arguments().items():
        values[name], waiting = [], WRONG[name]
        for case, given in cases.items():
            given = {key: given[key] for key in RIGHT[name].__code__.co_varnames if key in given}
            expected = answer(RIGHT[name], given)
            # The grader stops at the first case that goes wrong, so that is where a mistake's values are needed.
            wrong = [(hint, function, answer(function, given)) for hint, function in waiting]
            mistakes = [[hint, found] for hint, _, found in wrong if found != expected]
            waiting = [(hint, function) for hint, function, found in wrong if found == expected]
            values[name].append({"name": case, "arguments": given, "expected": expected, "mistakes": mistakes})
    return values


def as_json(values: dict) -> str:
    """JSON with a row of numbers on a line."""
    return (
        re.sub(r"\[\s+([^][{}]*?)\s+\]", lambda row: f"[{' '.join(row[1].split())}]", json.dumps(values, indent=1))
        + "\n"
    )


if __name__ == "__main__":
    write_text(FOLDER / "reference_values.json", as_json(reference_values()))

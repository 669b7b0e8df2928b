"""Whether an answer asks PyTorch for what it should write: by any name, through any helper, and without running it."""

import functools
import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.functional import layer_norm as another_name

import minibert
from minibert.course.finished import find_finished

NAMES = ("torch.nn.functional.layer_norm", "torch.nn.LayerNorm", "torch.optim")


def by_module(x):
    return F.layer_norm(x, (4,))


def by_full_name(x):
    return torch.nn.functional.layer_norm(x, (4,))


def by_another_name(x):
    return another_name(x, (4,))


def by_class(x):
    return nn.LayerNorm(4)(x)


def imported_inside(x):
    from torch.nn import LayerNorm as Norm

    return Norm(4)(x)


def module_imported_inside(x):
    import torch.nn.functional as functions

    return functions.layer_norm(x, (4,))


def helper(x):
    return by_module(x)


def through_helpers(x):
    return helper(x)


class OwnModule(nn.Module):
    def forward(self, x):
        return by_module(x)


def through_a_class(x):
    return OwnModule()(x)


def by_a_package(x):
    return minibert.BertModel


def by_an_optimizer(x):
    return torch.optim.AdamW([x])


def by_hand(x):
    """Not `F.layer_norm`, as only a docstring says."""
    layer_norm = x - x.mean(-1, keepdim=True)
    return layer_norm / (x.var(-1, correction=0, keepdim=True) + math.exp(-20)) ** 0.5


def recursive(x):
    return recursive(x[1:]) if len(x) else x


def closed_over():
    norm = F.layer_norm
    return lambda_free(norm)


def lambda_free(norm):
    def answer(x):
        return norm(x, (4,))

    return answer


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (by_module, ["F.layer_norm"]),
        (by_full_name, ["torch.nn.functional.layer_norm"]),
        (by_another_name, ["another_name"]),
        (by_class, ["nn.LayerNorm"]),
        (imported_inside, ["Norm"]),
        (module_imported_inside, ["functions.layer_norm"]),
        (through_helpers, ["F.layer_norm"]),
        (through_a_class, ["F.layer_norm"]),
        (by_a_package, ["minibert.BertModel"]),
        (by_an_optimizer, ["torch.optim.AdamW"]),
        (closed_over(), ["norm"]),
        (F.layer_norm, ["layer_norm"]),
        (partial(F.layer_norm, normalized_shape=(4,)), ["layer_norm"]),
        (partial(by_module), ["F.layer_norm"]),
        (functools.wraps(by_module)(lambda *given: by_module(*given)), ["F.layer_norm"]),
        (by_hand, []),
        (recursive, []),
    ],
)
def test_what_is_used_is_found(answer, found):
    assert find_finished(answer, NAMES) == found


def test_code_is_read_and_not_run():
    def answer(x):
        raise AssertionError("run")

    assert find_finished(answer, NAMES) == []


def test_an_import_of_something_else_runs_nothing():
    def answer(x):
        import antigravity  # opens a browser

        return antigravity

    assert find_finished(answer, NAMES) == []


@pytest.mark.parametrize("answer", [eval("lambda x: x"), max, partial(max, 1)])
def test_code_that_cannot_be_read_is_said_to_be_so(answer):
    assert find_finished(answer, NAMES) is None

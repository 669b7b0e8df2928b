"""Products in 8-bit integers: as near as 256 numbers come, the same in every batch, and exact on every processor."""

import os
import subprocess
import sys

import pytest
import torch
from script_runs import ROOT
from torch import nn

from minibert import pipeline
from minibert.inference.int8 import check_device, in_int8, largest_weight


@pytest.fixture
def linear():
    torch.manual_seed(0)
    return nn.Linear(48, 40)


@pytest.mark.parametrize("shift", [0.0, 7.0, -7.0])
def test_a_product_is_as_near_as_its_steps(linear, shift):
    x = torch.randn(30, 48) * torch.logspace(-3, 3, 30)[:, None]  # rows of very different sizes
    x = x + shift * x.std(1, keepdim=True)
    with torch.no_grad():
        expected = linear(x)
        found = in_int8(linear)(x)
    # Rounding moves a value by at most half a step: at most so far is each of the products.
    of_x = (x.amax(1) - x.amin(1)) / 255 / 2
    of_w = linear.weight.abs().amax(1) / largest_weight() / 2
    allowed = of_x[:, None] * linear.weight.abs().sum(1) + of_w * x.abs().sum(1, keepdim=True)
    error = (found - expected).abs()
    assert (error <= allowed + of_x[:, None] * of_w * 48 + 1e-5).all()
    assert error.max() > 0 and (error.norm(dim=1) < 0.02 * expected.norm(dim=1) + 0.02 * allowed.norm(dim=1)).all()


@torch.no_grad()
def test_a_row_does_not_depend_on_the_others(linear):
    x = torch.randn(9, 48)
    together = in_int8(linear)(x)
    assert all(torch.equal(together[i : i + 1], linear(x[i : i + 1])) for i in range(9))
    assert linear(x[:0]).shape == (0, 40)


@torch.no_grad()
def test_rows_of_one_value(linear):
    linear.weight[3] = 0
    x = torch.tensor([0.0, 2.5, -1e30, 1e-30])[:, None].expand(4, 48).contiguous()
    expected = linear(x)
    found = in_int8(linear)(x)
    assert ((found - expected).norm(dim=1) <= 0.02 * expected.norm(dim=1)).all()
    assert torch.equal(found[:, 3], linear.bias[3].expand(4))


@torch.no_grad()
def test_what_is_no_number_is_not_made_one(linear):
    x = torch.randn(3, 48)
    x[0, 5], x[1, 7] = torch.nan, torch.inf
    finite = in_int8(linear)(x).isfinite()
    assert not finite[:2].any() and finite[2].all()


@torch.no_grad()
def test_without_a_bias():
    linear = nn.Linear(8, 4, bias=False)
    x = torch.randn(5, 8)
    expected = linear(x)
    torch.testing.assert_close(in_int8(linear)(x), expected, rtol=0.05, atol=0.05)


EXTREMES = """
import torch
from minibert.inference.int8 import _product, largest_weight
weight = torch.full((16, 64), largest_weight(), dtype=torch.int8)
weight[::2] *= -1
x = torch.full((8, 64), 255, dtype=torch.uint8)
found = _product(x, torch.ops.onednn.qlinear_prepack(weight, None), torch.ones(16), zero=0)
print(largest_weight(), torch.equal(found, (x.double() @ weight.double().T).float()))
"""


@pytest.mark.parametrize("instructions", ["ALL", "AVX2"])
def test_no_sum_of_products_overflows(instructions):
    """Where a processor has no VNNI, or may not use it, weights have one bit less, and products stay exact."""
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": instructions, "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", EXTREMES], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.split() in (["127", "True"], ["63", "True"])


def test_it_is_for_cpus():
    message = "int8 is for CPUs, and the model is on meta"
    with pytest.raises(ValueError, match=message):
        pipeline("fill-mask", "minibert-tiny", precision="int8", device="meta")
    with pytest.raises(ValueError, match=message):
        in_int8(nn.Linear(4, 4, device="meta"))


def test_it_needs_onednn(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    with pytest.raises(ValueError, match="oneDNN, which this PyTorch was built without"):
        check_device(torch.device("cpu"))

"""A skeleton has shapes and nothing else, and making one is cheap."""

import subprocess
import sys

import torch
from torch import nn

from minibert.model.skeleton import skeleton

# What starts quickly must not wait for PyTorch's compiler, of which PyTorch 2.7 imports a part by itself.
PROGRAM = """
import sys, torch.utils.checkpoint
compiler = {"torch._dynamo", "sympy"} - sys.modules.keys()
import minibert
minibert.pipeline("fill-mask", "minibert-tiny")("A list is a mutable [MASK].")
assert not compiler & sys.modules.keys()
"""


def test_modules_inside_have_shapes_and_draw_no_random_number():
    before = torch.get_rng_state()
    with skeleton():
        parts = [nn.Linear(4, 3), nn.Embedding(5, 2, padding_idx=0), nn.LayerNorm(6)]
        parts[0].weight.detach().normal_(0.0, 1.0)
    assert all(parameter.is_meta for part in parts for parameter in part.parameters())
    assert parts[0].weight.shape == (3, 4) and parts[1].weight.shape == (5, 2)
    assert torch.equal(torch.get_rng_state(), before)
    assert nn.Linear(4, 3).weight.std() > 0  # outside, all is as usual


def test_loading_and_running_do_not_import_the_compiler():
    subprocess.run([sys.executable, "-c", PROGRAM], check=True)

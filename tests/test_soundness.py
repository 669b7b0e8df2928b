"""What can be a weight and what cannot; see test_hostile_files.py for the same through `from_pretrained`."""

from pathlib import Path

import pytest
import torch

from minibert.checkpoint.files import CheckpointError
from minibert.checkpoint.soundness import WEIGHT_TYPES, check_layers, check_weights, not_finite

PATH = Path("folder/model.safetensors")


@pytest.mark.parametrize("dtype", WEIGHT_TYPES)
def test_not_finite(dtype):
    sound = torch.arange(-5.0, 5.0).to(dtype)
    tensors = {"sound": sound.view(2, 5), "empty": sound[:0]}
    for name, number in {"nan": float("nan"), "inf": float("inf"), "-inf": -float("inf")}.items():
        for place in (0, 4, 9):
            tensors[f"{name} {place}"] = sound.index_fill(0, torch.tensor(place), number)
    assert not_finite(tensors) == [name for name in tensors if name not in ("sound", "empty")]


def test_only_what_becomes_a_weight_is_checked():
    tensors = {"weight": torch.ones(2), "position_ids": torch.arange(3)}
    check_weights(tensors, {"ours": "weight"}, PATH)
    with pytest.raises(CheckpointError, match="folder/model.safetensors: position_ids must hold plain floating-point"):
        check_weights(tensors, {"ours": "weight", "other": "position_ids"}, PATH)


def test_layers():
    key_of = {f"bert.encoder.layer.{i}.attention.query.bias": "key" for i in (0, 1, 3)} | {"mlm_head.bias": "key"}
    check_layers(key_of, 2, PATH)  # fewer than the file has: the upper ones are left out
    with pytest.raises(CheckpointError, match="holds no tensor of layer 2, but the config says num_hidden_layers=4"):
        check_layers(key_of, 4, PATH)

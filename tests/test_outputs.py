"""`ModelOutput`: by attribute, by name and by position."""

import copy
import pickle
from dataclasses import dataclass, field

import pytest
import torch
from torch.utils import _pytree as pytree

from minibert.model.outputs import ModelOutput


@dataclass
class Example(ModelOutput):
    loss: float | None = None
    logits: str | None = None
    hidden_states: tuple | None = None
    hidden: str | None = field(default=None, metadata={"internal": True})


def test_three_ways_to_a_field():
    outputs = Example(loss=0.0, logits="logits")
    assert outputs["logits"] == outputs[1] == outputs.logits == "logits"
    assert outputs[0] == 0.0 and outputs[-1] == "logits"
    assert outputs[:2] == outputs.to_tuple() == (0.0, "logits")


def test_what_was_not_computed_is_left_out():
    outputs = Example(logits="logits", hidden_states=())
    assert list(outputs.keys()) == ["logits", "hidden_states"] and len(outputs) == 2
    assert outputs[0] == "logits" and outputs.loss is None
    assert list(outputs) == ["logits", "hidden_states"] and "loss" not in outputs
    assert dict(outputs) == {"logits": "logits", "hidden_states": ()}


def test_internal_fields_are_attributes_only():
    outputs = Example(logits="logits", hidden="flat")
    assert outputs.hidden == "flat"
    assert outputs.to_tuple() == ("logits",)
    with pytest.raises(KeyError):
        outputs["hidden"]


def test_a_missing_field_says_what_there_is():
    with pytest.raises(KeyError, match="'loss' is not in this output; it has logits"):
        Example(logits="logits")["loss"]
    with pytest.raises(IndexError):
        Example(logits="logits")[1]


def test_a_mapping():
    outputs = Example(loss=0.0, logits="logits")
    assert isinstance(outputs, dict) and {**outputs} == {"loss": 0.0, "logits": "logits"}
    assert list(outputs.items()) == [("loss", 0.0), ("logits", "logits")] and outputs.get("nothing", 1) == 1
    outputs["hidden_states"] = (1,)
    outputs.loss = None
    assert outputs.hidden_states == (1,) and list(outputs) == ["logits", "hidden_states"] and outputs[0] == "logits"
    outputs["loss"] = 2.0
    assert list(outputs) == ["loss", "logits", "hidden_states"] and outputs[0] == 2.0  # in the order of the fields
    assert outputs.pop("loss") == 2.0 and outputs.loss is None and outputs.pop("loss", 5) == 5
    del outputs["logits"]
    assert outputs.logits is None and "logits" not in outputs
    with pytest.raises(KeyError, match="'nothing' is not a field of Example; it has loss, logits, hidden_states"):
        outputs["nothing"] = 1


def test_made_like_a_dict():
    expected = Example(loss=0.0, logits="logits")
    for made in (Example({"loss": 0.0, "logits": "logits"}), Example([("loss", 0.0), ("logits", "logits")])):
        assert dict(made) == dict(expected) and made.loss == 0.0


def test_copies_and_pickles():
    outputs = Example(logits="logits", hidden="flat")
    for again in (copy.deepcopy(outputs), pickle.loads(pickle.dumps(outputs)), copy.copy(outputs)):
        assert dict(again) == dict(outputs) and again.hidden == "flat" and type(again) is Example


def test_tools_find_the_tensors():
    outputs = Example(loss=torch.tensor(1.0), hidden_states=(torch.zeros(2), torch.ones(2)))
    leaves, spec = pytree.tree_flatten(outputs)
    assert len(leaves) == 3
    again = pytree.tree_unflatten([2 * leaf for leaf in leaves], spec)
    assert type(again) is Example and again.loss == 2 and again.hidden_states[1].tolist() == [2, 2]

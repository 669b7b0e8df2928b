"""`ModelOutput`: by attribute, by name and by position."""

from dataclasses import dataclass, field

import pytest

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

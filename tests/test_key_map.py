"""The table of names: invertible, and complete for everything that `transformers` writes."""

from collections.abc import Iterator

import pytest
import transformers
from reference import TASKS, TINY, reference_model
from safetensors.torch import load_file
from torch import nn

import minibert
from minibert.checkpoint.key_map import KEY_MAP, from_reference, to_reference

CLASSES = ("BertModel", *TASKS)


def our_names(class_name: str, **changes) -> set[str]:
    """The names of our model's parameters, with "bert." in front of the encoder's; a shared one twice."""
    model = getattr(minibert, class_name)(minibert.BertConfig(**TINY, **changes))
    prefix = "" if hasattr(model, "bert") else "bert."
    return {prefix + name for name in names_in_the_source(model)}


def names_in_the_source(module: nn.Module) -> Iterator[str]:
    """The paths of all parameters by attributes; `named_parameters` gives them the reference's names."""
    yield from module._parameters
    for name, child in module.named_children():
        yield from (f"{name}.{inner}" for inner in names_in_the_source(child))


def test_no_name_stands_twice_in_the_table():
    ours, theirs = zip(*KEY_MAP, strict=True)
    assert len(set(ours)) == len(ours) and len(set(theirs)) == len(theirs)
    assert all(("{i}" in a) == ("{i}" in b) for a, b in KEY_MAP)


@pytest.mark.parametrize("layer", [0, 7, 23, 110])
def test_the_table_is_invertible(layer: int):
    for ours, theirs in KEY_MAP:
        name, key = ours.replace("{i}", str(layer)), theirs.replace("{i}", str(layer))
        assert to_reference(name) == key
        assert from_reference([key]) == ({name: key}, [])


@pytest.mark.parametrize("class_name", CLASSES)
@pytest.mark.parametrize("tied", [True, False])
def test_every_key_of_the_reference_has_its_parameter(class_name: str, tied: bool):
    theirs = getattr(transformers, class_name)(transformers.BertConfig(**TINY, tie_word_embeddings=tied))
    keys = [name for name, _ in theirs.named_parameters(remove_duplicate=False)]
    names, unexpected = from_reference(keys)
    assert unexpected == []
    assert len(names) == len(keys)
    assert names.keys() == our_names(class_name, tie_word_embeddings=tied)


@pytest.mark.parametrize("class_name", CLASSES)
@pytest.mark.parametrize("tied", [True, False])
def test_every_parameter_has_the_key_in_the_references_file(class_name: str, tied: bool, tmp_path):
    reference_model(class_name, tie_word_embeddings=tied).save_pretrained(tmp_path)
    in_file = set(load_file(tmp_path / "model.safetensors"))
    names = our_names(class_name, tie_word_embeddings=tied)
    if tied:
        names -= {"mlm_head.decoder.weight", "mlm_head.decoder.bias"}
    keys = {to_reference(name) for name in names}
    assert in_file == ({key.removeprefix("bert.") for key in keys} if class_name == "BertModel" else keys)


def test_every_row_of_the_table_is_used():
    used = set().union(*(our_names(name, tie_word_embeddings=False) for name in CLASSES))
    rows = {ours.replace("{i}", str(i)) for ours, _ in KEY_MAP for i in range(TINY["num_hidden_layers"])}
    assert used == rows


@pytest.mark.parametrize(
    "norm", ["bert.embeddings.", "embeddings.", "encoder.layer.3.output.", "cls.predictions.transform."]
)
def test_legacy_layer_norm_names(norm: str):
    old, new = [f"{norm}LayerNorm.gamma", f"{norm}LayerNorm.beta"], [f"{norm}LayerNorm.weight", f"{norm}LayerNorm.bias"]
    names, unexpected = from_reference(old)
    assert unexpected == [] and list(names.values()) == old
    assert list(names) == list(from_reference(new)[0])


@pytest.mark.parametrize(
    "key", ["embeddings.word_embeddings.gamma", "bert.pooler.dense.beta", "gamma", "xLayerNorm.gamma"]
)
def test_only_layer_norms_are_renamed(key: str):
    assert from_reference([key]) == ({}, [key])


@pytest.mark.parametrize("key", ["embeddings.position_ids", "bert.embeddings.position_ids"])
def test_position_ids_are_passed_over(key: str):
    assert from_reference([key]) == ({}, [])


@pytest.mark.parametrize(
    "key",
    [
        "bert.encoder.layer.0.attention.self.distance_embedding.weight",
        "bert.encoder.layer.x.output.dense.weight",
        "bert.encoder.layer.0.1.output.dense.weight",
        "bert.bert.pooler.dense.weight",
        "bert.encoder.layer.0.crossattention.self.query.weight",
        "predictions.bias",
        "",
    ],
)
def test_other_keys_are_unexpected(key: str):
    assert from_reference([key]) == ({}, [key])


def test_of_two_keys_for_one_parameter_the_second_is_unexpected():
    keys = ["bert.pooler.dense.bias", "pooler.dense.bias"]
    assert from_reference(keys) == ({"bert.pooler.dense.bias": keys[0]}, [keys[1]])


def test_an_unknown_name_of_ours_is_an_error():
    with pytest.raises(KeyError):
        to_reference("bert.encoder.layer.0.attention.keys.weight")

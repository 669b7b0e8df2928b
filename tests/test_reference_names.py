"""The names of `transformers`: where a model names its parts, and where it is asked for them."""

import copy
import inspect
import operator
import pickle

import pytest
import torch
import transformers
from reference import TASKS, assert_all_same, assert_same, batch_of, mask_of, model_pair, our_model, task_batch
from torch import nn

import minibert
from minibert import BertConfig, BertModel
from minibert.model.pretrained import BertPreTrainedModel

CLASSES = ("BertModel", *TASKS)


# --- names


@pytest.mark.parametrize("class_name", CLASSES)
@pytest.mark.parametrize("tied", [True, False])
def test_all_names_are_the_reference_s(class_name, tied):
    theirs, ours = model_pair(class_name, tie_word_embeddings=tied)
    for options in ({}, {"remove_duplicate": False}):
        expected = {name: p.shape for name, p in theirs.named_parameters(**options)}
        assert {name: p.shape for name, p in ours.named_parameters(**options)} == expected
    in_theirs = {name for name in theirs.state_dict() if not name.endswith("position_ids")}
    assert ours.state_dict().keys() == in_theirs
    for name, tensor in ours.state_dict().items():
        assert_same(tensor, theirs.state_dict()[name])


@pytest.mark.parametrize("class_name", CLASSES)
def test_every_name_leads_to_its_part(class_name):
    model = our_model(class_name)
    for name, module in model.named_modules():
        assert model.get_submodule(name) is module
    for name, parameter in model.named_parameters(remove_duplicate=False):
        assert model.get_parameter(name) is parameter


def test_the_names_are_those_of_the_parts_inside_a_module_of_one_s_own():
    class Mine(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = our_model("BertModel")
            self.head = nn.Linear(32, 2)

    mine = Mine()
    names = [name for name, _ in mine.named_parameters()]
    assert names == list(mine.state_dict())
    assert "encoder.encoder.layer.1.attention.output.LayerNorm.weight" in names and "head.bias" in names
    other = Mine()
    assert not any(other.load_state_dict(mine.state_dict()))
    assert_same(other.encoder.embeddings.word.weight, mine.encoder.embeddings.word.weight)


def low_rank(linear: nn.Linear) -> nn.Module:
    """A projection with a low-rank update beside it, as LoRA has."""
    update = nn.Sequential(nn.Linear(linear.in_features, 2), nn.Linear(2, linear.out_features))
    return nn.ModuleDict({"base": linear, "low_rank": update})


def test_parts_of_a_replaced_module_are_named_below_its_name():
    theirs, ours = model_pair("BertForSequenceClassification")
    for model in (theirs, ours):
        for layer in model.bert.encoder.layer:
            layer.attention.self.query = low_rank(layer.attention.self.query)
    assert {name for name, _ in ours.named_parameters()} == {name for name, _ in theirs.named_parameters()}
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    assert not any(ours.load_state_dict(theirs.state_dict()))
    for name, x in theirs.state_dict().items():
        assert_same(ours.state_dict()[name], x)


PARTS = ["bert.embeddings", "bert.encoder", "bert.encoder.layer.1", "bert.pooler", "cls.predictions"]


@pytest.mark.parametrize("part", PARTS)
def test_parts_speak_these_names_by_themselves(part):
    theirs, ours = (operator.attrgetter(part)(model) for model in model_pair("BertForPreTraining"))
    fresh = operator.attrgetter(part)(our_model("BertForPreTraining"))
    assert {name for name, _ in ours.named_parameters()} == {name for name, _ in theirs.named_parameters()}
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for state in (theirs.state_dict(), ours.state_dict()):
        for parameter in fresh.parameters():
            parameter.data.zero_()
        assert not any(fresh.load_state_dict(state, strict=False))
        for name, x in fresh.state_dict().items():
            assert_same(x, theirs.state_dict()[name])


def test_a_layer_loads_what_another_saved_as_a_part_of_the_model():
    model = our_model("BertForMaskedLM")
    start = "bert.encoder.layer.0."
    state = {name.removeprefix(start): x for name, x in model.state_dict().items() if name.startswith(start)}
    assert not any(model.bert.encoder.layer[1].load_state_dict(state, strict=False))
    assert_same(model.bert.encoder.layer[1].feed_forward.up.weight, model.bert.encoder.layer[0].feed_forward.up.weight)


def test_what_a_tutorial_excludes_from_weight_decay_is_excluded():
    theirs, ours = model_pair("BertForSequenceClassification")
    no_decay = ["bias", "LayerNorm.weight"]
    decayed, expected = (
        {name for name, _ in model.named_parameters() if not any(part in name for part in no_decay)}
        for model in (ours, theirs)
    )
    assert decayed == expected
    assert all(ours.get_parameter(name).ndim == 2 for name in decayed)


# --- state dicts


@pytest.mark.parametrize("class_name", CLASSES)
def test_state_dicts_go_both_ways(class_name):
    theirs, ours = model_pair(class_name)
    batch = task_batch(class_name, theirs.config) if class_name != "BertModel" else batch_of(theirs.config)
    fresh_theirs, fresh_ours = type(theirs)(theirs.config).eval(), type(ours)(ours.config).eval()
    assert not any(fresh_theirs.load_state_dict(ours.state_dict()))
    assert not any(fresh_ours.load_state_dict(theirs.state_dict()))
    assert_all_same(fresh_ours(**batch), fresh_theirs(**batch))
    assert_all_same(fresh_ours(**batch), ours(**batch))


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "model."])
def test_what_a_wrapper_put_in_front_is_taken_off(prefix):
    model, fresh = our_model("BertForPreTraining"), our_model("BertForPreTraining")
    assert not any(fresh.load_state_dict({f"{prefix}{name}": x for name, x in model.state_dict().items()}))
    assert_same(fresh.bert.embeddings.word.weight, model.bert.embeddings.word.weight)


def test_old_files_load():
    model = our_model("BertForMaskedLM")
    tensors = {name.replace("LayerNorm.weight", "LayerNorm.gamma"): x for name, x in model.state_dict().items()}
    tensors = {name.replace("LayerNorm.bias", "LayerNorm.beta"): x for name, x in tensors.items()}
    tensors["bert.embeddings.position_ids"] = torch.arange(24)[None]
    assert not any(our_model("BertForMaskedLM").load_state_dict(tensors))


def test_what_is_wrong_is_named_as_in_the_file():
    model = our_model("BertForMaskedLM")
    tensors = model.state_dict()
    del tensors["bert.encoder.layer.0.output.dense.bias"]
    tensors["bert.encoder.layer.7.output.dense.bias"] = torch.zeros(32)
    wrong = model.load_state_dict(tensors, strict=False)
    assert wrong.missing_keys == ["bert.encoder.layer.0.output.dense.bias"]
    assert wrong.unexpected_keys == ["bert.encoder.layer.7.output.dense.bias"]
    with pytest.raises(RuntimeError, match=r"Missing key.*bert.encoder.layer.0.output.dense.bias"):
        model.load_state_dict(tensors)


@pytest.mark.parametrize("class_name", ["BertForPreTraining", "BertForMaskedLM"])
def test_assigned_tensors_are_tied_as_before(class_name):
    model = our_model(class_name)
    model.load_state_dict({name: x.clone() for name, x in model.state_dict().items()}, assign=True)
    assert model.mlm_head.decoder.weight is model.bert.embeddings.word.weight
    assert model.mlm_head.decoder.bias is model.mlm_head.bias


def test_an_assigned_decoder_of_its_own_unties_and_says_so(caplog):
    model = our_model("BertForMaskedLM")
    tensors = {name: x.clone() for name, x in model.state_dict().items()}
    tensors["cls.predictions.decoder.weight"] += 1
    model.load_state_dict(tensors, assign=True)
    assert not model.config.tie_word_embeddings and "no longer tied" in caplog.text
    assert_same(model.mlm_head.decoder.weight, tensors["cls.predictions.decoder.weight"])


# --- attributes

ALIASES = {
    "bert.embeddings.word_embeddings": "bert.embeddings.word",
    "bert.embeddings.token_type_embeddings": "bert.embeddings.segment",
    "bert.embeddings.LayerNorm": "bert.embeddings.norm",
    "bert.encoder.layer.0.attention.self.query": "bert.encoder.layer.0.attention.query",
    "bert.encoder.layer.1.attention.output.dense": "bert.encoder.layer.1.attention.mix",
    "bert.encoder.layer.1.attention.output.LayerNorm": "bert.encoder.layer.1.attention_norm",
    "bert.encoder.layer.0.intermediate.dense": "bert.encoder.layer.0.feed_forward.up",
    "bert.encoder.layer.0.output.dense": "bert.encoder.layer.0.feed_forward.down",
    "bert.encoder.layer.0.output.LayerNorm": "bert.encoder.layer.0.feed_forward_norm",
    "cls.predictions": "mlm_head",
    "cls.predictions.transform.dense": "mlm_head.dense",
    "cls.predictions.decoder": "mlm_head.decoder",
    "cls.seq_relationship": "nsp_head.linear",
}


@pytest.mark.parametrize("theirs, ours", ALIASES.items())
def test_parts_answer_to_both_names(theirs, ours):
    model = our_model("BertForPreTraining")
    found = eval(f"model.{theirs.replace('.0.', '[0].').replace('.1.', '[1].')}", {"model": model})
    assert found is model.get_submodule(ours)


@pytest.mark.parametrize("theirs, ours", [item for item in ALIASES.items() if "predictions" not in item[0]])
def test_a_part_that_is_replaced_under_their_name_computes(theirs, ours):
    model = our_model("BertForPreTraining").eval()
    owner, _, attribute = theirs.rpartition(".")
    calls = []
    new = copy.deepcopy(model.get_submodule(ours))
    new.register_forward_hook(lambda *_: calls.append(1))
    setattr(model.get_submodule(owner), attribute, new)
    assert model.get_submodule(ours) is new and model.get_submodule(theirs) is new
    model(**batch_of(model.config))
    assert calls


def test_parameters_of_a_view_are_those_of_its_parts():
    layer = our_model("BertModel").encoder.layer[0]
    for parameter in layer.attention.self.parameters():
        parameter.requires_grad = False
    frozen = [name for name, p in layer.named_parameters() if not p.requires_grad]
    assert frozen == [
        f"attention.self.{part}.{what}" for part in ("query", "key", "value") for what in ("weight", "bias")
    ]


def test_what_would_do_nothing_is_refused():
    model = our_model("BertForPreTraining")
    layer = model.bert.encoder.layer[0]
    for hook in ("register_forward_hook", "register_forward_pre_hook", "register_backward_hook"):
        with pytest.raises(TypeError, match=r"hook on self would never be called.*query \(attention.query\)"):
            getattr(layer.attention.self, hook)(print)
    with pytest.raises(TypeError, match="intermediate is no module here, so it cannot be called"):
        layer.intermediate(torch.zeros(3, 32))
    with pytest.raises(AttributeError, match="output is no module here: set one of its parts, dense, LayerNorm"):
        layer.output = nn.Linear(32, 32)
    for attribute in ("num_attention_heads", "scaling", "forward"):
        with pytest.raises(AttributeError, match=f"self is no module here, and {attribute} of it cannot be set"):
            setattr(layer.attention.self, attribute, 1)
    with pytest.raises(AttributeError, match="cls"):
        our_model("BertForSequenceClassification").cls  # noqa: B018


def test_a_name_of_theirs_may_be_one_s_own():
    class Mine(BertPreTrainedModel):
        def __init__(self, config):
            super().__init__(config)
            self.bert = BertModel(config)
            self.cls = nn.Linear(config.hidden_size, 2)
            self.post_init()

    model = Mine(our_model("BertModel").config)
    assert isinstance(model.cls, nn.Linear) and "cls.weight" in model.state_dict()


def test_copies_and_pickles_keep_the_names():
    model = our_model("BertForPreTraining")
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        layer = again.bert.encoder.layer[1]
        assert layer.attention.output.LayerNorm is layer.attention_norm
        assert again.state_dict().keys() == model.state_dict().keys()


def test_calling_with_parameters_by_their_names():
    model = our_model("BertForMaskedLM").eval()
    batch = batch_of(model.config, mask=mask_of("gaps"))
    changed = {name: 2 * p for name, p in model.named_parameters()}
    found = torch.func.functional_call(model, changed, (), batch).logits
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(2)
    assert_same(found, model(**batch).logits)


# --- arguments


@pytest.mark.parametrize("class_name", CLASSES)
def test_signatures_show_what_a_model_takes(class_name):
    ours = inspect.signature(getattr(minibert, class_name).forward).parameters
    theirs = inspect.signature(getattr(transformers, class_name).forward).parameters
    inputs = ["self", "input_ids", "attention_mask", "token_type_ids", "position_ids", "inputs_embeds"]
    assert list(ours)[:6] == inputs
    labels = {name for name in theirs if "label" in name or name.endswith("positions")}
    assert labels <= ours.keys()


def test_labels_by_position_are_refused():
    model = our_model("BertForMaskedLM")
    batch = batch_of(model.config)
    with pytest.raises(TypeError, match="positional"):
        model(batch["input_ids"], None, None, None, None, batch["input_ids"])


def test_config_constants():
    model = BertModel(BertConfig(hidden_size=12, num_attention_heads=3, intermediate_size=8, num_hidden_layers=1))
    assert not model.can_generate() and model.base_model is model and model.config_class is BertConfig
    model.set_attn_implementation("eager")
    assert model.config.attn_implementation == model.config._attn_implementation == "eager"

"""Layers in bf16 or int8 inside a pipeline: the model that everybody sees stays ordinary fp32, and is followed."""

import copy
import pickle

import pytest
import torch
from pipeline_runs import TEXTS, checkpoint, our_tokenizer
from torch import nn

import minibert
from minibert import pipeline
from minibert.inference.fast_layers import FastLayers
from minibert.inference.text_classification import TextClassificationPipeline

BF16 = torch.bfloat16
FAST = [BF16, torch.int8]
IDS = torch.arange(5, 17)[None]


def folder():
    return checkpoint("BertForSequenceClassification", num_labels=4)


def model():
    return minibert.BertForSequenceClassification.from_pretrained(folder())


def classifier(made_of=None, dtype=BF16):
    return TextClassificationPipeline(made_of or model(), our_tokenizer(model_max_length=24), layers_dtype=dtype)


def encoder_of(made_of):
    return getattr(made_of, "bert", made_of).encoder


@pytest.mark.parametrize("class_name", ["BertModel", "BertForTokenClassification"])
@pytest.mark.parametrize("options", [{}, {"output_hidden_states": True, "output_attentions": True}])
def test_bf16_is_for_the_layers_alone(class_name, options):
    exact = getattr(minibert, class_name).from_pretrained(checkpoint(class_name))
    seen = {}
    for name, module in exact.named_modules():
        module.register_forward_hook(lambda _, args, out, name=name: seen.update({name: out}))
    with torch.no_grad():
        expected = exact(IDS, **options)
        seen.clear()
        found = FastLayers(BF16)(exact, input_ids=IDS, **options)
    types = {name: out.dtype for name, out in seen.items() if isinstance(out, torch.Tensor)}
    assert {dtype for name, dtype in types.items() if "encoder.layer." in name} == {BF16}
    assert {dtype for name, dtype in types.items() if "encoder." not in name} == {torch.float32}
    for x, y in zip(found.to_tuple(), expected.to_tuple(), strict=True):
        for a, b in zip(x, y, strict=True) if isinstance(x, tuple) else [(x, y)]:
            assert a.dtype == torch.float32
            torch.testing.assert_close(a, b, atol=0.15, rtol=0.05)
    assert 1e-5 < (found[0] - expected[0]).abs().max() < 0.15


@pytest.mark.parametrize("dtype", FAST)
def test_the_model_stays_as_it_is(tmp_path, dtype):
    classify = classifier(dtype=dtype)
    before = {name: x.clone() for name, x in classify.model.state_dict().items()}
    places = {name: x.data_ptr() for name, x in classify.model.state_dict().items()}
    # Several texts: where weights begin at another address, as a copy's do, AVX2 rounds a product of one row otherwise.
    ids = torch.arange(5, 53).view(4, 12)
    with torch.no_grad():
        logits = classify.model(ids).logits
    found = classify(TEXTS)
    assert found != TextClassificationPipeline(model(), classify.tokenizer)(TEXTS), "not computed in another format"
    assert {name: x.data_ptr() for name, x in classify.model.state_dict().items()} == places
    classify.model.save_pretrained(tmp_path)
    saved = minibert.BertForSequenceClassification.from_pretrained(tmp_path)
    for state in (classify.model.state_dict(), saved.state_dict()):
        assert all(torch.equal(state[name], x) for name, x in before.items())
    with torch.no_grad():
        assert torch.equal(classify.model(ids).logits, logits)
        for made in (copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))):
            assert torch.equal(made(classify.model)(ids).logits, logits)
            assert made(classify)(TEXTS) == found


def shift(made_of):
    with torch.no_grad():
        encoder_of(made_of).layer[0].feed_forward.up.weight.add_(0.3)


def replace_data(made_of):
    weight = encoder_of(made_of).layer[0].feed_forward.up.weight
    weight.data = weight.data + 0.3


def replace_layer(made_of):
    encoder_of(made_of).layer[0] = copy.deepcopy(encoder_of(made_of).layer[1])


def replace_encoder(made_of):
    made_of.bert = minibert.BertModel.from_pretrained(checkpoint("BertModel", hidden_act="relu"))


def replace_head(made_of):
    made_of.classifier = nn.Linear(made_of.config.hidden_size, 4)


def load_other(made_of):
    torch.manual_seed(3)
    made_of.load_state_dict({name: torch.randn_like(x) for name, x in made_of.state_dict().items()}, assign=True)


def change_config(made_of):
    made_of.config.attn_implementation = "eager"


CHANGES = [shift, replace_data, replace_layer, replace_encoder, replace_head, load_other, change_config]


@pytest.mark.parametrize("dtype", FAST)
@pytest.mark.parametrize("change", CHANGES, ids=[change.__name__ for change in CHANGES])
def test_whatever_is_done_to_the_model_is_followed(change, dtype):
    classify = classifier(dtype=dtype)
    for again in (False, True):  # the second time, memory that the first one has freed may be used again
        before = classify(TEXTS, function_to_apply="none")
        change(classify.model)
        found = classify(TEXTS, function_to_apply="none")
        assert found == classifier(classify.model, dtype)(TEXTS, function_to_apply="none")
        assert found != before or again or change is change_config


@pytest.mark.parametrize("dtype", FAST)
def test_hooks_are_called_while_they_are_there(dtype):
    classify = classifier(dtype=dtype)
    classify("a")
    calls = []
    handles = [
        module.register_forward_hook(lambda module, *_: calls.append(type(module).__name__))
        for module in (classify.model, classify.model.bert, classify.model.bert.encoder.layer[0])
    ]
    handles.append(
        classify.model.bert.encoder.layer[1].feed_forward.up.register_forward_hook(lambda *_: calls.append(""))
    )
    classify("a")
    assert calls == ["EncoderLayer", "", "BertModel", "BertForSequenceClassification"]
    for handle in handles:
        handle.remove()
    classify("a")
    assert len(calls) == 4


@pytest.mark.parametrize("layers_dtype", [None, *FAST])
def test_a_model_that_is_being_trained(layers_dtype):
    trained = model().train()
    trained.bert.embeddings.eval()  # frozen, perhaps
    modes = {name: module.training for name, module in trained.named_modules()}
    classify = TextClassificationPipeline(trained, our_tokenizer(model_max_length=24), layers_dtype=layers_dtype)
    expected = TextClassificationPipeline(model(), classify.tokenizer, layers_dtype=layers_dtype)(TEXTS)
    assert classify(TEXTS) == classify(TEXTS) == expected
    assert {name: module.training for name, module in trained.named_modules()} == modes
    assert all(parameter.requires_grad for parameter in trained.parameters())
    trained(IDS, labels=torch.tensor([1])).loss.backward()


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", BF16), ("int8", torch.int8)])
def test_a_pipeline_by_name_shows_an_fp32_model(precision, dtype):
    found = pipeline("text-classification", folder(), precision=precision, device="cpu")
    assert found.model.dtype == torch.float32 and found.layers_dtype == dtype
    assert {x.dtype for x in found.model.parameters()} == {torch.float32}
    assert found(TEXTS) == classifier(dtype=dtype)(TEXTS)


@torch.no_grad()
def test_int8_is_for_the_layers_products_alone():
    exact = minibert.BertModel.from_pretrained(checkpoint("BertModel"))
    seen = {}
    for name, module in exact.named_modules():
        module.register_forward_hook(lambda module, _args, _out, name=name: seen.update({name: type(module).__name__}))
    expected = exact(IDS).last_hidden_state
    before = dict(seen)
    found = FastLayers(torch.int8)(exact, input_ids=IDS).last_hidden_state
    in_int8 = {name for name, kind in seen.items() if kind == "Int8Linear"}
    assert in_int8 == {name for name, kind in before.items() if kind == "Linear" and "encoder.layer." in name}
    assert found.dtype == torch.float32
    assert 1e-4 < (found - expected).abs().max() < 0.15

"""What every model can do beside computing: initial weights, sizes, resizing, freezing, gradient checkpointing."""

import pytest
import torch
from reference import assert_near, assert_same, batch_of, mask_of, model_pair, tiny_config

from minibert import BertConfig, BertForMaskedLM, BertForPreTraining, BertModel


def test_bert_base_has_the_published_number_of_parameters():
    with torch.device("meta"):
        assert BertModel(BertConfig()).num_parameters() == 109_482_240
        assert BertModel(BertConfig(), add_pooling_layer=False).num_parameters() == 109_482_240 - 768 * 769


# In millions, with the heads of pretraining: Turc et al. 2019, table 1, and the list beside the released checkpoints.
@pytest.mark.parametrize(
    ("name", "millions"), [("tiny", 4.4), ("mini", 11.3), ("small", 29.1), ("medium", 41.7), ("base", 110.1)]
)
def test_named_sizes_have_the_published_numbers(name, millions):
    with torch.device("meta"):
        model = BertForPreTraining(getattr(BertConfig, name)())
    assert round(model.num_parameters() / 1e6, 1) == millions


def test_initial_weights():
    model = BertForPreTraining(tiny_config(hidden_size=96, initializer_range=0.05, tie_word_embeddings=False))
    for name, parameter in model.named_parameters():
        if name.endswith("LayerNorm.weight"):
            assert (parameter == 1).all(), name
        elif parameter.ndim == 1:
            assert not parameter.any(), name
        else:
            spread = parameter[1:] if name.endswith("embeddings.word_embeddings.weight") else parameter
            # Five standard errors of a standard deviation from so many draws.
            assert abs(spread.std() - 0.05) < 5 * 0.05 / (2 * spread.numel()) ** 0.5, name
            assert abs(spread.mean()) < 5 * 0.05 / spread.numel() ** 0.5, name
    words = model.get_input_embeddings().weight
    assert not words[0].any() and words[1:].any(1).all()


def test_initial_weights_come_from_the_global_generator():
    models = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        models.append(BertModel(tiny_config()).embeddings.word.weight)
    assert torch.equal(models[0], models[1]) and not torch.equal(models[0], models[2])


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("size", [60, 130])
@torch.no_grad()
def test_resize_keeps_what_there_is(tied, size):
    theirs, model = model_pair("BertForMaskedLM", tie_word_embeddings=tied)
    batch = {name: x % 60 for name, x in batch_of(theirs.config).items()}
    before = {name: x.clone() for name, x in model.state_dict().items()}
    logits, kept = model(**batch).logits, min(size, 97)
    embeddings = model.resize_token_embeddings(size, mean_resizing=False)
    assert embeddings is model.get_input_embeddings() and model.config.vocab_size == size
    assert (embeddings.num_embeddings, model.mlm_head.decoder.out_features) == (size, size)
    assert (model.mlm_head.decoder.weight is embeddings.weight) == tied
    assert (model.mlm_head.decoder.bias is model.mlm_head.bias) == tied
    for name, x in model.state_dict().items():
        assert torch.equal(x[:kept], before[name][:kept]), name
    assert_near(model(**batch).logits[..., :kept], logits[..., :kept], 1e-5)  # another matmul, other last bits
    new = embeddings.weight[97:]
    assert new.any(1).all() and (not len(new) or abs(new.std() - 0.02) < 0.005)
    assert not model.mlm_head.bias[97:].any() and not model.mlm_head.decoder.bias[97:].any()
    fresh = BertForMaskedLM(model.config).state_dict()
    assert {n: x.shape for n, x in model.state_dict().items()} == {n: x.shape for n, x in fresh.items()}
    theirs.resize_token_embeddings(size)
    if size < 97:  # larger, the two draw the new rows differently
        assert_same(model(**batch).logits, theirs(**batch).logits)


def test_a_resized_model_trains_saves_and_loads(tmp_path):
    model = BertForMaskedLM(tiny_config())
    model.resize_token_embeddings(101)
    ids = torch.full((1, 3), 100)
    model(ids, labels=ids).loss.backward()
    assert model.get_input_embeddings().weight.grad[100].any() and model.mlm_head.bias.grad[100] != 0
    model.save_pretrained(tmp_path)
    assert_same(BertForMaskedLM.from_pretrained(tmp_path)(ids).logits, model.eval()(ids).logits)


@pytest.mark.parametrize(("size", "message"), [(0, "vocab_size"), (5, "pad_token_id")])
def test_resize_to_an_impossible_size_changes_nothing(size, message):
    model = BertModel(tiny_config(pad_token_id=7))
    with pytest.raises(ValueError, match=message):
        model.resize_token_embeddings(size)
    assert model.config.vocab_size == 97 and len(model.get_input_embeddings().weight) == 97


ALL, HEAD = {"embeddings", "layer.0", "layer.1", "layer.2", "pooler", "head"}, {"head"}


@pytest.mark.parametrize(
    ("what", "trained"),
    [
        ("none", ALL),
        ("embeddings", ALL - {"embeddings"}),
        ("encoder", HEAD),
        (0, HEAD | {"pooler"}),
        (1, HEAD | {"pooler", "layer.2"}),
        (3, ALL - {"embeddings"}),
    ],
)
def test_freeze(what, trained):
    model = BertForPreTraining(tiny_config(num_hidden_layers=3, tie_word_embeddings=False)).freeze(0)
    assert model.freeze(what) is model  # and what was frozen before does not matter
    found = set()
    for name, parameter in model.named_parameters():
        part = next((part for part in ALL if f"bert.{part}." in f"{name}." or f".{part}." in name), "head")
        assert parameter.requires_grad == (part in trained), name
        found.add(part)
    assert found == ALL
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    assert model.num_parameters(only_trainable=True) == model.num_parameters() - frozen


@pytest.mark.parametrize("what", ["head", 3, -1, True, None])
def test_freeze_refuses_what_it_does_not_know(what):
    with pytest.raises(ValueError, match="freeze must be .* from 0 to 2, got"):
        BertModel(tiny_config()).freeze(what)


@pytest.mark.parametrize("model_class", [BertModel, BertForPreTraining])
def test_depth_below_head(model_class):
    model = model_class(tiny_config(num_hidden_layers=12))
    prefix = "bert." if model_class is BertForPreTraining else ""
    depths = {name: model.depth_below_head(name) for name, _ in model.named_parameters()}
    assert set(depths.values()) == set(range(14))
    assert depths[f"{prefix}embeddings.word_embeddings.weight"] == depths[f"{prefix}embeddings.LayerNorm.bias"] == 13
    assert depths[f"{prefix}encoder.layer.0.attention.self.query.weight"] == 12
    assert depths[f"{prefix}encoder.layer.10.intermediate.dense.bias"] == 2
    assert depths[f"{prefix}encoder.layer.11.attention.output.LayerNorm.weight"] == 1
    assert depths[f"{prefix}pooler.dense.weight"] == depths.get("cls.predictions.transform.dense.weight", 0) == 0


def test_gradient_checkpointing_gives_the_same_gradients():
    model = BertForMaskedLM(tiny_config()).train()
    batch = batch_of(model.config, mask=mask_of("gaps"))
    grads = []
    for switch in (model.gradient_checkpointing_disable, model.gradient_checkpointing_enable):
        switch()
        torch.manual_seed(3)
        grads.append(torch.autograd.grad(model(**batch, labels=batch["input_ids"]).loss, list(model.parameters())))
    assert model.bert.encoder.gradient_checkpointing
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


def test_where_and_what_the_parameters_are():
    with torch.device("meta"):
        model = BertForMaskedLM(tiny_config())
    assert (model.device, model.dtype) == (torch.device("meta"), torch.float32)
    assert model.bert.to(torch.bfloat16).dtype == model.dtype == torch.bfloat16


@pytest.mark.parametrize("tied", [True, False])
def test_resized_embeddings_are_not_drawn_again(tied):
    model = BertForMaskedLM(tiny_config(tie_word_embeddings=tied))
    model.resize_token_embeddings(120)
    kept = [model.get_input_embeddings().weight, model.mlm_head.decoder.weight, model.mlm_head.bias]
    before = [x.clone() for x in kept]
    model.post_init()
    assert all(torch.equal(x, y) for x, y in zip(kept, before, strict=True))
    assert model.vocab_size == 120


def test_new_rows_are_the_mean_of_the_old():
    model = BertForMaskedLM(tiny_config(tie_word_embeddings=False))
    model.mlm_head.bias.data.normal_()
    words, bias = model.get_input_embeddings().weight.clone(), model.mlm_head.bias.clone()
    model.resize_token_embeddings(101, pad_to_multiple_of=8)
    assert model.config.vocab_size == 104
    assert_near(model.get_input_embeddings().weight[97:], words.mean(0).expand(7, -1), 1e-6)
    assert_near(model.mlm_head.bias[97:], bias.mean().expand(7), 1e-6)
    assert model.resize_token_embeddings() is model.get_input_embeddings() and model.config.vocab_size == 104

"""Activations, layers and the stack, against the reference's and alone."""

import pytest
import torch
from reference import (
    ATTENTIONS,
    IS_VERSION_5,
    MASKS,
    ODD_CONFIGS,
    assert_near,
    assert_same,
    mask_of,
    model_pair,
    no_dropout,
    use_attention,
)
from transformers.activations import ACT2FN

from minibert.model.config import BertConfig
from minibert.model.config_checks import ACTIVATIONS
from minibert.model.encoder import ACTIVATION_FUNCTIONS, Encoder, EncoderLayer, FeedForward
from minibert.model.packing import Packing

FULL = Packing.from_mask(None, 4, 11)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_activations_are_the_reference_s(name, dtype):
    x = (4 * torch.randn(1000)).to(dtype)
    assert_same(ACTIVATION_FUNCTIONS[name](x), ACT2FN[name](x), name)


def test_every_activation_of_the_config_is_there():
    assert set(ACTIVATION_FUNCTIONS) == set(ACTIVATIONS)


@pytest.mark.parametrize("changes", ODD_CONFIGS.values(), ids=ODD_CONFIGS)
@pytest.mark.parametrize("name", ATTENTIONS)
@torch.no_grad()
def test_layers_are_the_reference_s(changes, name):
    theirs, ours = model_pair("BertModel", **changes)
    use_attention(name, theirs, ours)
    x = torch.randn(4, 11, theirs.config.hidden_size)
    layer, our_layer = theirs.encoder.layer[-1], ours.encoder.layer[-1]
    # The feed-forward half first: its residual and LayerNorm are inside `output` in the reference.
    expected = layer.output(layer.intermediate(x), x)
    flat = x.flatten(0, 1)
    found = our_layer.feed_forward_norm(flat + our_layer.feed_forward(flat))
    assert_same(found.view_as(x), expected, "feed-forward")
    assert_same(our_layer(flat, FULL)[0].view_as(x), layer(x) if IS_VERSION_5 else layer(x)[0], "layer")
    assert_same(ours.encoder(flat, FULL)[0].view_as(x), theirs.encoder(x).last_hidden_state, "encoder")


@pytest.mark.parametrize("mask_name", MASKS)
@torch.no_grad()
def test_a_row_without_padding_is_that_row_alone(mask_name):
    encoder = Encoder(
        BertConfig(hidden_size=12, num_attention_heads=3, intermediate_size=20, num_hidden_layers=2)
    ).eval()
    mask, x = mask_of(mask_name), torch.randn(4, 11, 12)
    packing = Packing.from_mask(mask, 4, 11)
    together = packing.unflatten(encoder(packing.flatten(x), packing)[0])
    for b in range(4):
        alone = x[b][mask[b] != 0]
        if len(alone):
            assert_near(together[b][mask[b] != 0], encoder(alone, Packing.from_mask(None, 1, len(alone)))[0], 1e-5)
    assert torch.equal(together[mask == 0], torch.zeros(int((mask == 0).sum()), 12))


def test_states_are_there_when_asked_for():
    encoder = Encoder(BertConfig(hidden_size=12, num_attention_heads=3, num_hidden_layers=3)).eval()
    x = torch.randn(44, 12)
    last, states, weights = encoder(x, FULL, output_attentions=True, output_hidden_states=True)
    assert len(states) == 4 and torch.equal(states[0].view(44, 12), x) and torch.equal(states[-1].view(44, 12), last)
    assert [tuple(w.shape) for w in weights] == [(4, 3, 11, 11)] * 3
    assert encoder(x, FULL)[1:] == ([], [])


def one_layer(**dropouts: float) -> EncoderLayer:
    config = BertConfig(hidden_size=12, num_attention_heads=3, intermediate_size=20, **{**no_dropout(), **dropouts})
    return EncoderLayer(config).train()


def test_hidden_dropout_acts_before_each_residual_sum():
    layer, packing = one_layer(hidden_dropout_prob=0.4), Packing.from_mask(None, 400, 5)
    seen = {}
    for name in ("attention", "feed_forward", "attention_norm", "feed_forward_norm"):
        layer.get_submodule(name).register_forward_hook(lambda _, x, y, name=name: seen.update({name: (x[0], y)}))
    layer(torch.randn(2000, 12), packing)
    for sublayer, norm in (("attention", "attention_norm"), ("feed_forward", "feed_forward_norm")):
        residual, output = seen[sublayer]
        output = output[0] if isinstance(output, tuple) else output
        added = seen[norm][0] - residual
        dropped = added == 0
        assert abs(dropped.float().mean() - 0.4) < 0.02  # 24,000 draws: a standard error of 0.003
        torch.testing.assert_close(added[~dropped], output[~dropped] / 0.6, rtol=1e-4, atol=1e-5)


def test_dropout_acts_nowhere_else_in_a_layer():
    x, packing = torch.randn(10, 12), Packing.from_mask(None, 2, 5)
    quiet = one_layer()
    assert torch.equal(quiet(x, packing)[0], quiet.eval()(x, packing)[0])
    feed_forward = FeedForward(BertConfig(hidden_size=12, num_attention_heads=3, hidden_dropout_prob=0.5)).train()
    assert torch.equal(feed_forward(x), feed_forward(x))
    attention = one_layer(hidden_dropout_prob=0.5).attention
    assert torch.equal(attention(x, packing)[0], attention(x, packing)[0])
    attention = one_layer(attention_probs_dropout_prob=0.5).attention
    assert not torch.equal(attention(x, packing)[0], attention(x, packing)[0])
    assert torch.equal(attention.eval()(x, packing)[0], attention(x, packing)[0])


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_gradient_checkpointing_gives_the_same_gradients(dropout):
    config = BertConfig(hidden_size=12, num_attention_heads=3, num_hidden_layers=2, hidden_dropout_prob=dropout)
    encoder, x = Encoder(config).train(), torch.randn(44, 12, requires_grad=True)
    calls = []
    encoder.layer[0].feed_forward.register_forward_hook(lambda *_: calls.append(1))
    results = []
    for checkpointing in (False, True):
        encoder.gradient_checkpointing = checkpointing
        torch.manual_seed(5)  # the second computation must drop what the first did
        out = encoder(x, FULL)[0]
        results.append([out, *torch.autograd.grad(out.square().sum(), [x, *encoder.parameters()])])
    assert len(calls) == 1 + 2  # computed again in the backward pass
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))

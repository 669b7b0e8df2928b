"""The two forms of attention against each other, and self-attention against the reference."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import ATTENTIONS, MASKS, ODD_CONFIGS, assert_near, assert_same, mask_of, model_pair, use_attention

from minibert.model.attention import MultiHeadSelfAttention, fused_attention, scaled_dot_product_attention
from minibert.model.config import BertConfig
from minibert.model.packing import Packing

FORMS = {"eager": scaled_dot_product_attention, "sdpa": fused_attention}
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}


def projections(batch: int, heads: int, length: int, size: int, dtype=torch.float32) -> list[torch.Tensor]:
    """Query, key and value (B, H, S, K)."""
    return [torch.randn(batch, heads, length, size, dtype=dtype) for _ in range(3)]


def by_hand(query, key, value, visible) -> torch.Tensor:
    """The equation, one query at a time, with Python's numbers; for one head of one sequence."""
    rows = []
    for q in query.tolist():
        scores = [sum(a * b for a, b in zip(q, k, strict=True)) / math.sqrt(len(q)) for k in key.tolist()]
        powers = [math.exp(score) if seen else 0.0 for score, seen in zip(scores, visible, strict=True)]
        weights = torch.tensor([power / (sum(powers) or 1.0) for power in powers], dtype=torch.float64)
        rows.append(weights @ value)
    return torch.stack(rows)


@pytest.mark.parametrize("attend", FORMS.values(), ids=FORMS)
def test_the_equation(attend):
    query, key, value = projections(2, 2, 4, 3, torch.float64)
    mask = torch.tensor([[True, True, False, True], [False, False, False, False]])
    context, _ = attend(query, key, value, mask)
    unmasked, _ = attend(query, key, value)
    for b in range(2):
        for h in range(2):
            heads = query[b, h], key[b, h], value[b, h]
            torch.testing.assert_close(context[b, h], by_hand(*heads, mask[b].tolist()))
            torch.testing.assert_close(unmasked[b, h], by_hand(*heads, [True] * 4))


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 7), st.integers(1, 9), st.sampled_from([*TOLERANCE]))
def test_explicit_equals_fused(batch, heads, length, size, dtype):
    inputs = projections(batch, heads, length, size, dtype)
    mask = torch.rand(batch, length) < 0.6
    for key_mask in (None, mask):
        explicit, weights = scaled_dot_product_attention(*inputs, key_mask)
        fused, nothing = fused_attention(*inputs, key_mask)
        assert_near(fused, explicit, TOLERANCE[dtype])
        assert nothing is None and weights.shape == (batch, heads, length, length)
    assert_near(weights.sum(-1), mask.any(1)[:, None, None].to(dtype).expand(weights.shape[:3]), TOLERANCE[dtype])


@pytest.mark.parametrize("attend", FORMS.values(), ids=FORMS)
def test_a_sequence_without_keys_gives_zeros_and_finite_gradients(attend):
    inputs = [x.requires_grad_() for x in projections(2, 2, 3, 4)]
    context, _ = attend(*inputs, torch.tensor([[True, False, True], [False, False, False]]))
    assert torch.equal(context[1], torch.zeros(2, 3, 4)) and context[0].abs().min() > 0
    context.square().sum().backward()
    for x in inputs:
        assert x.grad.isfinite().all() and torch.equal(x.grad[1], torch.zeros(2, 3, 4))
    assert torch.equal(inputs[1].grad[0, :, 1], torch.zeros(2, 4))  # a hidden key


@pytest.mark.parametrize("attend", FORMS.values(), ids=FORMS)
def test_dropout_acts_on_the_attention_weights(attend):
    query, key, _ = projections(300, 2, 6, 6)
    # With the identity as value, the context is the weights.
    value = torch.eye(6).expand(300, 2, 6, 6)
    whole, _ = attend(query, key, value)
    context, _ = attend(query, key, value, dropout=0.25)
    dropped = context == 0
    assert abs(dropped.float().mean() - 0.25) < 0.02  # 21,600 draws: a standard error of 0.003
    torch.testing.assert_close(context[~dropped], whole[~dropped] / 0.75)


def reference_layer(name: str, dtype=torch.float32, **changes):
    """(reference model, its first self-attention as a function, ours)"""
    theirs, ours = model_pair("BertModel", dtype, **changes)
    use_attention(name, theirs, ours)
    attention = theirs.encoder.layer[0].attention
    return (lambda x, mask=None: attention.output.dense(attention.self(x, mask)[0])), ours.encoder.layer[0].attention


@pytest.mark.parametrize("name", ATTENTIONS)
@pytest.mark.parametrize("changes", ODD_CONFIGS.values(), ids=ODD_CONFIGS)
@torch.no_grad()
def test_self_attention_is_the_reference_s(name, changes):
    theirs, ours = reference_layer(name, **changes)
    x = torch.randn(4, 11, ours.config.hidden_size)
    found, _ = ours(x.flatten(0, 1), Packing.from_mask(None, 4, 11))
    assert_same(found.view_as(x), theirs(x))


@pytest.mark.parametrize("name", ATTENTIONS)
@pytest.mark.parametrize("mask_name", MASKS)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@torch.no_grad()
def test_self_attention_on_padded_input(name, mask_name, dtype):
    theirs, ours = reference_layer(name, dtype)
    mask = mask_of(mask_name)
    x = torch.randn(4, 11, ours.config.hidden_size, dtype=dtype)
    packing = Packing.from_mask(mask, 4, 11)
    found, _ = ours(packing.flatten(x), packing)
    # Added to the scores, the lowest number hides a key from the reference.
    bias = torch.zeros(4, 1, 1, 11, dtype=dtype).masked_fill(mask[:, None, None] == 0, torch.finfo(dtype).min)
    assert_near(packing.unflatten(found)[mask != 0], theirs(x, bias)[mask != 0], TOLERANCE[dtype])


def test_asking_for_weights_uses_the_explicit_form_for_that_call():
    config = BertConfig(hidden_size=12, num_attention_heads=3, attn_implementation="sdpa")
    attention = MultiHeadSelfAttention(config).eval()
    mask = mask_of("gaps")[:, :5]
    packing, x = Packing.from_mask(mask, 4, 5), torch.randn(int(mask.sum()), 12)
    fused, nothing = attention(x, packing)
    explicit, weights = attention(x, packing, output_attentions=True)
    assert nothing is None and weights.shape == (4, 3, 5, 5)
    assert_near(fused, explicit, 1e-5)
    assert torch.equal(weights > 0, (mask[:, None, :, None] * mask[:, None, None, :]).expand(4, 3, 5, 5) != 0)
    config.attn_implementation = "eager"
    assert torch.equal(attention(x, packing)[0], explicit)


def test_the_form_is_read_at_every_call(monkeypatch):
    config = BertConfig(hidden_size=12, num_attention_heads=3, attn_implementation="eager")
    attention = MultiHeadSelfAttention(config)
    monkeypatch.setattr("minibert.model.attention.fused_attention", lambda *_: pytest.fail("the fused form was called"))
    packing, x = Packing.from_mask(None, 1, 5), torch.randn(5, 12)
    attention(x, packing)
    config.attn_implementation = "sdpa"
    with pytest.raises(pytest.fail.Exception):
        attention(x, packing)


@pytest.mark.parametrize("attend", FORMS.values(), ids=FORMS)
def test_dropout_acts_also_where_keys_are_hidden(attend):
    query, key, _ = projections(300, 2, 6, 6)
    key_mask = torch.tensor([True, True, False, True, True, True]).expand(300, 6)
    context, _ = attend(query, key, torch.eye(6).expand(300, 2, 6, 6), key_mask, dropout=0.25)
    assert not context[..., 2].any()
    assert abs((context[..., [0, 1, 3, 4, 5]] == 0).float().mean() - 0.25) < 0.02

"""Right answers to `notebooks/exercises`, with switches for the mistakes in `exercise_mistakes.py`."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

# --- right


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    mean, variance = x.mean(-1, keepdim=True), x.var(-1, correction=0, keepdim=True)
    return (x - mean) / (variance + eps).sqrt() * weight + bias


def gelu(x: Tensor) -> Tensor:
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


def embed(
    token_ids, segment_ids, word, segment, position, norm_weight, norm_bias, eps, *, start=0, norm=layer_norm
) -> Tensor:
    positions = start + torch.arange(len(token_ids))
    return norm(word[token_ids] + segment[segment_ids] + position[positions], norm_weight, norm_bias, eps)


def scaled_dot_product_attention(
    query, key, value, key_mask, *, divide=lambda query: math.sqrt(query.shape[-1]), axis=-1, hide=None
) -> tuple[Tensor, Tensor]:
    hidden = ~key_mask[:, None, None, :]
    scores = query @ key.transpose(-2, -1) / divide(query)
    weights = hide(scores, hidden) if hide else scores.masked_fill(hidden, -1e30).softmax(axis)
    return weights @ value, weights


def split_heads(x, num_heads) -> Tensor:
    return x.unflatten(-1, (num_heads, -1)).transpose(1, 2)


def merge_heads(x) -> Tensor:
    return x.transpose(1, 2).flatten(2)


def encoder_layer(x, attend, weights, eps, *, activation=gelu, norm=layer_norm) -> Tensor:
    y = norm_of("attention_norm", x + attend(x), weights, eps, norm)
    return norm_of("feed_forward_norm", y + feed_forward(y, weights, activation), weights, eps, norm)


def norm_of(name: str, x: Tensor, weights: dict[str, Tensor], eps: float, norm: Callable = layer_norm) -> Tensor:
    return norm(x, weights[f"{name}.weight"], weights[f"{name}.bias"], eps)


def feed_forward(y: Tensor, weights: dict[str, Tensor], activation: Callable = gelu) -> Tensor:
    up = activation(y @ weights["feed_forward.up.weight"].T + weights["feed_forward.up.bias"])
    return up @ weights["feed_forward.down.weight"].T + weights["feed_forward.down.bias"]


def choose(is_special: Tensor, order: Tensor, *, rounded: Callable = round, least: int = 1) -> Tensor:
    chosen = torch.zeros_like(is_special)
    count = max(least, rounded(0.15 * len(order)))
    chosen[order.masked_fill(is_special, 2).argsort()[:count]] = True
    return chosen


def mask_tokens(
    token_ids, is_special, order, action, random_ids, mask_id, *, choose=choose, kept=0.8, random=0.9
) -> tuple:
    chosen = choose(is_special, order)
    inputs = torch.where(chosen & (action < kept), mask_id, token_ids)
    inputs = torch.where(chosen & (action >= random), random_ids, inputs)
    return inputs, torch.where(chosen, token_ids, -100)


def adamw_step(parameter, gradient, m, v, step, lr, beta1, beta2, eps, weight_decay) -> tuple:
    m, v = beta1 * m + (1 - beta1) * gradient, beta2 * v + (1 - beta2) * gradient**2
    m_hat, v_hat = m / (1 - beta1**step), v / (1 - beta2**step)
    return parameter * (1 - lr * weight_decay) - lr * m_hat / (v_hat.sqrt() + eps), m, v


RIGHT: dict[str, Callable] = {
    function.__name__: function
    for function in (
        embed,
        scaled_dot_product_attention,
        split_heads,
        merge_heads,
        encoder_layer,
        mask_tokens,
        adamw_step,
    )
}

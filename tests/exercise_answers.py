"""Right and typically wrong answers to `notebooks/exercises`."""

import math
from collections.abc import Callable
from typing import Any

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
    query, key, value, key_mask, *, divide=math.sqrt, axis=-1, hide=None
) -> tuple[Tensor, Tensor]:
    hidden = ~key_mask[:, None, None, :]
    scores = query @ key.transpose(-2, -1) / divide(query.shape[-1])
    weights = hide(scores, hidden) if hide else scores.masked_fill(hidden, -1e30).softmax(axis)
    return weights @ value, weights


def split_heads(x, num_heads) -> Tensor:
    return x.unflatten(-1, (num_heads, -1)).transpose(1, 2)


def merge_heads(x) -> Tensor:
    return x.transpose(1, 2).flatten(2)


def encoder_layer(x, attend, weights, eps, *, activation=gelu) -> Tensor:
    y = norm_of("attention_norm", x + attend(x), weights, eps)
    return norm_of("feed_forward_norm", y + feed_forward(y, weights, activation), weights, eps)


def norm_of(name: str, x: Tensor, weights: dict[str, Tensor], eps: float) -> Tensor:
    return layer_norm(x, weights[f"{name}.weight"], weights[f"{name}.bias"], eps)


def feed_forward(y: Tensor, weights: dict[str, Tensor], activation: Callable = gelu) -> Tensor:
    up = activation(y @ weights["feed_forward.up.weight"].T + weights["feed_forward.up.bias"])
    return up @ weights["feed_forward.down.weight"].T + weights["feed_forward.down.bias"]


def mask_tokens(token_ids, is_special, order, action, random_ids, mask_id, *, kept=0.8, random=0.9) -> tuple:
    count = max(1, round(0.15 * len(token_ids)))
    chosen = torch.zeros_like(is_special)
    chosen[order.masked_fill(is_special, 2).argsort()[:count]] = True
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

# --- wrong


def wrong_variance(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + eps).sqrt() * weight + bias


def eps_outside(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    deviation = x.var(-1, correction=0, keepdim=True).sqrt()
    return (x - x.mean(-1, keepdim=True)) / (deviation + eps) * weight + bias


def without_segment(token_ids, segment_ids, word, segment, position, *rest) -> Tensor:
    return embed(token_ids, segment_ids, word, torch.zeros_like(segment), position, *rest)


def masked_after_softmax(scores: Tensor, hidden: Tensor) -> Tensor:
    return scores.softmax(-1).masked_fill(hidden, 0)


def mask_added_after_softmax(scores: Tensor, hidden: Tensor) -> Tensor:
    return scores.softmax(-1) + hidden * -10_000.0


def pre_norm(x, attend, weights, eps) -> Tensor:
    y = x + attend(norm_of("attention_norm", x, weights, eps))
    return y + feed_forward(norm_of("feed_forward_norm", y, weights, eps), weights)


def without_first_residual(x, attend, weights, eps) -> Tensor:
    y = norm_of("attention_norm", attend(x), weights, eps)
    return norm_of("feed_forward_norm", y + feed_forward(y, weights), weights, eps)


def without_second_residual(x, attend, weights, eps) -> Tensor:
    y = norm_of("attention_norm", x + attend(x), weights, eps)
    return norm_of("feed_forward_norm", feed_forward(y, weights), weights, eps)


def residual_from_the_input(x, attend, weights, eps) -> Tensor:
    y = norm_of("attention_norm", x + attend(x), weights, eps)
    return norm_of("feed_forward_norm", x + feed_forward(y, weights), weights, eps)


def one_norm_for_both(x, attend, weights, eps) -> Tensor:
    y = norm_of("attention_norm", x + attend(x), weights, eps)
    return norm_of("attention_norm", y + feed_forward(y, weights), weights, eps)


def gelu_tanh(x: Tensor) -> Tensor:
    return torch.nn.functional.gelu(x, approximate="tanh")


def labels_everywhere(token_ids, *rest) -> tuple:
    return mask_tokens(token_ids, *rest)[0], token_ids


def labels_of_hidden_only(token_ids, *rest) -> tuple:
    inputs, labels = mask_tokens(token_ids, *rest)
    return inputs, torch.where(inputs == token_ids, -100, labels)


def labels_from_inputs(token_ids, *rest) -> tuple:
    inputs, labels = mask_tokens(token_ids, *rest)
    return inputs, torch.where(labels == -100, -100, inputs)


def special_tokens_too(token_ids, is_special, *rest) -> tuple:
    return mask_tokens(token_ids, torch.zeros_like(is_special), *rest)


def without_correction(parameter, gradient, m, v, step, *rest) -> tuple:
    return adamw_step(parameter, gradient, m, v, 10**6, *rest)


def steps_from_zero(parameter, gradient, m, v, step, *rest) -> tuple:
    return adamw_step(parameter, gradient, m, v, step + 1, *rest)


def decay_in_gradient(parameter, gradient, m, v, step, lr, beta1, beta2, eps, weight_decay) -> tuple:
    gradient = gradient + weight_decay * parameter
    return adamw_step(parameter, gradient, m, v, step, lr, beta1, beta2, eps, 0.0)


def eps_in_root(parameter, gradient, m, v, step, lr, beta1, beta2, eps, weight_decay) -> tuple:
    _, m, v = adamw_step(parameter, gradient, m, v, step, lr, beta1, beta2, eps, weight_decay)
    m_hat, v_hat = m / (1 - beta1**step), v / (1 - beta2**step)
    return parameter * (1 - lr * weight_decay) - lr * m_hat / (v_hat + eps).sqrt(), m, v


def changed(function: Callable, **how: Any) -> Callable:
    return lambda *args: function(*args, **how)


# {function: {what the grader says: an answer with that mistake}}
WRONG: dict[str, dict[str, Callable]] = {
    "embed": {
        "the LayerNorm is missing": changed(embed, norm=lambda x, *_: x),
        "the segment vector is missing": without_segment,
        "positions count from 0, not from 1": changed(embed, start=1),
        "the variance of LayerNorm divides by D, not by D - 1": changed(embed, norm=wrong_variance),
        "eps is added to the variance, inside the square root": changed(embed, norm=eps_outside),
    },
    "scaled_dot_product_attention": {
        "the scores are not divided by the square root of K": changed(scaled_dot_product_attention, divide=lambda k: 1),
        "the scores are divided by K, not by its square root": changed(scaled_dot_product_attention, divide=float),
        "the softmax runs over the queries; it must run over the keys, the last axis": changed(
            scaled_dot_product_attention, axis=-2
        ),
        "keys are hidden after the softmax, so that the shares of the others no longer add up to one": changed(
            scaled_dot_product_attention, hide=masked_after_softmax
        ),
        "the mask is added after the softmax; it belongs on the scores": changed(
            scaled_dot_product_attention, hide=mask_added_after_softmax
        ),
        "the mask is the wrong way round: False hides a key": lambda q, k, v, mask: scaled_dot_product_attention(
            q, k, v, ~mask
        ),
    },
    "split_heads": {
        "the transpose is missing: tokens and heads are mixed": lambda x, heads: x.view(len(x), heads, x.shape[1], -1),
        "heads are interleaved; each must get K neighbouring numbers": lambda x, heads: x.unflatten(
            -1, (-1, heads)
        ).permute(0, 3, 1, 2),
    },
    "merge_heads": {
        "heads are merged without a transpose: tokens and heads are mixed": lambda x: x.reshape(len(x), x.shape[2], -1),
    },
    "encoder_layer": {
        "LayerNorm comes before attention and feed-forward (pre-norm); BERT's comes after each sum": pre_norm,
        "the residual around the attention is missing": without_first_residual,
        "the residual around the feed-forward network is missing": without_second_residual,
        "the second residual adds x; it must add what came out of the first norm": residual_from_the_input,
        "both norms use attention_norm; the second one has numbers of its own": one_norm_for_both,
        "the activation is ReLU, not GELU": changed(encoder_layer, activation=torch.relu),
        "GELU is computed by its tanh formula, not exactly": changed(encoder_layer, activation=gelu_tanh),
    },
    "mask_tokens": {
        "special tokens are chosen, too": special_tokens_too,
        "tokens that were not chosen have labels; theirs is -100": labels_everywhere,
        "chosen tokens that stay as they are have no label; all chosen tokens have one": labels_of_hidden_only,
        "labels are taken from the masked tokens; they are what stood there before": labels_from_inputs,
        "all chosen tokens become [MASK]; 10% stay, and 10% become random": changed(mask_tokens, kept=2, random=2),
        "no chosen token becomes a random one": changed(mask_tokens, random=2),
    },
    "adamw_step": {
        "the bias correction of m and v is missing": without_correction,
        "the first step is number 1 already: nothing is to be added": steps_from_zero,
        "weight decay goes through the gradient (that is Adam with L2); in AdamW it acts on the parameter": (
            decay_in_gradient
        ),
        "eps is added outside of the square root": eps_in_root,
    },
}

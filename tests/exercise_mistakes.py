"""Typically wrong answers to `notebooks/exercises`, and the hint that the grader gives for each."""

import math
from collections.abc import Callable
from typing import Any

import torch
from exercise_answers import (
    adamw_step,
    choose,
    embed,
    encoder_layer,
    feed_forward,
    layer_norm,
    mask_tokens,
    norm_of,
    scaled_dot_product_attention,
)
from torch import Tensor


def changed(function: Callable, **how: Any) -> Callable:
    return lambda *args: function(*args, **how)


# --- LayerNorm


def by_std(x: Tensor, weight: Tensor, bias: Tensor, eps: float, *, correction: int) -> Tensor:
    return (x - x.mean(-1, keepdim=True)) / (x.std(-1, correction=correction, keepdim=True) + eps) * weight + bias


def unbiased(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + eps).sqrt() * weight + bias


def over_tokens(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    return layer_norm(x.T, 1, 0, eps).T * weight + bias


# In the place of LayerNorm, wherever there is one.
NORMS: list[tuple[str, Callable]] = [
    ("the LayerNorm is missing", lambda x, *_: x),
    ("the LayerNorm has no weight and no bias", lambda x, weight, bias, eps: layer_norm(x, 1, 0, eps)),
    ("LayerNorm runs over the tokens; it must run over the numbers of each token, the last axis", over_tokens),
    ("the variance of LayerNorm divides by D, not by D - 1", unbiased),
    ("eps is added to the variance, inside the square root", changed(by_std, correction=0)),
    (
        "the variance of LayerNorm divides by D, not by D - 1, and eps is added to it, inside the square root",
        changed(by_std, correction=1),
    ),
]

# --- embeddings


def scaled_tables(token_ids, segment_ids, word, segment, position, *rest, factors: tuple) -> Tensor:
    return embed(token_ids, segment_ids, word * factors[0], segment * factors[1], position * factors[2], *rest)


# --- attention


def divided(divide: Callable) -> Callable:
    """By a number that `divide` makes of the queries."""
    return changed(scaled_dot_product_attention, divide=divide)


def hidden(hide: Callable) -> Callable:
    """`hide` makes the weights of the scores, and of True where a key is hidden."""
    return changed(scaled_dot_product_attention, hide=hide)


softmax_over_queries = changed(scaled_dot_product_attention, axis=-2)


def queries_hidden(score: float) -> Callable:
    return hidden(lambda scores, hidden: scores.masked_fill(hidden.transpose(-2, -1), score).softmax(-1))


def others_hidden(score: float) -> Callable:
    return hidden(lambda scores, hidden: scores.masked_fill(~hidden, score).softmax(-1))


def mask_added_late(score: float) -> Callable:
    return hidden(lambda scores, hidden: scores.softmax(-1) + hidden * score)


# --- the encoder layer


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


def without_linear_biases(x, attend, weights, eps) -> Tensor:
    zeros = {name: torch.zeros_like(weights[name]) for name in ("feed_forward.up.bias", "feed_forward.down.bias")}
    return encoder_layer(x, attend, weights | zeros, eps)


def gelu_tanh(x: Tensor) -> Tensor:
    return torch.nn.functional.gelu(x, approximate="tanh")


# --- masking

COUNT = "15% means: of all S tokens, special ones counted, rounded to the nearest number"


def labels_everywhere(token_ids, *rest) -> tuple:
    return mask_tokens(token_ids, *rest)[0], token_ids


def labels_of_changed_only(token_ids, *rest) -> tuple:
    inputs, labels = mask_tokens(token_ids, *rest)
    return inputs, torch.where(inputs == token_ids, -100, labels)


def labels_from_inputs(token_ids, *rest) -> tuple:
    inputs, labels = mask_tokens(token_ids, *rest)
    return inputs, torch.where(labels == -100, -100, inputs)


def special_tokens_too(token_ids, is_special, *rest) -> tuple:
    return mask_tokens(token_ids, torch.zeros_like(is_special), *rest)


def kept_and_random_swapped(token_ids, is_special, order, action, *rest) -> tuple:
    return mask_tokens(token_ids, is_special, order, torch.where(action < 0.8, action, 1.8 - action), *rest)


def of_ordinary_tokens(is_special: Tensor, order: Tensor) -> Tensor:
    return choose(is_special, order, rounded=lambda _: round(0.15 * int((~is_special).sum())))


def counted(**how: Any) -> Callable:
    return changed(mask_tokens, choose=lambda is_special, order: choose(is_special, order, **how))


# --- the optimizer


def without_correction(parameter, gradient, m, v, step, *rest) -> tuple:
    return adamw_step(parameter, gradient, m, v, 10**6, *rest)


def steps_from_zero(parameter, gradient, m, v, step, *rest) -> tuple:
    return adamw_step(parameter, gradient, m, v, step + 1, *rest)


def betas_swapped(parameter, gradient, m, v, step, lr, beta1, beta2, *rest) -> tuple:
    return adamw_step(parameter, gradient, m, v, step, lr, beta2, beta1, *rest)


def hats_returned(parameter, gradient, m, v, step, lr, beta1, beta2, *rest) -> tuple:
    parameter, m, v = adamw_step(parameter, gradient, m, v, step, lr, beta1, beta2, *rest)
    return parameter, m / (1 - beta1**step), v / (1 - beta2**step)


def decayed(parameter, *rest, factor: Callable) -> tuple:
    *others, lr, beta1, beta2, eps, weight_decay = rest
    return adamw_step(parameter, *others, lr, beta1, beta2, eps, factor(lr, weight_decay))


def decay_in_gradient(parameter, gradient, m, v, step, lr, beta1, beta2, eps, weight_decay) -> tuple:
    gradient = gradient + weight_decay * parameter
    return adamw_step(parameter, gradient, m, v, step, lr, beta1, beta2, eps, 0.0)


def eps_in_root(parameter, gradient, m, v, step, lr, beta1, beta2, eps, weight_decay) -> tuple:
    _, m, v = adamw_step(parameter, gradient, m, v, step, lr, beta1, beta2, eps, weight_decay)
    m_hat, v_hat = m / (1 - beta1**step), v / (1 - beta2**step)
    return parameter * (1 - lr * weight_decay) - lr * m_hat / (v_hat + eps).sqrt(), m, v


def gradient_not_squared(parameter, gradient, m, v, step, lr, beta1, beta2, eps, weight_decay) -> tuple:
    m, v = beta1 * m + (1 - beta1) * gradient, beta2 * v + (1 - beta2) * gradient
    m_hat, v_hat = m / (1 - beta1**step), v / (1 - beta2**step)
    return parameter * (1 - lr * weight_decay) - lr * m_hat / (v_hat.sqrt() + eps), m, v


# {function: [(what the grader says, an answer with that mistake)]}
WRONG: dict[str, list[tuple[str, Callable]]] = {
    "embed": [
        *((hint, changed(embed, norm=norm)) for hint, norm in NORMS),
        ("the segment vector is missing", changed(scaled_tables, factors=(1, 0, 1))),
        ("the position vector is missing", changed(scaled_tables, factors=(1, 1, 0))),
        ("the three vectors are added, not averaged", changed(scaled_tables, factors=(1 / 3, 1 / 3, 1 / 3))),
        ("positions count from 0, not from 1", changed(embed, start=1)),
    ],
    "scaled_dot_product_attention": [
        ("the scores are not divided by the square root of K", divided(lambda q: 1)),
        ("the scores are divided by K, not by its square root", divided(lambda q: q.shape[-1])),
        ("the scores are divided by the square root of D, not of K", divided(lambda q: q[0, :, 0].numel() ** 0.5)),
        ("the scores are divided by the square root of S, not of K", divided(lambda q: q.shape[-2] ** 0.5)),
        ("the softmax runs over the queries; it must run over the keys, the last axis", softmax_over_queries),
        (
            "hidden keys are not hidden: no mask, or the added number is too small (-1e-9 for -1e9)",
            hidden(lambda scores, hidden: scores.softmax(-1)),
        ),
        (
            "the scores of hidden keys are 0, which is no low score; make them minus infinity, or -1e9",
            hidden(lambda scores, hidden: scores.masked_fill(hidden, 0).softmax(-1)),
        ),
        (
            "keys are hidden after the softmax, so that the shares of the others no longer add up to one",
            hidden(lambda scores, hidden: scores.softmax(-1).masked_fill(hidden, 0)),
        ),
        *(
            ("the mask is added after the softmax; it belongs on the scores", mask_added_late(score))
            for score in (-1e4, -1e9)
        ),
        *(
            ("the mask hides queries; it must hide keys, the last axis", queries_hidden(score))
            for score in (-1e9, -math.inf)
        ),
        *(("the mask is the wrong way round: False hides a key", others_hidden(score)) for score in (-1e9, -math.inf)),
    ],
    "split_heads": [
        (
            "the transpose is missing: tokens and heads are mixed",
            lambda x, heads: x.view(len(x), heads, x.shape[1], -1),
        ),
        (
            "heads are interleaved; each must get K neighbouring numbers",
            lambda x, heads: x.unflatten(-1, (-1, heads)).permute(0, 3, 1, 2),
        ),
    ],
    "merge_heads": [
        (
            "heads are merged without a transpose: tokens and heads are mixed",
            lambda x: x.reshape(len(x), x.shape[2], -1),
        ),
    ],
    "encoder_layer": [
        ("LayerNorm comes before attention and feed-forward (pre-norm); BERT's comes after each sum", pre_norm),
        ("the residual around the attention is missing", without_first_residual),
        ("the residual around the feed-forward network is missing", without_second_residual),
        ("the second residual adds x; it must add what came out of the first norm", residual_from_the_input),
        ("both norms use attention_norm; the second one has numbers of its own", one_norm_for_both),
        *((hint, changed(encoder_layer, norm=norm)) for hint, norm in NORMS),
        ("the biases of the feed-forward network are missing", without_linear_biases),
        ("the activation is missing", changed(encoder_layer, activation=lambda x: x)),
        ("the activation is ReLU, not GELU", changed(encoder_layer, activation=torch.relu)),
        ("GELU is computed by its tanh formula, not exactly", changed(encoder_layer, activation=gelu_tanh)),
    ],
    "mask_tokens": [
        (COUNT, counted(rounded=int)),
        (COUNT, counted(rounded=math.ceil)),
        (COUNT, changed(mask_tokens, choose=of_ordinary_tokens)),
        ("no token is chosen in a short sequence; at least one must be", counted(least=0)),
        (
            "each token is chosen with 15%, so that the number is a matter of luck; choose just so many",
            changed(mask_tokens, choose=lambda is_special, order: (order < 0.15) & ~is_special),
        ),
        ("special tokens are chosen, too", special_tokens_too),
        ("tokens that were not chosen have labels; theirs is -100", labels_everywhere),
        ("chosen tokens that stay as they are have no label; all chosen tokens have one", labels_of_changed_only),
        ("labels are taken from the masked tokens; they are what stood there before", labels_from_inputs),
        ("all chosen tokens become [MASK]; 10% stay, and 10% become random", changed(mask_tokens, kept=2, random=2)),
        ("no chosen token becomes a random one", changed(mask_tokens, random=2)),
        ("a token stays from 0.8 to 0.9, and becomes random from 0.9 on, not the other way", kept_and_random_swapped),
    ],
    "adamw_step": [
        ("the bias correction of m and v is missing", without_correction),
        ("the first step is number 1 already: nothing is to be added", steps_from_zero),
        ("m and v are returned with their correction; the next step needs them without", hats_returned),
        ("beta1 belongs to m, and beta2 to v", betas_swapped),
        ("v is the mean of the gradient's square, not of the gradient", gradient_not_squared),
        ("the weight decay is missing", changed(decayed, factor=lambda lr, decay: 0.0)),
        ("the weight decay is to be multiplied by lr", changed(decayed, factor=lambda lr, decay: decay / lr)),
        ("weight decay goes through the gradient (Adam with L2); in AdamW it acts on the parameter", decay_in_gradient),
        ("eps is added outside of the square root", eps_in_root),
    ],
}

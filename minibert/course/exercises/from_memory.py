"""The functions that matter, to be written from memory: for a class, or when the notebooks are closed."""

import math

import torch
from torch import Tensor

from minibert.course.exercise import Case, Draw, Exercise
from minibert.course.exercises.attention import FINISHED_ATTENTION
from minibert.course.exercises.from_memory_mistakes import (
    ADAMW,
    ATTENTION,
    EMBED,
    ENCODER_LAYER,
    MASKING,
    MERGE_HEADS,
    SPLIT_HEADS,
    wrong_adamw_step,
    wrong_attention,
    wrong_embed,
    wrong_encoder_layer,
    wrong_mask_tokens,
)
from minibert.course.exercises.norms import FINISHED_NORMS, layer_norm
from minibert.course.phrases import Phrase


def embed(token_ids, segment_ids, word, segment, position, norm_weight, norm_bias, eps):
    x = word[token_ids] + segment[segment_ids] + position[: len(token_ids)]
    return layer_norm(x, norm_weight, norm_bias, eps)


def scaled_dot_product_attention(query, key, value, key_mask):
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    weights = scores.masked_fill(~key_mask[:, None, None, :], -1e30).softmax(dim=-1)
    return weights @ value, weights


def split_heads(x, num_heads):
    return x.unflatten(-1, (num_heads, -1)).transpose(1, 2)


def merge_heads(x):
    return x.transpose(1, 2).flatten(2)


def encoder_layer(x, attend, weights, eps):
    y = x + attend(x)
    y = layer_norm(y, weights["attention_norm.weight"], weights["attention_norm.bias"], eps)
    up = y @ weights["feed_forward.up.weight"].T + weights["feed_forward.up.bias"]
    up = up * (1 + torch.erf(up / math.sqrt(2))) / 2  # GELU
    z = y + up @ weights["feed_forward.down.weight"].T + weights["feed_forward.down.bias"]
    return layer_norm(z, weights["feed_forward_norm.weight"], weights["feed_forward_norm.bias"], eps)


def mask_tokens(token_ids, is_special, order, action, random_ids, mask_id):
    count = max(1, round(0.15 * len(token_ids)))
    chosen = torch.zeros_like(is_special)
    chosen[order.masked_fill(is_special, 2).argsort()[:count]] = True
    inputs = torch.where(chosen & (action < 0.8), mask_id, token_ids)
    inputs = torch.where(chosen & (action >= 0.9), random_ids, inputs)
    return inputs, torch.where(chosen, token_ids, -100)


def adamw_step(parameter, gradient, m, v, step, lr, beta1, beta2, eps, weight_decay):
    m, v = beta1 * m + (1 - beta1) * gradient, beta2 * v + (1 - beta2) * gradient**2
    m_hat, v_hat = m / (1 - beta1**step), v / (1 - beta2**step)
    return parameter * (1 - lr * weight_decay) - lr * m_hat / (v_hat.sqrt() + eps), m, v


def _sentences() -> list[Case]:
    draw = Draw()
    tables = {"word": draw.normal(7, 4), "segment": draw.normal(2, 4), "position": draw.normal(6, 4)}
    rest = {**tables, "norm_weight": draw.normal(4, middle=1), "norm_bias": draw.normal(4), "eps": 0.1}
    ids = {"one sentence": ([3, 0, 5], [0, 0, 0]), "two sentences": ([1, 6, 6, 2, 4], [0, 0, 1, 1, 1])}
    return [
        Case(name, {"token_ids": torch.tensor(tokens), "segment_ids": torch.tensor(segments), **rest})
        for name, (tokens, segments) in ids.items()
    ]


def _queries() -> list[Case]:
    draw = Draw()
    qkv = {name: draw.normal(2, 2, 4, 3) for name in ("query", "key", "value")}
    hidden = torch.tensor([[True, True, False, True], [True, False, True, True]])
    return [
        Case("all keys visible", {**qkv, "key_mask": torch.ones(2, 4, dtype=torch.bool)}),
        Case("with hidden keys", {**{name: x.clone() for name, x in qkv.items()}, "key_mask": hidden}),
    ]


def _whole() -> list[Case]:
    draw = Draw()
    return [
        Case("one head", {"x": draw.normal(2, 3, 4), "num_heads": 1}),
        Case("three heads of two", {"x": draw.normal(2, 4, 6), "num_heads": 3}),
    ]


def _split() -> list[Case]:
    draw = Draw()
    return [
        Case("one head", {"x": draw.normal(2, 1, 3, 4)}),
        Case("three heads of two", {"x": draw.normal(2, 3, 4, 2)}),
    ]


def _layers() -> list[Case]:
    draw = Draw()
    mix, projection = draw.normal(3, 3), draw.normal(4, 4)
    weights = {
        "attention_norm.weight": draw.normal(4, middle=1),
        "attention_norm.bias": draw.normal(4),
        "feed_forward.up.weight": draw.normal(6, 4),
        "feed_forward.up.bias": draw.normal(6),
        "feed_forward.down.weight": draw.normal(4, 6),
        "feed_forward.down.bias": draw.normal(4),
        "feed_forward_norm.weight": draw.normal(4, middle=1),
        "feed_forward_norm.bias": draw.normal(4),
    }
    x = draw.normal(3, 4)
    return [Case("three tokens", {"x": x, "attend": lambda x: mix @ x @ projection, "weights": weights, "eps": 0.1})]


def _dice() -> list[Case]:
    """In each sequence the dice would choose [CLS] first, and more than the right number are below 0.15.

    4 of 25 are to be chosen; by int(), and by 15 % of those that are not special, it were 3. 6 of 42, and 1 of 3; by
    ceil(), it were 7.
    """
    actions = {25: [0.1, 0.85, 0.95, 0.3], 42: [0.1, 0.85, 0.5, 0.95, 0.8, 0.79], 3: [0.3]}
    draw = Draw()
    return [
        Case(Phrase("{count} tokens", count=length), _masking(draw, length, action))
        for length, action in actions.items()
    ]


def _masking(draw: Draw, length: int, actions: list[float]) -> dict[str, object]:
    """Those that are to be chosen get the given actions, in order."""
    order, action = draw.order(length), draw.uniform(length)
    order[0], order[-1] = 0.0, 0.001
    inside = (order[1:-1].argsort() + 1)[: len(actions)]
    action[inside] = torch.tensor(actions)
    special = torch.zeros(length, dtype=torch.bool)
    special[0] = special[-1] = True
    token_ids = torch.tensor([2, *range(20, 18 + length), 3])
    dice = {"order": order, "action": action, "random_ids": torch.arange(500, 500 + length)}
    return {"token_ids": token_ids, "is_special": special, **dice, "mask_id": 4}


def _steps() -> list[Case]:
    draw = Draw()
    given = {"parameter": draw.normal(2, 3), "gradient": draw.normal(2, 3)}
    rest = {"lr": 0.1, "beta1": 0.9, "beta2": 0.99, "eps": 0.01, "weight_decay": 0.5}
    zeros = {"m": torch.zeros(2, 3), "v": torch.zeros(2, 3), "step": 1}
    return [
        Case("the first step", {**given, **zeros, **rest}),
        Case("the third step", {**_copies(given), "m": draw.normal(2, 3), "v": draw.uniform(2, 3), "step": 3, **rest}),
    ]


def _copies(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in tensors.items()}


EXERCISES = (
    Exercise(
        name="embed",
        notebook="1",
        difficulty=2,
        minutes=10,
        task="The sum of a word, a segment and a position vector for each token, then LayerNorm. `token_ids` "
        "and `segment_ids` are `(T,)`; `word` `(V, D)`, `segment` `(2, D)` and `position` `(M, D)` are the "
        "tables, for at most M positions, and the first token is at position 0; `norm_weight` and "
        "`norm_bias` are `(D,)`; `eps` is added to the variance. Return `(T, D)`.",
        hint="A table read with a tensor of numbers gives a row for each of them: `word[token_ids]`.",
        solution=embed,
        helpers=(layer_norm,),
        cases=_sentences,
        variant=wrong_embed,
        mistakes=EMBED,
        finished=(*FINISHED_NORMS, "torch.nn.functional.embedding_bag", "torch.nn.EmbeddingBag"),
    ),
    Exercise(
        name="scaled_dot_product_attention",
        notebook="2",
        difficulty=3,
        minutes=15,
        task="softmax(Q Kᵀ / √K) V, with `query`, `key` and `value` `(B, H, S, K)` and a `key_mask` `(B, S)`, "
        "False where a key must not be attended to. Return the context `(B, H, S, K)`, and the weights "
        "`(B, H, S, S)`: for each query the shares of all keys, one in sum.",
        hint="Hide keys before the softmax: give them a score so low that their share is zero. The mask needs "
        "two more axes: `key_mask[:, None, None, :]`.",
        solution=scaled_dot_product_attention,
        cases=_queries,
        variant=wrong_attention,
        mistakes=ATTENTION,
        parts=("context", "weights"),
        finished=FINISHED_ATTENTION,
    ),
    Exercise(
        name="split_heads",
        notebook="2",
        difficulty=1,
        minutes=5,
        task="`(B, S, D)` to `(B, H, S, K)`: head 0 gets the first K of a token's numbers, head 1 the next K, "
        "and so on.",
        hint="First split the last axis in two, `(B, S, H, K)`, then swap two axes.",
        solution=split_heads,
        cases=_whole,
        mistakes=SPLIT_HEADS,
    ),
    Exercise(
        name="merge_heads",
        notebook="2",
        difficulty=1,
        minutes=5,
        task="`(B, H, S, K)` to `(B, S, D)`: the inverse of `split_heads`.",
        hint="The same two steps in reverse order.",
        solution=merge_heads,
        cases=_split,
        mistakes=MERGE_HEADS,
    ),
    Exercise(
        name="encoder_layer",
        notebook="3",
        difficulty=3,
        minutes=20,
        task="Attention and feed-forward, each followed by the residual sum and then LayerNorm (post-norm); no "
        "dropout. `x` is `(T, D)`; `attend` is the attention, a function `(T, D)` to `(T, D)`. `weights` "
        'is a dictionary: "attention_norm.weight" and ".bias" `(D,)`; "feed_forward.up.weight" `(F, D)` '
        'and ".bias" `(F,)`; "feed_forward.down.weight" `(D, F)` and ".bias" `(D,)`; '
        '"feed_forward_norm.weight" and ".bias" `(D,)`. `eps` is that of both norms. The activation is '
        "GELU in its exact form, x · (1 + erf(x / √2)) / 2. Return `(T, D)`.",
        hint="Write `y = norm(x + attend(x))` first, then the same once more with the feed-forward network.",
        solution=encoder_layer,
        helpers=(layer_norm,),
        cases=_layers,
        variant=wrong_encoder_layer,
        mistakes=ENCODER_LAYER,
        finished=(*FINISHED_NORMS, *FINISHED_ATTENTION, "torch.nn.functional.gelu", "torch.nn.GELU", "torch.nn.Linear"),
    ),
    Exercise(
        name="mask_tokens",
        notebook="5",
        difficulty=3,
        minutes=20,
        task="Hide some tokens of one sequence. The dice have been thrown already: use them. `round(0.15 * S)` "
        "tokens are chosen, but at least one: those with the smallest `order` that are not special. A "
        "chosen token becomes `mask_id` where its `action` is below 0.8, stays as it is from 0.8 to 0.9, "
        "and becomes its `random_ids` from 0.9 on. `token_ids` and `random_ids` are `(S,)`, `is_special` "
        "`(S,)` is True at [CLS] and [SEP]; `order` and `action` `(S,)` are random numbers between 0 and "
        "1. Return what the model reads `(S,)`, and the labels `(S,)`: the original token where one was "
        "chosen, else -100.",
        hint="Give special tokens an `order` that is larger than any other, then `argsort`. `torch.where` does "
        "the rest.",
        solution=mask_tokens,
        cases=_dice,
        variant=wrong_mask_tokens,
        mistakes=MASKING,
        parts=("inputs", "labels"),
    ),
    Exercise(
        name="adamw_step",
        notebook="6",
        difficulty=3,
        minutes=15,
        task="One step of AdamW (Loshchilov & Hutter 2019, algorithm 2, with a decay that follows the rate, as "
        "in PyTorch). The parameter first decays by `lr * weight_decay` of itself, apart from the "
        "gradient. Then it moves by `lr * m_hat / (sqrt(v_hat) + eps)`, where `m` and `v` are the running "
        "means of the gradient and of its square, and the hats correct for their start at zero. "
        "`parameter`, `gradient`, `m` and `v` are of any one shape; `step` is 1 at the first step. Return "
        "the new parameter, m and v.",
        hint="Four lines: m and v; their hats, divided by `1 - beta**step`; the decayed parameter; the move.",
        solution=adamw_step,
        cases=_steps,
        variant=wrong_adamw_step,
        mistakes=ADAMW,
        parts=("parameter", "m", "v"),
        finished=("torch.optim", "torch._fused_adamw_", "torch._foreach_lerp_"),
    ),
)

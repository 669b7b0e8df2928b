"""The functions of `from_memory` once more, with switches that put typical mistakes in, one or two at a time."""

import math
from functools import partial

import torch
from torch.nn.functional import gelu

from minibert.course.exercise import Mistake
from minibert.course.exercises.norms import WRONG_NORMS, layer_norm

_NORM_MISTAKES = tuple(Mistake(says, changes={"norm": norm}) for says, norm in WRONG_NORMS)

# --- embeddings


def wrong_embed(
    token_ids, segment_ids, word, segment, position, norm_weight, norm_bias, eps,
    *, start=0, segments=1, positions=1, share=1, norm=layer_norm,
):  # fmt: skip
    places = start + torch.arange(len(token_ids))
    x = word[token_ids] + segments * segment[segment_ids] + positions * position[places]
    return norm(x * share, norm_weight, norm_bias, eps)


EMBED = (
    *_NORM_MISTAKES,
    Mistake("the segment vector is missing", changes={"segments": 0}),
    Mistake("the position vector is missing", changes={"positions": 0}),
    Mistake("the three vectors are added, not averaged", changes={"share": 1 / 3}),
    Mistake("positions count from 0, not from 1", changes={"start": 1}),
)

# --- attention


def wrong_attention(
    query, key, value, key_mask,
    *, divide=lambda query: math.sqrt(query.shape[-1]), axis=-1, hide=None, fill=-1e30,
    share=lambda weights, hidden: weights,
):  # fmt: skip
    hidden = ~key_mask[:, None, None, :]
    scores = query @ key.transpose(-2, -1) / divide(query)
    weights = share(scores.masked_fill(hide(hidden) if hide else hidden, fill).softmax(axis), hidden)
    return weights @ value, weights


def _nobody(hidden):
    return torch.zeros_like(hidden)


def _queries(hidden):
    return hidden.transpose(-2, -1)


def _late(*, added):
    return {"hide": _nobody, "share": lambda weights, hidden: weights + hidden * added}


_FALSE_HIDES = "the mask is the wrong way round: False hides a key"
_HIDES_QUERIES = "the mask hides queries; it must hide keys, the last axis"
_TOO_LATE = "the mask is added after the softmax; it belongs on the scores"
ATTENTION = (
    Mistake("the scores are not divided by the square root of K", changes={"divide": lambda q: 1}),
    Mistake("the scores are divided by K, not by its square root", changes={"divide": lambda q: q.shape[-1]}),
    Mistake(
        "the scores are divided by the square root of D, not of K",
        changes={"divide": lambda q: math.sqrt(q.shape[1] * q.shape[3])},
    ),
    Mistake(
        "the scores are divided by the square root of S, not of K", changes={"divide": lambda q: math.sqrt(q.shape[2])}
    ),
    Mistake("the scores are multiplied by the square root of K", changes={"divide": lambda q: q.shape[-1] ** -0.5}),
    Mistake("the softmax runs over the queries; it must run over the keys, the last axis", changes={"axis": -2}),
    Mistake("the softmax runs over the heads; it must run over the keys, the last axis", changes={"axis": 1}),
    Mistake(
        "hidden keys are not hidden: no mask, or the added number is too small (-1e-9 for -1e9)",
        changes={"hide": _nobody},
    ),
    Mistake(
        "the scores of hidden keys are 0, which is no low score; make them minus infinity, or -1e9", changes={"fill": 0}
    ),
    Mistake(
        "keys are hidden after the softmax, so that the shares of the others no longer add up to one",
        changes={"hide": _nobody, "share": lambda weights, hidden: weights.masked_fill(hidden, 0)},
    ),
    *(Mistake(_TOO_LATE, changes=_late(added=number)) for number in (-1e4, -1e9)),
    *(Mistake(_HIDES_QUERIES, changes={"hide": _queries, "fill": number}) for number in (-1e9, -math.inf)),
    *(Mistake(_FALSE_HIDES, changes={"hide": torch.logical_not, "fill": number}) for number in (-1e9, -math.inf)),
)
SPLIT_HEADS = (
    Mistake(
        "the transpose is missing: tokens and heads are mixed",
        lambda x, heads: x.reshape(len(x), heads, x.shape[1], -1),
    ),
    Mistake(
        "heads are interleaved; each must get K neighbouring numbers",
        lambda x, heads: x.unflatten(-1, (-1, heads)).permute(0, 3, 1, 2),
    ),
)
MERGE_HEADS = (
    Mistake(
        "heads are merged without a transpose: tokens and heads are mixed", lambda x: x.reshape(len(x), x.shape[2], -1)
    ),
    Mistake("heads are interleaved; each has K neighbouring numbers", lambda x: x.permute(0, 2, 3, 1).flatten(2)),
)

# --- the encoder layer


def wrong_encoder_layer(
    x, attend, weights, eps,
    *, pre=False, kept=1, second="y", second_norm="feed_forward_norm", norm=layer_norm, activation=gelu, bias=1,
):  # fmt: skip
    def of(name):
        return partial(norm, weight=weights[f"{name}.weight"], bias=weights[f"{name}.bias"], eps=eps)

    def feed_forward(y):
        up = activation(y @ weights["feed_forward.up.weight"].T + bias * weights["feed_forward.up.bias"])
        return up @ weights["feed_forward.down.weight"].T + bias * weights["feed_forward.down.bias"]

    first, last = of("attention_norm"), of(second_norm)
    y = kept * x + attend(first(x)) if pre else first(kept * x + attend(x))
    residual = {"x": x, "y": y, "nothing": torch.zeros_like(y)}[second]
    return residual + feed_forward(last(y)) if pre else last(residual + feed_forward(y))


def _gelu_tanh(x):
    return gelu(x, approximate="tanh")


ENCODER_LAYER = (
    Mistake(
        "LayerNorm comes before attention and feed-forward (pre-norm); BERT's comes after each sum",
        changes={"pre": True},
    ),
    Mistake("the residual around the attention is missing", changes={"kept": 0}),
    Mistake("the residual around the feed-forward network is missing", changes={"second": "nothing"}),
    Mistake("the second residual adds x; it must add what came out of the first norm", changes={"second": "x"}),
    Mistake(
        "both norms use attention_norm; the second one has numbers of its own",
        changes={"second_norm": "attention_norm"},
    ),
    *_NORM_MISTAKES,
    Mistake("the biases of the feed-forward network are missing", changes={"bias": 0}),
    Mistake("the activation is missing", changes={"activation": torch.clone}),
    Mistake("the activation is ReLU, not GELU", changes={"activation": torch.relu}),
    Mistake("GELU is computed by its tanh formula, not exactly", changes={"activation": _gelu_tanh}),
)

# --- masking


def choose(is_special, order, *, rounded=round, least=1, of=len, spare=True, late=False):
    """Which tokens are hidden."""
    count = max(least, rounded(0.15 * of(is_special)))
    chosen = torch.zeros_like(is_special)
    chosen[(order.masked_fill(is_special, 2) if spare else order).argsort()[:count]] = True
    return chosen & ~is_special if late else chosen


def wrong_mask_tokens(
    token_ids, is_special, order, action, random_ids, mask_id,
    *, choose=choose, kept=0.8, random=0.9, swap=False, labelled=lambda chosen, inputs, token_ids: (chosen, token_ids),
):  # fmt: skip
    chosen = choose(is_special, order)
    action = torch.where(action < 0.8, action, 1.8 - action) if swap else action
    inputs = torch.where(chosen & (action < kept), mask_id, token_ids)
    inputs = torch.where(chosen & (action >= random), random_ids, inputs)
    where, what = labelled(chosen, inputs, token_ids)
    return inputs, torch.where(where, what, -100)


def _chosen(**how):
    return {"choose": partial(choose, **how)}


def _by_luck(is_special, order):
    return (order < 0.15) & ~is_special


def _ordinary(is_special):
    return int((~is_special).sum())


_COUNT = "15% means: of all S tokens, special ones counted, rounded to the nearest number"
MASKING = (
    Mistake(_COUNT, changes=_chosen(rounded=int)),
    Mistake(_COUNT, changes=_chosen(rounded=math.ceil)),
    Mistake(_COUNT, changes=_chosen(of=_ordinary)),
    Mistake("no token is chosen in a short sequence; at least one must be", changes=_chosen(least=0)),
    Mistake(
        "each token is chosen with 15%, so that the number is a matter of luck; choose just so many",
        changes={"choose": _by_luck},
    ),
    Mistake("special tokens are chosen, too", changes=_chosen(spare=False)),
    Mistake(
        "special tokens are dropped after choosing, so that too few are left; leave them out before",
        changes=_chosen(spare=False, late=True),
    ),
    Mistake(
        "tokens that were not chosen have labels; theirs is -100",
        changes={"labelled": lambda chosen, inputs, ids: (torch.ones_like(chosen), ids)},
    ),
    Mistake(
        "chosen tokens that stay as they are have no label; all chosen tokens have one",
        changes={"labelled": lambda chosen, inputs, ids: (inputs != ids, ids)},
    ),
    Mistake(
        "labels are taken from the masked tokens; they are what stood there before",
        changes={"labelled": lambda chosen, inputs, ids: (chosen, inputs)},
    ),
    Mistake("all chosen tokens become [MASK]; 10% stay, and 10% become random", changes={"kept": 2, "random": 2}),
    Mistake("no chosen token becomes a random one", changes={"random": 2}),
    Mistake("no chosen token stays as it is: from 0.8 to 0.9 they must", changes={"random": 0.8}),
    Mistake("a token stays from 0.8 to 0.9, and becomes random from 0.9 on, not the other way", changes={"swap": True}),
)

# --- the optimizer


def wrong_adamw_step(
    parameter, gradient, m, v, step, lr, beta1, beta2, eps, weight_decay,
    *, counted=lambda step: step, swap=False, power=2, hats=False, decay="before", root=lambda v, eps: v.sqrt() + eps,
    old=False,
):  # fmt: skip
    beta1, beta2 = (beta2, beta1) if swap else (beta1, beta2)
    gradient = gradient + weight_decay * parameter if decay == "gradient" else gradient
    before = m, v
    m, v = beta1 * m + (1 - beta1) * gradient, beta2 * v + (1 - beta2) * gradient**power
    used = before if old else (m, v)
    m_hat, v_hat = used[0] / (1 - beta1 ** counted(step)), used[1] / (1 - beta2 ** counted(step))
    move = lr * m_hat / root(v_hat, eps)
    shares = {"before": 1 - lr * weight_decay, "whole": 1 - weight_decay, "growth": 1 + lr * weight_decay}
    parameter = parameter * shares.get(decay, 1) - move
    if decay == "after":
        parameter = parameter * shares["before"]
    return parameter, *((m_hat, v_hat) if hats else (m, v))


ADAMW = (
    Mistake("the bias correction of m and v is missing", changes={"counted": lambda step: 10**6}),
    Mistake("the first step is number 1 already: nothing is to be added", changes={"counted": lambda step: step + 1}),
    Mistake("m and v are returned with their correction; the next step needs them without", changes={"hats": True}),
    Mistake("beta1 belongs to m, and beta2 to v", changes={"swap": True}),
    Mistake("v is the mean of the gradient's square, not of the gradient", changes={"power": 1}),
    Mistake("the weight decay is missing", changes={"decay": "none"}),
    Mistake("the weight decay is to be multiplied by lr", changes={"decay": "whole"}),
    Mistake("the weight decay makes the parameter smaller, not larger", changes={"decay": "growth"}),
    Mistake(
        "the parameter decays before the step, not after it: the step itself must not decay", changes={"decay": "after"}
    ),
    Mistake(
        "weight decay goes through the gradient (Adam with L2); in AdamW it acts on the parameter",
        changes={"decay": "gradient"},
    ),
    Mistake("eps is added outside of the square root", changes={"root": lambda v, eps: (v + eps).sqrt()}),
    Mistake("the square root of v_hat is missing", changes={"root": lambda v, eps: v + eps}),
    Mistake("the parameter is moved by the old m and v; first they take in the gradient", changes={"old": True}),
)

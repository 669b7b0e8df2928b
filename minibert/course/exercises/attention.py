"""Exercises of notebook 2."""

import math

import torch

from minibert.course.exercise import Case, Draw, Exercise, Mistake
from minibert.course.phrases import Phrase

FINISHED_ATTENTION = (
    "torch.nn.functional.scaled_dot_product_attention",
    "torch.nn.functional.multi_head_attention_forward",
    "torch.nn.MultiheadAttention",
    "torch.nn.TransformerEncoderLayer",
    "torch.nn.attention",
)


def attend(q, keys, values):
    return (keys @ q / math.sqrt(len(q))).softmax(dim=0) @ values


def attention_entropy(weights):
    return -torch.where(weights > 0, weights * weights.log(), 0.0).sum(dim=-1)


def join_heads(context):
    return torch.cat(context, dim=-1)


def _attend(q, keys, values, *, divide=lambda q, keys: math.sqrt(len(q)), average=True):
    scores = keys @ q / divide(q, keys)
    return (scores.softmax(dim=0) if average else scores) @ values


def _queries() -> list[Case]:
    draw = Draw()
    return [
        Case(
            Phrase("{count} tokens", count=tokens),
            {"q": draw.normal(3), "keys": draw.normal(tokens, 3), "values": draw.normal(tokens, 3)},
        )
        for tokens in (4, 7)
    ]


def _weights() -> list[Case]:
    spread = torch.tensor([[[0.25] * 4, [0.0, 1.0, 0.0, 0.0], [0.5, 0.0, 0.0, 0.5]]])
    return [
        Case("no zeros", {"weights": torch.tensor([[0.1, 0.2, 0.7], [0.3, 0.3, 0.4]])}),
        Case("with zeros", {"weights": spread}),
    ]


def _contexts() -> list[Case]:
    draw = Draw()
    return [Case("three heads of two", {"context": [draw.normal(4, 2) for _ in range(3)]})]


EXERCISES = (
    Exercise(
        name="attend",
        notebook="2",
        difficulty=2,
        minutes=6,
        task="For a single query `(K)` and all keys and values `(T, K)`, return its context `(K)`.",
        hint=r"The scores are one product of a matrix and a vector. Divide by $\sqrt{K}$, take the softmax, and "
        "let the weights mix the values.",
        solution=attend,
        cases=_queries,
        variant=_attend,
        mistakes=(
            Mistake("the scores are not divided by the square root of K", changes={"divide": lambda q, keys: 1}),
            Mistake("the scores are divided by K, not by its square root", changes={"divide": lambda q, keys: len(q)}),
            Mistake(
                "the scores are divided by the square root of T, not of K",
                changes={"divide": lambda q, keys: math.sqrt(len(keys))},
            ),
            Mistake("the softmax is missing", changes={"average": False}),
            Mistake("the weights mix the values, not the keys", lambda q, keys, values: attend(q, keys, keys)),
        ),
        finished=FINISHED_ATTENTION,
    ),
    Exercise(
        name="attention_entropy",
        notebook="2",
        difficulty=2,
        minutes=8,
        task="How widely does a query spread its attention? From `weights` `(..., T)` compute the entropy "
        r"$-\sum_j a_{ij} \ln a_{ij}$ of each row `(...)`, where a weight of zero adds zero.",
        hint=r"$0 \cdot \ln 0$ is not a number to a computer. `torch.where` can put a zero there.",
        solution=attention_entropy,
        cases=_weights,
        mistakes=(
            Mistake("a weight of zero adds zero, not not-a-number", lambda weights: -(weights * weights.log()).sum(-1)),
            Mistake("the sign: entropy is not negative", lambda weights: -attention_entropy(weights)),
            Mistake("ln is the natural logarithm", lambda weights: attention_entropy(weights) / math.log(2)),
        ),
        finished=("torch.special.entr", "torch.distributions"),
    ),
    Exercise(
        name="join_heads",
        notebook="2",
        difficulty=1,
        minutes=4,
        task="Merge heads *without* a transpose: from `context`, a list of $H$ matrices `(T, K)`, to `(T, D)`.",
        hint="Each token's row begins with the row of head 0, then comes that of head 1.",
        solution=join_heads,
        cases=_contexts,
        mistakes=(
            Mistake("the heads stand below each other, not side by side", lambda context: torch.cat(context, dim=0)),
            Mistake("each token's numbers are interleaved", lambda context: torch.stack(context, dim=-1).flatten(1)),
            Mistake("tokens and heads are mixed", lambda context: torch.stack(context).reshape(len(context[0]), -1)),
            Mistake("heads are in reverse order", lambda context: torch.cat(context[::-1], dim=-1)),
        ),
    ),
)

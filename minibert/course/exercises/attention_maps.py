"""Exercises of notebook 9."""

import torch

from minibert.course.exercise import Case, Draw, Exercise, Mistake


def left_share(weights):
    return weights.diagonal(offset=-1).mean()


def rollout(maps):
    total = torch.eye(maps.shape[-1])
    for weights in maps.mean(dim=1):
        total = (weights + torch.eye(len(weights))) / 2 @ total
    return total


def most_needed(effect, H):
    return divmod(effect.index(min(effect)), H)


def _rollout(maps, *, identity=1, divisor=2, reverse=False):
    total = torch.eye(maps.shape[-1])
    for weights in maps.mean(dim=1):
        layer = (weights + identity * torch.eye(len(weights))) / divisor
        total = total @ layer if reverse else layer @ total
    return total


def _maps() -> list[Case]:
    draw = Draw()
    asymmetric = torch.tensor([[[[0.0, 1.0], [1.0, 0.0]]], [[[1.0, 0.0], [1.0, 0.0]]]])  # (2, 1, 2, 2)
    return [
        Case("two layers of one head", {"maps": asymmetric}),
        Case("three layers of two heads", {"maps": draw.normal(3, 2, 4, 4).softmax(dim=-1)}),
    ]


def _one_map() -> list[Case]:
    weights = torch.tensor([[1.0, 0.0, 0.0], [0.4, 0.2, 0.4], [0.0, 0.8, 0.2]])
    return [
        Case("three tokens", {"weights": weights}),
        Case("five tokens", {"weights": Draw().normal(5, 5).softmax(dim=-1)}),
    ]


def _effects() -> list[Case]:
    return [
        Case("two layers of two heads", {"effect": [0.1, -0.3, -0.9, 0.2], "H": 2}),
        Case("two layers of three heads", {"effect": [0.1, -0.4, 0.0, 0.9, -0.2, -0.5], "H": 3}),
    ]


EXERCISES = (
    Exercise(
        name="left_share",
        notebook="9",
        difficulty=1,
        minutes=4,
        task="From the `weights` `(T, T)` of a head compute which share of its attention it gives to the left "
        "neighbour, on average over all tokens that have one.",
        hint="The left neighbour of token $i$ is column $i - 1$ of row $i$: a diagonal below the main one.",
        solution=left_share,
        cases=_one_map,
        mistakes=(
            Mistake(
                "that is the right neighbour: rows look, columns are looked at", lambda w: w.diagonal(offset=1).mean()
            ),
            Mistake("that is how much tokens look at themselves", lambda w: w.diagonal().mean()),
            Mistake("divide by the tokens that have a left neighbour", lambda w: w.diagonal(offset=-1).sum() / len(w)),
        ),
    ),
    Exercise(
        name="rollout",
        notebook="9",
        difficulty=3,
        minutes=12,
        task="Attention *rollout* (Abnar and Zuidema 2020, section 4) multiplies the maps of all layers, each "
        r"mixed half and half with the identity because of the residual: $R = A'_L \cdots A'_1$ with $A' = "
        r"\frac12 A + \frac12 I$ and $A$ the mean over heads. From `maps` `(L, H, T, T)` compute $R$ `(T, "
        "T)`.",
        hint="Begin with the identity, and put each layer's matrix on the *left* of what you have.",
        solution=rollout,
        cases=_maps,
        variant=_rollout,
        mistakes=(
            Mistake("the product is in the wrong order: the last layer stands on the left", changes={"reverse": True}),
            Mistake("the identity of the residual is missing", changes={"identity": 0, "divisor": 1}),
            Mistake("half and half: the sum is to be divided by 2", changes={"divisor": 1}),
            Mistake(
                "that is a product number by number, not of matrices",
                lambda maps: ((maps.mean(1) + torch.eye(maps.shape[-1])) / 2).prod(0),
            ),
        ),
    ),
    Exercise(
        name="most_needed",
        notebook="9",
        difficulty=1,
        minutes=5,
        task="Which head does an answer need most? `effect` is a list of how much the answer's probability "
        "changes when a head is left out, layer by layer, with `H` heads each. Return `(layer, head)`. "
        "(Then ask it of `effect` above.)",
        hint="Without the head that is needed most, the probability *falls* most. `divmod` gives a quotient and "
        "a rest.",
        solution=most_needed,
        cases=_effects,
        mistakes=(
            Mistake(
                "that head does harm: without it, the answer is more probable", lambda e, H: divmod(e.index(max(e)), H)
            ),
            Mistake("return (layer, head), in this order", lambda e, H: most_needed(e, H)[::-1]),
            Mistake(
                "a head that does harm is not needed: mind the sign",
                lambda e, H: divmod(max(range(len(e)), key=lambda i: abs(e[i])), H),
            ),
        ),
    ),
)

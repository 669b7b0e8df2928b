"""Exercises of notebook 3."""

import math

import torch
from torch.nn.functional import gelu

from minibert.course.exercise import Case, Draw, Exercise, Mistake
from minibert.course.exercises.norms import layer_norm


def gelu_tanh(u):
    return 0.5 * u * (1 + torch.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u**3)))


def pre_norm(x, attention, feed_forward, norm_1, norm_2):
    y = x + attention(norm_1(x))
    return y + feed_forward(norm_2(y))


_ROOT = math.sqrt(2 / math.pi)


def _gelu_tanh(u, *, root=_ROOT, cubic=0.044715, half=0.5):
    return half * u * (1 + torch.tanh(root * (u + cubic * u**3)))


def _pre_norm(x, attention, feed_forward, norm_1, norm_2, *, first=1, second=1, swap=False, after=False):
    norm_1, norm_2 = (norm_2, norm_1) if swap else (norm_1, norm_2)
    if after:
        y = norm_1(first * x + attention(x))
        return norm_2(second * y + feed_forward(y))
    y = first * x + attention(norm_1(x))
    return second * y + feed_forward(norm_2(y))


def _arguments() -> list[Case]:
    return [Case("from -5 to 5", {"u": torch.linspace(-5, 5, 101, dtype=torch.float64)})]


def _layers() -> list[Case]:
    draw = Draw()
    mix, inside, norms = draw.normal(3, 3), draw.normal(4, 4), draw.normal(4, 4)
    parts = {
        "attention": lambda x: mix @ x,
        "feed_forward": lambda x: torch.relu(x @ inside),
        "norm_1": lambda x: layer_norm(x, norms[0], norms[1], 0.1),
        "norm_2": lambda x: layer_norm(x, norms[2], norms[3], 0.1),
    }
    return [Case("three tokens", {"x": draw.normal(3, 4), **parts})]


EXERCISES = (
    Exercise(
        name="layer_parameters",
        notebook="3",
        difficulty=1,
        minutes=5,
        task="How many parameters does one layer of BERT-base have ($D = 768$, $F = 3072$)? Count all weights "
        "and biases, and both LayerNorms.",
        hint=r"Four matrices $D \times D$ with a bias (query, key, value, mix), one $D \to F$, one $F \to D$, "
        "two norms.",
        solution="4 * (768 * 768 + 768) + (768 * 3072 + 3072) + (3072 * 768 + 768) + 2 * 2 * 768",
        mistakes=(
            Mistake("the LayerNorms are missing: two, with a weight and a bias each", answer=7_084_800),
            Mistake("there are two LayerNorms", answer=7_086_336),
            Mistake("the biases of the linear maps are missing", answer=7_080_960),
            Mistake("the matrix that mixes the heads, with its bias, is missing", answer=6_497_280),
        ),
    ),
    Exercise(
        name="gelu_tanh",
        notebook="3",
        difficulty=1,
        minutes=4,
        task=r"Google's code once wrote GELU without erf: $0.5\,u\,\big(1 + \tanh\big(\sqrt{2/\pi}\,(u + "
        r"0.044715\,u^3)\big)\big)$. Write it.",
        hint="`torch.tanh` is what you need, and `math.sqrt` of a number that does not change.",
        solution=gelu_tanh,
        cases=_arguments,
        variant=_gelu_tanh,
        mistakes=(
            Mistake("that is the exact GELU, with erf", lambda u: gelu(u)),
            Mistake("the square root is missing: it is that of 2/π", changes={"root": 2 / math.pi}),
            Mistake("the square root is that of 2/π, not of π/2", changes={"root": math.sqrt(math.pi / 2)}),
            Mistake("the factor 0.5 is missing", changes={"half": 1}),
            Mistake("the term with u³ is missing", changes={"cubic": 0}),
        ),
        finished=("torch.nn.functional.gelu", "torch.nn.GELU"),
    ),
    Exercise(
        name="pre_norm",
        notebook="3",
        difficulty=2,
        minutes=8,
        task="Write the pre-norm layer that later models use, $y = x + "
        r"\mathrm{Attention}(\mathrm{LayerNorm}_1(x))$ and $z = y + \mathrm{FFN}(\mathrm{LayerNorm}_2(y))$. "
        "`x` is `(T, D)`; the other arguments are functions of such a matrix.",
        hint="Two lines, one for each equation. What is added is `x`, not its norm.",
        solution=pre_norm,
        cases=_layers,
        variant=_pre_norm,
        mistakes=(
            Mistake("this is BERT's own order, the norm after the sum", changes={"after": True}),
            Mistake("the residual around the attention is missing", changes={"first": 0}),
            Mistake("the residual around the feed-forward network is missing", changes={"second": 0}),
            Mistake("the two norms are swapped", changes={"swap": True}),
            Mistake(
                "what is added is x and y themselves, not their norms",
                lambda x, a, f, n, m: m(n(x) + a(n(x))) + f(m(n(x) + a(n(x)))),
            ),
        ),
    ),
)

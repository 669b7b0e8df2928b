"""Exercises of notebook 6."""

import math

import torch

from minibert.course.exercise import Case, Exercise, Mistake
from minibert.course.phrases import Phrase


def clip(gradients, limit):
    length = math.sqrt(sum((g**2).sum() for g in gradients))
    return [g * min(1, limit / (length + 1e-6)) for g in gradients]


def rate_share(step, steps, warmup_steps):
    return step / warmup_steps if step < warmup_steps else (steps - step) / (steps - warmup_steps)


def _clip(gradients, limit, *, squared=False, always=False):
    length = sum((g**2).sum().item() for g in gradients) ** (1 if squared else 0.5)
    factor = limit / (length + 1e-6)
    return [g * (factor if always else min(1, factor)) for g in gradients]


def _rate_share(step, steps, warmup_steps, *, left=0, falls=True):
    if step < warmup_steps:
        return (step + left) / warmup_steps
    return (steps - step) / (steps - (warmup_steps if falls else 0))


def _gradients() -> list[Case]:
    def long():
        return [torch.tensor([[3.0, -2.0]]), torch.tensor([[0.5, -4.0]])]  # 5.4 long

    limits = {"longer than the limit": 1.0, "shorter than the limit": 7.0, "much longer": 0.1}
    return [Case(name, {"gradients": long(), "limit": limit}) for name, limit in limits.items()]


def _steps() -> list[Case]:
    places = [(0, 100, 10), (5, 100, 10), (10, 100, 10), (55, 100, 10), (100, 100, 10), (0, 100, 0), (25, 100, 0)]
    all_numbers = [dict(zip(("step", "steps", "warmup_steps"), place, strict=True)) for place in places]
    return [
        Case(Phrase("step {step} of {steps}, {warmup_steps} of warm-up", **numbers), numbers) for numbers in all_numbers
    ]


EXERCISES = (
    Exercise(
        name="first_step",
        notebook="6",
        difficulty=1,
        minutes=3,
        task="The very first gradient of a parameter is 1000. With a rate of 0.001 and no decay, how far does "
        "AdamW move it? Answer without a sign.",
        hint=r"With the corrections, $\hat m$ is the gradient and $\hat v$ its square.",
        solution="0.001",
        mistakes=(
            Mistake("that would be plain gradient descent; Adam divides by the size of the gradient", answer=1.0),
            Mistake("without the corrections of m and v it would be so", answer=0.001 * 0.1 / math.sqrt(0.001)),
            Mistake("the answer is to have no sign", answer=-0.001),
        ),
    ),
    Exercise(
        name="clip",
        notebook="6",
        difficulty=2,
        minutes=8,
        task="Clip a list of matrices, together, to a length of `limit`, and return the new list. What is "
        "shorter than that stays as it is.",
        hint="The length is the root of the sum of all squares, over all matrices. All are multiplied by one "
        "factor, which is never more than 1.",
        solution=clip,
        cases=_gradients,
        variant=_clip,
        mistakes=(
            Mistake("each matrix is clipped alone", lambda gradients, limit: [clip([g], limit)[0] for g in gradients]),
            Mistake(
                "each number is clipped alone", lambda gradients, limit: [g.clamp(-limit, limit) for g in gradients]
            ),
            Mistake("what is shorter than the limit grows; it must stay as it is", changes={"always": True}),
            Mistake("the square root of the sum of squares is missing", changes={"squared": True}),
        ),
        finished=("torch.nn.utils", "torch.renorm"),
    ),
    Exercise(
        name="rate_share",
        notebook="6",
        difficulty=2,
        minutes=6,
        task="Return the share of the highest rate at a step: a straight line from 0 up to 1 at `warmup_steps`, "
        "and from there a straight line to 0 at `steps`. There may be no warm-up.",
        hint="Two cases. On the way down, ask how many steps are left, of how many.",
        solution=rate_share,
        cases=_steps,
        variant=_rate_share,
        mistakes=(
            Mistake("at step 0 the share is 0", changes={"left": 1}),
            Mistake("the way down begins at `warmup_steps`, with 1", changes={"falls": False}),
            Mistake("the rate stays at its highest; it must fall to 0", lambda t, n, w: min(1.0, t / w) if w else 1.0),
        ),
        finished=("torch.optim.lr_scheduler",),
    ),
)

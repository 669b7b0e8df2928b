"""Exercises of appendix C."""

import torch

from minibert.course.exercise import Case, Draw, Exercise, Mistake


def unpack(flat, mask):
    result = torch.zeros(*mask.shape, flat.shape[1])
    result[mask] = flat
    return result


def batches(lengths, places):
    result = [[]]
    for n in sorted(lengths):
        if (len(result[-1]) + 1) * n > places:
            result.append([])
        result[-1].append(n)
    return result


def _batches(lengths, places, *, order=sorted, cost=lambda batch, n: (len(batch) + 1) * n):
    result = [[]]
    for n in order(lengths):
        if cost(result[-1], n) > places:
            result.append([])
        result[-1].append(n)
    return result


def _masks() -> list[Case]:
    draw = Draw()
    ends = torch.tensor([[True, True, False], [True, True, True]])
    gaps = torch.tensor([[False, True, False, True], [True, False, False, False]])
    return [
        Case("padding at the end", {"flat": draw.normal(5, 2), "mask": ends}),
        Case("padding anywhere", {"flat": draw.normal(3, 2), "mask": gaps}),
    ]


def _lengths() -> list[Case]:
    return [
        Case("five texts", {"lengths": [9, 2, 3, 2, 8], "places": 12}),
        Case("a batch that is just full", {"lengths": [4, 4, 1, 1, 4], "places": 12}),
    ]


def _from_the_start(flat, mask):
    lengths, result = mask.sum(dim=1).tolist(), torch.zeros(*mask.shape, flat.shape[1])
    for row, part in zip(result, flat.split(lengths), strict=True):
        row[: len(part)] = part
    return result


EXERCISES = (
    Exercise(
        name="padding_share",
        notebook="C",
        difficulty=1,
        minutes=3,
        task="A batch holds texts of 3, 9, 5 and 7 tokens. Which share of its places is padding?",
        hint="All texts become as long as the longest.",
        solution="1 - (3 + 9 + 5 + 7) / (4 * 9)",
        mistakes=(
            Mistake("that is the share of real tokens", answer=24 / 36),
            Mistake("that is the number of padded places; the share is wanted", answer=12),
            Mistake("a share is between 0 and 1; of all places, not of the tokens", answer=12 / 24),
        ),
    ),
    Exercise(
        name="unpack",
        notebook="C",
        difficulty=1,
        minutes=5,
        task="Write the way back: put the rows of `flat` `(T, D)` back into the places where `mask` `(B, S)` is "
        "true, with zeros elsewhere, and return `(B, S, D)`.",
        hint="What you can read with a mask, `x[mask]`, you can also write.",
        solution=unpack,
        cases=_masks,
        mistakes=(
            Mistake("the mask may have gaps; rows go where it is true, not to the start of a text", _from_the_start),
        ),
        finished=("torch.nn.utils.rnn",),
    ),
    Exercise(
        name="batches",
        notebook="C",
        difficulty=2,
        minutes=10,
        task="Without packing, it helps to put texts of similar length into one batch. Sort `lengths` and cut "
        "them into batches, from the shortest on, each as large as it can be without having more than "
        "`places` places (texts × longest). Return a list of lists.",
        hint="In a sorted list, the next text is always the longest so far.",
        solution=batches,
        cases=_lengths,
        variant=_batches,
        mistakes=(
            Mistake("the lengths are to be sorted first", changes={"order": list}),
            Mistake("from the shortest on", changes={"order": lambda lengths: sorted(lengths, reverse=True)}),
            Mistake(
                "places are texts times the longest, not the sum of the lengths",
                changes={"cost": lambda batch, n: sum(batch) + n},
            ),
            Mistake(
                "a batch may be full to the last place", changes={"cost": lambda batch, n: (len(batch) + 1) * n + 1}
            ),
            Mistake(
                "the text that no longer fits still went in: look before you add it",
                changes={"cost": lambda batch, n: len(batch) * n},
            ),
        ),
    ),
)

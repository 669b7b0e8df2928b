"""Exercises of notebook 8."""

import torch
from torch import nn

from minibert.course.exercise import Case, Draw, Exercise, Mistake


def logit_gradient(p, labels):
    return (p - nn.functional.one_hot(labels, p.shape[-1])) / len(p)


def most_missed(nouns, predicted, labels):
    missed = [noun for noun, ours, theirs in zip(nouns, predicted, labels, strict=True) if ours != theirs]
    return max(missed, key=missed.count)


def _logit_gradient(p, labels, *, sign=1, mean=True):
    return sign * (p - nn.functional.one_hot(labels, p.shape[-1])) / (len(p) if mean else 1)


def _probabilities() -> list[Case]:
    draw = Draw()
    p, labels = draw.normal(6, 3).softmax(dim=-1), torch.tensor([0, 2, 1, 1, 0, 2])
    return [Case("six texts, three classes", {"p": p, "labels": labels})]


def _answers() -> list[Case]:
    nouns = ["file", "file", "list", "list", "list", "queue", "queue"]
    first = {"nouns": nouns, "predicted": [0, 0, 0, 1, 0, 0, 1], "labels": [0, 1, 1, 1, 1, 1, 1]}
    second = {"nouns": nouns, "predicted": [1, 1, 0, 1, 1, 0, 1], "labels": [0, 0, 1, 1, 1, 1, 1]}
    return [Case("list is missed twice", first), Case("file is missed twice", second)]


def _most_right(nouns, predicted, labels):
    right = [noun for noun, ours, theirs in zip(nouns, predicted, labels, strict=True) if ours == theirs]
    return max(right, key=right.count)


EXERCISES = (
    Exercise(
        name="classifier_parameters",
        notebook="8",
        difficulty=1,
        minutes=2,
        task="How many parameters does the new head of a classifier with five classes on BERT-base have?",
        hint=r"One linear map, $D \to C$, with a bias.",
        solution="5 * 768 + 5",
        mistakes=(
            Mistake("each class has a bias, too", answer=3840),
            Mistake("the pooler comes from pretraining; it is not new", answer=5 * 768 + 5 + 768 * 768 + 768),
        ),
    ),
    Exercise(
        name="logit_gradient",
        notebook="8",
        difficulty=3,
        minutes=10,
        task="From `p` `(N, C)`, the probabilities, and `labels` `(N)` compute the gradient of the mean loss "
        "with respect to the *logits*, `(N, C)`.",
        hint="For one text it is the probabilities, less 1 at the label. What does the mean add?",
        solution=logit_gradient,
        cases=_probabilities,
        variant=_logit_gradient,
        mistakes=(
            Mistake("the loss is a mean: divide by N", changes={"mean": False}),
            Mistake("the sign: the gradient points to where the loss grows", changes={"sign": -1}),
            Mistake(
                "that is the gradient with respect to the probabilities",
                lambda p, labels: -nn.functional.one_hot(labels, p.shape[-1]) / p / len(p),
            ),
        ),
        finished=("torch.autograd", "torch.func", "torch.nn.functional.cross_entropy", "torch.nn.CrossEntropyLoss"),
    ),
    Exercise(
        name="most_missed",
        notebook="8",
        difficulty=1,
        minutes=6,
        task="Return the noun that a classifier gets wrong most often. `nouns`, `predicted` and `labels` are "
        'lists, with an element for each text. (Then ask it of `models["full"][0]` and `unseen`: what do '
        "the missed nouns have in common?)",
        hint="Keep the nouns of the wrong texts. A list has the method `count`.",
        solution=most_missed,
        cases=_answers,
        mistakes=(
            Mistake("that is the noun that is most often right", _most_right),
            Mistake("that is the most frequent noun, right or wrong", lambda nouns, *_: max(nouns, key=nouns.count)),
        ),
    ),
)

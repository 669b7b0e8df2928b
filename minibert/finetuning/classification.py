"""Classification: one class for a text or a pair of texts, or several at once."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from minibert.finetuning.examples import Columns, Example, read_examples
from minibert.finetuning.metrics import accuracy, label_f1, library, one_array
from minibert.finetuning.task import Split, Task, encode_examples, first_few
from minibert.model.tasks import BertForSequenceClassification
from minibert.text.tokenizer import BertTokenizer
from minibert.training.evaluation_loop import EvalPrediction

MOST_NUMBERED_CLASSES = 10  # stars and digits are classes; more numbers than these are rather scores

# What programs write where there is nothing.
NO_LABEL = ("NaN", "nan", "None", "null", "NULL")


def classification_task(
    files: Mapping[str, str],
    columns: Columns,
    tokenizer: BertTokenizer,
    max_length: int,
    labels: Sequence[str] | None = None,
) -> Task:
    """The task in `files`, named by their splits. Raises `ValueError` naming file and line of what cannot be used.

    labels: the classes, in their order; None: those of the training file.
    """
    examples = {name: read_examples(path, columns) for name, path in files.items()}
    return class_task(examples, tokenizer, max_length, labels)


def class_task(
    examples: Mapping[str, list[Example]],
    tokenizer: BertTokenizer,
    max_length: int,
    labels: Sequence[str] | None = None,
) -> Task:
    """The task of telling the labels of `examples`; the classes are `labels`, or those of the split "train"."""
    several = isinstance(examples["train"][0].label, list)
    names = label_names(examples["train"]) if labels is None else list(labels)
    numbers = {name: number for number, name in enumerate(names)}
    check_paired_alike(examples)
    if several:
        library("sklearn.metrics")
    encode: Callable[..., Iterable[Any]] = _several_at_once if several else _one_of_many
    splits = {}
    for split, part in examples.items():
        items, lost = encode_examples(tokenizer, part, max_length)
        items = [item | {"labels": label} for item, label in zip(items, encode(part, numbers), strict=True)]
        splits[split] = Split(items, score_several if several else score_one, lost)
    return Task(
        description=_describe(examples["train"], names, several),
        unit="examples",
        model_class=BertForSequenceClassification,
        metric="micro_f1" if several else "accuracy",
        splits=splits,
        config={
            "num_labels": len(names),
            "id2label": dict(enumerate(names)),
            "label2id": numbers,
            "problem_type": f"{'multi' if several else 'single'}_label_classification",
        },
    )


def label_names(examples: Sequence[Example]) -> list[str]:
    """All labels, sorted (by value if all are numbers).

    Raises `ValueError` if there are fewer than two, or if two are one number in two forms, such as 1 and 1.0.
    """
    lists = [e.label if isinstance(e.label, list) else [str(e.label)] for e in examples]
    names = sorted({label for labels in lists for label in labels})
    place = f"{examples[0].place}, and all that follow"
    if len(names) < 2:
        found = f"the only label is {names[0]!r}" if names else "there is none"
        raise ValueError(f"{place}: expected two classes or more, but {found}")
    if not _are_numbers(names):
        return names
    by_value = sorted(names, key=float)
    for name, other in pairwise(by_value):
        if float(name) == float(other):
            raise ValueError(f"{place}: the classes {name!r} and {other!r} are one number; write it in one form")
    return by_value


def _are_numbers(names: Iterable[str]) -> bool:
    """Whether all labels are numbers. Infinity and NaN, which cannot be sorted, are words."""
    try:
        return all(math.isfinite(float(name)) for name in names)
    except ValueError:
        return False


def hints(task: Task) -> list[str]:
    """What to say of a task whose classes look like scores, or like labels that are missing."""
    if task.config.get("problem_type") != "single_label_classification":
        return []
    names = task.config["label2id"]
    missing = [name for name in NO_LABEL if name in names]
    found = [f"a class is called {name}; if it means that there is no label: remove its lines" for name in missing]
    if len(names) > MOST_NUMBERED_CLASSES and _are_numbers(names):
        found.append(f"all {len(names)} classes are numbers; if they are scores: --task regression")
    return found


def majority(examples: Sequence[Example]) -> tuple[str, float]:
    """The most frequent label, and its share: what a model scores that has learnt nothing else."""
    ((label, count),) = Counter(e.label for e in examples if isinstance(e.label, str)).most_common(1)
    return label, count / len(examples)


def check_paired_alike(examples: Mapping[str, list[Example]]) -> None:
    """Raises `ValueError` if one file has pairs of texts and another has single ones."""
    for part in examples.values():
        if (part[0].pair is None) != (examples["train"][0].pair is None):
            kinds = ("pairs of texts", "single texts")
            found, expected = kinds if part[0].pair is not None else reversed(kinds)
            raise ValueError(f"{part[0].place}: expected {expected} as in the training file, found {found}")


def _one_of_many(examples: Sequence[Example], numbers: Mapping[str, int]) -> list[int]:
    return [_number(e, e.label, numbers) for e in examples]


def _several_at_once(examples: Sequence[Example], numbers: Mapping[str, int]) -> list[np.ndarray]:
    """A row of zeros and ones for each example: (C,)."""
    rows = np.zeros((len(examples), len(numbers)), dtype=np.float32)
    for row, example in zip(rows, examples, strict=True):
        if not isinstance(example.label, list):
            raise ValueError(f"{example.place}: expected a list of labels as in the first example, found one label")
        row[[_number(example, label, numbers) for label in example.label]] = 1
    return list(rows)


def _number(example: Example, label: str | list[str] | None, numbers: Mapping[str, int]) -> int:
    if isinstance(label, list):
        raise ValueError(f"{example.place}: expected one label as in the first example, found a list of them")
    if label is None or label not in numbers:
        raise ValueError(f"{example.place}: expected a label that was trained ({first_few(numbers)}), found {label!r}")
    return numbers[label]


def score_one(prediction: EvalPrediction) -> dict[str, float]:
    """The share of right answers, from logits (N, C) and class numbers (N,)."""
    return {"accuracy": accuracy(one_array(prediction.predictions).argmax(1), one_array(prediction.label_ids))}


def score_several(prediction: EvalPrediction) -> dict[str, float]:
    """F1 over the labels, from logits (N, C) and zeros and ones (N, C); a label is predicted above a half."""
    predicted = (one_array(prediction.predictions) > 0).astype(int)
    expected = one_array(prediction.label_ids).astype(int)
    return label_f1(predicted, expected) | {"accuracy": float((predicted == expected).all(1).mean())}


def _describe(examples: Sequence[Example], names: Sequence[str], several: bool) -> str:
    if several:
        return f"which of {len(names)} labels a text has: {first_few(names)}"
    label, share = majority(examples)
    what = "pair of texts" if examples[0].pair is not None else "text"
    return f"which of {len(names)} classes a {what} is: {first_few(names)}; {share:.0%} are {label}"

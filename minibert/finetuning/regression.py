"""Regression: a number for a text, or for a pair of texts (how similar they are, for example)."""

import math
from collections.abc import Mapping

from minibert.finetuning.classification import check_paired_alike
from minibert.finetuning.examples import Columns, Example, read_examples
from minibert.finetuning.metrics import correlations, library, one_array
from minibert.finetuning.task import Split, Task, encode_examples
from minibert.model.tasks import BertForSequenceClassification
from minibert.text.tokenizer import BertTokenizer
from minibert.training.evaluation_loop import EvalPrediction


def regression_task(files: Mapping[str, str], columns: Columns, tokenizer: BertTokenizer, max_length: int) -> Task:
    """The task in `files`, named by their splits. Raises `ValueError` naming file and line of what is no number."""
    columns.refuse("regression", "label_separator")
    library("scipy.stats")
    examples = {name: read_examples(path, columns) for name, path in files.items()}
    check_paired_alike(examples)
    splits = {}
    for split, part in examples.items():
        numbers = [number_of(e) for e in part]
        if split == "train" and min(numbers) == max(numbers):
            raise ValueError(f"{part[0].place}, and all that follow: expected different numbers, all are {numbers[0]}")
        items, lost = encode_examples(tokenizer, part, max_length)
        splits[split] = Split([i | {"labels": n} for i, n in zip(items, numbers, strict=True)], score, lost)
    low, high = (f(item["labels"] for item in splits["train"].items) for f in (min, max))
    return Task(
        description=f"a number from {low:g} to {high:g}",
        unit="examples",
        model_class=BertForSequenceClassification,
        metric="spearman",
        splits=splits,
        config={"num_labels": 1, "problem_type": "regression"},
    )


def number_of(example: Example) -> float:
    """The label as a number. Raises `ValueError` naming the line where it is none."""
    try:
        number = float(example.label) if isinstance(example.label, str) else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{example.place}: expected a number as label, found {example.label!r}")
    return number


def score(prediction: EvalPrediction) -> dict[str, float]:
    """Correlations of the numbers predicted, (N, 1), with those expected, (N,)."""
    return correlations(one_array(prediction.predictions)[:, 0], one_array(prediction.label_ids))

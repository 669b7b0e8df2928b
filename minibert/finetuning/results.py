"""What is printed and written about a task's data, and about finished runs."""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from minibert.checkpoint.files import write_text
from minibert.finetuning.runs import Run
from minibert.finetuning.task import Task
from minibert.report import say, say_unknown
from minibert.text.tokenizer import BertTokenizer

RESULTS_FILE = "results.json"
CURVES_FILE = "curves.png"

# Shares are read as percentages; a loss and a correlation are not.
_PLAIN = ("loss", "pearson", "spearman")


def say_data(task: Task, tokenizer: BertTokenizer) -> None:
    """Print how much of the text is unknown to the vocabulary, and what of the files the model does not see."""
    ids = [item["input_ids"] for item in task.splits["train"].items]
    n_tokens, n_unknown = sum(map(len, ids)), sum(row.count(tokenizer.unk_token_id) for row in ids)
    say_unknown(f"{n_tokens:,} to train on", n_unknown / n_tokens, tokenizer.unk_token)
    for name, split in task.splits.items():
        for what in split.lost:
            say("lost", f"{name}: {what}")


def say_scores(runs: Sequence[Run], metric: str) -> None:
    """Print the scores of the only run, or of each of several and then their mean and standard deviation."""
    if len(runs) == 1:
        (run,) = runs
        say("epochs", f"{metric.replace('_', ' ')} {', '.join(shown(metric, value) for value in run.epochs)}")
        for split, scores in run.scores.items():
            say(split, ", ".join(f"{name.replace('_', ' ')} {shown(name, x)}" for name, x in scores.items()))
        return
    for run in runs:
        parts = (f"{split} {metric.replace('_', ' ')} {shown(metric, s[metric])}" for split, s in run.scores.items())
        say(f"seed {run.seed}", ", ".join(parts))
    for split in runs[0].scores:
        say("mean", summary(runs, split, metric))


def summary(runs: Sequence[Run], split: str, metric: str) -> str:
    """The score of the only run, or the mean and the standard deviation of several."""
    name, values = f"{split} {metric.replace('_', ' ')}", [run.scores[split][metric] for run in runs]
    if len(runs) == 1:
        return f"{name} {shown(metric, values[0])}"
    mean, deviation = (shown(metric, f(values)) for f in (statistics.mean, statistics.stdev))
    return f"{name} {mean} ± {deviation} (standard deviation of {len(runs)} seeds)"


def shown(metric: str, value: float) -> str:
    """A score as it is printed."""
    return f"{value:.3f}" if metric in _PLAIN else f"{value:.1%}"


def write_results(runs: Sequence[Run], folder: Path, about: dict) -> None:
    """Write `results.json`: `about`, and each run's seed, epochs and scores, in full precision."""
    results = about | {"runs": [{"seed": r.seed, "epochs": r.epochs, "scores": r.scores} for r in runs]}
    write_text(folder / RESULTS_FILE, json.dumps(results, indent=2) + "\n")

"""What pretraining buys: a pretrained model and the same one from random weights, fine-tuned on docstrings."""

from collections.abc import Sequence
from pathlib import Path

from minibert.finetuning.classification import class_task, majority
from minibert.finetuning.docstrings import docstring_examples
from minibert.finetuning.examples import Example
from minibert.finetuning.results import CURVES_FILE, RESULTS_FILE, say_data, summary, write_results
from minibert.finetuning.runs import Plan, train_seeds
from minibert.inference.pipelines import pipeline
from minibert.report import say
from minibert.text.tokenizer import BertTokenizer
from minibert.training.distributed import Processes
from minibert.training.metrics_log import METRICS_FILE
from minibert.training.plots import plot_runs

GUESSES, LONGEST_SHOWN = 5, 70  # texts of the test to show, and how many characters they may have
FROM_RANDOM = "from-random-weights"  # the second model's folder


def demonstrate(tokenizer: BertTokenizer, max_length: int, plan: Plan, folder: Path) -> None:
    """Train both models on the docstrings, printing what happens; leaves checkpoints and results in `folder`."""
    examples = docstring_examples()
    task = class_task(examples, tokenizer, max_length)
    sizes = ", ".join(f"{len(part):,} {split}" for split, part in examples.items())
    say("task", "which of the ten largest packages of the standard library a docstring comes from")
    say("classes", ", ".join(task.config["label2id"]))
    say("examples", f"{sizes}; those of the test hold no sentence that pretraining has read")
    usual, share = majority(examples["test"])
    say_data(task, tokenizer)
    say("guessing", f"test accuracy {share:.1%} at best, by always saying {usual}")
    pretrained = train_seeds(task, tokenizer, plan, folder)
    say("pretrained", summary(pretrained, "test", task.metric))
    from_random = train_seeds(task, tokenizer, plan, folder / FROM_RANDOM, fresh=True)
    say("random", f"{summary(from_random, 'test', task.metric)}, the same model from random weights")
    if Processes.join().is_first:
        write_results(pretrained, folder, {"model": plan.model, "metric": task.metric})
        write_results(from_random, folder / FROM_RANDOM, {"model": "random weights", "metric": task.metric})
        logs = {
            "pretrained": pretrained[0].folder / METRICS_FILE,
            "random weights": from_random[0].folder / METRICS_FILE,
        }
        plot_runs(logs, folder / CURVES_FILE, task.metric)
    say("written", f"{folder}: the checkpoint, {RESULTS_FILE}, {CURVES_FILE}")
    short = [example for example in examples["test"] if len(example.text) < LONGEST_SHOWN]
    _say_guesses(folder, short[:: max(1, len(short) // GUESSES)][:GUESSES])


def _say_guesses(folder: Path, examples: Sequence[Example]) -> None:
    guesses = pipeline("text-classification", folder)([example.text for example in examples])
    for example, guess in zip(examples, guesses, strict=True):
        verdict = "right" if guess["label"] == example.label else f"no, {example.label}"
        say("guess", f"{example.text}  →  {guess['label']} {guess['score']:.0%} ({verdict})")

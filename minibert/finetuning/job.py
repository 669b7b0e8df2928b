"""Fine-tuning from start to end: labelled files in, a checkpoint with a trained head and its scores out."""

from dataclasses import dataclass, replace
from pathlib import Path

from minibert.finetuning.classification import classification_task, hints
from minibert.finetuning.contrastive import contrastive_task
from minibert.finetuning.demonstration import demonstrate
from minibert.finetuning.examples import Columns
from minibert.finetuning.question_answering import question_answering_task
from minibert.finetuning.regression import regression_task
from minibert.finetuning.results import CURVES_FILE, RESULTS_FILE, say_data, say_scores, write_results
from minibert.finetuning.runs import Plan, train_seeds
from minibert.finetuning.tagging import tagging_task
from minibert.model.config import BertConfig
from minibert.report import say
from minibert.text.tokenizer import BertTokenizer
from minibert.training.distributed import Processes
from minibert.training.metrics_log import METRICS_FILE
from minibert.training.plots import plot_runs
from minibert.training.run_folder import goes_on

TASKS = {
    "classification": classification_task,
    "regression": regression_task,
    "tagging": tagging_task,
    "qa": question_answering_task,
    "contrastive": contrastive_task,
}


@dataclass(frozen=True)
class FinetuningOptions:
    """What a user may choose; see `minibert finetune --help`."""

    task: str = "classification"
    train: str | None = None  # None: docstrings of the standard library
    eval: str | None = None
    test: str | None = None
    columns: Columns = Columns()
    max_length: int | None = None  # tokens; None: 128, for questions 384, but no more than the model has
    plan: Plan = Plan()
    output_dir: Path = Path("runs/finetune")


def finetune(options: FinetuningOptions) -> None:
    """Run the job, printing what happens; leaves a checkpoint, its scores and its curves in `output_dir`.

    Raises `ValueError` (or `CheckpointError` or `ResumeError`, which are some) for input that cannot be used.
    """
    _check(options)
    folder = options.output_dir
    resume = goes_on(folder, options.plan.resume, [folder, *sorted(folder.glob("*"))], Processes.join())
    plan = replace(options.plan, resume=resume)
    tokenizer = BertTokenizer.from_pretrained(options.plan.model)
    longest = BertConfig.from_pretrained(options.plan.model).max_position_embeddings
    if (options.max_length or 0) > longest:
        model = options.plan.model
        raise ValueError(f"--max-length must be at most the {longest} that {model} reads, got {options.max_length}")
    max_length = options.max_length or min(384 if options.task == "qa" else 128, longest)
    tokenizer.model_max_length = max_length  # saved with the model: who uses it reads what it was trained to read
    if options.train is None:
        demonstrate(tokenizer, max_length, plan, options.output_dir)
        return
    given = {"train": options.train, "eval": options.eval, "test": options.test}
    files = {split: path for split, path in given.items() if path is not None}
    task = TASKS[options.task](files, options.columns, tokenizer, max_length)
    say("task", f"{options.task}: {task.description}")
    for hint in hints(task):
        say("hint", hint)
    say(task.unit, ", ".join(f"{len(split.items):,} {name}" for name, split in task.splits.items()))
    say_data(task, tokenizer)
    runs = train_seeds(task, tokenizer, plan, options.output_dir)
    say_scores(runs, task.metric)
    if Processes.join().is_first:
        about = {"task": options.task, "model": options.plan.model, "metric": task.metric}
        write_results(runs, options.output_dir, about)
        logs = {f"seed {run.seed}": run.folder / METRICS_FILE for run in runs}
        plot_runs(logs, options.output_dir / CURVES_FILE, task.metric)
    say("written", f"{options.output_dir}: the checkpoint, {RESULTS_FILE}, {CURVES_FILE}")


def _check(options: FinetuningOptions) -> None:
    """Raises `ValueError` for options that cannot be; what `TrainingArguments` checks is left to them."""
    if options.task not in TASKS:
        raise ValueError(f"--task must be one of {', '.join(TASKS)}, got {options.task!r}")
    if (options.train is None) != (options.eval is None):
        raise ValueError("--train and --eval belong together: examples to learn from, and others to score")
    if options.train is None and (options.task != "classification" or options.test is not None):
        raise ValueError("--task and --test need --train FILE and --eval FILE")
    if options.train is None:
        options.columns.refuse("docstrings, without --train FILE", "text", "pair", "label", "label_separator")
    numbers = {name: getattr(options.plan, name) for name in ("epochs", "batch_size", "lr", "early_stopping", "seeds")}
    for name, value in (numbers | {"max_length": options.max_length}).items():
        if value is not None and not value > 0:
            raise ValueError(f"--{name.replace('_', '-')} must be above 0, got {value}")
    if not 0 <= options.plan.seed < 2**63 - options.plan.seeds:
        raise ValueError(f"--seed must be at least 0 and below 2^63, got {options.plan.seed}")
    if not 0 < options.plan.layer_decay <= 1:
        raise ValueError(f"--layer-decay must be above 0 and at most 1, got {options.plan.layer_decay}")

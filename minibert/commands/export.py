"""Write a checkpoint as ONNX, for programs without PyTorch, with a short program that shows how to use it.

The file takes batches of any size and length. It is compared with the model before it gets its name. --int8 writes a
second one, a quarter of the size and faster, and says what that costs: the score on --eval, or else how often it gives
the same answer on sentences of Python's documentation.
"""

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

import minibert
from minibert.checkpoint.files import CheckpointError, write_text
from minibert.checkpoint.opened import Checkpoint
from minibert.finetuning.examples import Columns
from minibert.finetuning.job import TASKS
from minibert.inference.export import INPUTS, OnnxModel, agreement, check_libraries, export_onnx, quantize_int8
from minibert.inference.export_example import example_program
from minibert.inference.loading import load_tokenizer_for, saved_as
from minibert.model.pretrained import BertPreTrainedModel
from minibert.model.weights import quiet_loading
from minibert.report import say
from minibert.text.stdlib_docs import python_documentation
from minibert.text.tokenizer import BertTokenizer
from minibert.training.collation import DataCollatorWithPadding
from minibert.training.evaluation_loop import evaluation_loop

FILE, INT8_FILE = "model.onnx", "model.int8.onnx"
SAMPLES = 200  # sentences


def main(options: argparse.Namespace) -> None:
    check_libraries()
    refuse_used(options.output)
    checkpoint = Checkpoint.open(options.model)
    model = load(checkpoint)
    tokenizer = load_tokenizer_for(model, checkpoint)
    if options.eval is not None:
        task_of(model, options.eval, tokenizer)  # what is wrong with the file is told before the work begins
    say("model", f"{type(model).__name__} of {options.model}, {model.num_parameters() / 1e6:.1f} million parameters")
    path, int8_path = options.output / FILE, options.output / INT8_FILE
    difference = export_onnx(model, path)
    say("fp32", f"{FILE}, {size(path)}; onnxruntime's outputs are within {difference:.1g} of ours")
    if options.int8:
        quantize_int8(path, int8_path)
        say("int8", f"{INT8_FILE}, {size(int8_path)}; {cost(model, tokenizer, path, int8_path, options.eval)}")
    elif options.eval is not None:
        say("score", describe(score(model, tokenizer, options.eval, path)))
    tokenizer.save_pretrained(options.output)
    model.config.save_pretrained(options.output)
    used = INT8_FILE if options.int8 else FILE
    program = example_program(type(model).__name__, model.config, tokenizer, used)
    write_text(options.output / "example.py", program)
    say("written", f"{options.output}; try it: python {options.output / 'example.py'}")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="NAME", help="a folder or a hub name")
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER", help="where the files go")
    parser.add_argument("--int8", action="store_true", help="also write a file with int8 weights")
    parser.add_argument("--eval", metavar="FILE", help="score the files on it; forms as for `minibert finetune --eval`")


def refuse_used(folder: Path) -> None:
    """Raise `ValueError` if an earlier export is in `folder`: what is left of it would stand beside another model."""
    if found := [name for name in (FILE, INT8_FILE) if (folder / name).exists()]:
        raise ValueError(
            f"--output {folder}: an earlier export left {' and '.join(found)} there; choose another folder, or remove"
            " this one"
        )


def load(checkpoint: Checkpoint) -> BertPreTrainedModel:
    """The model of the class that the checkpoint's config names. Raises `CheckpointError` if it is not whole."""
    said = saved_as(checkpoint)
    model_class = getattr(minibert, said, None)
    if not (isinstance(model_class, type) and issubclass(model_class, BertPreTrainedModel)):
        raise CheckpointError(f"{checkpoint.name}: its config says {said}, which is no class of minibert")
    with quiet_loading():
        model, info = model_class.from_pretrained(checkpoint, output_loading_info=True)
        missing = info["missing_keys"]
        if model_class is minibert.BertModel and missing and all("pooler." in key for key in missing):
            return model_class.from_pretrained(checkpoint, add_pooling_layer=False)
    if missing:
        raise CheckpointError(f"{checkpoint.name}: its config says {said}, but it lacks {', '.join(missing)}")
    return model


def size(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.1f} MB"


def cost(model: BertPreTrainedModel, tokenizer: BertTokenizer, path: Path, int8_path: Path, file: str | None) -> str:
    """What int8 changes: the scores on `file`, or else the answers on samples."""
    if file is not None:
        before, after = (score(model, tokenizer, file, p) for p in (path, int8_path))
        return ", ".join(f"{name} {before[name]:.3f} → {after[name]:.3f}" for name in before)
    same = agreement(model, OnnxModel(int8_path), samples(model, tokenizer))
    if isinstance(model, minibert.BertModel):
        return f"cosine to fp32 at least {same:.3f} for {SAMPLES} sentences"
    if model.config.num_labels == 1:
        return f"correlation with fp32 {same:.3f} on {SAMPLES} sentences"
    return f"the same answer {same:.1%} of the time on {SAMPLES} sentences"


def samples(model: BertPreTrainedModel, tokenizer: BertTokenizer) -> Iterator[dict[str, Tensor]]:
    """Sentences of Python's documentation, with those that follow if the model reads more than one."""
    documents = itertools.chain(python_documentation([]), python_documentation())  # the quick half first
    sentences = list(itertools.islice(itertools.chain.from_iterable(documents), SAMPLES + 2))
    many = {"truncation": True, "max_length": model.config.max_position_embeddings, "return_tensors": "pt"}
    for first, second, third in zip(sentences, sentences[1:], sentences[2:], strict=False):
        if isinstance(model, minibert.BertForMultipleChoice):
            choices = tokenizer([first, first], [second, third], padding=True, **many)
            yield {name: choices[name][None] for name in INPUTS}
        elif isinstance(model, minibert.BertForNextSentencePrediction | minibert.BertForQuestionAnswering):
            yield tokenizer(first, second, **many)
        else:
            yield tokenizer(first, **many)


def task_of(model: BertPreTrainedModel, file: str, tokenizer: BertTokenizer):
    """The task of `minibert finetune` that the model was trained for, with `file` as its evaluation set."""
    names = {
        minibert.BertForSequenceClassification: "regression" if model.config.num_labels == 1 else "classification",
        minibert.BertForTokenClassification: "tagging",
        minibert.BertForQuestionAnswering: "qa",
    }
    if type(model) not in names:
        raise ValueError(f"--eval: {type(model).__name__} has no task with a score; leave it out")
    name = names[type(model)]
    max_length = min(384 if name == "qa" else 128, model.config.max_position_embeddings)
    task = TASKS[name]({"train": file, "eval": file}, Columns(), tokenizer, max_length)
    found, expected = task.config.get("id2label", model.config.id2label), model.config.id2label
    if found != expected:
        raise ValueError(f"--eval {file}: expected the labels {[*expected.values()]}, found {[*found.values()]}")
    return task


def score(model: BertPreTrainedModel, tokenizer: BertTokenizer, file: str, path: Path) -> dict[str, float]:
    """The scores of an exported file."""
    split = task_of(model, file, tokenizer).splits["eval"]
    exported = OnnxModel(path)
    collate = DataCollatorWithPadding(tokenizer)
    _, prediction = evaluation_loop(exported, lambda batch: exported(**batch), split.items, collate, 32, True)
    return split.score(prediction)


def describe(scores: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in scores.items())

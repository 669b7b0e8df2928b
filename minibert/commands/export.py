"""Write a checkpoint as ONNX, for programs without PyTorch, with a short program that shows how to use it.

The file takes batches of any size and length. It is compared with the model before it gets its name. --int8 writes a
second one, a quarter of the size and faster, and says what that costs: the score on --eval, or else how often it gives
the same answer on sentences of Python's documentation.
"""

import argparse
from pathlib import Path

import minibert
from minibert.checkpoint.files import CheckpointError, write_text
from minibert.checkpoint.opened import Checkpoint
from minibert.finetuning.examples import Columns
from minibert.finetuning.scoring import labelled_split, score
from minibert.finetuning.task import Split
from minibert.inference.export import OnnxModel, agreement, check_libraries, export_onnx, quantize_int8
from minibert.inference.export_example import example_program
from minibert.inference.export_samples import SAMPLES, sample_batches
from minibert.inference.loading import load_tokenizer_for, saved_as
from minibert.inference.sentence_folder import read_sentence_modules
from minibert.inference.sentence_modules import SentenceModules
from minibert.model.pretrained import BertPreTrainedModel
from minibert.model.weights import quiet_loading
from minibert.report import say
from minibert.text.tokenizer import BertTokenizer

FILE, INT8_FILE, EXAMPLE = "model.onnx", "model.int8.onnx", "example.py"


def main(options: argparse.Namespace) -> None:
    check_libraries()
    refuse_used(options.output)
    checkpoint = Checkpoint.open(options.model)
    modules = read_sentence_modules(checkpoint)
    model = load(checkpoint.inside(modules.folder))
    tokenizer = load_tokenizer_for(model, checkpoint.inside(modules.folder))
    tokenizer = modules.tokenizer(tokenizer, model.config.max_position_embeddings)
    split = None
    if options.eval is not None:  # what is wrong with the file is told before the work begins
        columns = Columns(options.text_column, options.pair_column, options.label_column, options.label_separator)
        split = labelled_split(model, tokenizer, options.eval, columns, options.max_length)
    say("model", f"{type(model).__name__} of {options.model}, {model.num_parameters() / 1e6:.1f} million parameters")
    path, int8_path = options.output / FILE, options.output / INT8_FILE
    difference = export_onnx(model, path)
    say("fp32", f"{FILE}, {size(path)}; onnxruntime's outputs are within {difference:.1g} of ours")
    if options.int8:
        quantize_int8(path, int8_path)
        price = (
            cost(model, tokenizer, int8_path, modules) if split is None else change(tokenizer, split, path, int8_path)
        )
        say("int8", f"{INT8_FILE}, {size(int8_path)}; {price}")
    elif split is not None:
        scores = score(OnnxModel(path), tokenizer, split)
        say("score", ", ".join(f"{name} {value:.3f}" for name, value in scores.items()))
    tokenizer.save_pretrained(options.output)
    model.config.save_pretrained(options.output)
    write_example(model, tokenizer, options.output, INT8_FILE if options.int8 else FILE, modules)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="NAME", help="a folder or a hub name")
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER", help="where the files go")
    parser.add_argument("--int8", action="store_true", help="also write a file with int8 weights")
    parser.add_argument("--eval", metavar="FILE", help="score the files on it; forms as for `minibert finetune --eval`")
    for name, what in (("text", "text"), ("pair", "second text"), ("label", "label")):
        parser.add_argument(f"--{name}-column", metavar="NAME", help=f"of --eval: the {what}, as for finetune")
    parser.add_argument("--label-separator", metavar="CHARACTER", help="of --eval: between several labels of a text")
    parser.add_argument(
        "--max-length", type=int, metavar="N", help="of --eval: tokens of a text or pair (as many as in fine-tuning)"
    )


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
        raise CheckpointError(f"{checkpoint.name}: its config says {said}, which is not a class of minibert")
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


def cost(model: BertPreTrainedModel, tokenizer: BertTokenizer, int8_path: Path, modules: SentenceModules) -> str:
    """What int8 changes in the answers on samples."""
    same = agreement(model, OnnxModel(int8_path), sample_batches(model, tokenizer), modules)
    if isinstance(model, minibert.BertModel):
        return f"cosine to fp32 at least {same:.3f} for {SAMPLES} sentences"
    if isinstance(model, minibert.BertForMaskedLM | minibert.BertForPreTraining):
        return f"the same word for {same:.1%} of those that are hidden in {SAMPLES} sentences"
    if model.config.num_labels == 1:
        return f"correlation with fp32 {same:.3f} on {SAMPLES} sentences"
    return f"the same answer {same:.1%} of the time on {SAMPLES} sentences"


def change(tokenizer: BertTokenizer, split: Split, path: Path, int8_path: Path) -> str:
    """What int8 changes in the scores."""
    before, after = (score(OnnxModel(p), tokenizer, split) for p in (path, int8_path))
    return ", ".join(f"{name} {before[name]:.3f} → {after[name]:.3f}" for name in before)


def write_example(
    model: BertPreTrainedModel, tokenizer: BertTokenizer, folder: Path, file: str, modules: SentenceModules
) -> None:
    """Write the program that shows how to use the file, if there can be one."""
    try:
        program = example_program(type(model).__name__, model.config, tokenizer, file, modules)
    except ValueError as why:
        say("written", f"{folder}, without an example: {why}")
        return
    write_text(folder / EXAMPLE, program)
    say("written", f"{folder}; try it: python {folder / EXAMPLE}")

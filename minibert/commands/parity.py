"""Compare minibert with the reference, `transformers`, on one checkpoint, layer by layer.

Both load it in fp32 and read the same tokens. For what every module gives, the table has the largest absolute
difference, the largest one in units in the last place (ULP), and whether all is equal to the last bit up to here.
The first "no" is where a fault is. --inject plants one to show it: normal noise of standard deviation 0.001, added to
the weight of the named module.

Exit code: 0 all is equal, 1 something differs (so always with --inject), 2 bad input.
"""

import argparse
import logging

import torch
from torch import Tensor

import minibert
from minibert.checkpoint.files import CheckpointError
from minibert.checkpoint.key_map import from_reference
from minibert.checkpoint.opened import VOCABULARY_FILES, Checkpoint
from minibert.inference.parity import Comparison, compare_modules, plant_fault
from minibert.text.tokenizer import BertTokenizer

TEXT = "The quick brown fox jumps over the lazy dog."
TEXT_PAIR = "It has done so for more than a hundred years, in every shop that sold typewriters."
RANDOM_LENGTH = 24  # tokens that are drawn when the checkpoint has no tokenizer


def main(options: argparse.Namespace) -> int:
    checkpoint = Checkpoint.open(options.model)
    ours, theirs = load_pair(checkpoint, options.attn)
    inputs = make_inputs(checkpoint, ours.config, options.text, options.seed)
    if isinstance(ours, minibert.BertForMultipleChoice):
        inputs = {name: ids[:, None] for name, ids in inputs.items()}  # (1, 1, S): a single choice
    if options.inject:
        plant_fault(ours, options.inject, options.seed)
    print(f"{type(ours).__name__} of {options.model}: attention {options.attn}, {inputs['input_ids'].numel()} tokens\n")
    return report(compare_modules(ours, theirs, inputs), options.inject)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="NAME", help="a folder or a hub name")
    parser.add_argument("--attn", choices=("eager", "sdpa"), default="sdpa", help="attention of both (%(default)s)")
    parser.add_argument("--text", help="what both read (two sentences; random ids if there is no tokenizer)")
    parser.add_argument("--seed", type=int, default=0, help="of random ids and of the fault (%(default)s)")
    parser.add_argument("--inject", metavar="MODULE", help="plant a fault, for example in layer.3.attention.mix")


def load_pair(checkpoint: Checkpoint, attention: str) -> tuple[minibert.BertModel, torch.nn.Module]:
    """(our model, the reference's) of one checkpoint, in eval mode."""
    try:
        import transformers
    except ImportError as error:
        raise ValueError("the reference, transformers, is not installed: pip install 'minibert[test]'") from error
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("minibert").setLevel(logging.ERROR)  # what is missing is refused below, the rest plays no role
    class_name, arguments = choose_class(checkpoint)
    arguments |= {"attn_implementation": attention, "dtype": torch.float32}
    ours, info = getattr(minibert, class_name).from_pretrained(checkpoint, output_loading_info=True, **arguments)
    if info["missing_keys"]:
        missing = ", ".join(info["missing_keys"])
        raise CheckpointError(f"{checkpoint.name}: cannot compare {class_name}, because the checkpoint lacks {missing}")
    folder = checkpoint.weights().parent
    return ours, getattr(transformers, class_name).from_pretrained(folder, **arguments).eval()


def choose_class(checkpoint: Checkpoint) -> tuple[str, dict]:
    """The class that uses most of the weights that the checkpoint has, and arguments for it."""
    config = minibert.BertConfig.from_pretrained(checkpoint)
    names, _ = from_reference(checkpoint.tensors())
    parts = {our_name.split(".")[0] for our_name in names}
    has_pooler = "bert.pooler.dense.weight" in names
    if {"mlm_head", "nsp_head"} <= parts and has_pooler:
        return "BertForPreTraining", {}
    said = (config.architectures or [""])[0]
    if parts & {"nsp_head", "classifier", "span_classifier"} and said in minibert.__all__:
        return said, {}  # three classes have a "classifier": only the config can tell which one it is
    if "mlm_head" in parts:
        return "BertForMaskedLM", {}
    return "BertModel", {"add_pooling_layer": has_pooler}


def make_inputs(checkpoint: Checkpoint, config: minibert.BertConfig, text: str | None, seed: int) -> dict[str, Tensor]:
    """One sequence without padding: `input_ids` and `token_type_ids` (1, S)."""
    limit = config.max_position_embeddings
    if text is None and not checkpoint.first(VOCABULARY_FILES):
        generator = torch.Generator().manual_seed(seed)
        sizes = {"input_ids": config.vocab_size, "token_type_ids": config.type_vocab_size}
        shape = (1, min(RANDOM_LENGTH, limit))
        return {key: torch.randint(size, shape, generator=generator) for key, size in sizes.items()}
    texts = [TEXT, TEXT_PAIR][: config.type_vocab_size] if text is None else [text]
    encoded = BertTokenizer.from_pretrained(checkpoint)(*texts, truncation=True, max_length=limit, return_tensors="pt")
    return {key: encoded[key] for key in ("input_ids", "token_type_ids")}


def report(rows: list[Comparison], injected: str | None) -> int:
    """Print the table and where the first difference is; returns the exit code."""
    width = max(len(row.name) for row in rows)
    print(f"{'module':{width}}  max abs difference        max ULP  equal to here")
    first = None
    for row in rows:
        first = row.name if first is None and row.ulp else first
        print(f"{row.name:{width}}  {row.difference:18.3g}  {row.ulp:13,}  {'no' if first else 'yes'}")
    if injected:
        print(f"\nplanted a fault in {injected}; the first difference is in {first or 'no module'}")
    else:
        print(f"\nthe first difference is in {first}" if first else "\neverything is equal to the last bit")
    return 1 if first else 0

"""Compare minibert with the reference, `transformers`, on one checkpoint, layer by layer.

Both load it in fp32 and read the same tokens. For what every module gives, the table has the largest absolute
difference, the largest one in units in the last place (ULP), and whether all is equal to the last bit up to here.
The first "no" is where a fault is. --inject plants one to show it: normal noise of standard deviation 0.001, added to
the weight of the named module.

Exit code: 0 all is equal, 1 something differs (so always with --inject), 2 bad input.
"""

import argparse

import torch
from torch import nn

from minibert.checkpoint.files import CheckpointError
from minibert.checkpoint.opened import Checkpoint
from minibert.inference.parity import Comparison, choose_class, compare_modules, make_inputs, plant_fault
from minibert.model.pretrained import BertPreTrainedModel
from minibert.model.weights import quiet_loading


def main(options: argparse.Namespace) -> int:
    checkpoint = Checkpoint.open(options.model)
    ours, theirs = load_pair(checkpoint, options.attn)
    inputs = make_inputs(checkpoint, ours, options.text, options.seed)
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


def load_pair(checkpoint: Checkpoint, attention: str) -> tuple[BertPreTrainedModel, nn.Module]:
    """(our model, the reference's) of one checkpoint, in eval mode."""
    try:
        import transformers
    except ImportError as error:
        raise ValueError("the reference, transformers, is not installed: pip install 'minibert[test]'") from error
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    model_class, arguments = choose_class(checkpoint)
    arguments |= {"attn_implementation": attention, "dtype": torch.float32}
    with quiet_loading():  # what is missing is refused here, the rest plays no role
        ours, info = model_class.from_pretrained(checkpoint, output_loading_info=True, **arguments)
    if info["missing_keys"]:
        why = f"because the checkpoint lacks {', '.join(info['missing_keys'])}"
        raise CheckpointError(f"{checkpoint.name}: cannot compare {model_class.__name__}, {why}")
    folder = checkpoint.weights().parent
    return ours, getattr(transformers, model_class.__name__).from_pretrained(folder, **arguments).eval()


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

"""Fine-tune a BERT on labelled text. Without arguments: on docstrings, to tell which package each comes from.

Files for classification, regression and contrastive training have named columns (.tsv, .csv, .jsonl). Files for tagging
have a word and its tag on every line, as in CoNLL's; for questions they are SQuAD's JSON.
"""

import argparse
from pathlib import Path

from minibert.finetuning.examples import Columns
from minibert.finetuning.job import TASKS, FinetuningOptions, finetune
from minibert.finetuning.runs import Plan


def main(options: argparse.Namespace) -> None:
    given = vars(options)
    columns = Columns(
        given.pop("text_column"), given.pop("pair_column"), given.pop("label_column"), given.pop("label_separator")
    )
    plan = Plan(**{name: given.pop(name) for name in Plan.__dataclass_fields__})
    finetune(FinetuningOptions(columns=columns, plan=plan, **given))


def add_options(parser: argparse.ArgumentParser) -> None:
    data = parser.add_argument_group("data")
    data.add_argument("--task", choices=TASKS, default="classification", help="(%(default)s)")
    data.add_argument("--train", metavar="FILE", help="examples to train on (with --eval)")
    data.add_argument("--eval", metavar="FILE", help="examples that choose the best epoch (with --train)")
    data.add_argument("--test", metavar="FILE", help="examples that are only scored, at the end")
    data.add_argument("--text-column", metavar="NAME", help="(default: text, sentence, sentence1, ...)")
    data.add_argument("--pair-column", metavar="NAME", help="the second text (default: text_pair, sentence2, ...)")
    data.add_argument("--label-column", metavar="NAME", help="(default: label, score, ...; for tagging the last one)")
    data.add_argument("--label-separator", metavar="CHARACTER", help="a text has several labels, this between them")
    data.add_argument("--max-length", type=int, metavar="N", help="tokens of a text or pair (128; for questions 384)")
    model = parser.add_argument_group("training")
    model.add_argument("--model", default=Plan.model, metavar="NAME", help="a folder or a hub name (%(default)s)")
    model.add_argument("--epochs", type=float, metavar="N", help="(3; small models 5; a frozen encoder 20)")
    model.add_argument("--batch-size", type=int, default=Plan.batch_size, metavar="N", help="(%(default)s)")
    model.add_argument("--lr", type=float, metavar="X", help="peak learning rate (5e-5; small 5e-4; frozen 1e-3)")
    model.add_argument(
        "--freeze",
        type=lambda text: int(text) if text.isdecimal() else text,
        default=Plan.freeze,
        metavar="WHAT",
        help="none, embeddings, encoder (train the head alone), or N: train the top N layers (%(default)s)",
    )
    model.add_argument(
        "--layer-decay",
        type=float,
        default=Plan.layer_decay,
        metavar="X",
        help="each layer learns at X times the rate of the one above (%(default)s)",
    )
    model.add_argument("--early-stopping", type=int, metavar="N", help="stop after N epochs that were not better")
    model.add_argument("--seeds", type=int, default=Plan.seeds, metavar="N", help="runs to average (%(default)s)")
    model.add_argument("--seed", type=int, default=Plan.seed, help="of the first run (%(default)s)")
    model.add_argument("--output-dir", type=Path, default=FinetuningOptions.output_dir, help="(%(default)s)")
    model.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --output-dir")

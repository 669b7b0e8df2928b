"""Pretrain a small BERT on your own text, or, without arguments, on Python's documentation."""

import argparse
from pathlib import Path

from minibert.pretraining.job import pretrain
from minibert.pretraining.options import (
    DEFAULT_FOLDER,
    DEFAULT_LIMIT,
    DEFAULT_PRESET,
    DEFAULT_TOKENS,
    DEFAULT_VOCAB_SIZE,
    PretrainingOptions,
)
from minibert.pretraining.presets import PRESETS


def main(options: argparse.Namespace) -> None:
    pretrain(PretrainingOptions(**vars(options)))


def add_options(parser: argparse.ArgumentParser) -> None:
    defaults = PretrainingOptions()
    parser.add_argument(
        "--corpus", nargs="+", metavar="PATH", help="text files or folders, a blank line between documents"
    )
    parser.add_argument("--data", metavar="FOLDER", help="instead of a corpus: what `minibert prepare` made of one")
    parser.add_argument("--tokenizer", metavar="PATH", help="use this vocabulary: a folder or a vocab.txt")
    parser.add_argument("--model", metavar="NAME", help="go on pretraining this checkpoint: a folder or a hub name")
    parser.add_argument(
        "--preset", choices=PRESETS, help=f"size of a new model, and its recipe (default: {DEFAULT_PRESET})"
    )
    parser.add_argument(
        "--vocab-size", type=int, metavar="N", help=f"of a new vocabulary (default: {DEFAULT_VOCAB_SIZE})"
    )
    add_length(parser)
    add_numbers(parser)
    parser.add_argument("--seed", type=int, default=defaults.seed, help="(%(default)s)")
    parser.add_argument(
        "--output-dir",
        type=Path,
        help=f"(default: {DEFAULT_FOLDER}, or {DEFAULT_FOLDER}-2, ... where that is used)",
    )
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --output-dir")


def add_length(parser: argparse.ArgumentParser) -> None:
    """At most one of these is given."""
    group = parser.add_argument_group(
        "how long", f"one of these (default: {DEFAULT_TOKENS:,} tokens, but no more than {DEFAULT_LIMIT:g} minutes)"
    )
    group.add_argument("--tokens", type=int, metavar="N", help="to train on, the same text counted each time")
    group.add_argument("--minutes", type=float, metavar="N", help="of training")
    group.add_argument("--epochs", type=float, metavar="N", help="passes over the text, as long as the first")


def add_numbers(parser: argparse.ArgumentParser) -> None:
    """Everything that the preset says."""
    group = parser.add_argument_group("the preset's numbers", "each may be another; settings.json holds those used")
    for name, help in (("layers", "of a new model"), ("hidden-size", "of a new model"), ("heads", "in each layer")):
        group.add_argument(f"--{name}", type=int, metavar="N", help=help)
    group.add_argument("--max-length", type=int, metavar="N", help="of a pair of sentences, in tokens")
    group.add_argument("--batch-size", type=int, metavar="N", help="pairs a step, in each process")
    group.add_argument("--learning-rate", type=float, metavar="X", help="its peak")
    group.add_argument("--warmup-ratio", type=float, metavar="SHARE", help="of the run, in which it rises to the peak")
    group.add_argument("--weight-decay", type=float, metavar="X", help="of the matrices")
    group.add_argument("--masking-rate", type=float, metavar="SHARE", help="of the tokens")
    group.add_argument("--whole-word-masking", action="store_true", help="hide all pieces of a word together")

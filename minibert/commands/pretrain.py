"""Pretrain a small BERT on your own text, or with no arguments on Python's documentation."""

import argparse
from pathlib import Path

from minibert.pretraining.job import PretrainingOptions, pretrain
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
        "--preset", choices=PRESETS, default=defaults.preset, help="size (of a new model) and recipe (%(default)s)"
    )
    parser.add_argument("--vocab-size", type=int, default=defaults.vocab_size, help="of a new vocabulary (%(default)s)")
    parser.add_argument("--masking-rate", type=float, metavar="SHARE", help="of the tokens (default: the preset's)")
    parser.add_argument("--whole-word-masking", action="store_true", help="hide all pieces of a word together")
    parser.add_argument("--minutes", type=float, default=defaults.minutes, help="of training (%(default)s)")
    parser.add_argument("--seed", type=int, default=defaults.seed, help="(%(default)s)")
    parser.add_argument("--output-dir", type=Path, default=defaults.output_dir, help="(%(default)s)")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --output-dir")

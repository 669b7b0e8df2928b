"""Tokenize a corpus once, into a folder from which `minibert pretrain --data FOLDER` can train any number of times."""

import argparse

from minibert.pretraining.options import DEFAULT_VOCAB_SIZE
from minibert.pretraining.preparation import (
    load_tokenizer,
    prepare,
    say_pairs,
    say_tokens,
    say_vocabulary,
    show_examples,
)
from minibert.pretraining.presets import Preset
from minibert.report import say
from minibert.text.dataset import PretrainingDataset


def main(options: argparse.Namespace) -> None:
    tokenizer = load_tokenizer(options.tokenizer) if options.tokenizer else None
    for name, least in (("processes", 1), ("show", 0)):
        if getattr(options, name) < least:
            raise ValueError(f"--{name} must be at least {least}, got {getattr(options, name)}")
    # Pretraining will hold out a part: what has none is rather refused now than then.
    corpus, tokenizer = prepare(
        options.corpus, tokenizer, options.vocab_size, options.output, options.processes, must_split=True
    )
    say_vocabulary(tokenizer, options.tokenizer)
    say_tokens(corpus, tokenizer, options.tokenizer)
    dataset = PretrainingDataset(corpus, tokenizer, Preset.max_length, options.seed, masking_rate=Preset.masking_rate)
    say_pairs(dataset)
    for paragraph in show_examples(dataset, tokenizer, options.show):
        print(f"\n{paragraph}")
    print()
    say("written", f"{options.output}; train on it: minibert pretrain --data {options.output}")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--corpus", nargs="+", metavar="PATH", help="text files or folders (default: Python's documentation)"
    )
    vocabulary = parser.add_mutually_exclusive_group()
    vocabulary.add_argument("--tokenizer", metavar="PATH", help="use this vocabulary: a folder or a vocab.txt")
    vocabulary.add_argument(
        "--vocab-size", type=int, default=DEFAULT_VOCAB_SIZE, help="or train one of this size (%(default)s)"
    )
    parser.add_argument("--output", metavar="FOLDER", default="runs/data", help="(%(default)s)")
    parser.add_argument(
        "--processes", type=int, default=1, metavar="N", help="share the work; the result is the same (%(default)s)"
    )
    parser.add_argument("--show", type=int, default=0, metavar="N", help="print N examples as the model sees them")
    parser.add_argument("--seed", type=int, default=42, help="of the examples (%(default)s)")

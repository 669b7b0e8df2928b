"""What the tests of fine-tuning share: a tiny encoder, and labelled files that can be learnt in a moment."""

import functools
import random
import tempfile
from pathlib import Path

import torch

from minibert import BertConfig, BertForPreTraining, BertTokenizer

WORDS = {"good": ("list", "tuple", "class"), "poor": ("file", "error", "name")}

_folder = tempfile.TemporaryDirectory()


@functools.cache
def tokenizer():
    return BertTokenizer.from_pretrained("minibert-tiny")


@functools.cache
def checkpoint() -> Path:
    """The folder of a tiny pretraining checkpoint, random as it is."""
    config = BertConfig(
        vocab_size=len(tokenizer()),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=128,
        initializer_range=0.3,
    )
    folder = Path(_folder.name) / "checkpoint"
    with torch.random.fork_rng():
        torch.manual_seed(7)
        BertForPreTraining(config).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def sentences(count, seed):
    """(label, text) pairs; one word in the text tells the label."""
    rng = random.Random(seed)
    labels = [rng.choice(list(WORDS)) for _ in range(count)]
    return [(label, f"This is the {rng.choice(WORDS[label])} of it.") for label in labels]


def write_table(path, rows, header=("label", "text")):
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in (header, *rows)))
    return path


def classification_files(folder):
    """{"train", "eval", "test"}: files of `sentences`."""
    sizes = {"train": 48, "eval": 16, "test": 16}
    return {
        split: write_table(folder / f"{split}.tsv", sentences(size, seed))
        for seed, (split, size) in enumerate(sizes.items())
    }

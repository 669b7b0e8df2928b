"""Tiny checkpoints for pipelines: random weights, letters for a vocabulary, and the reference's pipeline of each."""

import functools
import tempfile
from pathlib import Path
from typing import Any

import transformers
from reference import TINY, reference_model

from minibert.text.tokenizer import BertTokenizer

LETTERS = [chr(ord("a") + i) for i in range(26)]
TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{c}" for c in LETTERS), ".", "-"]
TOKENS += [f"[unused{i}]" for i in range(TINY["vocab_size"] - len(TOKENS))]

# Of several lengths, with accents, unknown characters, punctuation, and nothing at all.
TEXTS = ["ab cde f", "Zürich x.y-z, a 7 b", "", "q", "abcdefghij k lm nop", "É a É a", "ab ab ab ab ab ab ab"]

_folders = tempfile.TemporaryDirectory()


def our_tokenizer(**options: Any) -> BertTokenizer:
    return BertTokenizer({token: i for i, token in enumerate(TOKENS)}, **options)


@functools.cache
def checkpoint(class_name: str, **changes) -> Path:
    """The folder of a reference model with a tokenizer."""
    folder = Path(tempfile.mkdtemp(dir=_folders.name))
    theirs = reference_model(class_name, **changes)
    theirs.save_pretrained(folder)
    our_tokenizer(model_max_length=theirs.config.max_position_embeddings).save_pretrained(folder)
    return folder


def reference_pipeline(task: str, folder: Path) -> transformers.Pipeline:
    return transformers.pipeline(task, model=str(folder), device="cpu")

"""Folders as sentence-transformers makes them, around a tiny encoder."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline_runs import checkpoint
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Pooling, Transformer
from torch import nn

SIZE = 32  # of the encoder's vectors


def sentence_folder(folder: Path, *, pooling: str | Sequence[str] = "mean", then: Sequence[nn.Module] = (), **settings):
    """`folder`, with a pooling and what comes after it, as the library itself writes it; `settings`: of the model."""
    modules = [Transformer(str(checkpoint("BertModel"))), Pooling(SIZE, pooling), *then]
    SentenceTransformer(modules=modules, device="cpu", **settings).save_pretrained(str(folder))
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):  # it does not always write them
        shutil.copy(checkpoint("BertModel") / name, folder)
    return folder


def older_folder(folder: Path, transformer: str = "0_Transformer", **changes: Any) -> Path:
    """A folder as the library wrote it for years, with the encoder in a folder of its own, and CLS pooling.

    changes: by file name without suffix (`modules`, `pooling`, ...), keys to set.
    """
    shutil.copytree(checkpoint("BertModel"), folder / transformer, dirs_exist_ok=True)
    kinds = {transformer: "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    modules = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (path, kind) in enumerate(kinds.items())
    ]
    flags = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")
    pooling = {f"pooling_mode_{flag}": flag == "cls_token" for flag in flags}
    contents = {
        "modules.json": modules,
        "1_Pooling/config.json": {"word_embedding_dimension": SIZE} | pooling,
        f"{transformer}/sentence_bert_config.json": {"max_seq_length": 12, "do_lower_case": False},
        "config_sentence_transformers.json": {"__version__": {"sentence_transformers": "2.0.0"}},
    }
    for name, content in contents.items():
        if isinstance(content, dict):
            content |= changes.pop(name, {})
        write(folder / name, content)
    assert not changes
    return folder


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))

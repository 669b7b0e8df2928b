"""Whole checkpoints in every format, for the tests that break them."""

import json
import shutil
from pathlib import Path

import torch
from checkpoints import tensors_in
from safetensors.torch import save_file
from training_runs import corpus

from minibert import BertConfig, BertForPreTraining
from minibert.training.checkpointing import save_checkpoint

TENSORFLOW = Path(__file__).parent / "data" / "tensorflow_bert"


def tiny_model() -> BertForPreTraining:
    """Two layers of 8 dimensions, always with the same weights."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
    return BertForPreTraining(BertConfig(vocab_size=len(corpus()[1]), max_position_embeddings=8, **sizes))


def write_whole_files(root: Path) -> None:
    """A folder for every form that a checkpoint, a tokenizer or a run can have."""
    model = tiny_model()
    for form in ("safetensors", "bin", "old bin", "shards"):
        model.save_pretrained(root / form)
    tensors = tensors_in(root / "bin")
    for form in ("bin", "old bin", "shards"):
        (root / form / "model.safetensors").unlink()
    torch.save(tensors, root / "bin" / "pytorch_model.bin")
    torch.save(tensors, root / "old bin" / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    names = sorted(tensors)
    parts = {"part-1.safetensors": names[:20], "part-2.safetensors": names[20:]}
    for part, keys in parts.items():
        save_file({key: tensors[key] for key in keys}, root / "shards" / part)
    index = {"weight_map": {key: part for part, keys in parts.items() for key in keys}}
    (root / "shards" / "model.safetensors.index.json").write_text(json.dumps(index))
    corpus()[1].save_pretrained(root / "tokenizer")
    (root / "vocabulary").mkdir()
    shutil.copy(root / "tokenizer" / "vocab.txt", root / "vocabulary")
    shutil.copytree(TENSORFLOW, root / "tensorflow")
    save_checkpoint(root / "run", model, [], {"step": 3, "position": (0, 3)})

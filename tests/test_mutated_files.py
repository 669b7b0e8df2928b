"""Whole files changed at random, by the thousand: each is refused by name or loads whole, there is no third way."""

import logging
import resource
import shutil
import sys
import time
import traceback
from pathlib import Path
from random import Random

import pytest
import torch
from mutations import mutate
from training_runs import in_child
from whole_files import tiny_model, write_whole_files

from minibert import BertForPreTraining, BertTokenizer
from minibert.checkpoint.files import CheckpointError
from minibert.training.checkpointing import STATE_FILE, ResumeError, load_checkpoint

GIGABYTE = 2**30


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A folder with the whole files, see `write_whole_files`."""
    root = tmp_path_factory.mktemp("whole")
    write_whole_files(root)
    return root


def use_model(folder: Path) -> None:
    """Load and run. What loads must be whole, and must say so if its numbers are none."""
    said = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logger = logging.getLogger("minibert")
    logger.addHandler(handler)
    try:
        model = BertForPreTraining.from_pretrained(folder)
    finally:
        logger.removeHandler(handler)
    expected = {name: p.shape for name, p in BertForPreTraining(model.config).named_parameters()}
    found = dict(model.named_parameters())
    assert {name: p.shape for name, p in found.items()} == expected
    assert all(p.dtype == torch.float32 and p.device.type == "cpu" for p in found.values())
    finite = all(p.isfinite().all() for p in found.values())
    assert finite or any("not all numbers are finite" in message for message in said)
    with torch.no_grad():
        model(input_ids=torch.tensor([[1, 2, 3]]))


def use_tokenizer(folder: Path) -> None:
    tokenizer = BertTokenizer.from_pretrained(folder)
    ids = tokenizer("ab ba [MASK] unknown", "ba")["input_ids"]
    assert tokenizer.decode(ids) and all(0 <= i < 10**6 for i in ids)


def resume(folder: Path) -> None:
    assert load_checkpoint(folder, tiny_model()) == {"step": 3, "position": (0, 3)}


KINDS = {
    "safetensors/model.safetensors": use_model,
    "safetensors/config.json": use_model,
    "bin/pytorch_model.bin": use_model,
    "old bin/pytorch_model.bin": use_model,
    "shards/model.safetensors.index.json": use_model,
    "shards/part-2.safetensors": use_model,
    "tensorflow/bert_model.ckpt.index": use_model,
    "tensorflow/bert_model.ckpt.data-00000-of-00001": use_model,
    "tokenizer/tokenizer.json": use_tokenizer,
    "tokenizer/tokenizer_config.json": use_tokenizer,
    "vocabulary/vocab.txt": use_tokenizer,
    f"run/{STATE_FILE}": resume,
}


def try_mutations(whole: Path, kind: str, folder: Path, seeds: range, record: Path) -> None:
    """Break a file again and again. Runs in a process of its own, with not much memory: a crash is an exit code."""
    spare = 4 * GIGABYTE
    resource.setrlimit(resource.RLIMIT_DATA, (spare, spare))
    form, name = kind.split("/")
    shutil.copytree(whole / form, folder)
    original = (folder / name).read_bytes()
    refused = 0
    for seed in seeds:
        record.write_text(f"seed {seed}")
        (folder / name).unlink()  # what is mapped into memory must not change
        (folder / name).write_bytes(mutate(Random(f"{kind} {seed}"), name, original))
        started = time.monotonic()
        try:
            KINDS[kind](folder)
        except (CheckpointError, ResumeError) as error:
            assert str(folder) in str(error), error
            refused += 1
        except BaseException:
            record.write_text(f"seed {seed}:\n{traceback.format_exc()}")
            sys.exit(1)
        assert time.monotonic() - started < 30, "a hang"
    record.write_text(f"refused {refused}")


def assert_refused_or_whole(whole: Path, kind: str, tmp_path: Path, count: int) -> None:
    record = tmp_path / "record"
    code = in_child(try_mutations, whole, kind, tmp_path / "broken", range(count), record, timeout=600)
    assert code == 0, f"exit code {code} at {record.read_text()}"
    assert int(record.read_text().removeprefix("refused ")) > count / 4  # or the changes were too gentle to prove it


@pytest.mark.parametrize("kind", KINDS)
def test_mutated(whole, kind, tmp_path):
    assert_refused_or_whole(whole, kind, tmp_path, 25)


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
def test_mutated_thousands(whole, kind, tmp_path):
    assert_refused_or_whole(whole, kind, tmp_path, 10_000 // len(KINDS) + 1)

"""Checkpoints of a run: whole or not there at all, so that a kill at any moment leaves the last good one."""

import os
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import nn

STATE_FILE = "training_state.pt"
_NAME = re.compile(r"checkpoint-(\d+)")


class ResumeError(ValueError):
    """A checkpoint that a run cannot go on from; the message names the file, and says what to do."""


def save_checkpoint(folder: Path, model: nn.Module, extras: list[Any], state: dict[str, Any]) -> None:
    """Write a checkpoint: `training_state.pt` to go on from, and the model as one would use it.

    Args:
        extras: what else is saved with `save_pretrained`, a tokenizer for example.
        state: everything but the model's tensors that the rest of the run depends on.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        torch.save({"model": model.state_dict(), **state}, temporary / STATE_FILE)
        for part in (model, *extras):
            if hasattr(part, "save_pretrained"):
                part.save_pretrained(temporary)
        _flush(temporary / STATE_FILE)
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def load_checkpoint(folder: Path, model: nn.Module) -> dict[str, Any]:
    """Put the checkpoint's tensors into `model`, and return the state that was saved with them."""
    path = folder / STATE_FILE
    if not path.is_file():
        raise ResumeError(f"{folder}: no {STATE_FILE} there, so no run can go on from it")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict(state.pop("model"))
    except Exception as error:  # torch.load raises almost any type on a broken file
        reason = str(error).strip().split("\n")[0]
        raise ResumeError(
            f"{path}: cannot go on from it ({reason}); remove its folder to use the one before"
        ) from error
    return state


def checkpoints(output_dir: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    found = [folder for folder in output_dir.glob("checkpoint-*") if _NAME.fullmatch(folder.name)]
    return sorted(found, key=lambda folder: int(_NAME.fullmatch(folder.name)[1]))


def prune(output_dir: Path, limit: int, keep: Path | None) -> None:
    """Remove the oldest checkpoints until `limit` are left, besides `keep`."""
    for folder in [c for c in checkpoints(output_dir) if c != keep][:-limit]:
        shutil.rmtree(folder)


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())

"""Checkpoints of a run: whole or not there at all, so that a kill at any moment leaves the last good one."""

import contextlib
import hashlib
import os
import re
import shutil
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from minibert.checkpoint.files import write_text

STATE_FILE = "training_state.pt"
WEIGHTS_FILE = "model.safetensors"  # what `save_pretrained` writes of a model

HOW_TO_GO_ON = "--resume (in Python: resume_from_checkpoint=True)"

# Holds a number: 1 in the first checkpoint that was written into a folder, 2 in the second, and so on. The time of a
# file would not do: a copy does not keep it, and the system's clock may be set back.
ORDER_FILE = "order.txt"

_NAME = re.compile(r"checkpoint-(\d+)")


class ResumeError(ValueError):
    """A checkpoint that a run cannot go on from; the message names the file, and says what to do."""


class DamagedCheckpointError(ResumeError):
    """A checkpoint whose file is not what was once written."""


def save_checkpoint(folder: Path, model: nn.Module, extras: list[Any], state: dict[str, Any]) -> None:
    """Write a checkpoint: the model as one would use it, and `training_state.pt` with the rest, to go on from both.

    Only tensors that the model's own file does not hold are in the state as well.

    Args:
        extras: what else is saved with `save_pretrained`, a tokenizer for example.
        state: everything but the model's tensors that the rest of the run depends on.

    Raises: `OSError` naming the folder if it cannot be written, because the disk is full for example.
    """
    temporary = _temporary(folder)
    for left_by_killed_run in folder.parent.glob(_temporary(Path("checkpoint-*")).name):
        shutil.rmtree(left_by_killed_run)
    try:
        temporary.mkdir(parents=True)
        for part in (model, *extras):
            if hasattr(part, "save_pretrained"):
                part.save_pretrained(temporary)
        _write_state(temporary / STATE_FILE, _split(model.state_dict(), temporary / WEIGHTS_FILE) | state)
        last = max(map(_order, checkpoints(folder.parent)), default=0)
        write_text(temporary / ORDER_FILE, f"{last + 1}\n")
        _remove(folder)
        temporary.rename(folder)
    except (OSError, RuntimeError, SafetensorError) as error:
        # What PyTorch raises then speaks of positions in its file; the system's own words are behind it.
        reason = error.__context__ if isinstance(error.__context__, OSError) else error
        raise OSError(
            f"{folder}: this checkpoint could not be written ({reason}); make room for it, then"
            + (f" go on from the one before with {HOW_TO_GO_ON}" if checkpoints(folder.parent) else " begin again")
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def load_checkpoint(folder: Path, model: nn.Module) -> dict[str, Any]:
    """Put the checkpoint's tensors into `model`, and return the state that was saved with them."""
    path = folder / STATE_FILE
    if not path.is_file():
        raise ResumeError(f"{folder}: no {STATE_FILE} there, so no run can go on from it")
    with _damage_named(path):
        with zipfile.ZipFile(path) as archive:  # PyTorch writes check sums into it, but does not look at them
            if damaged := archive.testzip():
                raise ResumeError(f"the check sum of {damaged} in it is wrong")
        state = torch.load(path, map_location="cpu", weights_only=True)
        tensors = state.pop("model")
        digest, place = state.pop("weights_sha256", None), state.pop("place_in_weights", {})
    if digest:
        with _damage_named(folder / WEIGHTS_FILE):
            if _sha256(folder / WEIGHTS_FILE) != digest:
                raise ResumeError("its check sum is wrong")
            held = load_file(folder / WEIGHTS_FILE)
        tensors |= {name: held[other] for name, other in place.items()}
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise ResumeError(
            f"{path}: written from another model; go on with the model, and the text, that the run began with"
        ) from error
    return state


@contextlib.contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """What goes wrong inside means that the file is damaged."""
    try:
        yield
    except Exception as error:  # torch.load raises almost any type on a broken file
        reason = " ".join(str(error).split())[:300]
        raise DamagedCheckpointError(f"{path}: damaged ({reason}); take the checkpoint before it") from error


def load_last_checkpoint(output_dir: Path, model: nn.Module) -> tuple[Path, dict[str, Any]]:
    """The last checkpoint in a folder that is not damaged, and what `load_checkpoint` returns for it.

    Says so when that is not the last one. Raises `ResumeError` when there is none.
    """
    found = checkpoints(output_dir)
    if not found:
        raise ResumeError(f"{output_dir}: no checkpoint there to resume from; start a new run")
    while len(found) > 1:
        folder = found.pop()
        try:
            return folder, load_checkpoint(folder, model)
        except DamagedCheckpointError as error:
            warnings.warn(f"{error}: going on from {found[-1]}", stacklevel=2)
    return found[0], load_checkpoint(found[0], model)


def check_same_run(folder: Path, was: dict[str, Any] | None, now: dict[str, Any]) -> None:
    """Raise `ResumeError`, naming what differs, if a checkpoint's run was set up otherwise than the one that goes on.

    Args:
        was, now: what makes it the same run: with other numbers it would see examples twice, or never.
    """
    if was is None:
        raise ResumeError(f"{folder}: written by an earlier minibert, whose runs this one cannot go on with")
    other = [f"{name}: was {was.get(name)}, is {now.get(name)}" for name in was | now if was.get(name) != now.get(name)]
    if other:
        raise ResumeError(
            f"{folder}: its run began otherwise ({'; '.join(other)}); go on with the numbers and the data"
            " that it began with, or start a new run"
        )


def checkpoints(output_dir: Path) -> list[Path]:
    """The whole checkpoints in a folder, in the order in which they were written.

    Not in that of their steps: a new run must not take those of an earlier, longer one for its own.
    """
    found = [folder for folder in output_dir.glob("checkpoint-*") if _NAME.fullmatch(folder.name)]
    written = [folder for folder in found if (folder / STATE_FILE).is_file()]
    return sorted(written, key=lambda folder: (_order(folder), int(folder.name.partition("-")[2])))


def prune(output_dir: Path, limit: int, keep: Path | None) -> None:
    """Remove the oldest checkpoints until `limit` are left, besides `keep`."""
    kept = keep and keep.resolve()
    for folder in [c for c in checkpoints(output_dir) if c.resolve() != kept][:-limit]:
        _remove(folder)


def _order(folder: Path) -> int:
    """As how many-th a checkpoint was written; 0 where nothing says so."""
    try:
        return int((folder / ORDER_FILE).read_text())
    except (OSError, ValueError):
        return 0


def _temporary(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.tmp")


def _split(tensors: dict[str, Tensor], weights: Path) -> dict[str, Any]:
    """Of a model's tensors, those that its own file does not hold to the last bit; of the others, their names there.

    Tied tensors are one in that file. The check sum tells whether it is still the same.
    """
    if not weights.is_file():
        return {"model": tensors, "place_in_weights": {}, "weights_sha256": None}
    held = load_file(weights)
    place = {name: name for name, tensor in tensors.items() if name in held and _same(held[name], tensor)}
    named = {(tensors[name].data_ptr(), tensors[name].shape): name for name in place}
    for name, tensor in tensors.items():
        if name not in held and (other := named.get((tensor.data_ptr(), tensor.shape))):
            place[name] = other
    rest = {name: tensor for name, tensor in tensors.items() if name not in place}
    return {"model": rest, "place_in_weights": place, "weights_sha256": _sha256(weights)}


def _same(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and torch.equal(a, b.cpu())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_state(path: Path, state: dict[str, Any]) -> None:
    with path.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())


def _remove(folder: Path) -> None:
    """Remove a checkpoint if it is there; it loses its name first, so that no half of it is taken for one."""
    if folder.exists():
        nameless = _temporary(folder.with_name(f"{folder.name}.old"))
        folder.rename(nameless)
        shutil.rmtree(nameless)

"""The files of a checkpoint: read safely, and written so that a kill cannot hurt.

This file knows names and tensors, and no module. Weights are read with `safetensors`, with
`torch.load(weights_only=True)`, or as TensorFlow's plain tables: nothing a checkpoint contains is ever executed.
"""

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from minibert.checkpoint.tensorflow import data_files, read_tensorflow

# In order of preference: a format that cannot hold code comes before one that could.
WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "bert_model.ckpt.index",
)


# How git-lfs's pointers begin.
LFS_POINTER = b"version https://git-lfs"


class CheckpointError(ValueError):
    """A checkpoint that cannot be found, read or used; the message names the file, the key and the remedy."""


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises `CheckpointError` when `path` holds anything else."""
    _refuse_pointer(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, no JSON, a number of 5,000 digits
        raise CheckpointError(f"{path}: expected a JSON file, but it cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected a JSON object {{...}}, found {type(content).__name__}")
    return content


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors behind `path`, one of `WEIGHT_FILES`, by the names they have in the file.

    Tensors of safetensors files are memory-mapped: they take memory only when they are touched.
    """
    if path.name.endswith(".index.json"):
        return _read_shards(path)
    return _read_file(path)


def companions(path: Path) -> list[str]:
    """The names of the files that must lie beside `path`, one of `WEIGHT_FILES`: the shards of an index."""
    if path.name.endswith(".index.json"):
        return shard_names(path)
    return _tensorflow(data_files, path) if path.suffix == ".index" else []


def shard_names(index_path: Path) -> list[str]:
    """The shard files that an index names, each a plain file name (an index must not point elsewhere)."""
    weight_map = read_json(index_path).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise CheckpointError(f"{index_path}: expected a 'weight_map' from tensor names to file names")
    shards = sorted(set(weight_map.values()))
    for shard in shards:
        if shard in ("", ".", "..") or Path(shard).name != shard or "\\" in shard:
            raise CheckpointError(f"{index_path}: shard {shard!r} must be a plain file name inside the folder")
    return shards


def _read_shards(index_path: Path) -> dict[str, Tensor]:
    expected: dict[str, str] = {}
    tensors: dict[str, Tensor] = {}
    for shard in shard_names(index_path):
        path = index_path.parent / shard
        if not path.is_file():
            raise CheckpointError(f"{index_path}: shard {shard} is missing; download the checkpoint again")
        # In the hub's cache all of them are links, to files that lie beside each other.
        if path.resolve().parent not in (index_path.parent.resolve(), index_path.resolve().parent):
            raise CheckpointError(f"{index_path}: shard {shard} is a link out of the folder; put the file itself there")
        for key, tensor in _read_file(path).items():
            if key in tensors:
                raise CheckpointError(f"{path}: tensor {key!r} is also in shard {expected[key]}")
            tensors[key], expected[key] = tensor, shard
    for key, shard in read_json(index_path)["weight_map"].items():
        if expected.get(key) != shard:
            raise CheckpointError(f"{index_path}: tensor {key!r} is not in shard {shard}, where the index puts it")
    return tensors


def _refuse_pointer(path: Path) -> None:
    """Raise `CheckpointError` for what git leaves in the place of a large file that was not fetched."""
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(LFS_POINTER)) == LFS_POINTER:
                raise CheckpointError(
                    f"{path}: this is git-lfs's pointer to the file, not the file; run `git lfs pull` in its folder"
                )


def _read_file(path: Path) -> dict[str, Tensor]:
    _refuse_pointer(path)
    if path.suffix == ".index":
        return _tensorflow(read_tensorflow, path)
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no iterator)
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file: {error}") from error


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        # Memory-mapping needs the zip format that torch has written since 1.6; older files are read whole.
        tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except Exception as error:  # torch.load raises almost any type on a file that is not its own
        raise CheckpointError(f"{path}: not a file of plain tensors, refused: {_why_refused(error)}") from error
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise CheckpointError(f"{path}: expected a dictionary of tensors; save model.state_dict(), not the model")
    return tensors


def _why_refused(error: Exception) -> str:
    """The reason that `torch.load` gives, without its advice, which would execute what the file contains."""
    message = str(error).strip()
    if "weights_only" not in message and "Weights only" not in message:
        return message.split("\n")[0]
    foreign = re.search(r"GLOBAL ([\w.]+)", message)
    what = f"it refers to {foreign[1]}" if foreign else "it holds more than tensors"
    return f"{what}, and nothing that a file contains is executed here; save model.state_dict() anew"


def _tensorflow(read: Callable[[Path], Any], path: Path) -> Any:
    try:
        return read(path)
    except (ValueError, OSError, RuntimeError) as error:
        raise CheckpointError(f"{path}: not a readable checkpoint of TensorFlow: {error}") from error


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write a safetensors file whole or not at all. Tensors must not share memory with each other."""
    # safetensors wants plain memory of the tensor's own; "format" is what transformers looks for.
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with written_whole(path) as temporary:
        save_file(plain, temporary, metadata={"format": "pt"})


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary sibling of `path` that takes its place when the block ends, and vanishes when it fails.

    At every moment `path` is either what it was or what it will be: a kill leaves the last good file. Raises `OSError`
    naming `path` if it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.touch()
        usual_mode = temporary.stat().st_mode
        yield temporary
        temporary.chmod(usual_mode)  # safetensors makes its files unreadable for everyone but their owner
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:  # of a full disk safetensors speaks with an error of its own
        raise OSError(f"{path}: cannot be written ({getattr(error, 'strerror', None) or error})") from error
    finally:
        temporary.unlink(missing_ok=True)

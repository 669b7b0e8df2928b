"""Checkpoint files: every format reads the same, nothing in them is executed, and writing is all or nothing."""

import json
import os
import pickle
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from minibert.checkpoint.files import (
    CheckpointError,
    read_json,
    read_tensors,
    write_tensors,
    write_text,
    written_whole,
)

TENSORS = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor([1.5, -2.5], dtype=torch.bfloat16), "c": torch.ones(1)}
SHARDS = {"a": 1, "b": 1, "c": 2}  # which of two shards holds which tensor


def write_sharded(folder: Path, extension: str, shards: dict[str, int] = SHARDS) -> Path:
    """`TENSORS` in two shards and an index, and the index's path."""
    stem = {"safetensors": "model", "bin": "pytorch_model"}[extension]
    save = {"safetensors": save_file, "bin": torch.save}[extension]
    names = {number: f"{stem}-0000{number}-of-00002.{extension}" for number in (1, 2)}
    for number, name in names.items():
        save({key: TENSORS[key] for key, shard in shards.items() if shard == number}, folder / name)
    index = folder / f"{stem}.{extension}.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": {key: names[n] for key, n in shards.items()}}))
    return index


def point_to(index: Path, key: str, shard: str) -> None:
    """Let an index say that `key` is in the file `shard`."""
    content = json.loads(index.read_text())
    content["weight_map"][key] = shard
    index.write_text(json.dumps(content))


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor] = TENSORS) -> None:
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        assert found[key].dtype == tensor.dtype and torch.equal(found[key], tensor), key


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.endswith(".tmp")]


# --- reading


def test_reads_what_it_wrote(tmp_path: Path):
    path = tmp_path / "new" / "model.safetensors"
    write_tensors(path, TENSORS)
    assert_equal(read_tensors(path))


@pytest.mark.parametrize("old_format", [False, True])
def test_reads_bin(tmp_path: Path, old_format: bool):
    path = tmp_path / "pytorch_model.bin"
    torch.save(TENSORS, path, _use_new_zipfile_serialization=not old_format)
    assert_equal(read_tensors(path))


@pytest.mark.parametrize("extension", ["safetensors", "bin"])
def test_reads_shards(tmp_path: Path, extension: str):
    assert_equal(read_tensors(write_sharded(tmp_path, extension)))


# --- refusing


class Bomb:
    """Leaves a file behind when it is unpickled by anything that executes what it reads."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return (Path.touch, (self.trace,))


@pytest.mark.parametrize("old_format", [False, True])
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path, old_format: bool):
    path, trace = tmp_path / "pytorch_model.bin", tmp_path / "executed"
    torch.save({"a": TENSORS["a"], "b": Bomb(trace)}, path, _use_new_zipfile_serialization=not old_format)
    with pytest.raises(CheckpointError, match="pytorch_model.bin: not a file of plain tensors, refused"):
        read_tensors(path)
    assert not trace.exists()
    torch.load(path, weights_only=False)
    assert trace.exists(), "the bomb must be one, or this test proves nothing"


def test_a_whole_model_in_a_bin_is_refused(tmp_path: Path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="not a file of plain tensors, refused"):
        read_tensors(tmp_path / "pytorch_model.bin")


@pytest.mark.parametrize("content", [[torch.ones(2)], {"state_dict": {"a": torch.ones(2)}}])
def test_a_bin_of_another_structure_is_refused(tmp_path: Path, content):
    torch.save(content, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"expected a dictionary of tensors; save model\.state_dict\(\)"):
        read_tensors(tmp_path / "pytorch_model.bin")


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("kept", [0, 3, 20, -4])
def test_truncated_weights_are_refused(tmp_path: Path, name: str, kept: int):
    path = tmp_path / name
    (save_file if name.endswith("safetensors") else torch.save)(TENSORS, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=name):
        read_tensors(path)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_other_files_are_refused(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(CheckpointError, match=name):
        read_tensors(tmp_path / name)
    (tmp_path / name).write_bytes(pickle.dumps({"a": 1}, protocol=2))
    with pytest.raises(CheckpointError, match=name):
        read_tensors(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"{", b"{'a': 1}", b"\xff\xfe{}", b"[" * 100_000])
def test_json_garbage_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match="config.json: expected a JSON file, but it cannot be read"):
        read_json(tmp_path / "config.json")


def test_json_of_another_type_is_refused(tmp_path: Path):
    (tmp_path / "config.json").write_text("[1, 2]")
    with pytest.raises(CheckpointError, match=r"config.json: expected a JSON object \{...\}, found list"):
        read_json(tmp_path / "config.json")


@pytest.mark.parametrize("content", ["{}", '{"weight_map": []}', '{"weight_map": {"a": 1}}'])
def test_an_index_without_a_weight_map_is_refused(tmp_path: Path, content: str):
    (tmp_path / "model.safetensors.index.json").write_text(content)
    with pytest.raises(CheckpointError, match="index.json: expected a 'weight_map'"):
        read_tensors(tmp_path / "model.safetensors.index.json")


@pytest.mark.parametrize("extension", ["safetensors", "bin"])
@pytest.mark.parametrize("shard", ["../{0}", "sub/{0}", "{1}/{0}", "..", ".", "", "..\\{0}"])
def test_an_index_cannot_point_elsewhere(tmp_path: Path, extension: str, shard: str):
    folder = tmp_path / "checkpoint"
    (folder / "sub").mkdir(parents=True)
    outside = f"other.{extension}"
    for place in (tmp_path, folder / "sub"):  # were it followed, it would be found
        (save_file if extension == "safetensors" else torch.save)({"c": TENSORS["c"]}, place / outside)
    index = write_sharded(folder, extension)
    point_to(index, "c", shard.format(outside, tmp_path))
    with pytest.raises(CheckpointError, match="must be a plain file name inside the folder"):
        read_tensors(index)


def test_an_index_that_names_itself_is_refused(tmp_path: Path):
    index = write_sharded(tmp_path, "safetensors")
    point_to(index, "c", index.name)
    with pytest.raises(CheckpointError, match="index.json"):
        read_tensors(index)


@pytest.mark.parametrize("extension", ["safetensors", "bin"])
def test_a_missing_shard_is_named(tmp_path: Path, extension: str):
    index = write_sharded(tmp_path, extension)
    next(tmp_path.glob(f"*-00002-of-00002.{extension}")).unlink()
    with pytest.raises(CheckpointError, match=f"shard .*-00002-of-00002.{extension} is missing; download"):
        read_tensors(index)


def test_a_tensor_in_two_shards_is_named(tmp_path: Path):
    index = write_sharded(tmp_path, "safetensors")
    save_file({"c": TENSORS["c"], "a": TENSORS["a"]}, tmp_path / "model-00002-of-00002.safetensors")
    with pytest.raises(CheckpointError, match="00002.safetensors: tensor 'a' is also in shard model-00001"):
        read_tensors(index)


def test_a_tensor_that_is_not_where_the_index_says_is_named(tmp_path: Path):
    index = write_sharded(tmp_path, "safetensors")
    save_file({"d": TENSORS["c"]}, tmp_path / "model-00002-of-00002.safetensors")
    with pytest.raises(CheckpointError, match="tensor 'c' is not in shard model-00002"):
        read_tensors(index)


# --- writing


def test_writes_views_and_transposed_tensors(tmp_path: Path):
    matrix = torch.arange(12.0).view(3, 4)
    tensors = {"transposed": matrix.t(), "part": torch.arange(10.0)[3:5], "trained": torch.ones(2, requires_grad=True)}
    write_tensors(tmp_path / "model.safetensors", tensors)
    assert_equal(read_tensors(tmp_path / "model.safetensors"), {k: t.detach() for k, t in tensors.items()})


def test_changing_what_was_read_leaves_the_file_alone(tmp_path: Path):
    for path in (tmp_path / "model.safetensors", tmp_path / "pytorch_model.bin"):
        (save_file if path.suffix == ".safetensors" else torch.save)(TENSORS, path)
        for tensor in read_tensors(path).values():
            tensor.add_(1)
        assert_equal(read_tensors(path))


def test_a_file_can_be_replaced_while_its_tensors_are_in_use(tmp_path: Path):
    path = tmp_path / "model.safetensors"
    write_tensors(path, TENSORS)
    mapped = read_tensors(path)
    write_tensors(path, {key: tensor + 1 for key, tensor in mapped.items()})
    assert_equal(mapped)
    write_tensors(path, mapped)
    assert_equal(read_tensors(path))


def test_written_files_have_the_usual_permissions(tmp_path: Path):
    write_tensors(tmp_path / "model.safetensors", TENSORS)
    write_text(tmp_path / "config.json", "{}")
    (tmp_path / "usual").touch()
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


@pytest.mark.parametrize(
    "write", [lambda path: write_tensors(path, {"a": torch.ones(9999)}), lambda path: write_text(path, "a" * 9999)]
)
def test_a_file_for_which_there_is_no_room_is_named(tmp_path, write):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match=r"a\.file: cannot be written \(.*File too large"):
            write(tmp_path / "a.file")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_failed_write_leaves_the_last_good_file(tmp_path: Path, failure: type[BaseException]):
    path = tmp_path / "file"
    write_text(path, "old")
    with pytest.raises(failure), written_whole(path) as temporary:
        temporary.write_text("half of the ne")
        raise failure
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["file"]


def test_a_failed_first_write_leaves_nothing(tmp_path: Path):
    with pytest.raises(CheckpointError), written_whole(tmp_path / "file"):
        raise CheckpointError("no")
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_written_leaves_the_last_good_weights(tmp_path: Path):
    path = tmp_path / "model.safetensors"
    write_tensors(path, TENSORS)
    with pytest.raises(RuntimeError, match="share memory"):
        write_tensors(path, {"a": TENSORS["a"], "b": TENSORS["a"]})
    assert_equal(read_tensors(path))
    assert not leftovers(tmp_path)


def test_a_kill_while_writing_leaves_the_last_good_file(tmp_path: Path):
    path = tmp_path / "file"
    write_text(path, "old")
    half_written = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from minibert.checkpoint.files import written_whole\n"
        "with written_whole(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half of the ne')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", half_written, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    write_text(path, "new")  # what the killed process left does not stand in the way
    assert path.read_text() == "new"


def test_a_pointer_of_git_lfs_is_recognised(tmp_path):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 440449768\n"
    for name, read in (("model.safetensors", read_tensors), ("pytorch_model.bin", read_tensors), ("x.json", read_json)):
        (tmp_path / name).write_text(pointer)
        with pytest.raises(CheckpointError, match=f"{name}: this is git-lfs's pointer .* run `git lfs pull`"):
            read(tmp_path / name)


class Foreign:
    """Not a tensor."""


@pytest.mark.parametrize("content", [{"weight": torch.zeros(2), "more": Foreign()}, torch.nn.Linear(2, 2)])
def test_advice_that_would_run_code_is_not_passed_on(content, tmp_path):
    torch.save(content, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="nothing that a file contains is executed here") as raised:
        read_tensors(tmp_path / "pytorch_model.bin")
    message = str(raised.value)
    assert "weights_only" not in message and "safe_globals" not in message and "\n" not in message

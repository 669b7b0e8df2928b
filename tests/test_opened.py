"""From names to files, as far as it goes without a network: folders, shipped checkpoints, the hub's cache."""

import shutil
from pathlib import Path

import pytest

from minibert import BertConfig
from minibert.checkpoint import opened
from minibert.checkpoint.files import WEIGHT_FILES, CheckpointError, write_text
from minibert.checkpoint.opened import Checkpoint, local_folder

NAME = "someone/some-bert"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TENSORFLOW = Path(__file__).parent / "data" / "tensorflow_bert"


def cached(cache: Path, name: str, files: dict[str, str]) -> Path:
    """Put a repository into a hub cache, as a download would; returns its folder of files."""
    repository = cache / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / COMMIT
    write_text(repository / "refs" / "main", COMMIT)
    for file, content in files.items():
        write_text(snapshot / file, content)
    return snapshot


@pytest.fixture
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- folders


def test_a_folder_gives_those_files_that_it_has(tmp_path: Path):
    for name in ("config.json", "vocab.txt", "notes.txt"):
        (tmp_path / name).touch()
    files = Checkpoint.open(tmp_path).paths(["config.json", "tokenizer.json", "vocab.txt"])
    assert files == {"config.json": tmp_path / "config.json", "vocab.txt": tmp_path / "vocab.txt"}
    assert Checkpoint.open(str(tmp_path)).paths(["config.json"]) == {"config.json": tmp_path / "config.json"}


@pytest.mark.parametrize("name", ["bert-base-uncased", "google-bert/bert-base-uncased"])
def test_a_folder_called_like_a_hub_name_wins(in_tmp: Path, name: str):
    cached(in_tmp / "cache", name, {"config.json": "the hub's"})
    write_text(in_tmp / name / "config.json", "ours")
    (file,) = Checkpoint.open(name, cache_dir=in_tmp / "cache").paths(["config.json"]).values()
    assert file.read_text() == "ours"


def test_a_folder_called_like_a_hub_name_wins_even_if_it_lacks_the_file(in_tmp: Path):
    cached(in_tmp / "cache", NAME, {"config.json": "the hub's"})
    (in_tmp / NAME).mkdir(parents=True)
    assert Checkpoint.open(NAME, cache_dir=in_tmp / "cache").paths(["config.json"]) == {}


def test_a_folder_wins_over_a_shipped_checkpoint(in_tmp: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(opened, "SHIPPED", in_tmp / "shipped")
    write_text(in_tmp / "shipped" / "tiny" / "config.json", "shipped")
    assert local_folder("tiny") == in_tmp / "shipped" / "tiny"
    (in_tmp / "tiny").mkdir()
    assert local_folder("tiny") == Path("tiny")


@pytest.mark.parametrize("name", ["..", ".", "../outside", "tiny/inner", "", "absent"])
def test_nothing_but_a_shipped_checkpoints_name_is_one(in_tmp: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setattr(opened, "SHIPPED", in_tmp / "deep" / "shipped")
    (in_tmp / "deep" / "shipped" / "tiny" / "inner").mkdir(parents=True)
    (in_tmp / "deep" / "outside").mkdir()
    found = local_folder(name)
    assert found is None or found == Path(name), "a folder relative to where we are, or nothing"


def test_a_folders_weights(tmp_path: Path):
    with pytest.raises(CheckpointError, match="no weights found; expected one of model.safetensors, "):
        Checkpoint.open(tmp_path).weights()
    for name in reversed(WEIGHT_FILES):
        if name.endswith("ckpt.index"):
            shutil.copy(TENSORFLOW / name, tmp_path)
        else:
            write_text(tmp_path / name, '{"weight_map": {}}')
        assert Checkpoint.open(tmp_path).weights() == tmp_path / name


def test_a_file_is_not_a_folder(tmp_path: Path):
    write_text(tmp_path / "config.json", "{}")
    with pytest.raises(CheckpointError, match="not a folder here, and not a name on the hub either"):
        Checkpoint.open(tmp_path / "config.json").paths(["config.json"])


# --- the hub, without asking it


@pytest.mark.parametrize("name", ["/no/such/folder", "a/b/c", "no such name", "--"])
def test_what_cannot_be_a_name_on_the_hub(in_tmp: Path, name: str):
    with pytest.raises(CheckpointError, match="is not a folder here, and not a name on the hub either"):
        Checkpoint.open(name, cache_dir=in_tmp).paths(["config.json"])


@pytest.mark.parametrize("where", [{}, {"local_files_only": True}])
def test_a_cold_cache_without_network(in_tmp: Path, where: dict):
    expected = f"'{NAME}' is not a folder here, it is not in the hub cache, .* go online once, or pass a folder"
    with pytest.raises(CheckpointError, match=expected):
        Checkpoint.open(NAME, cache_dir=in_tmp, **where).paths(["config.json"])
    with pytest.raises(CheckpointError, match=expected):
        BertConfig.from_pretrained(NAME, cache_dir=in_tmp, **where)
    with pytest.raises(CheckpointError, match=expected):
        Checkpoint.open(NAME, cache_dir=in_tmp, **where).weights()


def test_a_warm_cache_needs_no_network(in_tmp: Path):
    snapshot = cached(in_tmp, NAME, {"config.json": "{}", "model.safetensors": "weights"})
    assert Checkpoint.open(NAME, cache_dir=in_tmp).paths(["config.json", "vocab.txt"]) == {
        "config.json": snapshot / "config.json"
    }
    assert Checkpoint.open(NAME, cache_dir=in_tmp).weights() == snapshot / "model.safetensors"
    assert Checkpoint.open(NAME, cache_dir=in_tmp, revision=COMMIT).weights() == snapshot / "model.safetensors"


def test_an_unknown_revision_is_not_in_a_warm_cache(in_tmp: Path):
    cached(in_tmp, NAME, {"config.json": "{}"})
    with pytest.raises(CheckpointError, match="it is not in the hub cache"):
        Checkpoint.open(NAME, cache_dir=in_tmp, revision="v9").paths(["config.json"])


def test_a_cached_checkpoint_with_a_bin_alone_loads_offline(in_tmp: Path):
    snapshot = cached(in_tmp, NAME, {"config.json": "{}", "pytorch_model.bin": "weights"})
    assert Checkpoint.open(NAME, cache_dir=in_tmp).weights() == snapshot / "pytorch_model.bin"


def test_cached_shards_lie_beside_their_index(in_tmp: Path):
    index = '{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}'
    files = {"model.safetensors.index.json": index, "model-1.safetensors": "1", "model-2.safetensors": "2"}
    snapshot = cached(in_tmp, NAME, {"config.json": "{}", **files})
    assert Checkpoint.open(NAME, cache_dir=in_tmp).weights() == snapshot / "model.safetensors.index.json"

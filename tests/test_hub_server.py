"""The hub, through the real client library and a server that behaves like it: what is asked, fetched and said."""

import contextlib
import time
from pathlib import Path

import pytest
from checkpoints import assert_equal_tensors, warnings_in
from hub_look_alike import Hub, client_settings, running_hub
from reference import reference_model
from reference_tokenizer import vocab_path

from minibert import BertModel, BertTokenizer, pipeline
from minibert.checkpoint.files import CheckpointError
from minibert.checkpoint.opened import SHIPPED, Checkpoint

NAME = "someone/some-bert"
FILES = {"config.json": b"{}", "model.safetensors": b"weights" * 1000, "vocab.txt": b"[PAD]"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that the reference wrote."""
    folder = tmp_path_factory.mktemp("made")
    reference_model("BertModel").save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def server(made: Path, tmp_path_factory: pytest.TempPathFactory):
    with running_hub(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture
def hub(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """An empty hub, a cold cache, and no folder that is called like a checkpoint."""
    monkeypatch.chdir(tmp_path)
    server.reset()
    return server


def settings_of(hub: Hub, **changes: str) -> dict[str, str]:
    """The client's environment, with changes."""
    return {"HF_ENDPOINT": hub.url, "HF_HOME": str(hub.home), **changes}


def contents(paths: dict[str, Path]) -> dict[str, bytes]:
    return {name: path.read_bytes() for name, path in paths.items()}


def is_one_line(raised) -> bool:
    return "\n" not in str(raised.value)


# --- downloading


def test_a_model_and_its_tokenizer_by_name(hub: Hub, made: Path):
    files = {path.name: path.read_bytes() for path in made.iterdir()}
    hub.add(
        NAME, {**files, "vocab.txt": vocab_path("uncased").read_bytes(), "pytorch_model.bin": b"", "README.md": b""}
    )
    model, tokenizer = BertModel.from_pretrained(NAME), BertTokenizer.from_pretrained(NAME)
    assert_equal_tensors(model.state_dict(), BertModel.from_pretrained(made).state_dict())
    assert tokenizer("the dog") == BertTokenizer(vocab_path("uncased"))("the dog")
    assert hub.fetched() == ["config.json", "model.safetensors", "vocab.txt"]

    hub.requests.clear()
    BertModel.from_pretrained(NAME)
    assert hub.fetched() == [], "the second time they come from the cache"


def test_a_pipeline_asks_once_what_there_is(hub: Hub, tmp_path: Path):
    folder = SHIPPED / "minibert-tiny"
    hub.add(NAME, {path.name: path.read_bytes() for path in folder.iterdir()})
    found = pipeline("fill-mask", NAME, precision="fp32")("A list is a mutable [MASK].")
    assert found == pipeline("fill-mask", folder, precision="fp32")("A list is a mutable [MASK].")
    assert [request for request in hub.requests if "/api/" in f"/{request.split()[1]}"] == [f"GET api/models/{NAME}"]
    assert sorted(set(hub.fetched())) == ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    assert len(hub.fetched()) == 4


def test_all_parts_come_from_the_commit_that_was_listed(hub: Hub):
    repository = hub.add(NAME, {"config.json": b"old", "vocab.txt": b"old"})
    listed = Checkpoint.open(NAME)
    old = repository.commit("main")
    repository.revisions = {old: repository.revisions["main"], "main": {"config.json": b"new", "vocab.txt": b"new"}}
    repository.commit = lambda revision: {"main": "0" * 40}.get(revision, revision)
    repository.files = lambda commit: repository.revisions["main" if commit == "0" * 40 else commit]
    assert contents(listed.paths(["config.json", "vocab.txt"])) == {"config.json": b"old", "vocab.txt": b"old"}
    assert contents(Checkpoint.open(NAME).paths(["config.json"])) == {"config.json": b"new"}


@pytest.mark.parametrize(
    "there, needed",
    [
        (["model.safetensors", "pytorch_model.bin", "tf_model.h5"], ["model.safetensors"]),
        (["pytorch_model.bin", "flax_model.msgpack"], ["pytorch_model.bin"]),
        (
            ["model.safetensors.index.json", "a", "b", "c", "pytorch_model.bin"],
            ["model.safetensors.index.json", "a", "b"],
        ),
        (["pytorch_model.bin.index.json", "a", "b", "c"], ["pytorch_model.bin.index.json", "a", "b"]),
    ],
)
def test_only_what_is_needed_is_downloaded(hub: Hub, there: list[str], needed: list[str]):
    index = b'{"weight_map": {"x": "a", "y": "b", "z": "a"}}'
    hub.add(NAME, {name: index if name.endswith(".json") else name.encode() for name in there})
    path = Checkpoint.open(NAME).weights()
    assert path.name == needed[0] and hub.fetched() == needed
    assert all((path.parent / name).is_file() for name in needed)


def test_a_repository_without_weights(hub: Hub):
    hub.add(NAME, {"config.json": b"{}", "tf_model.h5": b""})
    with pytest.raises(CheckpointError, match=f"{NAME}: no weights found on the hub; expected one of model.safe"):
        Checkpoint.open(NAME).weights()
    assert Checkpoint.open(NAME).paths(["vocab.txt"]) == {} and Checkpoint.open(NAME).first(["vocab.txt"]) is None


def test_a_missing_shard_on_the_hub(hub: Hub):
    hub.add(NAME, {"model.safetensors.index.json": b'{"weight_map": {"x": "a", "y": "b"}}', "a": b"a"})
    with pytest.raises(CheckpointError, match=f"'{NAME}': b could not be fetched from the hub"):
        Checkpoint.open(NAME).weights()


# --- where: revision, cache_dir, token


def test_a_branch_a_tag_and_a_commit(hub: Hub):
    repository = hub.add(NAME, {"config.json": b"main"})
    repository.revisions |= {"dev/1": {"config.json": b"branch"}, "v1.0": {"config.json": b"tag"}}
    asked = {None: b"main", "main": b"main", "dev/1": b"branch", "v1.0": b"tag", repository.commit("v1.0"): b"tag"}
    for revision, expected in asked.items():
        assert contents(Checkpoint.open(NAME, revision=revision).paths(["config.json"])) == {"config.json": expected}
    with pytest.raises(CheckpointError, match=f"'{NAME}' has no revision 'v9' on the hub; check revision=") as raised:
        Checkpoint.open(NAME, revision="v9").paths(["config.json"])
    assert is_one_line(raised)


def test_a_branch_that_moved_is_downloaded_anew(hub: Hub):
    hub.add(NAME, {"config.json": b"old"})
    assert Checkpoint.open(NAME).first(["config.json"]).read_bytes() == b"old"
    hub.repositories[NAME].commit = lambda _: "0" * 40
    hub.repositories[NAME].files = lambda _: {"config.json": b"new"}
    assert Checkpoint.open(NAME).first(["config.json"]).read_bytes() == b"new"


def test_the_cache_lies_where_it_is_wanted(hub: Hub, tmp_path: Path):
    hub.add(NAME, FILES)
    assert hub.home in Checkpoint.open(NAME).first(["config.json"]).parents
    assert tmp_path / "mine" in Checkpoint.open(NAME, cache_dir=tmp_path / "mine").first(["config.json"]).parents


def test_a_private_repository_needs_its_token(hub: Hub):
    hub.add(NAME, FILES, token="secret")
    for token in (None, "wrong"):
        with pytest.raises(CheckpointError, match="the hub has no such repository; .*a private one needs token="):
            Checkpoint.open(NAME, token=token).weights()
    assert Checkpoint.open(NAME, token="secret").weights().read_bytes() == FILES["model.safetensors"]


def test_a_gated_repository_says_what_to_do(hub: Hub):
    hub.add(NAME, FILES, token="admitted", gated=True)
    with pytest.raises(CheckpointError, match=f"'{NAME}': it is gated: accept its conditions .* or pass token="):
        Checkpoint.open(NAME).weights()
    assert Checkpoint.open(NAME, token="admitted").weights().is_file()


def test_token_true_without_a_saved_one(hub: Hub):
    hub.add(NAME, FILES)
    with pytest.raises(CheckpointError, match="the hub could not be asked .*[Tt]oken") as raised:
        Checkpoint.open(NAME, token=True).weights()
    assert is_one_line(raised)


# --- what is not there


@pytest.mark.parametrize("name", ["bert-base-uncasd", "runs/pretrain"])
def test_a_mistyped_name(hub: Hub, name: str):
    expected = f"'{name}' is not a folder here, it is not in the hub cache, and the hub has no such repository; check"
    with pytest.raises(CheckpointError, match=expected) as raised:
        BertModel.from_pretrained(name)
    assert is_one_line(raised) and len(hub.requests) == 1


def test_a_deleted_repository_still_comes_from_the_cache(hub: Hub):
    hub.add(NAME, FILES)
    Checkpoint.open(NAME).weights()
    del hub.repositories[NAME]
    assert Checkpoint.open(NAME).weights().read_bytes() == FILES["model.safetensors"]


# --- without network

NO_NETWORK = {
    "local_files_only": ({}, {"local_files_only": True}, r"may not be asked \(local_files_only\)"),
    "offline": ({"HF_HUB_OFFLINE": "1"}, {}, r"may not be asked \(HF_HUB_OFFLINE\)"),
    "nobody answers": ({"HF_ENDPOINT": "http://127.0.0.1:9"}, {}, r"could not be asked \(.*refused\)"),
}


@pytest.mark.parametrize("environment, where, why", NO_NETWORK.values(), ids=NO_NETWORK)
def test_a_warm_cache_and_no_network(hub: Hub, environment: dict, where: dict, why: str):
    hub.add(NAME, {**FILES, "pytorch_model.bin": b"never fetched"})
    warm = {**Checkpoint.open(NAME).paths(["config.json", "vocab.txt"]), "weights": Checkpoint.open(NAME).weights()}
    hub.requests.clear()
    with client_settings(**settings_of(hub, **environment)):
        found = Checkpoint.open(NAME, **where).paths(["config.json", "tokenizer.json", "vocab.txt"])
        assert {**found, "weights": Checkpoint.open(NAME, **where).weights()} == warm
        commit = warm["weights"].parent.name
        assert Checkpoint.open(NAME, revision=commit, **where).weights() == warm["weights"]
    assert hub.requests == []


@pytest.mark.parametrize("environment, where, why", NO_NETWORK.values(), ids=NO_NETWORK)
def test_a_cold_cache_and_no_network(hub: Hub, environment: dict, where: dict, why: str):
    hub.add(NAME, FILES)
    begin = time.monotonic()
    with client_settings(**settings_of(hub, **environment)):
        expected = f"'{NAME}' is not a folder here, it is not in the hub cache, and the hub {why}; .*or pass a folder"
        with pytest.raises(CheckpointError, match=expected) as raised:
            BertModel.from_pretrained(NAME, **where)
    assert is_one_line(raised) and hub.requests == []
    assert time.monotonic() - begin < 5, "the client library's retries take 26 s"


def test_a_cache_without_the_weights_and_no_network(hub: Hub):
    hub.add(NAME, FILES)
    Checkpoint.open(NAME).paths(["config.json"])
    expected = f"{NAME}: no weights found in the part of it that is in the hub cache, and the hub may not be asked"
    with pytest.raises(CheckpointError, match=expected):
        Checkpoint.open(NAME, local_files_only=True).weights()


def test_a_hub_in_trouble(hub: Hub, caplog):
    hub.add(NAME, FILES)
    hub.status = 503
    with pytest.raises(CheckpointError, match=r"the hub could not be asked \(.*503.*\); try again") as raised:
        Checkpoint.open(NAME).weights()
    assert is_one_line(raised)
    hub.status = None
    warm = Checkpoint.open(NAME).weights()
    hub.status = 503
    assert Checkpoint.open(NAME).weights() == warm
    assert warnings_in(caplog) == []


# --- interruptions


def test_after_a_download_that_broke_off_the_file_is_whole(hub: Hub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(time, "sleep", lambda _: None)
    hub.add(NAME, FILES)
    hub.cuts = 2
    while hub.cuts:  # newer versions of the client go on by themselves, older ones leave that to the next call
        with contextlib.suppress(CheckpointError):
            Checkpoint.open(NAME).weights()
    assert Checkpoint.open(NAME).weights().read_bytes() == FILES["model.safetensors"]
    assert hub.fetched() == ["model.safetensors"] * 3


def test_a_download_that_never_ends_well_leaves_nothing_half(hub: Hub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(time, "sleep", lambda _: None)
    hub.add(NAME, FILES)
    hub.cuts = 1000
    with pytest.raises(
        CheckpointError, match=f"'{NAME}': model.safetensors could not be fetched .*try again"
    ) as raised:
        Checkpoint.open(NAME).weights()
    assert is_one_line(raised)
    hub.cuts = 0
    with pytest.raises(CheckpointError, match="not in the hub cache"):
        Checkpoint.open(NAME, local_files_only=True).weights()
    assert Checkpoint.open(NAME).weights().read_bytes() == FILES["model.safetensors"]

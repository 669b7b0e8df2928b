"""Weights and configs made to do harm, or to mislead: refused with their names, before they take time or memory."""

import json
import resource
import shutil
import time
from pathlib import Path

import pytest
import torch
from checkpoints import rewrite, tensors_in, warnings_in
from whole_files import write_whole_files

from minibert import BertConfig, BertForPreTraining, BertModel
from minibert.checkpoint.files import CheckpointError

QUARTER_OF_A_GIGABYTE = 2**28


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A folder with the whole files, see `write_whole_files`."""
    root = tmp_path_factory.mktemp("whole")
    write_whole_files(root)
    return root


# --- weights that are none


def edit_header(folder: Path, change) -> Path:
    """Let `change` have its way with the header of a safetensors file."""
    path = folder / "model.safetensors"
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = change(json.loads(content[8 : 8 + size]))
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.unlink()
    path.write_bytes(len(header).to_bytes(8, "little") + header + content[8 + size :])
    return path


@pytest.fixture
def folder(whole, tmp_path) -> Path:
    """A checkpoint to do harm to."""
    return Path(shutil.copytree(whole / "safetensors", tmp_path / "checkpoint"))


QUERY = "bert.encoder.layer.1.attention.self.query.weight"


@pytest.mark.parametrize(
    ("lie", "value"),
    [
        ("shape", [8, 9]),
        ("shape", [2**62, 4]),
        ("shape", [2**63, 2**63]),
        ("shape", [-8, -8]),
        ("data_offsets", [0, 2**60]),
        ("data_offsets", [8, 0]),
        ("data_offsets", [0, 256]),  # where another tensor is
        ("dtype", "F64"),
        ("dtype", "PICKLE"),
    ],
)
def test_a_header_that_lies(folder, lie, value):
    path = edit_header(folder, lambda header: header | {QUERY: header[QUERY] | {lie: value}})
    with pytest.raises(CheckpointError, match="not a readable safetensors file") as error:
        BertModel.from_pretrained(folder)
    assert str(path) in str(error.value)


def test_the_same_key_twice(folder):
    """Whichever entry is believed: then nobody claims the place of the other, and that is an error."""
    other = QUERY.replace("query", "value")
    edit_header(folder, lambda header: json.dumps(header).replace(f'"{other}"', f'"{QUERY}"').encode())
    with pytest.raises(CheckpointError, match="model.safetensors: not a readable safetensors file"):
        BertModel.from_pretrained(folder)


def test_a_header_larger_than_memory(folder):
    path = folder / "model.safetensors"
    path.write_bytes((2**60).to_bytes(8, "little") + path.read_bytes()[8:])
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        BertModel.from_pretrained(folder)


@pytest.mark.parametrize("dtype", [torch.int32, torch.bool, torch.uint8, torch.float8_e4m3fn])
def test_weights_of_another_kind(folder, dtype):
    tensors = tensors_in(folder)
    rewrite(folder, tensors | {QUERY: tensors[QUERY].to(dtype)})
    with pytest.raises(CheckpointError, match=f"model.safetensors: {QUERY} must hold plain floating-point .*{dtype}"):
        BertModel.from_pretrained(folder)


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor", "ignore:TypedStorage")
@pytest.mark.parametrize("kind", ["to_sparse", "meta", "quantized"])
def test_pickled_tensors_that_are_not_plain(folder, kind):
    tensors = tensors_in(folder)
    (folder / "model.safetensors").unlink()
    odd = {
        "to_sparse": lambda x: x.to_sparse(),
        "meta": lambda x: x.to("meta"),
        "quantized": lambda x: torch.quantize_per_tensor(x, 0.1, 0, torch.qint8),
    }[kind]
    torch.save(tensors | {QUERY: odd(tensors[QUERY])}, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="pytorch_model.bin: "):
        BertModel.from_pretrained(folder)


def test_pickled_tensors_that_overlap_become_whole(folder):
    """One number that says it is a matrix: as a weight it must have memory of its own, or training would fail."""
    tensors = tensors_in(folder)
    (folder / "model.safetensors").unlink()
    torch.save(tensors | {QUERY: torch.ones(1, 1).expand(8, 8)}, folder / "pytorch_model.bin")
    weight = BertModel.from_pretrained(folder).encoder.layer[1].attention.query.weight
    assert weight.is_contiguous() and torch.equal(weight, torch.ones(8, 8))


def test_pickled_tensors_that_are_one(folder):
    """Two keys for the same memory: as weights they must part, or a step of one would be a step of both."""
    tensors = tensors_in(folder)
    (folder / "model.safetensors").unlink()
    torch.save(tensors | {QUERY: tensors[QUERY.replace("query", "value")]}, folder / "pytorch_model.bin")
    attention = BertModel.from_pretrained(folder).encoder.layer[1].attention
    assert torch.equal(attention.query.weight, attention.value.weight)
    assert attention.query.weight.data_ptr() != attention.value.weight.data_ptr()


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "auto"])
def test_numbers_that_are_none_are_named(folder, caplog, number, dtype):
    tensors = tensors_in(folder)
    for key in ("bert.embeddings.LayerNorm.bias", QUERY):
        tensors[key].view(-1)[3] = number
    rewrite(folder, tensors)
    BertForPreTraining.from_pretrained(folder, dtype=dtype)
    (warning,) = warnings_in(caplog)
    named = f"bert.embeddings.LayerNorm.bias, {QUERY}"
    assert warning == f"{folder}/model.safetensors: not all numbers are finite (NaN, infinity) in {named}"


def test_numbers_too_large_for_the_type_asked_for_are_named(folder, caplog):
    tensors = tensors_in(folder)
    tensors[QUERY][0, 0] = 1e6
    rewrite(folder, tensors)
    BertForPreTraining.from_pretrained(folder)
    assert not warnings_in(caplog)
    BertForPreTraining.from_pretrained(folder, dtype=torch.float16)
    (warning,) = warnings_in(caplog)
    assert warning.endswith(QUERY)


def test_twins_of_two_types(folder, caplog):
    """A decoder in half precision beside the word embeddings that it is tied to."""
    tensors = tensors_in(folder)
    words = tensors["bert.embeddings.word_embeddings.weight"].bfloat16()
    tensors["bert.embeddings.word_embeddings.weight"] = words.float()
    rewrite(folder, tensors | {"cls.predictions.decoder.weight": words})
    model = BertForPreTraining.from_pretrained(folder)
    assert model.config.tie_word_embeddings and not warnings_in(caplog)
    assert torch.equal(model.get_input_embeddings().weight, words.float())


# --- an index that leads astray


@pytest.mark.parametrize("is_absolute", [True, False])
def test_a_shard_that_is_a_link_out_of_the_folder(whole, tmp_path, is_absolute):
    parent = tmp_path if is_absolute else Path("..")
    folder = Path(shutil.copytree(whole / "shards", tmp_path / "checkpoint"))
    (tmp_path / "elsewhere").mkdir()
    (folder / "part-2.safetensors").rename(tmp_path / "elsewhere" / "part-2.safetensors")
    (folder / "part-2.safetensors").symlink_to(parent / "elsewhere" / "part-2.safetensors")
    with pytest.raises(CheckpointError, match=r"index.json: shard part-2.safetensors is a link out of the folder; put"):
        BertForPreTraining.from_pretrained(folder)


def test_a_whole_checkpoint_of_links_as_in_the_hubs_cache(whole, tmp_path):
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "main"
    shutil.copytree(whole / "shards", blobs)
    snapshot.mkdir(parents=True)
    for number, file in enumerate(sorted(blobs.iterdir())):
        (snapshot / file.name).symlink_to(file.rename(blobs / str(number)))
    assert BertForPreTraining.from_pretrained(snapshot).config.hidden_size == 8


def test_an_index_that_names_a_tensor_twice(whole, tmp_path):
    """Whichever line is believed: a shard holds the tensor, and only one does, or it is an error."""
    folder = Path(shutil.copytree(whole / "shards", tmp_path / "checkpoint"))
    index = folder / "model.safetensors.index.json"
    first_key, last_key = sorted(json.loads(index.read_text())["weight_map"])[
        :: len(tensors_in(whole / "safetensors")) - 1
    ]
    text = index.read_text()
    assert text.endswith("}}")
    index.write_text(f'{text[:-2]}, "{last_key}": "part-2.safetensors"}}}}')
    BertForPreTraining.from_pretrained(folder)
    index.write_text(f'{text[:-2]}, "{first_key}": "part-2.safetensors"}}}}')
    with pytest.raises(CheckpointError, match=f"tensor '{first_key}' is not in shard part-2.safetensors"):
        BertForPreTraining.from_pretrained(folder)


# --- a config that asks for too much


def refused_at_once(function, config: Path, changes: dict) -> str:
    """The error of `function(folder)` after `changes` to its config, which must take neither time nor memory."""
    config.write_text(json.dumps(json.loads(config.read_text()) | changes))
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(CheckpointError) as error:
        function(config.parent)
    assert time.process_time() - started < 10
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < QUARTER_OF_A_GIGABYTE
    return str(error.value)


@pytest.mark.parametrize("value", [10**9, 10**18, 10**400])
@pytest.mark.parametrize(
    "name",
    [
        *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
        *("max_position_embeddings", "type_vocab_size", "num_labels"),
    ],
)
def test_an_absurd_size(folder, name, value):
    config = folder / "config.json"
    dropped = {key: content for key, content in json.loads(config.read_text()).items() if "label" not in key}
    config.write_text(json.dumps(dropped))
    message = refused_at_once(BertModel.from_pretrained, config, {name: value})
    assert str(config) in message and f"{name} must be a positive whole number, at most " in message


def test_a_number_too_long_to_read(folder):
    (folder / "config.json").write_text('{"hidden_size": ' + "9" * 5000 + "}")
    with pytest.raises(CheckpointError, match="config.json: expected a JSON file, but it cannot be read"):
        BertConfig.from_pretrained(folder)


@pytest.mark.parametrize("layers", [3, 1000])
def test_more_layers_than_the_file_has(folder, layers):
    message = refused_at_once(BertModel.from_pretrained, folder / "config.json", {"num_hidden_layers": layers})
    expected = f"holds no tensor of layer 2, but the config says num_hidden_layers={layers}; expected at most 2"
    assert message == f"{folder}/model.safetensors: {expected}"


def test_a_hole_in_the_layers(folder):
    rewrite(folder, {key: x for key, x in tensors_in(folder).items() if ".layer.0." not in key})
    with pytest.raises(CheckpointError, match="holds no tensor of layer 0"):
        BertModel.from_pretrained(folder)


@pytest.mark.parametrize("size", [9, 100_000])
def test_a_width_that_is_not_the_files(folder, size):
    changes = {"intermediate_size": size}
    message = refused_at_once(BertModel.from_pretrained, folder / "config.json", changes)
    key = "bert.encoder.layer.0.intermediate.dense.weight"
    assert f"{key}: the file has (8, 8), the model ({size}, 8)" in message

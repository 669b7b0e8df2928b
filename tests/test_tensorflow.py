"""The file format of TensorFlow's `Saver`, by a writer of our own: what is read, what is refused."""

import random
import shutil
from pathlib import Path

import pytest
import torch
from reference import assert_same

from minibert import BertForPreTraining
from minibert.checkpoint.files import CheckpointError, companions, read_tensors
from minibert.checkpoint.tensorflow import MAGIC, _masked_crc32c, read_tensorflow

WRITTEN_BY_TENSORFLOW = Path(__file__).parent / "data" / "tensorflow_bert"
INDEX, DATA = "bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the checkpoint that TensorFlow wrote."""
    return Path(shutil.copytree(WRITTEN_BY_TENSORFLOW, tmp_path / "checkpoint"))


def varint(number: int) -> bytes:
    rest = number >> 7
    return bytes([number & 0x7F | 0x80]) + varint(rest) if rest else bytes([number])


def field(number: int, value: int | bytes) -> bytes:
    """A field of a protocol buffer: a whole number, or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def entry(shape: tuple[int, ...], dtype: int = 1, shard: int = 0, offset: int = 0, size: int = 0) -> bytes:
    dims = b"".join(field(2, field(1, dim)) for dim in shape)
    return field(1, dtype) + field(2, dims) + field(3, shard) + field(4, offset) + field(5, size)


def block(entries: list[tuple[bytes, bytes]], compression: int = 0) -> bytes:
    content = b"".join(varint(0) + varint(len(key)) + varint(len(value)) + key + value for key, value in entries)
    content += bytes(4) + (1).to_bytes(4, "little") + bytes([compression])
    return content + _masked_crc32c(content).to_bytes(4, "little")


HEADER = (b"", field(1, 1))  # one data file, little-endian


def write_table(folder: Path, *blocks: list[tuple[bytes, bytes]], data: bytes = b"", compression: int = 0) -> Path:
    """An index with these entries in these blocks, and a data file; returns the index's path."""
    content, handles = b"", []
    for entries in blocks:
        written = block(entries, compression)
        handles.append((b"x", varint(len(content)) + varint(len(written) - 5)))
        content += written
    index = block(handles)
    footer = varint(0) + varint(0) + varint(len(content)) + varint(len(index) - 5)
    content += index + footer.ljust(40, b"\0") + MAGIC.to_bytes(8, "little")
    (folder / INDEX).write_bytes(content)
    (folder / DATA).write_bytes(data)
    return folder / INDEX


def test_the_checksum_is_castagnolis():
    crc = 0xE3069283  # of these digits, in every description of it
    assert _masked_crc32c(b"123456789") == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_several_blocks_and_types_that_lie_anywhere(tmp_path: Path):
    half, long = torch.tensor([1.5, -2.0], dtype=torch.bfloat16), torch.tensor([2**40, -1])
    data = b"\7" + half.view(torch.uint8).numpy().tobytes() + long.numpy().tobytes()
    first, second = (b"half", entry((2,), 14, offset=1, size=4)), (b"long", entry((2,), 9, offset=5, size=16))
    empty, scalar = (b"empty", entry((0, 3))), (b"scalar", entry((), 19, offset=1, size=2))
    found = read_tensorflow(write_table(tmp_path, [HEADER, first], [second], [empty, scalar], data=data))
    assert list(found) == ["half", "long", "empty", "scalar"]
    assert_same(found["half"], half)
    assert_same(found["long"], long)
    assert found["empty"].shape == (0, 3) and found["scalar"].shape == () and found["scalar"].dtype == torch.float16


def test_several_data_files(tmp_path: Path):
    header = (b"", field(1, 2))
    index = write_table(tmp_path, [header, (b"a", entry((1,), shard=0, size=4)), (b"b", entry((1,), shard=1, size=4))])
    names = companions(index)
    assert names == ["bert_model.ckpt.data-00000-of-00002", "bert_model.ckpt.data-00001-of-00002"]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(torch.tensor([float(number)]).numpy().tobytes())
    assert {key: tensor.item() for key, tensor in read_tensors(index).items()} == {"a": 0, "b": 1}


def test_changing_what_was_read_leaves_the_file_alone(folder: Path):
    before = (folder / DATA).read_bytes()
    for tensor in read_tensors(folder / INDEX).values():
        tensor.add_(1)
    assert (folder / DATA).read_bytes() == before


# --- broken files

FLOAT = (b"a", entry((1,), size=4))
BROKEN = {
    "no header": ([FLOAT], "expected a header that says little-endian"),
    "big-endian": ([(b"", field(1, 1) + field(2, 1)), FLOAT], "expected a header that says little-endian"),
    "no data files": ([(b"", field(1, 0))], "expected 1 to 1000 data files, found a header that says 0"),
    "2**60 data files": ([(b"", field(1, 2**60))], "expected 1 to 1000 data files"),
    "strings": ([HEADER, (b"a", entry((1,), 7, size=4))], "'a' has the unknown type 7; .*TensorFlow 1"),
    "slices": ([HEADER, (b"a", entry((1,), size=4) + field(7, b""))], "'a' is stored in slices"),
    "outside": ([HEADER, (b"a", entry((2,), size=8))], "'a' lies outside the data files: they are truncated"),
    "far outside": ([HEADER, (b"a", entry((1,), offset=2**63, size=4))], "'a' lies outside the data files"),
    "another file": ([HEADER, (b"a", entry((1,), shard=1, size=4))], "'a' lies outside the data files"),
    "too small for its shape": ([HEADER, (b"a", entry((2,), size=4))], r"'a' of shape \[2\] .* cannot have 4 bytes"),
    "a huge shape": ([HEADER, (b"a", entry((2**62, 2**62), size=4))], "'a' of shape .* cannot have 4 bytes"),
    "a negative shape": ([HEADER, (b"a", entry((2**64 - 1,), size=4))], "'a' of shape .* cannot have 4 bytes"),
    "a long name": ([HEADER, (b"a" * 5000, FLOAT[1])], "a block holds a broken entry"),
    "a broken entry": ([HEADER, (b"a", b"\x0b")], "the index holds a broken entry"),
    "bytes for a number": ([HEADER, (b"a", field(1, b"x"))], "the index holds a broken entry"),
    "a number without end": ([HEADER, (b"a", b"\x08" + b"\xff" * 11)], "more than 64 bits"),
    "not UTF-8": ([HEADER, (b"\xff", FLOAT[1])], "utf-8"),
}


@pytest.mark.parametrize("entries, message", BROKEN.values(), ids=BROKEN)
def test_what_is_broken_is_refused_and_named(entries: list, message: str, tmp_path: Path):
    write_table(tmp_path, entries, data=bytes(4))
    with pytest.raises(CheckpointError, match=f"{INDEX}: not a readable checkpoint of TensorFlow: .*{message}"):
        read_tensors(tmp_path / INDEX)


def test_compressed_blocks_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="a block is compressed"):
        read_tensorflow(write_table(tmp_path, [HEADER], compression=1))


def test_an_index_that_repeats_its_blocks_is_refused(tmp_path: Path):
    written = block([HEADER])
    index = block([(b"x", varint(0) + varint(len(written) - 5))] * 1000)
    footer = varint(0) + varint(0) + varint(len(written)) + varint(len(index) - 5)
    (tmp_path / INDEX).write_bytes(written + index + footer.ljust(40, b"\0") + MAGIC.to_bytes(8, "little"))
    with pytest.raises(ValueError, match="blocks overlap"):
        read_tensorflow(tmp_path / INDEX)


def test_missing_and_truncated_data(folder: Path):
    (folder / DATA).write_bytes((folder / DATA).read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="lies outside the data files: they are truncated"):
        BertForPreTraining.from_pretrained(folder)
    (folder / DATA).unlink()
    with pytest.raises(CheckpointError, match=f"{INDEX}: .*{DATA} is missing; it belongs beside the index"):
        BertForPreTraining.from_pretrained(folder)


def test_damage_to_the_index_is_noticed_or_does_no_harm(folder: Path):
    whole = (folder / INDEX).read_bytes()
    names = read_tensors(folder / INDEX).keys()
    generator = random.Random(0)
    refused = 0
    for _ in range(60):
        at, bit = generator.randrange(len(whole)), 1 << generator.randrange(8)
        (folder / INDEX).write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
        try:
            assert read_tensors(folder / INDEX).keys() == names  # the bit is of the padding
        except CheckpointError:
            refused += 1
    assert refused > 50
    for kept in (0, 1, 47, 48, *(generator.randrange(len(whole)) for _ in range(20))):
        (folder / INDEX).write_bytes(whole[:kept])
        with pytest.raises(CheckpointError):
            read_tensors(folder / INDEX)

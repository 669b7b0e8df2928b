"""The files of TensorFlow's `Saver`, as Google published BERT: `bert_model.ckpt.index` and `.data-00000-of-00001`.

The data file is nothing but the tensors, one after the other. The index is a sorted table, in the format of LevelDB:
blocks of (name, entry), an index of those blocks, and a footer that says where it is. An entry is a protocol buffer
that holds a tensor's type, shape and place. Everything is checked before it is believed; nothing is executed.

Sources: TensorFlow's `tensor_bundle.proto`, `tensor_bundle.h` and `table_format.txt`.
"""

import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

FOOTER_SIZE = 48
MAGIC = 0xDB4775248B80FB57
TRAILER_SIZE = 5  # after each block: how it is compressed (0: not at all), and a checksum
MAX_INDEX_SIZE = 2**24  # bytes; that of BERT-large with its optimizer's state has some 80,000
MAX_NAME_SIZE = 1024
MAX_SHARDS = 1000

# The numbers of `types.proto`.
DTYPES = {
    1: torch.float32,
    2: torch.float64,
    3: torch.int32,
    9: torch.int64,
    14: torch.bfloat16,
    19: torch.float16,
}


def read_tensorflow(index_path: Path) -> dict[str, Tensor]:
    """All tensors behind `<prefix>.index`, memory-mapped; kernels are transposed to PyTorch's (out, in).

    The checksums of the index are verified, those of the tensors are not: in Python that would take minutes.
    Raises `ValueError` or `OSError` when a file is missing or broken.
    """
    entries, shards = _read_index(index_path)
    files = [_map_file(index_path.parent / name) for name in _shard_names(index_path, shards)]
    tensors = {}
    for name, entry in entries.items():
        tensor = _tensor(name, entry, files)
        # A dense layer's kernel is (in, out): TensorFlow computes x W, PyTorch x W^T.
        tensors[name] = tensor.t().contiguous() if name.endswith("/kernel") and tensor.ndim == 2 else tensor
    return tensors


def data_files(index_path: Path) -> list[str]:
    """The names of the files that hold the tensors of an index."""
    return _shard_names(index_path, _read_index(index_path)[1])


def _shard_names(index_path: Path, shards: int) -> list[str]:
    return [f"{index_path.stem}.data-{shard:05}-of-{shards:05}" for shard in range(shards)]


def _map_file(path: Path) -> Tensor:
    """The bytes of a file, (size,), mapped so that writing to them leaves the file alone."""
    if not path.is_file():
        raise ValueError(f"{path.name} is missing; it belongs beside the index")
    size = path.stat().st_size
    return torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8) if size else torch.empty(0).byte()


def _tensor(name: str, entry: dict[int, list], files: list[Tensor]) -> Tensor:
    """The tensor that an entry (`BundleEntryProto`) describes."""
    kind, shard, offset, size = (_number(entry, field) for field in (1, 3, 4, 5))
    if kind not in DTYPES:
        raise ValueError(f"{name!r} has the unknown type {kind}; is this a checkpoint of TensorFlow 1?")
    if 7 in entry:
        raise ValueError(f"{name!r} is stored in slices; save it whole")
    dims = _parse(_bytes(entry, 2)).get(2, [])
    shape = [_number(_parse(dim), 1) if isinstance(dim, bytes) else -1 for dim in dims]
    dtype = DTYPES[kind]
    if shard >= len(files) or offset + size > len(files[shard]):
        raise ValueError(f"{name!r} lies outside the data files: they are truncated, or belong to another index")
    if not all(0 <= dim < 2**63 for dim in shape) or math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"{name!r} of shape {shape} and type {dtype} cannot have {size} bytes")
    content = files[shard][offset : offset + size]
    aligned = content if offset % dtype.itemsize == 0 else content.clone()
    return aligned.view(dtype).view(shape)


# --- the table


def _read_index(path: Path) -> tuple[dict[str, dict[int, list]], int]:
    """({name: entry}, the number of data files)."""
    if path.stat().st_size > MAX_INDEX_SIZE:
        raise ValueError(f"{path.stat().st_size} bytes are too many for an index")
    content = path.read_bytes()
    footer = content[-FOOTER_SIZE:]
    if len(footer) < FOOTER_SIZE or int.from_bytes(footer[-8:], "little") != MAGIC:
        raise ValueError("the footer is missing: the file is truncated, or is no index of TensorFlow")
    _, after_metaindex = _handle(footer, 0)
    (offset, size), _ = _handle(footer, after_metaindex)
    entries, end = {}, 0
    for _, handle in _block(content, offset, size):
        (offset, size), _ = _handle(handle, 0)
        if offset < end:  # or a small file could hold a block a million times
            raise ValueError("blocks overlap")
        end = offset + size
        for name, value in _block(content, offset, size):
            entries[name] = _parse(value)
    header = entries.pop("", None)
    if header is None or _number(header, 2):
        raise ValueError("expected a header that says little-endian")
    if not 1 <= (shards := _number(header, 1)) <= MAX_SHARDS:
        raise ValueError(f"expected 1 to {MAX_SHARDS} data files, found a header that says {shards}")
    return entries, shards


def _handle(buffer: bytes, at: int) -> tuple[tuple[int, int], int]:
    """((offset, size) of a block, where reading stopped)."""
    offset, at = _varint(buffer, at)
    size, at = _varint(buffer, at)
    return (offset, size), at


def _block(content: bytes, offset: int, size: int) -> Iterator[tuple[str, bytes]]:
    """The (key, value) pairs of a block; a key holds only what differs from the one before it."""
    block, trailer = content[offset : offset + size], content[offset + size : offset + size + TRAILER_SIZE]
    if len(trailer) < TRAILER_SIZE or size < 4:
        raise ValueError("a block lies outside the file")
    if _masked_crc32c(block + trailer[:1]) != int.from_bytes(trailer[1:], "little"):
        raise ValueError("a checksum of the index is wrong: the file is damaged")
    if trailer[0]:
        raise ValueError("a block is compressed, which TensorFlow does not do")
    end = size - 4 - 4 * int.from_bytes(block[-4:], "little")  # then come the places to start a search from
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        added, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + added]
        value = block[at + added : at + added + length]
        at += added + length
        if at > end or len(key) != shared + added or len(key) > MAX_NAME_SIZE:
            raise ValueError("a block holds a broken entry")
        yield key.decode(), value


@cache
def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


def _masked_crc32c(data: bytes) -> int:
    """The checksum of Castagnoli et al. 1993, rotated and shifted as LevelDB stores it."""
    table, crc = _crc_table(), 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[crc & 0xFF ^ byte]
    crc ^= 0xFFFFFFFF
    return (crc >> 15 | crc << 17) + 0xA282EAD8 & 0xFFFFFFFF


# --- protocol buffers


def _parse(message: bytes) -> dict[int, list]:
    """The fields of a protocol buffer by number, each with all its values: ints, or bytes that hold something else."""
    fields: dict[int, list] = {}
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        value: int | bytes
        if kind == 0:
            value, at = _varint(message, at)
        elif kind in (1, 2, 5):
            size, at = _varint(message, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            value, at = message[at : at + size], at + size
        if kind not in (0, 1, 2, 5) or at > len(message):
            raise ValueError("the index holds a broken entry")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _number(fields: dict[int, list], number: int) -> int:
    """A whole number; one that is not there is 0, as in all protocol buffers."""
    value = fields.get(number, [0])[-1]
    if not isinstance(value, int):
        raise ValueError("the index holds a broken entry")
    return value


def _bytes(fields: dict[int, list], number: int) -> bytes:
    """Bytes; those that are not there are empty."""
    value = fields.get(number, [b""])[-1]
    if not isinstance(value, bytes):
        raise ValueError("the index holds a broken entry")
    return value


def _varint(buffer: bytes, at: int) -> tuple[int, int]:
    """(a number of at most 64 bits, seven to a byte, where reading stopped)."""
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(buffer):
            raise ValueError("the index ends in the middle of a number")
        byte = buffer[at]
        number |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return number, at
    raise ValueError("the index holds a number of more than 64 bits")

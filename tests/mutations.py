"""Broken files by the thousand: random changes of a whole one, each the same again for the same seed."""

import copy
import json
from collections.abc import Iterator
from random import Random
from typing import Any

# Bytes that mean something in some format.
WORDS = (b"0", b"-1", b"9" * 20, b'"', b"{", b"]", b"null", b"NaN", b"1e999", b"../", b"\xff", b"\r\n", b"F64", b"I64")

# What somebody may write where something else belongs.
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 7, 0.5, -5, 10**6, 10**12, 10**30, float("nan"), float("inf"), 1e308),
    *("", "x", "0", "../x", "\ud800", "BF16", "I32", "F64", "BOOL", "int32"),
    *([], [1], [[1, 2]], [10**9, 10**9], {}, {"0": "a"}, {"a": {}}, {"1": "a", "0": "b"}),
)


def mutate_bytes(rng: Random, data: bytes) -> bytes:
    """Cut, turned, overwritten, doubled or lost bytes, more often near the start, where headers are."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        place = rng.randrange(1 + min(len(changed), rng.choice((16, 400, len(changed)))))
        size = rng.randrange(1, 64)
        match rng.choice(("cut", "turn", "overwrite", "lose", "double", "word")):
            case "cut":
                del changed[place:]
            case "turn" if place < len(changed):
                changed[place] ^= 1 << rng.randrange(8)
            case "overwrite":
                changed[place : place + size] = rng.randbytes(rng.choice((size, size // 2)))
            case "lose":
                del changed[place : place + size]
            case "double":
                changed[place:place] = changed[place : place + size]
            case "word":
                word = rng.choice(WORDS)
                changed[place : place + len(word)] = word
    return bytes(changed)


def mutate_json(rng: Random, data: bytes) -> bytes:
    """Values replaced, removed, wrapped or under another name, anywhere in a JSON object."""
    content = json.loads(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        depth = rng.choice((1, 2, 9))
        places = [place for place in _places(content) if len(place) <= depth]
        if not places:
            break
        *path, last = rng.choice(places)
        owner = content
        for step in path:
            owner = owner[step]
        match rng.choice(("replace", "replace", "replace", "remove", "rename", "wrap", "quote")):
            case "replace":
                owner[last] = copy.deepcopy(rng.choice(VALUES))
            case "remove":
                del owner[last]
            case "rename" if isinstance(owner, dict):
                owner[rng.choice(("x", "", "hidden_size", "pruned_heads"))] = owner.pop(last)
            case "wrap":
                owner[last] = [owner[last]]
            case "quote":
                owner[last] = str(owner[last])
    return json.dumps(content).encode()


def mutate_header(rng: Random, data: bytes) -> bytes:
    """A safetensors file whose header lies: about types, shapes, places, names."""
    size = int.from_bytes(data[:8], "little")
    header = mutate_json(rng, data[8 : 8 + size])
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def mutate(rng: Random, name: str, data: bytes) -> bytes:
    """A broken form of the file `name`, in a way that its format invites."""
    if name.endswith(".json") and rng.random() < 0.7:
        return mutate_json(rng, data)
    if name.endswith(".safetensors") and rng.random() < 0.5:
        return mutate_header(rng, data)
    return mutate_bytes(rng, data)


def _places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """The paths to all that is inside a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inside:
        yield (*path, key)
        yield from _places(part, (*path, key))

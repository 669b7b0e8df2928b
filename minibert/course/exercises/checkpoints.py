"""Exercises of appendix A."""

import json
import struct
import tempfile
from functools import cache
from pathlib import Path

import torch

from minibert.checkpoint.files import write_tensors
from minibert.course.exercise import Case, Exercise, Mistake


def modern(names):
    today = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
    for old, new in today.items():
        names = [name.removesuffix(old) + new if name.endswith(old) else name for name in names]
    return names


def largest(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return max(header, key=lambda name: torch.Size(header[name]["shape"]).numel())


def _names() -> list[Case]:
    old = ["LayerNorm.gamma", "bert.embeddings.LayerNorm.beta", "beta.weight", "gamma"]
    return [
        Case("old and new names", {"names": old}),
        Case("new names", {"names": ["LayerNorm.weight", "pooler.bias"]}),
    ]


def _everywhere(names):
    return [name.replace("gamma", "weight").replace("beta", "bias") for name in names]


def _swapped(names):
    today = {"gamma": "bias", "beta": "weight"}
    splits = [name.rpartition("LayerNorm.") for name in names]
    return [before + middle + today.get(last, last) if middle else last for before, middle, last in splits]


@cache
def _folder() -> tempfile.TemporaryDirectory:
    """A file of three tensors, until the process ends."""
    folder = tempfile.TemporaryDirectory()
    tensors = {"long": torch.zeros(7), "square": torch.zeros(4, 4), "large": torch.zeros(12, 1, dtype=torch.float64)}
    write_tensors(Path(folder.name, "small.safetensors"), tensors)
    return folder


def _paths() -> list[Case]:
    return [Case("three tensors", {"path": Path(_folder().name, "small.safetensors")})]


EXERCISES = (
    Exercise(
        name="bert_model_parameters",
        notebook="A",
        difficulty=1,
        minutes=4,
        task="How many parameters does a `BertModel` of the size of BERT-base have, with the pooler, but "
        "without the two pretraining heads?",
        hint="The formula above, without its last two terms. In BERT-base $F = 4D$.",
        solution="(30_522 + 512 + 2 + 2) * 768 + 12 * (12 * 768**2 + 13 * 768) + 768**2 + 768",
        mistakes=(
            Mistake("the pooler is missing", answer=109_482_240 - 768 * 769),
            Mistake("that is the whole BERT, with both heads", answer=110_106_428),
        ),
    ),
    Exercise(
        name="modern",
        notebook="A",
        difficulty=1,
        minutes=5,
        task="Checkpoints of 2018 call the parameters of a LayerNorm `LayerNorm.gamma` and `LayerNorm.beta`. "
        "Return the list of `names` with today's names (`weight`, `bias`), and change nothing else.",
        hint='`name.endswith("LayerNorm.gamma")`: a parameter that is called `gamma` elsewhere keeps its name.',
        solution=modern,
        cases=_names,
        mistakes=(
            Mistake("only the names of a LayerNorm change", _everywhere),
            Mistake("gamma is the weight, and beta the bias", _swapped),
        ),
    ),
    Exercise(
        name="largest",
        notebook="A",
        difficulty=2,
        minutes=8,
        task="Return the name of the largest tensor in a `safetensors` file, the one with the most numbers in "
        "it. Read the table of contents only. `path` is a `Path`.",
        hint="Eight bytes, the length of the table; then so many bytes of JSON. `__metadata__` is no tensor.",
        solution=largest,
        cases=_paths,
        mistakes=(
            Mistake("that one has the most bytes, not the most numbers: its numbers are larger", lambda path: "large"),
            Mistake("that one has the longest axis; multiply the lengths of all axes", lambda path: "long"),
        ),
        finished=("safetensors",),
    ),
)

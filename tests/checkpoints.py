"""What the tests of checkpoints share: load, look into, rewrite, compare."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from reference import TASKS, assert_same
from safetensors.torch import load_file
from torch import Tensor

import minibert
from minibert.checkpoint.files import write_tensors

CLASSES = ("BertModel", *TASKS)
DECODER = "cls.predictions.decoder"
BIAS = "cls.predictions.bias"


def load(class_name: str, folder: Path, **options) -> tuple[minibert.BertModel, dict[str, list]]:
    return getattr(minibert, class_name).from_pretrained(folder, output_loading_info=True, **options)


def tensors_in(folder: Path) -> dict[str, Tensor]:
    """Copies, so that the file can change."""
    return {key: tensor.clone() for key, tensor in load_file(folder / "model.safetensors").items()}


def rewrite(folder: Path, tensors: dict[str, Tensor]) -> None:
    """Replace the weights in `folder`."""
    write_tensors(folder / "model.safetensors", tensors)


def assert_equal_tensors(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        assert_same(found[key], tensor, key)


def assert_clean(info: dict[str, list]) -> None:
    assert info == {"missing_keys": [], "unexpected_keys": [], "mismatched_keys": []}


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@contextlib.contextmanager
def transformers_heard(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Let `caplog` hear what `transformers` warns of, which it keeps from the root logger, or a script has silenced."""
    logger = logging.getLogger("transformers")
    usual = logger.propagate, logger.level
    logger.propagate = True
    logger.setLevel(logging.WARNING)  # which also forgets what loggers below it have remembered of it
    caplog.clear()
    try:
        yield
    finally:
        logger.propagate = usual[0]
        logger.setLevel(usual[1])

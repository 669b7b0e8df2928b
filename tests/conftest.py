"""Settings of the whole test session."""

import os
import signal

# Before anything can import huggingface_hub: no test may ask the network.
os.environ["HF_HUB_OFFLINE"] = "1"

import pytest
import torch
from hypothesis import settings

# The same few examples at every run: a failure can always be repeated.
settings.register_profile("repeatable", derandomize=True, database=None, deadline=None, max_examples=15)
settings.load_profile("repeatable")

# A shell script starts its background jobs deaf to Ctrl-C; there the tests of Ctrl-C must hear it too.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Models as small as the tests' gain nothing from threads, and lose much to waiting for them on a busy machine.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed() -> None:
    """No test depends on those that ran before it."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def stdlib_modules() -> list:
    """The docstrings of the standard library, which take seconds to gather."""
    from minibert.text.stdlib_docs import module_docstrings

    return list(module_docstrings())

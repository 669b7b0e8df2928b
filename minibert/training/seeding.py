"""Randomness: which numbers a run draws, and how they can be drawn again.

Dropout draws from PyTorch's global generator, whose state is in every checkpoint. What is random in the data must not
depend on how many numbers dropout drew before: it is a function of seed, epoch and batch alone.
"""

import contextlib
import itertools
import random
from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np
import torch

from minibert.text.masking import example_keys

T = TypeVar("T")


def set_seed(seed: int, deterministic: bool = False) -> None:
    """Seed all generators that a program may draw from: Python's, NumPy's and PyTorch's, on every device.

    Args:
        deterministic: let PyTorch refuse operations whose sums come in another order every time.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    if deterministic:
        torch.use_deterministic_algorithms(True)


def seed_of_batch(seed: int, epoch: int, batch: int) -> int:
    """What to seed a generator with that draws for the batch of this number: 64 bits that look random."""
    return int(example_keys(seed, epoch, np.array([batch]))[0])


def drawn(loader: Iterable[T], seed: int, epoch: int, first: int = 0, rank: int = 0, processes: int = 1) -> Iterator[T]:
    """The batches of a loader; what a data set, sampler or collator draws from PyTorch's generator is drawn for each.

    Between them, the generator is as it was: whoever draws from it, too, does not notice.

    Args:
        first: the number of the loader's first batch in the epoch.
        rank, processes: which process this is, of how many: each draws numbers of its own.
    """
    with drawing(seed, epoch, 0):
        batches = iter(loader)
    for number in itertools.count(first):
        with drawing(seed, epoch, number * processes + rank):
            try:
                batch = next(batches)
            except StopIteration:
                return
        yield batch


@contextlib.contextmanager
def drawing(seed: int, epoch: int, batch: int) -> Iterator[None]:
    """Inside, PyTorch's generator on the CPU draws for one batch; afterwards it is as it was before."""
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(seed_of_batch(seed, epoch, batch))  # and no GPU's: that is dropout's
    try:
        yield
    finally:
        torch.set_rng_state(state)

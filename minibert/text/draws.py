"""Random numbers for many things at once, each with a stream of its own.

A generator with a history gives one number after the other, and each waits for those before it. Here a number is the
hash of a key, of what it is drawn for and of its place, so that arrays of them come at once, and what is drawn for one
thing does not depend on what is drawn for others.
"""

from typing import Self

import numpy as np

from minibert.text.masking import GOLDEN, mix

MOST_PURPOSES = 16


class Draws:
    """Random numbers, one for each of `keys`, (n,) uint64; a `purpose` is a number from 1 to `MOST_PURPOSES`."""

    def __init__(self, keys: np.ndarray):
        self.keys = keys

    def of(self, chosen: np.ndarray) -> Self:
        """Those of some of the things: a mask, or their numbers."""
        return type(self)(self.keys[chosen])

    def turn(self, number: int) -> Self:
        """Fresh ones for the same things, every time they are drawn for again; from 1."""
        return type(self)(mix(self.keys + np.uint64(number)))

    def share(self, purpose: int) -> np.ndarray:
        """(n,) float64 from 0 up to, but not, 1."""
        return (self._bits(purpose) >> np.uint64(11)) * 2.0**-53

    def below(self, limits: np.ndarray | int, purpose: int) -> np.ndarray:
        """(n,) int64, whole numbers from 0 up to, but not, the limit of each."""
        return (self.share(purpose) * limits).astype(np.int64)

    def heads(self, tosses: np.ndarray, purpose: int) -> np.ndarray:
        """(n,) int64, how many of so many tosses of a coin are heads."""
        heads = np.zeros(len(tosses), np.int64)
        for word, done in enumerate(range(0, int(tosses.max(initial=0)), 64)):
            rest = np.flatnonzero(tosses > done)
            unused = (64 - np.minimum(tosses[rest] - done, 64)).astype(np.uint64)
            heads[rest] += count_ones(self.of(rest)._bits(purpose, word) >> unused)
        return heads

    def _bits(self, purpose: int, word: int = 0) -> np.ndarray:
        """(n,) uint64."""
        return mix(self.keys + np.uint64((word * MOST_PURPOSES + purpose) * GOLDEN % 2**64))


def count_ones(bits: np.ndarray) -> np.ndarray:
    """How many bits of each number are 1, (n,) int64: summed in pairs, in fours, in bytes, then over the bytes."""
    bits = bits - ((bits >> np.uint64(1)) & np.uint64(0x5555555555555555))
    bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return ((bits * np.uint64(0x0101010101010101)) >> np.uint64(56)).astype(np.int64)

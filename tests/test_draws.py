"""Random numbers from keys: even, and each independent of what else is drawn."""

import numpy as np

from minibert.text.draws import Draws, count_ones
from minibert.text.masking import example_keys


def draws_of(count):
    return Draws(example_keys(0, 0, np.arange(count)))


def test_ones_are_counted():
    numbers = [0, 1, 2**63, 2**64 - 1, 0x0123456789ABCDEF, *range(100)]
    assert count_ones(np.array(numbers, np.uint64)).tolist() == [number.bit_count() for number in numbers]


def test_shares_and_whole_numbers_are_even():
    draws = draws_of(100_000)
    share = draws.share(1)
    assert (
        share.min() >= 0 and share.max() < 1 and abs(share.mean() - 0.5) < 0.005 and abs(share.std() - 12**-0.5) < 0.005
    )
    counts = np.bincount(draws.below(7, 2), minlength=7)
    assert len(counts) == 7 and abs(counts / counts.mean() - 1).max() < 0.05
    limits = np.arange(1, 100_001)
    assert (draws.below(limits, 3) < limits).all() and draws.below(limits, 3)[0] == 0


def test_heads_are_binomial():
    tosses = np.repeat([0, 1, 63, 64, 65, 1000], 20_000)
    heads = draws_of(len(tosses)).heads(tosses, 1).reshape(6, -1)
    for count, found in zip([0, 1, 63, 64, 65, 1000], heads, strict=True):
        assert found.min() >= 0 and found.max() <= count
        assert abs(found.mean() - count / 2) <= 5 * (count / 4 / len(found)) ** 0.5
        assert abs(found.var() - count / 4) <= 0.05 * count / 4


def test_each_stream_is_its_own():
    draws, chosen = draws_of(1000), np.array([5, 900, 17])
    tosses = np.arange(1000)
    for number in (1, 2):
        turn = draws.turn(number)
        assert np.array_equal(turn.share(3)[chosen], turn.of(chosen).share(3))
        assert np.array_equal(turn.heads(tosses, 4)[chosen], turn.of(chosen).heads(tosses[chosen], 4))
    streams = [draws.share(1), draws.share(2), draws.turn(1).share(1), draws.turn(2).share(1)]
    assert (abs(np.corrcoef(streams) - np.eye(4)) < 0.15).all()

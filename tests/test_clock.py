"""Steps, tokens and seconds; the length of the run and the learning rate in both units."""

import time
from types import SimpleNamespace

import pytest

from minibert.training.arguments import TrainingArguments
from minibert.training.clock import RunClock

ALONE = SimpleNamespace(count=1, of_first=lambda value: value)


@pytest.fixture
def now(monkeypatch):
    """A clock that stands still until somebody moves its hand."""
    hand = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(time, "monotonic", lambda: hand.seconds)
    return hand


def make(steps_per_epoch=10, processes=ALONE, **arguments):
    return RunClock(TrainingArguments("run", **arguments), steps_per_epoch, processes)


@pytest.mark.parametrize(
    ("arguments", "total"),
    [
        ({}, 30),
        ({"num_train_epochs": 0.25}, 3),
        ({"max_steps": 7}, 7),
        ({"max_steps": 7, "num_train_epochs": 9}, 7),
        ({"max_minutes": 1.5}, 90),
        ({"max_minutes": 1.5, "max_steps": 7}, 90),
    ],
)
def test_length_of_the_run(arguments, total):
    assert make(**arguments).total == total


def test_steps(now):
    clock = make(max_steps=2)
    assert (clock.position, clock.is_over, clock.learning_rate_factor) == (0, False, 1)
    now.seconds += 1000  # no matter how long
    clock.tick(tokens=5)
    assert (clock.position, clock.is_over, clock.learning_rate_factor) == (1, False, 0.5)
    clock.tick(tokens=5)
    assert (clock.position, clock.is_over, clock.learning_rate_factor) == (2, True, 0)


def test_minutes(now):
    clock = make(max_minutes=1)
    now.seconds += 45
    assert clock.position == 0  # time is read once a step: what is decided from it does not change in between
    clock.tick(tokens=5)
    assert (clock.position, clock.is_over, clock.learning_rate_factor) == (45, False, 0.25)
    now.seconds += 45
    clock.tick(tokens=5)
    assert (clock.seconds, clock.position, clock.is_over, clock.learning_rate_factor) == (90, 60, True, 0)


def test_warm_up(now):
    clock = make(max_minutes=1, warmup_ratio=0.5)
    rates = []
    for _ in range(7):
        rates.append(clock.learning_rate_factor)
        now.seconds += 10
        clock.tick(tokens=0)
    assert rates == pytest.approx([0, 1 / 3, 2 / 3, 1, 2 / 3, 1 / 3, 0])


def test_warm_up_longer_than_the_run():
    with pytest.warns(UserWarning, match="warmup_steps is 500, but the run has only 30 steps"):
        make(warmup_steps=500)


def test_tokens_per_second(now):
    clock = make()
    assert clock.tokens_per_second == 0
    for tokens in (100, 300):
        now.seconds += 2
        clock.tick(tokens)
    assert clock.tokens_per_second == 100


def test_several_processes_go_by_the_clock_of_the_first(now):
    clock = make(max_minutes=1, processes=SimpleNamespace(count=2, of_first=lambda value: 33.0))
    now.seconds += 10
    clock.tick(tokens=50)
    assert (clock.position, clock.tokens) == (33, 100)


@pytest.mark.parametrize("arguments", [{"max_minutes": 1}, {"max_steps": 4}])
def test_restore_goes_on_from_what_was_spent(now, arguments):
    first = make(**arguments)
    now.seconds += 20
    first.tick(tokens=7)
    state = first.state()
    now.seconds += 5000  # nobody trains
    second = make(**arguments)
    now.seconds += 3  # building things, before the checkpoint is read
    second.restore(state)
    assert (second.step, second.tokens, second.seconds) == (1, 7, 20)
    assert second.learning_rate_factor == first.learning_rate_factor < 1
    now.seconds += 10
    second.tick(tokens=7)
    assert (second.step, second.tokens, second.seconds) == (2, 14, 30)

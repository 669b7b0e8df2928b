"""Steps, tokens and seconds; the length of the run and the learning rate in each of these units."""

import time
from types import SimpleNamespace

import pytest
import torch

from minibert.training.arguments import TrainingArguments
from minibert.training.clock import RunClock

ALONE = SimpleNamespace(count=1)


@pytest.fixture
def now(monkeypatch):
    """A clock that stands still until somebody moves its hand."""
    hand = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(time, "monotonic", lambda: hand.seconds)
    return hand


def make(steps_per_epoch=10, processes=ALONE, **arguments):
    return RunClock(TrainingArguments("run", **arguments), steps_per_epoch, processes)


@pytest.mark.parametrize(
    ("arguments", "steps"),
    [
        ({}, 30),
        ({"num_train_epochs": 0.25}, 3),
        ({"max_steps": 7}, 7),
        ({"max_steps": 7, "num_train_epochs": 9}, 7),
        ({"max_minutes": 1.5}, 9),  # of 10 seconds and 100 tokens each
        ({"max_minutes": 1.5, "max_steps": 7}, 9),
        ({"max_tokens": 500}, 5),
        ({"max_tokens": 501, "max_steps": 3, "num_train_epochs": 1}, 6),
        ({"max_tokens": 500, "max_minutes": 2}, 5),
        ({"max_tokens": 500, "max_minutes": 0.5}, 3),
    ],
)
def test_length_of_the_run(now, arguments, steps):
    clock = make(**arguments)
    while not clock.is_over:
        assert clock.step == 0 or 0 < clock.learning_rate_factor < 1
        now.seconds += 10
        clock.tick(tokens=100)
    assert (clock.step, clock.progress, clock.learning_rate_factor) == (steps, 1, 0)


def test_steps(now):
    clock = make(max_steps=2)
    assert (clock.progress, clock.is_over, clock.learning_rate_factor) == (0, False, 1)
    now.seconds += 1000  # no matter how long
    clock.tick(tokens=5)
    assert (clock.progress, clock.is_over, clock.learning_rate_factor) == (0.5, False, 0.5)
    clock.tick(tokens=5)
    assert (clock.progress, clock.is_over, clock.learning_rate_factor) == (1, True, 0)


def test_minutes(now):
    clock = make(max_minutes=1)
    now.seconds += 45
    assert clock.progress == 0  # time is read once a step: what is decided from it does not change in between
    clock.tick(tokens=5)
    assert (clock.progress, clock.is_over, clock.learning_rate_factor) == (0.75, False, 0.25)
    now.seconds += 45
    clock.tick(tokens=5)
    assert (clock.seconds, clock.progress, clock.is_over, clock.learning_rate_factor) == (90, 1, True, 0)


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


@pytest.mark.parametrize("arguments", [{"max_tokens": 1000}, {"max_minutes": 2}, {"max_steps": 5}])
def test_several_processes_agree_on_tokens_and_seconds(now, arguments):
    """Each has other examples and a clock of its own: the run would end in one of them, and others wait for it."""
    others = torch.tensor([[20, 14.0], [30, 15.0]], dtype=torch.float64)
    processes = SimpleNamespace(count=3, mean=lambda own: torch.cat([own[None], others]).mean(dim=0))
    clock = make(processes=processes, **arguments)
    for _ in range(2):
        now.seconds += 10
        clock.tick(tokens=51)
    assert (clock.tokens, clock.seconds) == (2 * (51 + 20 + 30), 2 * 13)
    assert clock.progress == pytest.approx(
        {"max_tokens": 0.202, "max_minutes": 26 / 120, "max_steps": 0.4}[[*arguments][0]]
    )


def test_a_limit_of_minutes_is_one_of_each_call(now):
    first = make(max_tokens=1000, max_minutes=1)
    now.seconds += 60
    first.tick(tokens=100)
    assert first.is_over and first.learning_rate_factor == 0
    second = make(max_tokens=1000, max_minutes=1)
    second.restore(first.state())
    assert not second.is_over and second.progress == 0.5  # a minute of two; the tokens are behind that
    now.seconds += 60
    second.tick(tokens=100)
    assert second.is_over


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

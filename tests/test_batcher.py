"""The batcher: what arrives together is computed together; nobody pays for somebody else's fault."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from minibert.serving.batcher import Batcher, ModelFailed
from minibert.serving.limits import Refused

LATER = 60.0  # seconds, more than any test takes


class Model:
    """Sums the ids of each row, and remembers its batches; it stands still until it is told to go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []  # the lengths of the rows
        self.started = threading.Semaphore(0)
        self.go = threading.Event()

    def __call__(self, batch: dict[str, torch.Tensor]) -> list[int]:
        self.batches.append(batch["attention_mask"].sum(1).tolist())
        self.started.release()
        self.go.wait()
        if (batch["input_ids"] == 666).any():
            raise RuntimeError("a bad row")
        return batch["input_ids"].sum(1).tolist()


@pytest.fixture
def model():
    made = Model()
    yield made
    made.go.set()


@pytest.fixture
def pool():
    with ThreadPoolExecutor(32) as made:
        yield made


def make(**options) -> Batcher:
    return Batcher(torch.device("cpu"), **{"max_waiting": 1000, "max_tokens": 100} | options)


def ask(batcher, model, *rows, key="key", seconds=LATER):
    return batcher.run({"input_ids": list(rows)}, model, key, time.monotonic() + seconds)


def waits(batcher, tokens):
    """Until so many tokens wait."""
    end = time.monotonic() + LATER
    while batcher.waiting_tokens != tokens and time.monotonic() < end:
        time.sleep(0.001)
    assert batcher.waiting_tokens == tokens


def busy(batcher, model, pool):
    """A request that the model has begun with; whatever comes now has to wait."""
    first = pool.submit(ask, batcher, model, [1])
    model.started.acquire()
    return first


def test_what_waits_is_computed_together_and_each_gets_its_own(model, pool):
    batcher = make()
    first = busy(batcher, model, pool)
    others = [pool.submit(ask, batcher, model, [number] * 3, [number]) for number in range(5)]
    waits(batcher, 20)
    model.go.set()
    assert first.result() == [1] and [other.result() for other in others] == [[3 * n, n] for n in range(5)]
    assert model.batches == [[1], [3] * 5 + [1] * 5], "padding is not counted, the longest are first"
    batcher.close()


def test_a_batch_has_at_most_so_many_tokens_and_the_oldest_row(model, pool):
    batcher = make(max_tokens=10)
    busy(batcher, model, pool)
    oldest = pool.submit(ask, batcher, model, [1, 1])
    waits(batcher, 2)
    others = [pool.submit(ask, batcher, model, [1] * 8) for _ in range(3)]
    waits(batcher, 26)
    model.go.set()
    assert oldest.result() == [2] and [other.result() for other in others] == [[8]] * 3
    assert model.batches[1] == [8, 2] and model.batches[2:] == [[8], [8]]
    batcher.close()


def test_a_row_longer_than_a_batch_is_one(model):
    model.go.set()
    batcher = make(max_tokens=2)
    assert ask(batcher, model, [1] * 500, [1, 2]) == [500, 3]
    batcher.close()


def test_other_keys_are_other_batches(model, pool):
    batcher = make()
    busy(batcher, model, pool)
    others = [pool.submit(ask, batcher, model, [1], key=key) for key in "abab"]
    waits(batcher, 4)
    model.go.set()
    assert [other.result() for other in others] == [[1]] * 4 and model.batches == [[1], [1, 1], [1, 1]]
    batcher.close()


def test_a_bad_row_fails_alone(model, pool):
    batcher = make()
    busy(batcher, model, pool)
    good = [pool.submit(ask, batcher, model, [number]) for number in range(3)]
    bad = pool.submit(ask, batcher, model, [666])
    waits(batcher, 4)
    model.go.set()
    assert [each.result() for each in good] == [[0], [1], [2]]
    with pytest.raises(ModelFailed, match="RuntimeError: a bad row"):
        bad.result()
    assert ask(batcher, model, [7]) == [7], "the thread goes on"
    batcher.close()


def test_too_much_is_refused_and_says_when_to_come_back(model, pool):
    batcher = make(max_waiting=10)
    busy(batcher, model, pool)
    waiting = pool.submit(ask, batcher, model, [1] * 8)
    waits(batcher, 8)
    with pytest.raises(Refused, match="8 tokens of other requests wait already") as refused:
        ask(batcher, model, [1] * 3)
    assert refused.value.status == 429 and refused.value.retry_after >= 1
    with pytest.raises(Refused, match="has 11 tokens, at most 10 may wait") as refused:
        ask(batcher, model, [1] * 11)
    assert refused.value.status == 413 and refused.value.retry_after is None
    fits = pool.submit(ask, batcher, model, [1, 1])
    waits(batcher, 10)
    model.go.set()
    assert waiting.result() == [8] and fits.result() == [2] and batcher.waiting_tokens == 0
    batcher.close()


def test_time_over(model, pool):
    batcher = make()
    busy(batcher, model, pool)
    with pytest.raises(Refused) as refused:
        ask(batcher, model, [1] * 5, seconds=0.01)
    assert refused.value.status == 504 and batcher.waiting_tokens == 0
    model.go.set()
    assert ask(batcher, model, [2]) == [2] and model.batches == [[1], [1]], "what was given up is not computed"
    batcher.close()


def test_close_finishes_what_was_accepted(model, pool):
    batcher = make(max_tokens=3)
    first = busy(batcher, model, pool)
    others = [pool.submit(ask, batcher, model, [number] * 3) for number in range(4)]
    waits(batcher, 12)
    closing = pool.submit(batcher.close)
    while not batcher._is_closed:
        time.sleep(0.001)
    with pytest.raises(Refused, match="stopped") as refused:
        ask(batcher, model, [1])
    assert refused.value.status == 503
    model.go.set()
    closing.result()
    assert first.result() == [1] and [other.result() for other in others] == [[3 * number] for number in range(4)]


def test_close_does_not_wait_for_ever(model, pool):
    batcher = make()
    first, start = busy(batcher, model, pool), time.monotonic()
    batcher.close(0.1)
    assert time.monotonic() - start < 5 and not first.done()
    model.go.set()
    assert first.result() == [1]


def test_batches_are_observed(model):
    seen = []
    model.go.set()
    batcher = make(observe=lambda *numbers: seen.append(numbers))
    ask(batcher, model, [1, 1], [1])
    batcher.close()
    ((rows, tokens, seconds),) = seen
    assert (rows, tokens) == (2, 3) and seconds > 0

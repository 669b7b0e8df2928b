"""The order of a run's examples: each once an epoch, decided by seed and epoch, whoever computes them."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from minibert.training.arguments import TrainingArguments
from minibert.training.batches import StepBatches, StepSampler
from minibert.training.evaluation_batches import LENGTH_POOL


class Sentences:
    """Examples of different lengths, drawn anew for each epoch if they `change`, as for pretraining."""

    def __init__(self, size, change=False):
        self.size, self.epoch = size, 0
        if change:
            self.set_epoch = self._set_epoch

    def _set_epoch(self, epoch):
        self.epoch = epoch

    def __len__(self):
        return self.size + 3 * self.epoch

    def __getitem__(self, index):
        length = 1 + (index * 37 + self.epoch * 11) % 101
        return {"index": index, "epoch": self.epoch, "input_ids": [0] * length}


def make(dataset, rank=0, count=1, **arguments):
    args = TrainingArguments("run", **({"per_device_train_batch_size": 4} | arguments))
    processes = SimpleNamespace(rank=rank, count=count)
    loader = DataLoader(dataset, batch_sampler=StepSampler(dataset, args, processes), collate_fn=list)
    return StepBatches(loader, args, processes)


def steps(batches, n_steps, epoch=0, step=0):
    """Of each step: the micro-batches, and the position after it."""
    run = []
    while len(run) < n_steps:
        for found in batches.rest_of_epoch(epoch, step):
            run.append(found)
            epoch, step = found[1]
    return run[:n_steps]


def indices(step):
    """The examples that a process computes in a step, and that count."""
    micro_batches, _ = step
    return [example["index"] for micro_batch in micro_batches for example in micro_batch.batch if micro_batch.weight]


@pytest.mark.parametrize("group_by_length", [False, True])
def test_every_example_once_an_epoch(group_by_length):
    batches = make(Sentences(30), group_by_length=group_by_length)
    assert batches.steps_per_epoch == 8
    run = steps(batches, 16)
    for epoch in (run[:8], run[8:]):
        assert [len(indices(step)) for step in epoch] == [4] * 7 + [2]
        assert sorted(index for step in epoch for index in indices(step)) == list(range(30))
    assert [position for _, position in run[6:9]] == [(0, 7), (1, 0), (1, 1)]


@pytest.mark.parametrize("group_by_length", [False, True])
def test_order_depends_on_seed_and_epoch_alone(group_by_length):
    def order(seed, epoch=0):
        torch.manual_seed(torch.seed())  # the global generator has no say
        batches = make(Sentences(30), seed=seed, group_by_length=group_by_length)
        return [indices(step) for step in steps(batches, 8, epoch)]

    assert order(seed=7) == order(seed=7)
    assert order(seed=7) != order(seed=8)
    assert order(seed=7) != order(seed=7, epoch=1)
    assert order(seed=7) != sorted(order(seed=7))


@pytest.mark.parametrize("group_by_length", [False, True])
@pytest.mark.parametrize("change", [False, True])
def test_from_any_position(group_by_length, change):
    arguments = {"group_by_length": group_by_length}
    whole = steps(make(Sentences(30, change), **arguments), 26)
    position = (0, 0)
    for done, (_, after) in enumerate(whole):
        rest = steps(make(Sentences(30, change), **arguments), 26 - done, *position)
        assert rest == whole[done:]
        position = after


@pytest.mark.parametrize("group_by_length", [False, True])
def test_examples_that_change_with_the_epoch(group_by_length):
    """Their number and lengths, too."""
    run = steps(make(Sentences(30, change=True), group_by_length=group_by_length), 8 + 9)
    for epoch, part, size in ((0, run[:8], 30), (1, run[8:], 33)):
        assert sorted(index for step in part for index in indices(step)) == list(range(size))
        assert {example["epoch"] for micro_batches, _ in part for example in micro_batches[0].batch} == {epoch}


def lengths(step):
    return [len(example["input_ids"]) for micro_batch in step[0] for example in micro_batch.batch]


@pytest.mark.parametrize("change", [False, True])
def test_group_by_length_makes_batches_of_similar_lengths(change):
    def padding(epoch, **arguments):
        batches = make(Sentences(1000, change), per_device_train_batch_size=8, **arguments)
        epoch = [lengths(step) for step in steps(batches, 120, epoch)]
        return 1 - sum(map(sum, epoch)) / sum(max(step) * len(step) for step in epoch)

    for epoch in (0, 1):
        assert padding(epoch) > 0.35
        assert padding(epoch, group_by_length=True) < 0.03


def test_lengths_are_mixed_over_the_epoch():
    """Batches of short examples come among those of long ones: training does not go from short to long."""
    batches = make(Sentences(LENGTH_POOL * 4), group_by_length=True)
    means = [sum(lengths(step)) / 4 for step in steps(batches, LENGTH_POOL)]
    assert means != sorted(means)
    assert abs(sum(means[:25]) - sum(means[25:])) / 25 < 25  # of 100, if they were sorted: 50


def test_fetched_at_once_where_the_dataset_can():
    class AtOnce(Sentences):
        def __getitems__(self, chosen):
            return [self[i] | {"at_once": len(chosen)} for i in chosen]

    ((micro_batch,), _) = steps(make(AtOnce(9)), 1)[0]
    assert [example["at_once"] for example in micro_batch.batch] == [4] * 4


# --- shared among processes and micro-batches


@given(st.integers(1, 40), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4))
def test_shares_make_up_the_step(size, count, accumulation, batch_size):
    """Whoever computes them, the examples of a step are those of one process with one large batch."""
    arguments = {"gradient_accumulation_steps": accumulation, "per_device_train_batch_size": batch_size}
    alone = make(Sentences(size), per_device_train_batch_size=count * accumulation * batch_size)
    ranks = [make(Sentences(size), rank, count, **arguments) for rank in range(count)]
    n_steps = alone.steps_per_epoch
    runs = [steps(batches, n_steps) for batches in ranks]
    for whole, *parts in zip(steps(alone, n_steps), *runs, strict=True):
        assert sorted(indices(whole)) == sorted(index for part in parts for index in indices(part))
        assert {position for _, position in parts} == {whole[1]}
        micro_batches = [micro_batch for part in parts for micro_batch in part[0]]
        assert len(micro_batches) == count * accumulation
        assert all(len(micro_batch.batch) <= batch_size for micro_batch in micro_batches)
        # The weights: each micro-batch's share of the step, and their mean is 1.
        n_examples = len(indices(whole))
        for micro_batch in micro_batches:
            share = len(micro_batch.batch) / n_examples if micro_batch.weight else 0
            assert micro_batch.weight == pytest.approx(share * len(micro_batches))
        assert sum(micro_batch.weight for micro_batch in micro_batches) == pytest.approx(len(micro_batches))


def test_a_process_for_whom_nothing_is_left_still_has_a_batch():
    run = [steps(make(Sentences(9), rank, count=2), 2)[1][0][0] for rank in (0, 1)]
    assert [micro_batch.weight for micro_batch in run] == [2, 0]
    assert [len(micro_batch.batch) for micro_batch in run] == [1, 1]

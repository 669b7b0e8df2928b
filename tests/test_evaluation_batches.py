"""The batches of an evaluation: every example once, with neighbours in length, by any number of workers."""

import pytest
import torch

from minibert.training.evaluation_batches import LENGTH_POOL, EvaluationBatches, batches_by_length


class Sentences:
    """Examples of different lengths; counts how often each was fetched."""

    def __init__(self, size):
        self.size, self.fetched = size, []

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        self.fetched.append(index)
        return {"index": index, "input_ids": [0] * (1 + index * 37 % 101)}


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_batches_by_length(size):
    data = Sentences(size)
    batches = list(batches_by_length(data, 4))
    assert sorted(index for indices, _ in batches for index in indices) == list(range(size))
    assert all([example["index"] for example in examples] == indices for indices, examples in batches)
    assert [len(indices) for indices, _ in batches].count(4) >= size // 4 - size // (4 * LENGTH_POOL)
    lengths = [[len(example["input_ids"]) for example in examples] for _, examples in batches]
    padding = 1 - sum(map(sum, lengths)) / sum(max(batch) * len(batch) for batch in lengths)
    assert padding < (0.03 if size == 1000 else 0.35)


def test_batches_of_what_has_no_length_come_in_order():
    assert [x for _, batch in batches_by_length(range(500), 3) for x in batch] == list(range(500))


def test_each_is_fetched_once_and_few_are_held_at_a_time():
    data = Sentences(LENGTH_POOL * 8)
    batches = batches_by_length(data, 4)
    next(batches)
    assert data.fetched == list(range(LENGTH_POOL * 4))
    assert len(list(batches)) == LENGTH_POOL * 2 - 1 and sorted(data.fetched) == list(range(LENGTH_POOL * 8))


def test_workers_change_nothing():
    alone, together = (list(batches_by_length(Sentences(500), 4, workers)) for workers in (0, 2))
    assert alone == together


def test_no_random_number_is_drawn():
    before = torch.get_rng_state()
    list(batches_by_length(Sentences(50), 4, 1))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_order_is_known_afterwards():
    batches = EvaluationBatches(Sentences(10), 4, lambda examples: [example["index"] for example in examples])
    assert len(batches) == 3
    for _ in range(2):  # it can be read again
        found = list(batches)
        assert batches.order == [index for batch in found for index in batch] != list(range(10))
        assert len(found) == 3

"""Batching: every text once, results in order, batches within their budget, nothing computed for padding."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minibert.inference.batching import run_in_batches, token_batches


@given(st.lists(st.integers(2, 40), max_size=60), st.integers(1, 200), st.none() | st.integers(1, 9))
def test_batches_hold_every_text_once_and_stay_within_the_budget(lengths, max_tokens, max_rows):
    batches = token_batches(lengths, max_tokens, max_rows)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or sum(lengths[row] for row in batch) <= max_tokens
        assert max_rows is None or len(batch) <= max_rows


def test_lengths_in_a_batch_are_neighbours():
    batches = token_batches([5, 30, 5, 29, 6, 30], 60)
    assert batches == [[1, 5], [3, 4, 0, 2]]


def texts(lengths):
    ids = [[10 * i + j for j in range(length)] for i, length in enumerate(lengths)]
    return {"input_ids": ids, "token_type_ids": [[i % 2] * length for i, length in enumerate(lengths)]}


def test_results_come_in_the_order_of_the_texts():
    given_texts = texts([3, 9, 1, 5, 9])

    def read_back(batch):
        assert batch.keys() == {"input_ids", "token_type_ids", "attention_mask"}
        real = batch["attention_mask"] != 0
        assert torch.equal(real.long().sort(dim=1, descending=True).values, batch["attention_mask"])
        rows = zip(batch["input_ids"], batch["token_type_ids"], real, strict=True)
        return [(ids[mask].tolist(), segments[mask].tolist()) for ids, segments, mask in rows]

    expected = list(zip(given_texts["input_ids"], given_texts["token_type_ids"], strict=True))
    for max_tokens in (1, 10, 1000):
        assert run_in_batches(given_texts, read_back, max_tokens=max_tokens) == expected


def test_no_gradients():
    weight = torch.ones(1, requires_grad=True)
    (result,) = run_in_batches(texts([3]), lambda batch: [weight * 2])
    assert not result.requires_grad


def test_other_devices_than_cpu_and_cuda():
    assert run_in_batches(texts([3, 2]), lambda batch: [batch["input_ids"].device.type] * 2, "meta") == ["meta"] * 2


def test_no_texts():
    assert run_in_batches({"input_ids": []}, lambda batch: pytest.fail("nothing to compute")) == []

"""`Packing`: into the flat matrix, and back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minibert.model.packing import Packing, round_up_rows

RAGGED = torch.tensor([[1, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 1, 1]])


@st.composite
def masks(draw) -> torch.Tensor:
    rows, columns = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    bits = draw(st.lists(st.integers(0, 1), min_size=rows * columns, max_size=rows * columns))
    return torch.tensor(bits).view(rows, columns)


def rectangle(mask: torch.Tensor) -> Packing:
    """The layout that keeps padding in, and masks its keys."""
    return Packing(*mask.shape, [tuple(mask.shape)], key_mask=mask != 0)


@pytest.mark.parametrize("mask", [None, torch.ones(3, 5), torch.ones(3, 5, dtype=torch.bool)])
def test_a_full_batch_is_the_simple_case(mask):
    layout = Packing.from_mask(mask, 3, 5)
    assert layout == Packing(3, 5, [(3, 5)])
    x = torch.randn(3, 5, 2)
    assert layout.flatten(x).data_ptr() == x.data_ptr()  # nothing is moved
    assert torch.equal(layout.flatten(x), x.view(15, 2))


@pytest.mark.parametrize("dtype", [torch.long, torch.float, torch.bool])
def test_sequences_lie_in_the_order_of_their_lengths(dtype):
    layout = Packing.from_mask(RAGGED.to(dtype), 4, 4)
    assert layout.groups == [(1, 1), (2, 3)]
    assert layout.row_index.tolist() == [1, 0, 3]
    assert layout.token_index.tolist() == [5, 0, 1, 2, 12, 14, 15]


@given(masks())
def test_there_and_back(mask):
    layout = Packing.from_mask(mask, *mask.shape)
    x = torch.randn(*mask.shape, 3)
    flat = layout.flatten(x)
    assert flat.shape == (int(mask.sum()), 3)
    assert torch.equal(layout.unflatten(flat), x * mask[..., None])
    assert torch.equal(layout.unflatten(flat[:, 0], fill=-7.0), x[..., 0].where(mask != 0, torch.tensor(-7.0)))


@given(masks())
def test_groups_are_the_rows_of_equal_length(mask):
    layout = Packing.from_mask(mask, *mask.shape)
    x = torch.randn(*mask.shape, 2)
    groups = layout.split(layout.flatten(x))
    found = sorted(sequence.flatten().tolist() for group in groups for sequence in group)
    assert found == sorted(row[m != 0].flatten().tolist() for row, m in zip(x, mask, strict=True) if m.any())
    assert torch.equal(layout.join(groups, int(mask.sum())), layout.flatten(x))


@pytest.mark.parametrize("mask", [RAGGED, torch.ones(2, 3)])
def test_rows_beyond_the_tokens_are_in_no_group(mask):
    layout = Packing.from_mask(mask, *mask.shape)
    flat = torch.randn(int(mask.sum()) + 2, 5, requires_grad=True)
    groups = layout.split(flat)
    assert sum(group.shape[0] * group.shape[1] for group in groups) == mask.sum()
    joined = layout.join(groups, len(flat))
    assert torch.equal(joined[:-2], flat[:-2]) and torch.equal(joined[-2:], torch.zeros(2, 5))
    joined.sum().backward()
    assert torch.equal(flat.grad[-2:], torch.zeros(2, 5)) and flat.grad[:-2].min() == 1


def test_bfloat16_on_a_cpu_meets_few_numbers_of_rows():
    rounded = {n: round_up_rows(torch.ones(n, 2, dtype=torch.bfloat16)) for n in (*range(70), *range(1000, 2100))}
    assert all(n <= len(x) <= n + n / 32 and x.sum() == 2 * n for n, x in rounded.items())
    assert len({len(x) for n, x in rounded.items() if n >= 1000}) < 40
    assert all(len(rounded[n]) == n for n in range(64))  # one short sentence gets no more work


def test_nothing_is_added_where_it_saves_nothing(monkeypatch):
    x = torch.ones(1001, 2)
    assert round_up_rows(x) is x
    with torch.autocast("cpu", torch.bfloat16):
        assert len(round_up_rows(x)) == 1008
        assert round_up_rows(x[:992]).shape == (992, 2)
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
        assert round_up_rows(x) is x


@given(masks())
def test_attention_weights_come_back_at_real_queries_and_keys(mask):
    layout = Packing.from_mask(mask, *mask.shape)
    weights = torch.randn(len(mask), 2, mask.shape[1], mask.shape[1])
    real = (mask[:, None, :, None] * mask[:, None, None, :]).float()
    groups = []
    for count, length in layout.groups:
        rows = [b for b in range(len(mask)) if int(mask[b].sum()) == length]
        kept = [weights[b][:, mask[b] != 0][:, :, mask[b] != 0] for b in rows]
        groups.append(torch.stack(kept) if kept else weights.new_zeros(count, 2, length, length))
    assert torch.equal(layout.pad_attention(groups), weights * real)


def test_the_rectangle_hides_padding_when_it_comes_back():
    layout = rectangle(RAGGED)
    x = torch.randn(4, 4, 2)
    assert torch.equal(layout.flatten(x), x.view(16, 2))
    assert torch.equal(
        layout.unflatten(layout.flatten(x), fill=-1.0), x.where(RAGGED[..., None] != 0, torch.tensor(-1.0))
    )


@pytest.mark.parametrize("layout", [Packing.from_mask(RAGGED, 4, 4), rectangle(RAGGED)])
def test_gradients_find_their_way_back(layout):
    x = torch.randn(4, 4, 2, requires_grad=True)
    layout.unflatten(layout.flatten(x) * 3).sum().backward()
    assert torch.equal(x.grad, 3.0 * RAGGED[..., None].expand(4, 4, 2))


def test_while_tracing_the_layout_is_the_rectangle(monkeypatch):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    layout = Packing.from_mask(RAGGED, 4, 4)
    assert layout.groups == [(4, 4)] and layout.token_index is None
    assert torch.equal(layout.key_mask, RAGGED != 0)

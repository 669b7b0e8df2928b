"""`Packing`: into the flat matrix, and back."""

import itertools
import sys

import pytest
import torch
from forced_gpu import force_gpu
from hypothesis import assume, given
from hypothesis import strategies as st
from reference import ATTENTIONS, assert_near, mask_of, our_model, task_batch, tiny_config

from minibert.model.encoder import Encoder
from minibert.model.packing import Packing, attend, flash_attention_for, form_for, fused_attention

RAGGED = torch.tensor([[1, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 1, 1]])


@st.composite
def masks(draw) -> torch.Tensor:
    rows, columns = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    bits = draw(st.lists(st.integers(0, 1), min_size=rows * columns, max_size=rows * columns))
    return torch.tensor(bits).view(rows, columns)


def rectangle(mask: torch.Tensor) -> Packing:
    """The packing that keeps padding in, and hides it."""
    return Packing(*mask.shape, mask != 0)


@pytest.mark.parametrize("mask", [None, torch.ones(3, 5), torch.ones(3, 5, dtype=torch.bool)])
def test_a_full_batch_is_the_simple_case(mask):
    packing = Packing.from_mask(mask, 3, 5)
    assert packing == Packing(3, 5)
    x = torch.randn(3, 5, 2)
    assert packing.flatten(x).data_ptr() == x.data_ptr()  # nothing is moved
    assert torch.equal(packing.flatten(x), x.view(15, 2))


@pytest.mark.parametrize("dtype", [torch.long, torch.float, torch.bool])
def test_sequences_lie_in_the_order_of_their_lengths(dtype):
    packing = Packing.from_mask(RAGGED.to(dtype), 4, 4)
    assert packing.groups == ((1, 1), (2, 3))
    assert packing.token_index.tolist() == [5, 0, 1, 2, 12, 14, 15]


@given(masks())
def test_there_and_back(mask):
    packing = Packing.from_mask(mask, *mask.shape)
    x = torch.randn(*mask.shape, 3)
    flat = packing.flatten(x)
    assert flat.shape == (int(mask.sum()), 3)
    assert torch.equal(packing.unflatten(flat), x * mask[..., None])
    assert torch.equal(packing.unflatten(flat[:, 0], fill=-7.0), x[..., 0].where(mask != 0, torch.tensor(-7.0)))


@given(masks())
def test_groups_are_the_rows_of_equal_length(mask):
    packing = Packing.from_mask(mask, *mask.shape)
    assume(packing.groups)  # a full batch, or an empty one, is computed as it is
    x = torch.randn(*mask.shape, 2)
    groups = packing.split(packing.flatten(x))
    found = sorted(sequence.flatten().tolist() for group in groups for sequence in group)
    assert found == sorted(row[m != 0].flatten().tolist() for row, m in zip(x, mask, strict=True) if m.any())
    assert torch.equal(packing.join(groups), packing.flatten(x))


def test_added_rows_are_in_no_group_and_do_not_come_back():
    mask = torch.ones(9, 30)
    mask[0, 5:] = 0  # 245 tokens
    packing, x = Packing.from_mask(mask, 9, 30, round_up=True), torch.randn(9, 30, 5, requires_grad=True)
    flat = packing.flatten(x, fill=3.0)
    assert packing.num_tokens == 245 and flat.shape == (248, 5) and (flat[245:] == 3).all()
    assert torch.equal(packing.unflatten(flat), x * mask[..., None])
    groups = packing.split(flat)
    assert sum(group.shape[0] * group.shape[1] for group in groups) == 245
    joined = packing.join(groups)
    assert torch.equal(joined[:245], flat[:245]) and torch.equal(joined[245:], torch.zeros(3, 5))
    joined.sum().backward()
    assert torch.equal(x.grad, mask[..., None].expand(9, 30, 5))


def test_few_numbers_of_rows_are_met():
    packing = Packing(1, 1, round_up=True)
    rounded = {n: packing.fill_up(torch.ones(n, 2)) for n in (*range(70), *range(1000, 2100))}
    assert all(n <= len(x) <= n + n / 32 and x.sum() == 2 * n for n, x in rounded.items())
    assert len({len(x) for n, x in rounded.items() if n >= 1000}) < 40
    assert all(len(rounded[n]) == n for n in range(64))  # one short sentence gets no more work
    ids = packing.fill_up(torch.ones(1001, dtype=torch.long), fill=-100)
    assert ids.shape == (1008,) and (ids[1001:] == -100).all()
    assert packing.fill_up(x := torch.ones(992, 2)) is x


def test_the_form_is_what_suits_the_encoder(monkeypatch):
    def form(**options) -> tuple[bool, bool]:
        return tuple(form_for(encoder.to(**options)).values())

    encoder = Encoder(tiny_config())
    assert [*form_for(encoder)] == ["round_up", "in_groups"]
    assert form() == (False, True)
    with torch.autocast("cpu", torch.bfloat16):
        assert form() == (True, True)
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
        assert form() == (False, False)
        monkeypatch.undo()
    assert form(dtype=torch.bfloat16) == (True, True)
    assert form(device="meta") == (False, True)
    encoder.layer[0].compile()  # which does nothing before it is called
    assert form(dtype=torch.bfloat16) == (False, False)


@given(masks())
def test_without_groups_rows_stay_in_their_order(mask):
    packing = Packing.from_mask(mask, *mask.shape, in_groups=False)
    x = torch.randn(*mask.shape, 3)
    assert not packing.groups and packing.offsets is None
    assert torch.equal(packing.flatten(x), x[mask != 0])
    assert torch.equal(packing.unflatten(packing.flatten(x)), x * mask[..., None])


@given(masks())
def test_the_padded_view_is_a_part_of_the_graph(mask):
    packing, x = Packing.from_mask(mask, *mask.shape), torch.randn(int(mask.sum()), 2, requires_grad=True)
    padded, flat = packing.padded_view(x)
    padded.retain_grad()
    flat.pow(2).sum().backward()
    assert torch.equal(flat, x) and torch.equal(padded, packing.unflatten(x))
    assert torch.equal(padded.grad, 2 * padded)


def test_the_rectangle_hides_padding_when_it_comes_back():
    packing = rectangle(RAGGED)
    x = torch.randn(4, 4, 2)
    assert torch.equal(packing.flatten(x), x.view(16, 2))
    assert torch.equal(
        packing.unflatten(packing.flatten(x), fill=-1.0), x.where(RAGGED[..., None] != 0, torch.tensor(-1.0))
    )


@pytest.mark.parametrize("packing", [Packing.from_mask(RAGGED, 4, 4), rectangle(RAGGED)])
def test_gradients_find_their_way_back(packing):
    x = torch.randn(4, 4, 2, requires_grad=True)
    packing.unflatten(packing.flatten(x) * 3).sum().backward()
    assert torch.equal(x.grad, 3.0 * RAGGED[..., None].expand(4, 4, 2))


def test_while_tracing_padding_stays_in(monkeypatch):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    packing = Packing.from_mask(RAGGED, 4, 4)
    assert not packing.groups and packing.token_index is None
    assert torch.equal(packing.mask, RAGGED != 0)


# --- on a GPU, of which these tests need none


@pytest.fixture
def on_gpu(monkeypatch) -> None:
    force_gpu(monkeypatch)


@given(masks())
def test_on_a_gpu_rows_stay_in_their_order(mask):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("minibert.model.packing.is_on_gpu", lambda x: True)
        packing = Packing.from_mask(mask, *mask.shape)
    x = torch.randn(*mask.shape, 3)
    assert torch.equal(packing.flatten(x), x[mask != 0])
    assert torch.equal(packing.unflatten(packing.flatten(x)), x * mask[..., None])
    if packing.offsets is not None:
        lengths = mask.sum(1).tolist()
        assert packing.offsets.dtype == torch.int32 and not packing.groups
        assert packing.offsets.tolist() == [sum(lengths[:i]) for i in range(len(lengths) + 1)]
    else:
        assert mask.all()


@pytest.mark.parametrize("name", ATTENTIONS)
@pytest.mark.parametrize("options", [{}, {"output_hidden_states": True}, {"output_attentions": True}], ids=str)
@pytest.mark.parametrize("mask", [mask_of("gaps"), torch.ones(4, 11), mask_of("empty row"), torch.zeros(4, 11)])
def test_the_padded_form_gives_the_same(name, options, mask, on_gpu, monkeypatch):
    model = our_model("BertForPreTraining", attn_implementation=name).double()
    batch = task_batch("BertForPreTraining", model.config, mask)
    found = model(**batch, **options)
    gradients = torch.autograd.grad(found.loss, list(model.parameters()))
    monkeypatch.undo()
    expected = model(**batch, **options)
    for key, value in expected.items():
        for x, y in zip(*((v if isinstance(v, tuple) else (v,)) for v in (found[key], value)), strict=True):
            assert_near(x, y, 1e-12, key)
    for x, y in zip(gradients, torch.autograd.grad(expected.loss, list(model.parameters())), strict=True):
        assert_near(x, y, 1e-12)


def by_sequence(query, key, value, starts, ends, longest, also_longest):
    """What PyTorch's kernel for flat tokens computes, one sequence at a time."""
    assert starts is ends and longest == also_longest and starts.dtype == torch.int32
    parts = []
    for begin, end in itertools.pairwise(starts.tolist()):
        heads = (x[begin:end].transpose(0, 1)[None] for x in (query, key, value))  # (1, H, n, K)
        parts.append(fused_attention(*heads)[0][0].transpose(0, 1))
    return torch.cat(parts)


def test_the_kernel_for_flat_tokens_gets_what_it_needs(on_gpu, monkeypatch):
    calls = []
    model = our_model("BertForMaskedLM").double()
    batch = task_batch("BertForMaskedLM", model.config, mask_of("gaps"))
    expected = model(**batch)
    gradients = torch.autograd.grad(expected.loss, list(model.parameters()))
    monkeypatch.setattr(
        "minibert.model.packing.flash_attention_for", lambda dtype: lambda *x: calls.append(1) or by_sequence(*x)
    )
    found = model(**batch)
    assert_near(found.logits, expected.logits, 1e-12)
    for x, y in zip(torch.autograd.grad(found.loss, list(model.parameters())), gradients, strict=True):
        assert_near(x, y, 1e-12)
    assert len(calls) == model.config.num_hidden_layers
    calls.clear()
    model(**batch, output_attentions=True)  # it has no weights to show,
    model.config.attn_implementation = "eager"  # is not what was asked for,
    model(**batch)
    model.config.attn_implementation = "sdpa"
    for layer in model.bert.encoder.layer:
        layer.attention.dropout.p = 0.1
    model.train()(**batch)  # and drops nothing
    assert not calls


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_kernel_takes_what_it_is_given(dtype):
    """Its shapes and those of its gradients, without computing anything: as far as one comes without a GPU."""
    tensors = [torch.empty(31, 4, 8, dtype=dtype, device="meta", requires_grad=True) for _ in range(3)]
    packing = Packing(5, 9, offsets=torch.empty(6, dtype=torch.int32, device="meta"))
    context, weights = attend(fused_attention, *tensors, packing, dropout=0.0, output_attentions=False)
    assert context.shape == (31, 4, 8) and context.dtype == dtype and weights is None
    gradients = torch.autograd.grad(context.sum(), tensors)
    assert [(x.shape, x.dtype) for x in gradients] == [((31, 4, 8), dtype)] * 3


def test_where_there_is_such_a_kernel(monkeypatch):
    assert flash_attention_for(torch.float32) is None
    assert flash_attention_for(torch.bfloat16) is not None
    monkeypatch.setitem(sys.modules, "torch.nn.attention.varlen", None)  # an older PyTorch
    assert flash_attention_for(torch.float16) is None


def test_values_are_checked_without_waiting(on_gpu):
    model = our_model("BertForMaskedLM")
    with pytest.raises(RuntimeError, match=r"input_ids must lie in \[0, vocab_size=97\)"):
        model(input_ids=torch.tensor([[1, 97]]))
    with pytest.raises(RuntimeError, match=r"labels must lie in \[0, 97\) or be -100"):
        model(input_ids=torch.tensor([[1, 2]]), labels=torch.tensor([[1, 97]]))

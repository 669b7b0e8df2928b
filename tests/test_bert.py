"""`BertModel` against the reference, padded and not, and what every model can do."""

import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import (
    ATTENTIONS,
    MASKS,
    ODD_CONFIGS,
    assert_all_same,
    assert_near,
    assert_same,
    batch_of,
    gradient_difference,
    mask_of,
    model_pair,
    no_dropout,
    rectangular,
    task_batch,
    tiny_config,
    use_attention,
)

from minibert import BertModel
from minibert.model.bert import Pooler
from minibert.model.packing import Packing

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
GRADIENT_TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
EVERYTHING = {"output_attentions": True, "output_hidden_states": True}


# --- against the reference


@pytest.mark.parametrize("name", ATTENTIONS)
@pytest.mark.parametrize("changes", ODD_CONFIGS.values(), ids=ODD_CONFIGS)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@torch.no_grad()
def test_bit_identical_without_padding(name, changes, dtype):
    theirs, ours = model_pair("BertModel", dtype, **changes)
    use_attention(name, theirs, ours)
    batch = batch_of(theirs.config)
    expected, found = theirs(**batch, output_hidden_states=True), ours(**batch, output_hidden_states=True)
    assert list(found) == list(expected) == ["last_hidden_state", "pooler_output", "hidden_states"]
    assert_same(found.last_hidden_state, expected.last_hidden_state, "last_hidden_state")
    assert_same(found.pooler_output, expected.pooler_output, "pooler_output")
    for i, (x, y) in enumerate(zip(found.hidden_states, expected.hidden_states, strict=True)):
        assert_same(x, y, f"hidden state {i}")


@torch.no_grad()
def test_bit_identical_where_matrices_are_large_enough_for_two_threads():
    theirs, ours = model_pair("BertModel", hidden_size=128, intermediate_size=512, max_position_embeddings=96)
    batch = batch_of(theirs.config, (4, 96))
    try:
        torch.set_num_threads(2)
        assert_same(ours(**batch).last_hidden_state, theirs(**batch).last_hidden_state)
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("arguments", ["input_ids only", "position_ids", "inputs_embeds", "a full mask"])
@torch.no_grad()
def test_bit_identical_for_every_argument(arguments):
    theirs, ours = model_pair("BertModel")
    batch = batch_of(theirs.config)
    if arguments == "input_ids only":
        del batch["token_type_ids"]
    elif arguments == "position_ids":
        batch["position_ids"] = torch.randint(24, (4, 11))
    elif arguments == "inputs_embeds":
        batch = {"inputs_embeds": torch.randn(4, 11, 32), "token_type_ids": batch["token_type_ids"]}
    else:
        batch["attention_mask"] = torch.ones(4, 11)
    assert_same(ours(**batch).last_hidden_state, theirs(**batch).last_hidden_state)


@torch.no_grad()
def test_attentions_are_those_of_the_reference_s_explicit_form():
    theirs, ours = model_pair("BertModel")
    use_attention("eager", theirs)  # ours changes over by itself
    batch = batch_of(theirs.config)
    expected, found = theirs(**batch, **EVERYTHING), ours(**batch, **EVERYTHING)
    assert list(found) == list(key for key in expected if key != "cross_attentions")  # it has a decoder's, empty
    for x, y in zip(found.attentions, expected.attentions, strict=True):
        assert_same(x, y)


@torch.no_grad()
def test_the_config_can_ask_for_hidden_states_and_attentions():
    model = BertModel(tiny_config(**EVERYTHING)).eval()
    batch = batch_of(model.config)
    assert len(model(**batch).hidden_states) == 3 and len(model(**batch).attentions) == 2
    quiet = model(**batch, output_attentions=False, output_hidden_states=False)
    assert quiet.hidden_states is None and quiet.attentions is None


@pytest.mark.parametrize("name", ATTENTIONS)
@pytest.mark.parametrize("mask_name", MASKS)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@torch.no_grad()
def test_padded_input(name, mask_name, dtype):
    theirs, ours = model_pair("BertModel", dtype)
    use_attention(name, theirs, ours)
    mask = mask_of(mask_name)
    real, has_first = mask != 0, mask[:, 0] != 0
    batch = batch_of(theirs.config, mask=mask)
    expected, found = theirs(**batch, output_hidden_states=True), ours(**batch, output_hidden_states=True)
    for i, (x, y) in enumerate(zip(found.hidden_states, expected.hidden_states, strict=True)):
        assert_near(x[real], y[real], TOLERANCE[dtype], f"hidden state {i}")
        assert not x[~real].any(), "masked positions hold zeros"
    assert_near(found.pooler_output[has_first], expected.pooler_output[has_first], TOLERANCE[dtype], "pooler")
    without_first = torch.tanh(ours.pooler.dense.bias).expand_as(found.pooler_output)
    assert torch.equal(found.pooler_output[~has_first], without_first[~has_first])


@pytest.mark.parametrize("mask_name", MASKS)
@torch.no_grad()
def test_attentions_on_padded_input(mask_name):
    theirs, ours = model_pair("BertModel")
    use_attention("eager", theirs)
    mask = mask_of(mask_name)
    batch = batch_of(theirs.config, mask=mask)
    real = (mask[:, None, :, None] * mask[:, None, None, :]).expand(4, 4, 11, 11) != 0
    for x, y in zip(ours(**batch, **EVERYTHING).attentions, theirs(**batch, **EVERYTHING).attentions, strict=True):
        assert_near(x[real], y[real], 1e-5)
        assert not x[~real].any()


@pytest.mark.parametrize("name", ATTENTIONS)
@pytest.mark.parametrize("mask_name", [None, *MASKS])
@pytest.mark.parametrize("dtype", GRADIENT_TOLERANCE, ids=str)
def test_gradients(name, mask_name, dtype):
    theirs, ours = model_pair("BertModel", dtype, **no_dropout())
    use_attention(name, theirs.train(), ours.train())
    mask = torch.ones(4, 11) if mask_name is None else mask_of(mask_name)
    batch = batch_of(theirs.config, mask=mask)
    weight = torch.randn(4, 11, 32, dtype=dtype) * mask[..., None]  # only real positions count
    for model in (theirs, ours):
        outputs = model(**batch)
        (outputs.last_hidden_state * weight + outputs.pooler_output[:, None] * weight[:, :1]).sum().backward()
    assert gradient_difference(ours, theirs) <= GRADIENT_TOLERANCE[dtype]


@pytest.mark.parametrize("name", ATTENTIONS)
@pytest.mark.parametrize("site", ["hidden_dropout_prob", "attention_probs_dropout_prob"])
def test_the_same_draw_drops_the_same(name, site):
    """From the same seed both draw the same masks, because they drop at the same places and in the same order."""
    theirs, ours = model_pair("BertModel", **no_dropout(**{site: 0.3}))
    use_attention(name, theirs.train(), ours.train())
    batch = batch_of(theirs.config)
    results = []
    for model in (theirs, ours):
        torch.manual_seed(7)
        results.append(model(**batch).last_hidden_state)
    assert_same(results[1], results[0])
    assert not torch.equal(ours.eval()(**batch).last_hidden_state, results[0])


def test_no_dropout_in_the_pooler():
    pooler, x = Pooler(tiny_config(hidden_dropout_prob=0.5)).train(), torch.randn(4, 3, 32)
    assert torch.equal(pooler(x), pooler(x))


def test_the_pooler_takes_a_batch_and_any_activation():
    theirs, ours = model_pair("BertModel")
    x = torch.randn(2, 5, 32)
    assert_same(ours.pooler(x), theirs.pooler(x))
    ids = torch.randint(5, 50, (2, 5))
    for model in (theirs, ours):
        model.pooler.activation = torch.nn.Identity()
    assert_same(ours(ids).pooler_output, theirs(ids).pooler_output)


def test_padding_on_the_left_leaves_the_pooler_without_cls_and_is_said():
    _, model = model_pair("BertModel")
    ids, mask = torch.randint(5, 50, (3, 4)), torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]])
    with pytest.warns(UserWarning, match="a sequence begins with padding"):
        model(ids, mask)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(ids, mask.flip(1))


# --- flat and padded


@st.composite
def models_and_masks(draw) -> tuple[BertModel, torch.Tensor]:
    heads = draw(st.integers(1, 4))
    hidden = heads * draw(st.integers(1, 8))
    config = tiny_config(
        hidden_size=hidden,
        num_attention_heads=heads,
        num_hidden_layers=draw(st.integers(1, 3)),
        intermediate_size=draw(st.integers(1, 40)),
        hidden_act=draw(st.sampled_from(["gelu", "gelu_new", "relu", "silu", "tanh"])),
        layer_norm_eps=draw(st.sampled_from([1e-12, 1e-5, 1e-2])),
        type_vocab_size=draw(st.integers(1, 3)),
        pad_token_id=draw(st.sampled_from([None, 0, 5])),
        initializer_range=draw(st.sampled_from([0.02, 0.2])),
        attn_implementation=draw(st.sampled_from(ATTENTIONS)),
    )
    rows, columns = draw(st.integers(1, 5)), draw(st.integers(1, 9))
    bits = draw(st.lists(st.integers(0, 1), min_size=rows * columns, max_size=rows * columns))
    return BertModel(config).double().eval(), torch.tensor(bits).view(rows, columns)


@given(models_and_masks())
@torch.no_grad()
def test_a_row_of_a_padded_batch_is_that_row_alone(drawn):
    model, mask = drawn
    batch = batch_of(model.config, tuple(mask.shape), mask)
    together = model(**batch, **EVERYTHING)
    for b in range(len(mask)):
        columns = mask[b].nonzero().flatten()
        if not len(columns):
            continue
        row = {name: x[b : b + 1, columns] for name, x in batch.items() if name != "attention_mask"}
        alone = model(**row, position_ids=columns[None], **EVERYTHING)
        for x, y in zip(together.hidden_states, alone.hidden_states, strict=True):
            assert_near(x[b, columns], y[0], 1e-12)
        for x, y in zip(together.attentions, alone.attentions, strict=True):
            assert_near(x[b][:, columns][:, :, columns], y[0], 1e-12)
    assert not together.last_hidden_state[mask == 0].any()


@given(models_and_masks())
@torch.no_grad()
def test_the_rectangle_with_a_key_mask_gives_the_same(drawn):
    model, mask = drawn
    batch = batch_of(model.config, tuple(mask.shape), mask)
    ragged = model(**batch, **EVERYTHING)
    with rectangular():
        rectangle = model(**batch, **EVERYTHING)
    assert rectangle.packing.token_index is None and rectangle.keys() == ragged.keys()
    for name in ("hidden_states", "attentions"):
        for x, y in zip(rectangle[name], ragged[name], strict=True):
            assert_near(x, y, 1e-12, name)
    assert_near(rectangle.pooler_output, ragged.pooler_output, 1e-12)


@given(models_and_masks())
@torch.no_grad()
def test_both_forms_of_attention_give_the_same(drawn):
    model, mask = drawn
    batch = batch_of(model.config, tuple(mask.shape), mask)
    use_attention("eager", model)
    explicit = model(**batch).last_hidden_state
    use_attention("sdpa", model)
    assert_near(model(**batch).last_hidden_state, explicit, 1e-12)


@pytest.mark.parametrize("name", ATTENTIONS)
@pytest.mark.parametrize("rectangle", [False, True])
@pytest.mark.parametrize("mask", [mask_of("empty row"), torch.zeros(4, 11)], ids=["one row", "all rows"])
def test_masked_rows_give_zeros_and_finite_gradients(name, rectangle, mask):
    model = BertModel(tiny_config(attn_implementation=name)).train()
    with rectangular(rectangle):
        outputs = model(**batch_of(model.config, mask=mask), output_hidden_states=True)
    assert not torch.stack(outputs.hidden_states)[:, mask == 0].any()
    (outputs.last_hidden_state.square().sum() + outputs.pooler_output.square().sum()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_padding_is_not_computed():
    model, seen = BertModel(tiny_config()).eval(), []
    for module in (model.embeddings, model.encoder.layer[0].feed_forward.up, model.encoder.layer[1].attention.query):
        module.register_forward_hook(lambda _, inputs, outputs: seen.append(len(outputs)))
    mask = mask_of("gaps")
    model(**batch_of(model.config, mask=mask))
    assert seen == [int(mask.sum())] * 3


def test_in_bfloat16_ragged_batches_have_a_round_number_of_rows():
    model, rows = BertModel(tiny_config(max_position_embeddings=50)).eval(), []
    mask = torch.arange(50) < torch.tensor([[50], [31], [0], [20]])  # 101 tokens
    batch = batch_of(model.config, (4, 50), mask)
    model.encoder.layer[1].feed_forward.register_forward_hook(lambda _, args, output: rows.append(len(output)))
    expected = model(**batch).last_hidden_state
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model(**batch, output_hidden_states=True)
    assert rows == [101, 102] and {state.shape for state in outputs.hidden_states} == {expected.shape}
    assert_near(outputs.last_hidden_state, expected, 0.05)


def test_the_packing_is_made_once(monkeypatch):
    calls, make = [], Packing.from_mask
    monkeypatch.setattr(Packing, "from_mask", lambda *args, **options: calls.append(1) or make(*args, **options))
    model = BertModel(tiny_config())
    model(**batch_of(model.config, mask=mask_of("left")))
    assert len(calls) == 1


@pytest.mark.parametrize("class_name", ["BertForMaskedLM", "BertForMultipleChoice"])
@torch.no_grad()
def test_a_tuple_if_that_is_wanted(class_name):
    theirs, model = model_pair(class_name)
    batch = task_batch(class_name, theirs.config)
    outputs, expected = model(**batch, return_dict=True), theirs(**batch, return_dict=False)
    assert_all_same(outputs, model(**batch))
    model.config.return_dict = False
    for found in (model(**batch), model(**batch, return_dict=False)):
        assert isinstance(found, tuple) and len(found) == len(expected)
        for x, y in zip(found, expected, strict=True):
            assert_same(x, y)
    assert_all_same(model(**batch, return_dict=True), outputs)


# --- looking inside, with gradients


@pytest.mark.parametrize("name", ATTENTIONS)
@pytest.mark.parametrize("mask", [None, mask_of("gaps"), mask_of("empty row")], ids=["full", "gaps", "empty row"])
def test_states_and_weights_have_gradients(name, mask):
    theirs, ours = model_pair("BertForMaskedLM", **no_dropout())
    batch = task_batch("BertForMaskedLM", theirs.config, mask)
    use_attention("eager", theirs)
    use_attention(name, ours)
    found, expected = (model(**batch, **EVERYTHING) for model in (ours, theirs))
    for outputs in (found, expected):
        for x in (*outputs.hidden_states, *outputs.attentions):
            x.retain_grad()
        outputs.loss.backward()
    largest = max(float(x.grad.abs().max()) for x in expected.hidden_states[:-1])
    real = torch.ones(4, 11) if mask is None else mask
    for x, y in zip(found.hidden_states[:-1], expected.hidden_states[:-1], strict=True):
        assert_near(x.grad * real[..., None], y.grad * real[..., None], 1e-5 * max(1, largest))
    for x, y in zip(found.attentions, expected.attentions, strict=True):
        both_real = real[:, None, :, None] * real[:, None, None]
        assert_near(x.grad * both_real, y.grad * both_real, 1e-5)


def test_a_hook_on_a_layer_sees_tokens_that_unflatten_brings_into_shape():
    model, seen = BertModel(tiny_config()).eval(), []
    model.encoder.layer[0].register_forward_hook(lambda _, args, output: seen.append((output[0], args[1])))
    outputs = model(**batch_of(model.config, mask=mask_of("gaps")), output_hidden_states=True)
    ((tokens, packing),) = seen
    assert torch.equal(packing.unflatten(tokens), outputs.hidden_states[1])

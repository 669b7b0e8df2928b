"""`BertModel` against the reference, padded and not, and what every model can do."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import (
    ATTENTIONS,
    MASKS,
    ODD_CONFIGS,
    TINY,
    assert_near,
    assert_same,
    batch_of,
    gradient_difference,
    mask_of,
    model_pair,
    no_dropout,
    rectangular,
    use_attention,
)

from minibert import BertConfig, BertForMaskedLM, BertForPreTraining, BertModel
from minibert.layout import BatchLayout
from minibert.model import Pooler

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
GRADIENT_TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
EVERYTHING = {"output_attentions": True, "output_hidden_states": True}


def tiny_config(**changes) -> BertConfig:
    return BertConfig(**{**TINY, **changes})


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
    assert found.keys() == tuple(expected.keys()) == ("last_hidden_state", "pooler_output", "hidden_states")
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
    theirs.set_attn_implementation("eager")  # ours changes over by itself
    batch = batch_of(theirs.config)
    expected, found = theirs(**batch, **EVERYTHING), ours(**batch, **EVERYTHING)
    assert found.keys() == tuple(key for key in expected if key != "cross_attentions")  # it has a decoder's, empty
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
    theirs.set_attn_implementation("eager")
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
    pooler, x = Pooler(tiny_config(hidden_dropout_prob=0.5)).train(), torch.randn(4, 32)
    assert torch.equal(pooler(x), pooler(x))


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
    assert rectangle.layout.key_mask is not None and rectangle.keys() == ragged.keys()
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


# --- what every model can do


def test_bert_base_has_the_published_number_of_parameters():
    with torch.device("meta"):
        assert BertModel(BertConfig()).num_parameters() == 109_482_240
        assert BertModel(BertConfig(), add_pooling_layer=False).num_parameters() == 109_482_240 - 768 * 769


# In millions, with the heads of pretraining: Turc et al. 2019, table 1, and the list beside the released checkpoints.
@pytest.mark.parametrize(
    ("name", "millions"), [("tiny", 4.4), ("mini", 11.3), ("small", 29.1), ("medium", 41.7), ("base", 110.1)]
)
def test_named_sizes_have_the_published_numbers(name, millions):
    with torch.device("meta"):
        model = BertForPreTraining(getattr(BertConfig, name)())
    assert round(model.num_parameters() / 1e6, 1) == millions


def test_initial_weights():
    model = BertForPreTraining(tiny_config(hidden_size=96, initializer_range=0.05, tie_word_embeddings=False))
    for name, parameter in model.named_parameters():
        if name.endswith("norm.weight"):
            assert (parameter == 1).all(), name
        elif parameter.ndim == 1:
            assert not parameter.any(), name
        else:
            spread = parameter[1:] if name.endswith("embeddings.word.weight") else parameter
            # Five standard errors of a standard deviation from so many draws.
            assert abs(spread.std() - 0.05) < 5 * 0.05 / (2 * spread.numel()) ** 0.5, name
            assert abs(spread.mean()) < 5 * 0.05 / spread.numel() ** 0.5, name
    words = model.get_input_embeddings().weight
    assert not words[0].any() and words[1:].any(1).all()


def test_initial_weights_come_from_the_global_generator():
    models = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        models.append(BertModel(tiny_config()).embeddings.word.weight)
    assert torch.equal(models[0], models[1]) and not torch.equal(models[0], models[2])


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("size", [60, 130])
@torch.no_grad()
def test_resize_keeps_what_there_is(tied, size):
    theirs, model = model_pair("BertForMaskedLM", tie_word_embeddings=tied)
    batch = {name: x % 60 for name, x in batch_of(theirs.config).items()}
    before = {name: x.clone() for name, x in model.state_dict().items()}
    logits, kept = model(**batch).logits, min(size, 97)
    embeddings = model.resize_token_embeddings(size)
    assert embeddings is model.get_input_embeddings() and model.config.vocab_size == size
    assert (embeddings.num_embeddings, model.mlm_head.decoder.out_features) == (size, size)
    assert (model.mlm_head.decoder.weight is embeddings.weight) == tied
    assert (model.mlm_head.decoder.bias is model.mlm_head.bias) == tied
    for name, x in model.state_dict().items():
        assert torch.equal(x[:kept], before[name][:kept]), name
    assert_near(model(**batch).logits[..., :kept], logits[..., :kept], 1e-5)  # another matmul, other last bits
    new = embeddings.weight[97:]
    assert new.any(1).all() and (not len(new) or abs(new.std() - 0.02) < 0.005)
    assert not model.mlm_head.bias[97:].any() and not model.mlm_head.decoder.bias[97:].any()
    fresh = BertForMaskedLM(model.config).state_dict()
    assert {n: x.shape for n, x in model.state_dict().items()} == {n: x.shape for n, x in fresh.items()}
    theirs.resize_token_embeddings(size)
    if size < 97:  # larger, the two draw the new rows differently
        assert_same(model(**batch).logits, theirs(**batch).logits)


def test_a_resized_model_trains_saves_and_loads(tmp_path):
    model = BertForMaskedLM(tiny_config())
    model.resize_token_embeddings(101)
    ids = torch.full((1, 3), 100)
    model(ids, labels=ids).loss.backward()
    assert model.get_input_embeddings().weight.grad[100].any() and model.mlm_head.bias.grad[100] != 0
    model.save_pretrained(tmp_path)
    assert_same(BertForMaskedLM.from_pretrained(tmp_path)(ids).logits, model.eval()(ids).logits)


@pytest.mark.parametrize(("size", "message"), [(0, "vocab_size"), (5, "pad_token_id")])
def test_resize_to_an_impossible_size_changes_nothing(size, message):
    model = BertModel(tiny_config(pad_token_id=7))
    with pytest.raises(ValueError, match=message):
        model.resize_token_embeddings(size)
    assert model.config.vocab_size == 97 and len(model.get_input_embeddings().weight) == 97


ALL, HEAD = {"embeddings", "layer.0", "layer.1", "layer.2", "pooler", "head"}, {"head"}


@pytest.mark.parametrize(
    ("what", "trained"),
    [
        ("none", ALL),
        ("embeddings", ALL - {"embeddings"}),
        ("encoder", HEAD),
        (0, HEAD | {"pooler"}),
        (1, HEAD | {"pooler", "layer.2"}),
        (3, ALL - {"embeddings"}),
    ],
)
def test_freeze(what, trained):
    model = BertForPreTraining(tiny_config(num_hidden_layers=3, tie_word_embeddings=False)).freeze(0)
    assert model.freeze(what) is model  # and what was frozen before does not matter
    found = set()
    for name, parameter in model.named_parameters():
        part = next((part for part in ALL if f"bert.{part}." in f"{name}." or f".{part}." in name), "head")
        assert parameter.requires_grad == (part in trained), name
        found.add(part)
    assert found == ALL
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    assert model.num_parameters(only_trainable=True) == model.num_parameters() - frozen


@pytest.mark.parametrize("what", ["head", 3, -1, True, None])
def test_freeze_refuses_what_it_does_not_know(what):
    with pytest.raises(ValueError, match="freeze must be .* from 0 to 2, got"):
        BertModel(tiny_config()).freeze(what)


def test_gradient_checkpointing_gives_the_same_gradients():
    model = BertForMaskedLM(tiny_config()).train()
    batch = batch_of(model.config, mask=mask_of("gaps"))
    grads = []
    for switch in (model.gradient_checkpointing_disable, model.gradient_checkpointing_enable):
        switch()
        torch.manual_seed(3)
        grads.append(torch.autograd.grad(model(**batch, labels=batch["input_ids"]).loss, list(model.parameters())))
    assert model.bert.encoder.gradient_checkpointing
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


def test_the_layout_is_made_once(monkeypatch):
    calls, make = [], BatchLayout.from_mask
    monkeypatch.setattr(BatchLayout, "from_mask", lambda *args: calls.append(1) or make(*args))
    model = BertModel(tiny_config())
    model(**batch_of(model.config, mask=mask_of("left")))
    assert len(calls) == 1

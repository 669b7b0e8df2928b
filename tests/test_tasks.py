"""The seven models with a task: logits, losses and training against the reference, and where we differ on purpose."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from reference import (
    ATTENTIONS,
    MASKS,
    ODD_CONFIGS,
    TASKS,
    as_dtype,
    assert_all_same,
    assert_near,
    assert_same,
    batch_of,
    gradient_difference,
    mask_of,
    model_pair,
    no_dropout,
    our_model,
    task_batch,
    use_attention,
)

from minibert.model.packing import Packing

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
GRADIENT_TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
PER_TOKEN = ("BertForMaskedLM", "BertForTokenClassification", "BertForQuestionAnswering")
CLASSIFIERS = {
    "single label": {"num_labels": 5},
    "several labels": {"num_labels": 3, "problem_type": "multi_label_classification"},
    "a number": {"num_labels": 1},
    "several numbers": {"num_labels": 3, "problem_type": "regression"},
    "classifier dropout": {"num_labels": 2, "classifier_dropout": 0.4},
}
MODELS = [
    *(pytest.param(name, {}, id=name) for name in TASKS),
    *(pytest.param("BertForSequenceClassification", changes, id=kind) for kind, changes in CLASSIFIERS.items()),
    pytest.param("BertForTokenClassification", {"num_labels": 7}, id="seven tags"),
    pytest.param("BertForMaskedLM", {"tie_word_embeddings": False}, id="untied"),
]


def logits_of(outputs) -> dict[str, torch.Tensor]:
    return {name: outputs[name] for name in outputs.keys() if name.endswith("logits")}  # noqa: SIM118


# --- against the reference


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("changes", ODD_CONFIGS.values(), ids=ODD_CONFIGS)
@torch.no_grad()
def test_bit_identical_in_every_config(name, changes):
    theirs, ours = model_pair(name, **changes)
    batch = task_batch(name, theirs.config)
    for attention in ATTENTIONS:
        use_attention(attention, theirs, ours)
        assert_all_same(ours(**batch), theirs(**batch))


@pytest.mark.parametrize(("name", "changes"), MODELS)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@torch.no_grad()
def test_bit_identical_for_every_kind_of_label(name, changes, dtype):
    theirs, ours = model_pair(name, dtype, **changes)
    batch = as_dtype(task_batch(name, theirs.config), dtype)
    assert_all_same(ours(**batch), theirs(**batch))
    without = {key: x for key, x in batch.items() if key in ("input_ids", "token_type_ids")}
    assert_all_same(ours(**without, output_hidden_states=True), theirs(**without, output_hidden_states=True))


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("mask_name", MASKS)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@torch.no_grad()
def test_padded_input(name, mask_name, dtype):
    theirs, ours = model_pair(name, dtype)
    mask = mask_of(mask_name)
    batch = task_batch(name, theirs.config, mask)
    first = batch["attention_mask"].flatten(0, -2)[:, 0] != 0  # rows with a [CLS], which the pooler reads
    for attention in ATTENTIONS:
        use_attention(attention, theirs, ours)
        expected, found = theirs(**batch), ours(**batch)
        for key, logits in logits_of(found).items():
            per_token = logits.shape[:2] == (4, 11)
            kept = mask != 0 if per_token else first.view(logits.shape[0], -1).squeeze(1)
            assert_near(logits[kept], expected[key][kept], TOLERANCE[dtype], key)
            if per_token:
                empty = torch.finfo(dtype).min if name == "BertForQuestionAnswering" else 0
                assert (logits[mask == 0] == empty).all()
        if name != "BertForQuestionAnswering" and (first.all() or name in PER_TOKEN):
            assert_near(found.loss, expected.loss, TOLERANCE[dtype], "loss")


@pytest.mark.parametrize("name", ATTENTIONS)
@pytest.mark.parametrize(("task", "changes"), MODELS)
@pytest.mark.parametrize("dtype", GRADIENT_TOLERANCE, ids=str)
def test_gradients(name, task, changes, dtype):
    changes = {**changes, **({"classifier_dropout": 0.0} if "classifier_dropout" in changes else {})}
    theirs, ours = model_pair(task, dtype, **no_dropout(**changes))
    use_attention(name, theirs.train(), ours.train())
    # The reference's span loss counts padding, so that it can only be compared on whole batches.
    for mask in [None] if task == "BertForQuestionAnswering" else [None, mask_of("gaps"), mask_of("right")]:
        batch = as_dtype(task_batch(task, theirs.config, mask), dtype)
        for model in (theirs, ours):
            model.zero_grad()
            model(**batch).loss.backward()
        assert gradient_difference(ours, theirs) <= GRADIENT_TOLERANCE[dtype]


def with_rows(added: int) -> Callable:
    """`Packing.fill_up`, with this many rows."""
    return lambda _, x, fill=0.0: F.pad(x, (*[0, 0] * (x.ndim - 1), 0, added), value=fill)


@pytest.mark.parametrize("name", ATTENTIONS)
@pytest.mark.parametrize("labelled_logits_only", [False, True])
def test_rows_added_for_bfloat16_change_nothing(name, labelled_logits_only, monkeypatch):
    ours = our_model("BertForPreTraining", vocab_size=97, attn_implementation=name).double()
    batch = task_batch("BertForPreTraining", ours.config, mask_of("gaps"))
    results = []
    for added in (0, 3):
        monkeypatch.setattr(Packing, "fill_up", with_rows(added))
        out = ours(**batch, output_hidden_states=True, labelled_logits_only=labelled_logits_only)
        gradients = torch.autograd.grad(out.loss, list(ours.parameters()), materialize_grads=True)
        results.append([out.loss, *logits_of(out).values(), *out.hidden_states, *gradients])
    for found, expected in zip(results[1], results[0], strict=True):
        assert_near(found, expected, 1e-12)


@pytest.mark.parametrize(
    "changes", [{"pad_token_id": None}, {"pad_token_id": 7, "tie_word_embeddings": False}], ids=str
)
def test_gradients_of_the_padding_row(changes):
    theirs, ours = model_pair("BertForPreTraining", **no_dropout(**changes))
    batch = task_batch("BertForPreTraining", theirs.config)
    batch["input_ids"][:, 3] = 7
    for model in (theirs, ours):
        model(**batch).loss.backward()
    assert gradient_difference(ours, theirs) <= 1e-5
    assert ours.get_input_embeddings().weight.grad[7].any() == (changes["pad_token_id"] is None)


@pytest.mark.parametrize("name", TASKS)
def test_twenty_steps_of_adamw(name):
    theirs, ours = model_pair(name, **no_dropout())
    losses = []
    for model in (theirs.train(), ours.train()):
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        trajectory = []
        for step in range(20):
            loss = model(**task_batch(name, theirs.config, seed=10 * (step % 4))).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            trajectory.append(loss.detach())
        losses.append(torch.stack(trajectory))
    assert losses[0][16:].mean() < 0.9 * losses[0][:4].mean(), "the steps must move the model"
    assert ((losses[1] - losses[0]).abs() / losses[0]).max() <= 1e-5


@pytest.mark.parametrize("name", ATTENTIONS)
@pytest.mark.parametrize(("task", "changes"), MODELS)
def test_the_same_draw_drops_the_same(name, task, changes):
    """From the same seed both draw the same masks, because they drop at the same places and in the same order."""
    theirs, ours = model_pair(task, hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.3, **changes)
    use_attention(name, theirs.train(), ours.train())
    batch = task_batch(task, theirs.config)
    results = []
    for model in (theirs, ours):
        torch.manual_seed(11)
        model.zero_grad()
        outputs = model(**batch)
        outputs.loss.backward()
        results.append(outputs)
    assert_all_same(results[1], results[0])
    assert gradient_difference(ours, theirs) <= 1e-5


def test_no_dropout_before_the_spans():
    model = our_model("BertForQuestionAnswering", hidden_dropout_prob=0.5).train()
    seen = []
    model.bert.register_forward_hook(lambda _, inputs, outputs: seen.append(outputs.tokens))
    model.span_classifier.register_forward_hook(lambda _, inputs, outputs: seen.append(inputs[0]))
    model(**batch_of(model.config))
    assert torch.equal(*seen)


# --- where the reference lets padding into its span loss, and we do not


def test_the_span_loss_of_a_padded_batch_is_that_of_its_rows_without_padding():
    theirs, ours = model_pair("BertForQuestionAnswering")
    mask = mask_of("right")
    batch = task_batch("BertForQuestionAnswering", theirs.config, mask)
    rows = []
    for b in range(4):
        length = int(mask[b].sum())
        row = {key: x[b : b + 1, :length] if x.ndim == 2 else x[b : b + 1] for key, x in batch.items()}
        assert_same(ours(**row).loss, theirs(**row).loss)  # without padding the two agree
        rows.append(theirs(**row).loss)
    assert_near(ours(**batch).loss, torch.stack(rows).mean(), 1e-5)
    assert abs(theirs(**batch).loss - torch.stack(rows).mean()) > 0.1  # with padding the reference's is another


# --- what a head passes on, and what it is told


@pytest.mark.parametrize("class_name", TASKS)
@torch.no_grad()
def test_hidden_states_and_attentions_pass_every_head(class_name):
    theirs, ours = model_pair(class_name)
    use_attention("eager", theirs, ours)
    options = {**task_batch(class_name, ours.config), "output_hidden_states": True, "output_attentions": True}
    found, expected = ours(**options), theirs(**options)
    for name, count in (("hidden_states", 3), ("attentions", 2)):
        assert len(found[name]) == len(expected[name]) == count
        for x, y in zip(found[name], expected[name], strict=True):
            assert_same(x, y, name)


@pytest.mark.parametrize("options", [{}, {"labelled_logits_only": True}], ids=["all logits", "labelled logits"])
@pytest.mark.parametrize("class_name", ["BertForPreTraining", "BertForMaskedLM", "BertForTokenClassification"])
@torch.no_grad()
def test_the_loss_is_divided_by_the_count_that_is_passed(class_name, options):
    if class_name == "BertForTokenClassification" and options:
        pytest.skip("its logits are few")
    ours = our_model(class_name)
    batch = task_batch(class_name, ours.config)
    count = int((batch["labels"] != -100).sum())
    once, twice, often = (ours(**batch, **options, label_count=n * count).loss for n in (1, 2, 1000))
    assert_near(once, ours(**batch, **options).loss, 1e-6)
    # What is left in the end is the loss of the other head, if there is one.
    assert_near(twice - often, (once - often) * (1 / 2 - 1e-3) / (1 - 1e-3), 1e-5)
    assert once - often > 0.5

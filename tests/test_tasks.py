"""The seven models with a task: logits, losses and training against the reference, and where we differ on purpose."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import (
    ATTENTIONS,
    MASKS,
    ODD_CONFIGS,
    TASKS,
    TINY,
    as_dtype,
    assert_near,
    assert_same,
    batch_of,
    gradient_difference,
    labels_of,
    mask_of,
    model_pair,
    no_dropout,
    rectangular,
    task_batch,
    use_attention,
)

import minibert
from minibert import BertConfig

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
GRADIENT_TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
PER_TOKEN = ("BertForMaskedLM", "BertForTokenClassification", "BertForQuestionAnswering")
WITH_MLM = ("BertForPreTraining", "BertForMaskedLM")
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


def our_model(name: str, **changes) -> torch.nn.Module:
    return getattr(minibert, name)(BertConfig(**{**TINY, "initializer_range": 0.2, **no_dropout(), **changes}))


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


def assert_all_same(found, expected) -> None:
    assert found.keys() == tuple(expected.keys())
    for key in found.keys():  # noqa: SIM118
        pairs = zip(found[key], expected[key], strict=True) if key == "hidden_states" else [(found[key], expected[key])]
        for x, y in pairs:
            assert_same(x, y, key)


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


# --- our layouts


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("mask_name", MASKS)
def test_the_rectangle_gives_the_same_loss_logits_and_gradients(name, mask_name):
    model = our_model(name).double()
    mask = mask_of(mask_name)
    batch = task_batch(name, model.config, mask)
    results = []
    for on in (False, True):
        model.zero_grad()
        with rectangular(on):
            outputs = model(**batch)
        outputs.loss.backward()
        results.append((outputs, {n: p.grad for n, p in model.named_parameters()}))
    (ragged, gradients), (rectangle, others) = results
    for key in ragged.keys():  # noqa: SIM118
        assert_near(rectangle[key], ragged[key], 1e-12, key)
    assert gradients.keys() == others.keys()
    for n, gradient in gradients.items():
        assert (gradient is None) == (others[n] is None)
        if gradient is not None:
            assert_near(others[n], gradient, 1e-12, n)


@given(st.sampled_from(TASKS), st.lists(st.integers(0, 1), min_size=44, max_size=44), st.sampled_from(ATTENTIONS))
def test_any_mask_gives_finite_losses_and_gradients(name, bits, attention):
    model = our_model(name, attn_implementation=attention).train()
    outputs = model(**task_batch(name, model.config, torch.tensor(bits).view(4, 11)))
    outputs.loss.backward()
    assert outputs.loss.isfinite() and 0 <= outputs.loss < 100
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", TASKS)
def test_a_batch_of_padding_alone_gives_finite_losses_and_gradients(name):
    model = our_model(name).train()
    outputs = model(**task_batch(name, model.config, torch.zeros(4, 11)))
    outputs.loss.backward()
    assert outputs.loss.isfinite() and (outputs.loss == 0) == (name in PER_TOKEN)
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


# --- labels


@pytest.mark.parametrize("name", ["BertForPreTraining", "BertForMaskedLM", "BertForTokenClassification"])
@pytest.mark.parametrize("rectangle", [False, True])
def test_labels_at_masked_positions_are_ignored(name, rectangle):
    model, mask = our_model(name).double(), mask_of("gaps")
    batch = task_batch(name, model.config, mask)
    everywhere = {**batch, "labels": torch.randint(2, (4, 11)).where(mask == 0, batch["labels"])}
    with rectangular(rectangle):
        assert_near(model(**everywhere).loss, model(**batch).loss, 1e-12)


@pytest.mark.parametrize("name", ["BertForPreTraining", "BertForMaskedLM", "BertForTokenClassification"])
@pytest.mark.parametrize("options", [{}, {"labelled_logits_only": True}], ids=["all logits", "labelled logits"])
def test_a_batch_without_a_label_gives_zero(name, options):
    if name == "BertForTokenClassification":
        options = {}
    model = our_model(name).train()
    batch = task_batch(name, model.config, mask_of("gaps"))
    batch["labels"] = torch.full((4, 11), -100)
    if name == "BertForPreTraining":
        batch["next_sentence_label"] = torch.full((4,), -100)
    loss = model(**batch, **options).loss
    loss.backward()
    assert loss == 0
    assert not any(p.grad.any() for p in model.parameters() if p.grad is not None)  # nor NaN, which is "any"


@pytest.mark.parametrize("name", WITH_MLM)
@pytest.mark.parametrize("mask_name", [None, *MASKS])
@pytest.mark.parametrize("rectangle", [False, True])
def test_labelled_logits_are_those_of_the_labels_in_the_batch_s_order(name, mask_name, rectangle):
    model = our_model(name).double()
    mask = None if mask_name is None else mask_of(mask_name)
    batch = task_batch(name, model.config, mask)
    if rectangle and mask is None:
        batch["attention_mask"] = torch.ones(4, 11)
    results = []
    for only in (False, True):
        model.zero_grad()
        with rectangular(rectangle):
            outputs = model(**batch, labelled_logits_only=only)
        outputs.loss.backward()
        results.append((outputs, [p.grad.clone() for p in model.parameters() if p.grad is not None]))
    (whole, gradients), (labelled, others) = results
    logits = "logits" if name == "BertForMaskedLM" else "prediction_logits"
    assert_near(labelled[logits], whole[logits][batch["labels"] != -100], 1e-12, "logits")
    assert_near(labelled.loss, whole.loss, 1e-12, "loss")
    for x, y in zip(others, gradients, strict=True):
        assert_near(x, y, 1e-12, "gradient")


def test_labelled_logits_compute_nothing_else():
    model, seen = our_model("BertForMaskedLM"), []
    model.mlm_head.decoder.register_forward_hook(lambda _, inputs, outputs: seen.append(len(outputs)))
    batch = task_batch("BertForMaskedLM", model.config, mask_of("right"))
    model(**batch, labelled_logits_only=True)
    assert seen == [int((batch["labels"] != -100).sum())]
    with pytest.raises(ValueError, match="labelled_logits_only=True needs labels"):
        model(batch["input_ids"], labelled_logits_only=True)


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("BertForPreTraining", ("labels", "next_sentence_label")),
        ("BertForQuestionAnswering", ("start_positions", "end_positions")),
    ],
)
def test_a_loss_only_when_both_labels_are_given(name, labels):
    theirs, ours = model_pair(name)
    batch = task_batch(name, theirs.config)
    for left_out in labels:
        half = {key: x for key, x in batch.items() if key != left_out}
        assert theirs(**half).loss is None and ours(**half).loss is None
        assert "loss" not in ours(**half).keys()  # noqa: SIM118
    assert ours(**batch).loss is not None


def test_the_loss_of_pretraining_is_the_sum_of_both():
    model = our_model("BertForPreTraining")
    batch = task_batch("BertForPreTraining", model.config)
    outputs = model(**batch)
    mlm = torch.nn.functional.cross_entropy(outputs.prediction_logits.flatten(0, 1), batch["labels"].flatten())
    nsp = torch.nn.functional.cross_entropy(outputs.seq_relationship_logits, batch["next_sentence_label"])
    assert_near(outputs.loss, mlm + nsp, 1e-6)
    assert torch.equal(outputs.loss, outputs.loss_terms["mlm_loss"] + outputs.loss_terms["nsp_loss"])


@pytest.mark.parametrize(
    ("num_labels", "labels", "kind"),
    [
        (1, torch.tensor([0.5, 1.0, 2.0, 3.0]), "regression"),
        (3, torch.tensor([0, 1, 2, 0]), "single_label_classification"),
        (3, torch.eye(4)[:, :3], "multi_label_classification"),
    ],
)
def test_the_problem_type_is_told_by_the_labels_and_kept(num_labels, labels, kind):
    theirs, ours = model_pair("BertForSequenceClassification", num_labels=num_labels)
    batch = {**batch_of(theirs.config), "labels": labels}
    assert ours(**{**batch, "labels": None}).loss is None and ours.config.problem_type is None
    assert_same(ours(**batch).loss, theirs(**batch).loss)
    assert ours.config.problem_type == theirs.config.problem_type == kind


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


# --- refusals


@pytest.mark.parametrize("name", ["BertForMaskedLM", "BertForPreTraining", "BertForTokenClassification"])
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.zeros(4, 10, dtype=torch.long), r"labels must have shape \(4, 11\) .* got \(4, 10\)"),
        (torch.zeros(44, dtype=torch.long), r"labels must have shape \(4, 11\) .* got \(44,\)"),
        (torch.zeros(4, 11), "labels must be .*torch.long.*float32"),
        (torch.full((4, 11), 99), r"labels must lie in \[0, \d+\) or be -100, got 99"),
    ],
)
def test_bad_token_labels(name, labels, message):
    model = our_model(name)
    with pytest.raises(ValueError, match=message):
        model(**batch_of(model.config), labels=labels)


@pytest.mark.parametrize("name", ["BertForNextSentencePrediction", "BertForSequenceClassification"])
@pytest.mark.parametrize("labels", [torch.zeros(3, dtype=torch.long), torch.full((4,), 2)])
def test_bad_sequence_labels(name, labels):
    model = our_model(name)
    with pytest.raises(ValueError, match="labels must"):
        model(**batch_of(model.config), labels=labels)


@pytest.mark.parametrize("arguments", [{}, {"input_ids": torch.zeros(4, 11, dtype=torch.long)}])
def test_multiple_choice_wants_choices(arguments):
    with pytest.raises(ValueError, match=r"\(batch, choices, sequence\), got"):
        our_model("BertForMultipleChoice")(**arguments)


@pytest.mark.parametrize("name", TASKS)
def test_an_argument_that_is_not_one_is_refused(name):
    model = our_model(name)
    batch = task_batch(name, model.config)
    with pytest.raises(TypeError, match="lables"):
        model(**batch, lables=batch["input_ids"])


@pytest.mark.parametrize("name", TASKS)
def test_arguments_by_position(name):
    model = our_model(name).eval()
    batch = task_batch(name, model.config, torch.ones(4, 11))
    labels = labels_of(name, model.config)
    by_position = model(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"], **labels)
    assert_all_same(by_position, model(**{**batch, **labels}))

"""The models with a task under ragged batches and labels of every kind, good and bad."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import (
    ATTENTIONS,
    MASKS,
    TASKS,
    assert_all_same,
    assert_near,
    assert_same,
    batch_of,
    labels_of,
    mask_of,
    model_pair,
    our_model,
    rectangular,
    task_batch,
)

PER_TOKEN = ("BertForMaskedLM", "BertForTokenClassification", "BertForQuestionAnswering")
WITH_MLM = ("BertForPreTraining", "BertForMaskedLM")


# --- ragged batches


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

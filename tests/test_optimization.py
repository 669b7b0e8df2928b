"""Schedules and optimizer against `transformers` and PyTorch's plain AdamW."""

import pytest
import torch
import transformers
from reference import TINY, model_pair
from torch import nn

import minibert
from minibert.training import muon
from minibert.training.muon import orthogonalised
from minibert.training.optimization import build_optimizer, layerwise_lr_scale, learning_rate_factor

STEPS = 37
# Ours: theirs. Our "constant" warms up when it is told to.
SCHEDULES = {name: name for name in ("linear", "cosine", "constant_with_warmup")} | {"constant": "constant_with_warmup"}


@pytest.mark.parametrize("warmup_steps", [0, 1, 5, 36, 37])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedule_at_every_step(schedule, warmup_steps):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = transformers.get_scheduler(SCHEDULES[schedule], optimizer, warmup_steps, STEPS).lr_lambdas[0]
    for step in range(STEPS):
        ours = learning_rate_factor(schedule, step / STEPS, warmup_steps / STEPS)
        assert ours == pytest.approx(theirs(step), abs=1e-12), f"step {step}"


@pytest.mark.parametrize(("schedule", "end"), [("linear", 0), ("cosine", 0), ("constant", 1)])
@pytest.mark.parametrize("warmup", [0.0, 0.3, 1.0])
def test_schedule_at_the_end_and_after_it(schedule, end, warmup):
    for progress in (1.0, 1.2):
        assert learning_rate_factor(schedule, progress, warmup) == pytest.approx(end, abs=1e-12)


def tiny_model():
    return minibert.BertForPreTraining(minibert.BertConfig(**TINY))


def optimizer_of(model, **changes):
    numbers = {"learning_rate": 1e-2, "weight_decay": 0.1, "betas": (0.8, 0.95), "epsilon": 1e-6} | changes
    return build_optimizer(model.named_parameters(), **numbers)


def test_weight_decay_on_matrices_only():
    model = tiny_model()
    names = {id(p): name for name, p in model.named_parameters()}
    decayed, spared = optimizer_of(model).param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert {p.ndim for p in decayed["params"]} == {2}
    spared_names = {names[id(p)] for p in spared["params"]}
    assert all(name.endswith("bias") or "LayerNorm" in name for name in spared_names)
    # Each once, also the matrix that embeddings and decoder share.
    assert len(decayed["params"]) + len(spared["params"]) == len(names)


def test_groups_are_those_of_the_reference():
    theirs, ours = model_pair("BertForPreTraining")
    their_names = transformers.Trainer.get_decay_parameter_names(None, theirs)
    decayed = {id(p) for p in optimizer_of(ours).param_groups[0]["params"]}
    our_names = {name for name, p in ours.named_parameters() if id(p) in decayed}
    assert our_names == {name for name in their_names if name in dict(theirs.named_parameters())}


def test_layer_wise_decay():
    """Every layer at 0.5 times the rate of the one above it; weight decay as ever."""
    model = minibert.BertForSequenceClassification(minibert.BertConfig(**TINY))
    names = {id(p): name for name, p in model.named_parameters()}
    optimizer = optimizer_of(model, lr_scale=layerwise_lr_scale(model, 0.5))
    rates = {names[id(p)]: group["lr"] / 1e-2 for group in optimizer.param_groups for p in group["params"]}
    assert rates.keys() == set(names.values())
    parts = {"classifier": 1, "bert.pooler": 1, "bert.encoder.layer.1": 0.5, "bert.encoder.layer.0": 0.25}
    for name, rate in rates.items():
        expected = next((parts[part] for part in parts if name.startswith(part)), 0.125)  # else: embeddings
        assert rate == pytest.approx(expected), name
    for group in optimizer.param_groups:
        assert {p.ndim > 1 for p in group["params"]} == {group["weight_decay"] > 0}
    assert optimizer.param_groups[0]["lr"] == 1e-2  # the largest first


def test_layer_wise_decay_needs_to_know_the_layers():
    with pytest.raises(ValueError, match="layerwise_lr_decay needs a model with depth_below_head.*; Linear has none"):
        layerwise_lr_scale(nn.Linear(1, 1), 0.5)


def test_frozen_parameters_are_left_out():
    model = tiny_model().freeze("encoder")
    trained = {id(p) for group in optimizer_of(model).param_groups for p in group["params"]}
    assert trained == {id(p) for p in model.parameters() if p.requires_grad}


@pytest.mark.parametrize(("bf16", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_muon_multiplies_in_bfloat16_where_the_run_does(bf16, dtype, monkeypatch):
    seen = []
    monkeypatch.setattr(
        muon, "orthogonalised", lambda matrices: seen.append(matrices.dtype) or orthogonalised(matrices)
    )
    model = tiny_model()
    optimizer = optimizer_of(model, optim="muon", bf16=bf16)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert set(seen) == {dtype}


def test_twenty_steps_equal_plain_adamw():
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Linear(6, 9), nn.LayerNorm(9), nn.Linear(9, 3)).double()
    theirs = nn.Sequential(nn.Linear(6, 9), nn.LayerNorm(9), nn.Linear(9, 3)).double()
    theirs.load_state_dict(ours.state_dict())
    plain = [
        {"params": [p for p in theirs.parameters() if p.ndim == 2], "weight_decay": 0.1},
        {"params": [p for p in theirs.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    pairs = [
        (ours, optimizer_of(ours)),
        (theirs, torch.optim.AdamW(plain, lr=1e-2, betas=(0.8, 0.95), eps=1e-6, foreach=False, fused=False)),
    ]
    x, y = torch.randn(20, 16, 6).double(), torch.randn(20, 16, 3).double()
    before = [p.clone() for p in ours.parameters()]
    for step in range(20):
        for model, optimizer in pairs:
            optimizer.zero_grad()
            (model(x[step]) - y[step]).square().mean().backward()
            optimizer.step()
    for our_p, their_p, old in zip(ours.parameters(), theirs.parameters(), before, strict=True):
        torch.testing.assert_close(our_p, their_p, rtol=1e-10, atol=1e-12)
        assert (our_p - old).abs().min() > 1e-4  # everything moved


# --- schedules for loops of one's own

OWN_LOOPS = {
    "linear": lambda library, o: library.get_linear_schedule_with_warmup(o, 5, 20),
    "linear by name": lambda library, o: library.get_linear_schedule_with_warmup(
        o, num_warmup_steps=0, num_training_steps=20
    ),
    "linear, warm-up longer than the run": lambda library, o: library.get_linear_schedule_with_warmup(o, 30, 20),
    "cosine": lambda library, o: library.get_cosine_schedule_with_warmup(o, 3, 20),
    "constant": lambda library, o: library.get_constant_schedule(o),
    "constant with warm-up": lambda library, o: library.get_constant_schedule_with_warmup(o, num_warmup_steps=7),
    "constant with a warm-up of one": lambda library, o: library.get_constant_schedule_with_warmup(o, 1),
    "get_scheduler": lambda library, o: library.get_scheduler("linear", o, 2, 20),
    "get_scheduler, cosine": lambda library, o: library.get_scheduler(
        name="cosine", optimizer=o, num_warmup_steps=0, num_training_steps=20
    ),
    "get_scheduler, constant": lambda library, o: library.get_scheduler("constant", o),
}


@pytest.mark.parametrize("name", OWN_LOOPS)
def test_schedules_of_loops_of_ones_own(name):
    rates = []
    for library in (transformers, minibert):
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.4)
        schedule = OWN_LOOPS[name](library, optimizer)
        seen = []
        for _ in range(25):
            seen.append((schedule.get_last_lr()[0], optimizer.param_groups[0]["lr"]))
            optimizer.step()
            schedule.step()
        rates.append(torch.tensor(seen, dtype=torch.float64))
    torch.testing.assert_close(rates[1][:21], rates[0][:21], rtol=0, atol=1e-15)
    if "cosine" in name:  # past the end of the run, theirs rises again
        assert (rates[1][20:].abs() < 1e-15).all()
    else:
        torch.testing.assert_close(rates[1], rates[0], rtol=0, atol=1e-15)


def test_a_schedule_goes_on_where_it_was():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.4)
    whole = minibert.get_linear_schedule_with_warmup(optimizer, 5, 20)
    for _ in range(9):
        optimizer.step()
        whole.step()
    rest = minibert.get_linear_schedule_with_warmup(optimizer, 5, 20, last_epoch=8)
    assert rest.get_last_lr() == pytest.approx(whole.get_last_lr(), abs=1e-15)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("polynomial", 1, 2), "name must be one of linear, cosine, constant, constant_with_warmup, got 'polynomial'"),
        (("linear", 1), "the schedule 'linear' needs num_training_steps"),
        (("constant", 1, 2), "the schedule 'constant' has no warm-up: leave it out, or choose 'constant_with_warmup'"),
    ],
)
def test_schedules_that_cannot_be(arguments, words):
    name, *numbers = arguments
    with pytest.raises(ValueError, match=words):
        minibert.get_scheduler(name, torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0), *numbers)

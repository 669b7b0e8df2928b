"""The loop, on a toy model that is no BERT: what it promises about steps, rates, seeds, time and errors."""

import json
import math
import time
from types import SimpleNamespace

import pytest
import torch
import transformers
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.utils.data import Dataset

from minibert.training.arguments import TrainingArguments
from minibert.training.failures import TrainingError
from minibert.training.trainer import Trainer


class ToyModel(nn.Module):
    """A linear regression with dropout; it keeps what it was called with."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 1)
        self.dropout = nn.Dropout(0.2)
        self.calls = []

    def forward(self, x, y, **others):
        assert self.training
        prediction = self.linear(self.dropout(x)).squeeze(-1)
        self.calls.append({"x": x, "dtype": prediction.dtype, **others})
        return SimpleNamespace(loss=(prediction.float() - y).square().mean())


class ToyData(Dataset):
    """y = 3 * x0 + 1; remembers the epochs that it was told of."""

    def __init__(self, size=20):
        self.x = torch.randn(size, 4, generator=torch.Generator().manual_seed(5))
        self.epochs = []

    def set_epoch(self, epoch):
        self.epochs.append(epoch)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return self.x[index], 3 * self.x[index, 0] + 1


def collate(items):
    return {"x": torch.stack([x for x, _ in items]), "y": torch.stack([y for _, y in items])}


@pytest.fixture
def steps():
    """What the optimizer saw at each step: the learning rate, and the norm of all gradients."""
    seen = []

    def look(optimizer, args, kwargs):
        gradients = [p.grad.flatten() for group in optimizer.param_groups for p in group["params"]]
        norm = torch.cat(gradients).norm().item()
        seen.append(SimpleNamespace(learning_rate=optimizer.param_groups[0]["lr"], norm=norm))

    handle = register_optimizer_step_pre_hook(look)
    yield seen
    handle.remove()


def train(folder, model=None, data=None, collator=collate, **arguments):
    """Train a toy model, and return it."""
    if model is None:
        torch.manual_seed(1)
        model = ToyModel()
    numbers = {"per_device_train_batch_size": 4, "learning_rate": 0.05, "disable_tqdm": True} | arguments
    Trainer(model, TrainingArguments(folder, **numbers), collator, ToyData() if data is None else data).train()
    return model


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def bits(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


# --- steps and epochs


def test_it_learns(tmp_path):
    train(tmp_path, max_steps=150, logging_steps=1)
    losses = [row["loss"] for row in metrics(tmp_path)]
    assert [row["step"] for row in metrics(tmp_path)] == list(range(1, 151))
    assert sum(losses[-10:]) < 0.3 * sum(losses[:10])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"max_steps": 7}, 7),
        ({"max_steps": 7, "num_train_epochs": 50}, 7),
        ({"num_train_epochs": 2}, 10),
        ({"num_train_epochs": 2, "per_device_train_batch_size": 6}, 8),  # the last batch of an epoch is smaller
        ({"num_train_epochs": 1.25}, 7),  # as the reference: rounded up
        ({"num_train_epochs": 0.01}, 1),
    ],
)
def test_number_of_steps(tmp_path, steps, arguments, expected):
    model = train(tmp_path, **arguments)
    assert len(steps) == len(model.calls) == expected
    assert metrics(tmp_path)[-1]["step"] == expected  # the last step is always logged


def test_every_epoch_sees_all_examples_in_an_order_of_its_own(tmp_path):
    data = ToyData()
    model = train(tmp_path, data=data, num_train_epochs=3)
    epochs = [torch.cat([call["x"] for call in model.calls[i : i + 5]]) for i in (0, 5, 10)]
    for epoch in epochs:
        assert torch.equal(epoch.sort(dim=0).values, data.x.sort(dim=0).values)
    assert not torch.equal(epochs[0], epochs[1]) and not torch.equal(epochs[1], epochs[2])


def test_dataset_is_told_every_epoch(tmp_path):
    data = ToyData()
    train(tmp_path, data=data, num_train_epochs=3)
    assert [epoch for i, epoch in enumerate(data.epochs) if epoch not in data.epochs[:i]][:3] == [0, 1, 2]
    assert sorted(data.epochs) == data.epochs


def test_model_ends_in_eval_mode(tmp_path):
    assert not train(tmp_path, max_steps=1).training


# --- the same again


def test_same_seed_same_bits(tmp_path):
    first, second, other = (train(tmp_path, max_steps=12, seed=seed) for seed in (7, 7, 8))
    assert torch.equal(bits(first), bits(second))
    assert not torch.equal(bits(first), bits(other))


# --- learning rates


@pytest.mark.parametrize(
    ("arguments", "warmup"),
    [
        ({}, 0),
        ({"warmup_steps": 5}, 5),
        ({"warmup_ratio": 0.25}, 6),  # of 23 steps: rounded up
        ({"warmup_steps": 0.25}, 6),  # below 1, it is a ratio
        ({"warmup_steps": 5, "warmup_ratio": 0.5}, 5),  # steps win
        ({"warmup_steps": 40}, 40),  # longer than the run: the peak is never reached
    ],
)
@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.filterwarnings("ignore:warmup_steps is 40")
def test_learning_rate_of_every_step(tmp_path, steps, schedule, arguments, warmup):
    train(tmp_path, max_steps=23, lr_scheduler_type=schedule, **arguments)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.05)
    theirs = transformers.get_scheduler(schedule, optimizer, warmup, 23).lr_lambdas[0]
    expected = [0.05 * theirs(step) for step in range(23)]
    assert [step.learning_rate for step in steps] == pytest.approx(expected, abs=1e-12)


# --- time


class SlowModel(ToyModel):
    """Each step takes so many seconds, by a clock that stands still otherwise."""

    def __init__(self, monkeypatch, seconds):
        super().__init__()
        self.now, self.seconds = 1000.0, seconds
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def forward(self, *args, **kwargs):
        self.now += self.seconds
        return super().forward(*args, **kwargs)


def test_max_minutes_ends_in_time_with_a_decayed_rate(tmp_path, monkeypatch, steps):
    model = SlowModel(monkeypatch, seconds=0.5)
    train(tmp_path, model, max_minutes=0.5, max_steps=3, num_train_epochs=1)  # minutes win
    assert len(steps) == 60
    expected = [0.05 * (1 - n / 60) for n in range(60)]
    assert [step.learning_rate for step in steps] == pytest.approx(expected, abs=1e-12)
    assert metrics(tmp_path)[-1]["seconds"] == 30


def test_minutes_warm_up_by_ratio(tmp_path, monkeypatch, steps):
    train(tmp_path, SlowModel(monkeypatch, seconds=1), max_minutes=0.5, warmup_ratio=0.2, lr_scheduler_type="cosine")
    expected = [n / 6 if n < 6 else 0.5 + 0.5 * math.cos(math.pi * (n - 6) / 24) for n in range(30)]
    assert [step.learning_rate for step in steps] == pytest.approx([0.05 * e for e in expected], abs=1e-12)


def test_a_step_longer_than_the_run(tmp_path, monkeypatch, steps):
    train(tmp_path, SlowModel(monkeypatch, seconds=100), max_minutes=0.5)
    assert len(steps) == 1


# --- what can go wrong


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_the_run(tmp_path, value):
    class Exploding(ToyModel):
        def forward(self, x, y):
            outputs = super().forward(x, y)
            self.last_good = bits(self).clone()
            return SimpleNamespace(loss=outputs.loss * (value if len(self.calls) == 4 else 1))

    model = Exploding()
    with pytest.raises(TrainingError, match=r"loss is (nan|inf)\b.* at step 4\b"):
        train(tmp_path, model, max_steps=9)
    assert len(model.calls) == 4
    assert torch.equal(bits(model), model.last_good)  # the weights are as the third step left them


# --- one step


def test_frozen_parameters_stay(tmp_path):
    model = ToyModel()
    model.linear.bias.requires_grad_(False)
    weight, bias = model.linear.weight.detach().clone(), model.linear.bias.detach().clone()
    train(tmp_path, model, max_steps=5, weight_decay=0.1)
    assert torch.equal(model.linear.bias, bias)
    assert not torch.equal(model.linear.weight, weight)


@pytest.mark.parametrize("bf16", [False, True])
def test_bf16_autocasts_the_forward_pass_alone(tmp_path, bf16):
    model = train(tmp_path, max_steps=3, bf16=bf16)
    assert {call["dtype"] for call in model.calls} == {torch.bfloat16 if bf16 else torch.float32}
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_gradients_are_clipped_to_the_norm(tmp_path, steps):
    train(tmp_path / "clipped", max_steps=5, max_grad_norm=0.01)
    assert [step.norm for step in steps] == pytest.approx([0.01] * 5, rel=1e-3)


def test_small_gradients_and_no_limit_are_not_clipped(tmp_path, steps):
    train(tmp_path / "large limit", max_steps=5, max_grad_norm=1e6)
    train(tmp_path / "no limit", max_steps=5, max_grad_norm=0)  # as in the reference
    norms = [step.norm for step in steps]
    assert norms[:5] == norms[5:]
    assert min(norms) > 0.1


def test_gradients_do_not_add_up_over_steps(tmp_path, steps):
    """With a rate of zero, the same batch gives the same gradient again."""
    model = ToyModel()
    model.dropout.p = 0.0
    train(tmp_path, model, ToyData(4), max_steps=3, learning_rate=0.0, max_grad_norm=0)
    assert [step.norm for step in steps] == pytest.approx([steps[0].norm] * 3, rel=1e-6)


def test_entries_that_are_no_tensors_reach_the_model(tmp_path):
    model = train(tmp_path, collator=lambda items: collate(items) | {"labelled_logits_only": True}, max_steps=2)
    assert [call["labelled_logits_only"] for call in model.calls] == [True, True]


# --- what comes out, and is written down


def test_train_returns_what_it_did(tmp_path):
    model = ToyModel()
    args = TrainingArguments(tmp_path, max_steps=7, logging_steps=1, save_steps=3, disable_tqdm=True)
    output = Trainer(model, args, collate, ToyData()).train()
    losses = [row["loss"] for row in metrics(tmp_path)]
    assert output.global_step == 7 and output.training_loss == pytest.approx(sum(losses) / 7, rel=1e-5)
    assert output.metrics["train_loss"] == output.training_loss and output.metrics["train_runtime"] > 0
    rest = Trainer(model, args, collate, ToyData()).train(tmp_path / "checkpoint-3")
    assert rest.global_step == 7 and rest.training_loss == pytest.approx(sum(losses[3:]) / 4, rel=1e-5)


def test_metrics(tmp_path):
    class WithTerms(ToyModel):
        def forward(self, x, y, attention_mask):
            loss = super().forward(x, y).loss
            return SimpleNamespace(loss=loss, loss_terms={"first_loss": 0.25 * loss, "second_loss": 0.75 * loss})

    def with_mask(items):
        return collate(items) | {"attention_mask": torch.tensor([[1, 1, 0]] * len(items))}

    train(
        tmp_path / "run",
        WithTerms(),
        collator=with_mask,
        max_steps=8,
        logging_steps=3,
        logging_first_step=True,
        logging_dir=tmp_path / "logs",
    )
    rows = metrics(tmp_path / "logs")
    assert [row["step"] for row in rows] == [1, 3, 6, 8]  # the first, every third, and the last
    for row in rows:
        assert row["first_loss"] + row["second_loss"] == pytest.approx(row["loss"], rel=1e-5)
        assert row["seconds"] >= 0 and row["tokens_per_second"] > 0 and row["learning_rate"] >= 0


def test_a_collator_that_makes_no_batch(tmp_path):
    with pytest.raises(
        ValueError, match="a batch must be a dict of the model's arguments, found list; pass a data_col"
    ):
        train(tmp_path, collator=list)

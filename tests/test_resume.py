"""A run that goes on from a checkpoint ends, bit for bit, as the one that was never interrupted."""

import json
import shutil
import time
from types import SimpleNamespace

import pytest
import torch
from training_runs import RecordingCollator, build_trainer, last_state, same, steps_of

from minibert.training.checkpointing import STATE_FILE, ResumeError, checkpoints, load_checkpoint


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The folder of a run of 16 steps that nobody interrupted."""
    folder = tmp_path_factory.mktemp("undisturbed")
    build_trainer(folder).train()
    return folder


# --- from every checkpoint


@pytest.mark.parametrize(
    "arguments",
    [
        {"warmup_steps": 5, "lr_scheduler_type": "cosine", "weight_decay": 0.1},
        {"max_steps": -1, "num_train_epochs": 2.5, "save_steps": 8},
        {"max_steps": -1, "num_train_epochs": 3, "save_strategy": "epoch"},
        {"gradient_accumulation_steps": 3, "per_device_train_batch_size": 3},
        {"group_by_length": True},
        {"logging_steps": 3, "save_steps": 5},  # the losses since the last log are part of the state
        {"optim": "muon", "weight_decay": 0.1},
    ],
    ids=["steps", "epochs", "epoch ends", "accumulation", "group_by_length", "log between saves", "muon"],
)
def test_resume_is_bit_exact_from_every_checkpoint(tmp_path, arguments):
    whole = RecordingCollator()
    build_trainer(tmp_path / "whole", collator=whole, **arguments).train()
    saved = checkpoints(tmp_path / "whole")
    assert len(saved) >= 3
    end, steps = last_state(tmp_path / "whole"), steps_of(tmp_path / "whole")
    lines = (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()
    for number, checkpoint in enumerate(saved[:-1]):
        rest, folder = RecordingCollator(), tmp_path / str(number)
        build_trainer(folder, collator=rest, **arguments).train(resume_from_checkpoint=checkpoint)
        assert same(last_state(folder), end), checkpoint
        assert 0 < len(rest.seen) < len(whole.seen)
        assert same(rest.seen, whole.seen[-len(rest.seen) :])  # order, pairs and masks
        done = int(checkpoint.name.split("-")[1])
        assert steps_of(folder) == [step for step in steps if step > done]
        logged = (folder / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["loss"] for line in logged] == [
            row["loss"] for row in map(json.loads, lines) if row["step"] > done
        ]


def test_dropout_takes_part(undisturbed, tmp_path):
    """Without its generator's state the tests above would fail: another state gives other weights."""
    trainer = build_trainer(tmp_path)
    checkpoint = tmp_path / "checkpoint-4"
    shutil.copytree(undisturbed / "checkpoint-4", checkpoint)
    state = torch.load(undisturbed / "checkpoint-4" / STATE_FILE, weights_only=True)
    state["generators"] = [torch.Generator().manual_seed(3).get_state()]
    torch.save(state, checkpoint / STATE_FILE)
    trainer.train(resume_from_checkpoint=checkpoint)
    assert last_state(tmp_path)["weights_sha256"] != last_state(undisturbed)["weights_sha256"]


def test_true_means_the_last_checkpoint(undisturbed, tmp_path):
    build_trainer(tmp_path, save_steps=7).train(resume_from_checkpoint=undisturbed / "checkpoint-8")
    assert [folder.name for folder in checkpoints(tmp_path)] == ["checkpoint-14", "checkpoint-16"]
    collator = RecordingCollator()
    build_trainer(tmp_path, max_steps=20, collator=collator).train(resume_from_checkpoint=True)
    assert len(collator.seen) == 4
    assert steps_of(tmp_path) == list(range(9, 21))


def test_a_run_that_is_over_stays_over(undisturbed, tmp_path):
    before = build_trainer(tmp_path).model
    load_checkpoint(undisturbed / "checkpoint-16", before)
    trainer = build_trainer(tmp_path, collator=None)
    trainer.train(resume_from_checkpoint=undisturbed / "checkpoint-16")
    assert trainer.clock.step == 16 and not checkpoints(tmp_path)
    assert same(dict(trainer.model.state_dict()), dict(before.state_dict()))


def test_true_without_a_checkpoint(tmp_path):
    with pytest.raises(ResumeError, match=r"no checkpoint there to resume from"):
        build_trainer(tmp_path).train(resume_from_checkpoint=True)


def test_a_run_without_a_log_holds_no_more_of_it_with_every_step(tmp_path):
    """Neither in memory nor in its checkpoints."""
    build_trainer(tmp_path, logging_strategy="no").train()
    sizes = [(folder / STATE_FILE).stat().st_size for folder in checkpoints(tmp_path)]
    assert len(sizes) == 4 and max(sizes) - min(sizes) < 200  # the digits of a number
    assert last_state(tmp_path)["unlogged_steps"] == 16


# --- as another run


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"per_device_train_batch_size": 4}, "examples in a step: was 8, is 4"),
        ({"gradient_accumulation_steps": 3}, "examples in a step: was 8, is 24"),
        ({"seed": 7}, "seed of the data: was 42, is 7"),
        ({"data_seed": 7}, "seed of the data: was 42, is 7"),
        ({"group_by_length": True}, "group_by_length: was False, is True"),
        ({"per_device_train_batch_size": 4, "seed": 7}, "was 8, is 4; seed of the data: was 42, is 7"),
        ({"weight_decay": 0.5}, "weight_decay: was 0.0, is 0.5"),
        ({"adam_beta1": 0.5}, r"betas: was \(0.9, 0.999\), is \(0.5, 0.999\)"),
        ({"adam_beta2": 0.5, "adam_epsilon": 1e-3}, r"is \(0.9, 0.5\); eps: was 1e-08, is 0.001"),
        ({"optim": "muon"}, "optimizer: was AdamW, is Muon"),
    ],
)
def test_other_numbers_are_refused_by_name(undisturbed, tmp_path, changes, words):
    """Some examples would never be seen, and others twice; of an optimizer, the old numbers would go on unsaid."""
    with pytest.raises(ResumeError, match=rf"checkpoint-4: its run began otherwise \(.*{words}\); go on with"):
        build_trainer(tmp_path, **changes).train(undisturbed / "checkpoint-4")
    assert not checkpoints(tmp_path)


def test_another_data_set_is_refused(undisturbed, tmp_path):
    trainer = build_trainer(tmp_path)
    size = len(trainer.train_dataset)
    trainer.train_dataset = torch.utils.data.Subset(trainer.train_dataset, range(size - 1))
    with pytest.raises(ResumeError, match=f"examples in train_dataset: was {size}, is {size - 1}"):
        trainer.train(undisturbed / "checkpoint-4")


def test_another_optimizer_or_schedule(undisturbed, tmp_path):
    trainer = build_trainer(tmp_path)
    optimizer = torch.optim.SGD(trainer.model.parameters(), lr=0.1)
    trainer.optimizers = optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer)
    words = "optimizer: was AdamW, is SGD; schedule: was RunSchedule, is ConstantLR"
    with pytest.raises(ResumeError, match=words):
        trainer.train(undisturbed / "checkpoint-4")


def test_another_number_of_an_optimizer_of_ones_own(tmp_path):
    def train(folder, momentum, lr, checkpoint=None):
        trainer = build_trainer(folder)
        optimizer = torch.optim.SGD(trainer.model.parameters(), lr=lr, momentum=momentum)
        # It changes the momentum, too, which does not make it another run.
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=20, max_momentum=momentum)
        trainer.optimizers = optimizer, cycle
        trainer.train(checkpoint)

    train(tmp_path / "whole", momentum=0.9, lr=0.1)
    checkpoint = tmp_path / "whole" / "checkpoint-4"
    with pytest.raises(ResumeError, match=r"momentum: was 0.9, is 0.95; .*initial_lr: was 0.004, is 0.008"):
        train(tmp_path / "other", 0.95, 0.2, checkpoint)
    train(tmp_path / "rest", 0.9, 0.1, checkpoint)
    assert same(last_state(tmp_path / "rest"), last_state(tmp_path / "whole"))


def test_another_learning_rate_has_its_effect(undisturbed, tmp_path):
    """So may one go on after a loss that was no number; the length of the run may change, too."""
    changes = {"learning_rate": 7e-3, "warmup_steps": 8, "lr_scheduler_type": "cosine", "max_steps": 20}
    build_trainer(tmp_path / "new", save_strategy="no", **changes).train()
    trainer = build_trainer(tmp_path / "rest", **changes)
    trainer.train(undisturbed / "checkpoint-4")
    new, rest = (
        {row["step"]: row["learning_rate"] for row in map(json.loads, (tmp_path / n / "metrics.jsonl").open())}
        for n in ("new", "rest")
    )
    assert rest == {step: rate for step, rate in new.items() if step > 4} and max(rest.values()) == 7e-3
    assert {group["initial_lr"] for group in trainer.optimizer.param_groups} == {7e-3}


def test_a_checkpoint_without_the_numbers_of_its_optimizer_goes_on(undisturbed, tmp_path):
    """Earlier versions did not write them."""
    checkpoint = tmp_path / "old" / "checkpoint-4"
    shutil.copytree(undisturbed / "checkpoint-4", checkpoint)
    state = torch.load(checkpoint / STATE_FILE, weights_only=True)
    assert [group["weight_decay"] for group in state.pop("options")] == [0.0, 0.0]
    torch.save(state, checkpoint / STATE_FILE)
    build_trainer(tmp_path / "rest").train(checkpoint)
    assert same(last_state(tmp_path / "rest"), last_state(undisturbed))


def test_a_checkpoint_that_has_the_losses_of_every_step_goes_on(undisturbed, tmp_path):
    """Earlier versions kept them, here of two steps after the last log."""
    checkpoint = tmp_path / "old" / "checkpoint-4"
    shutil.copytree(undisturbed / "checkpoint-4", checkpoint)
    state = torch.load(checkpoint / STATE_FILE, weights_only=True)
    assert (state["unlogged"], state.pop("unlogged_steps")) == ([{}], 0)
    state["unlogged"] = [[{"loss": torch.tensor(loss)} for loss in (5.0, 8.0)]]
    torch.save(state, checkpoint / STATE_FILE)
    build_trainer(tmp_path / "rest", logging_steps=2).train(checkpoint)
    build_trainer(tmp_path / "same", logging_steps=2).train(undisturbed / "checkpoint-4")
    mixed, rest = (
        [json.loads(line)["loss"] for line in (tmp_path / name / "metrics.jsonl").open()] for name in ("rest", "same")
    )
    assert mixed[0] == pytest.approx((5 + 8 + 2 * rest[0]) / 4) and mixed[1:] == rest[1:]


def test_other_frozen_layers(undisturbed, tmp_path):
    trainer = build_trainer(tmp_path)
    trainer.model.freeze("encoder")
    with pytest.raises(ResumeError, match="checkpoint-4: its optimizer has other groups of parameters .*freeze"):
        trainer.train(undisturbed / "checkpoint-4")


def test_layer_wise_decay_makes_other_groups(undisturbed, tmp_path):
    with pytest.raises(ResumeError, match="other groups of parameters .*with the same layerwise_lr_decay"):
        build_trainer(tmp_path, layerwise_lr_decay=0.9).train(undisturbed / "checkpoint-4")


def test_a_checkpoint_that_does_not_say_what_it_began_with(undisturbed, tmp_path):
    checkpoint = tmp_path / "checkpoint-4"
    shutil.copytree(undisturbed / "checkpoint-4", checkpoint)
    state = torch.load(undisturbed / "checkpoint-4" / STATE_FILE, weights_only=True)
    del state["facts"]
    torch.save(state, checkpoint / STATE_FILE)
    with pytest.raises(ResumeError, match="checkpoint-4: written by an earlier minibert"):
        build_trainer(tmp_path).train(checkpoint)


def test_the_same_step_in_other_parts(undisturbed, tmp_path):
    """Half the batch and two of them: no bits are promised, but every example is seen."""
    whole, rest = RecordingCollator(), RecordingCollator()
    build_trainer(tmp_path / "whole", collator=whole).train()
    arguments = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}
    build_trainer(tmp_path / "rest", collator=rest, **arguments).train(undisturbed / "checkpoint-4")
    assert len(rest.seen) == 2 * 12
    for step, parts in zip(whole.seen[4:], zip(rest.seen[::2], rest.seen[1::2], strict=True), strict=True):
        width = max(ids.shape[1] for ids, _, _ in parts)
        rows = [row.tolist() + [0] * (width - len(row)) for ids, _, _ in parts for row in ids]
        assert sorted(rows) == sorted(step[0].tolist())


# --- minutes


def test_minutes_that_are_spent_stay_spent(tmp_path, monkeypatch):
    clock = SimpleNamespace(now=50.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)

    class Slow(RecordingCollator):
        """Every batch takes a second."""

        def __call__(self, examples):
            clock.now += 1
            if len(self.seen) == self.dies_after:
                raise ZeroDivisionError
            return super().__call__(examples)

    def train(dies_after=None, **how):
        collator = Slow()
        collator.dies_after = dies_after
        trainer = build_trainer(tmp_path, collator=collator, max_minutes=0.5, save_steps=8, learning_rate=0.3)
        try:
            trainer.train(**how)
        except ZeroDivisionError:
            assert dies_after is not None
        return len(collator.seen)

    assert train(dies_after=11) == 11  # the last checkpoint: after 8 of 30 seconds
    clock.now += 1000
    assert train(resume_from_checkpoint=True) == 22
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["seconds"] for row in rows] == list(range(1, 31))
    # What is logged is the rate of the step that comes next: it has decayed when the time is up.
    assert [row["learning_rate"] for row in rows] == pytest.approx([0.3 * (1 - s / 30) for s in range(30)])

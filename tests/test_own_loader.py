"""A loader of one's own: its rows, their order, and how a run goes on with them, bit for bit."""

import itertools

import pytest
import torch
from torch.utils.data import DataLoader, RandomSampler, WeightedRandomSampler
from toy_training import Toy, assert_same_run, both, rows, trainer_of, weights

import minibert
from minibert import Trainer


def with_loader(make_loader):
    class Own(Trainer):
        def get_train_dataloader(self):
            return make_loader(self.train_dataset)

    return lambda base: Own


def seen_rows(folder, make_loader, resume=None, **changes):
    """The rows that the model was trained on, step by step."""

    class Recording(Toy):
        def forward(self, x, labels=None):
            seen.append(x.clone())
            return super().forward(x, labels)

    seen = []
    changes = {"save_strategy": "steps", "save_steps": 2, "max_steps": 9} | changes
    trainer = trainer_of("minibert", folder, with_loader(make_loader), model=Recording(), changes=changes)
    trainer.train(resume)
    return seen, trainer


def by_weight(data):
    sampler = WeightedRandomSampler([1.0 + (row["labels"] == 1) * 9 for row in data], len(data))
    return DataLoader(data, batch_size=5, sampler=sampler)


def with_a_generator(data):
    generator = torch.Generator().manual_seed(torch.seed() % 1000)
    return DataLoader(data, batch_size=5, sampler=RandomSampler(data, generator=generator))


def shuffled(data):
    return DataLoader(data, batch_size=5, shuffle=True)


@pytest.mark.parametrize("make_loader", [by_weight, with_a_generator, shuffled])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_loader_of_ones_own(tmp_path, make_loader, accumulation):
    """Its order is a function of the seed; a resume goes on with the same rows, bit for bit."""
    changes = {"gradient_accumulation_steps": accumulation}
    whole, trainer = seen_rows(tmp_path / "whole", make_loader, **changes)
    assert len(whole) == (9 if accumulation == 1 else 14)  # three batches an epoch, the third one alone in its step
    rest, resumed = seen_rows(tmp_path / "rest", make_loader, tmp_path / "whole" / "checkpoint-4", **changes)
    assert len(rest) == (5 if accumulation == 1 else 8)
    assert all(map(torch.equal, rest, whole[-len(rest) :]))
    assert torch.equal(weights(trainer), weights(resumed))
    other, _ = seen_rows(tmp_path / "other", make_loader, data_seed=7, **changes)
    assert not all(map(torch.equal, other, whole))
    assert not torch.equal(whole[0], whole[3 if accumulation == 1 else 3])  # every epoch in an order of its own


def test_rows_are_weighed_by_the_loader(tmp_path):
    seen, _ = seen_rows(tmp_path, by_weight, max_steps=60)
    rare = {tuple(row["x"].tolist()) for row in rows() if row["labels"] == 1}
    share = sum(tuple(x.tolist()) in rare for x in itertools.chain(*seen)) / sum(map(len, seen))
    assert len(rare) == 8 and share > 0.9


def test_micro_batches_of_ones_own_weigh_what_they_hold(tmp_path):
    data = rows(7)
    own = trainer_of(
        "minibert",
        tmp_path,
        with_loader(lambda data: DataLoader(data, batch_size=3)),
        train=data,
        changes={"gradient_accumulation_steps": 3},
    )
    whole = trainer_of("minibert", tmp_path, train=data)
    for trainer in (own, whole):
        trainer.train()
    torch.testing.assert_close(weights(own), weights(whole), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("make_loader", "changes", "words"),
    [
        (iter, {}, "expected a loader with a length"),
        (shuffled, {"group_by_length": True}, "group_by_length has no effect on a loader of one's own"),
        (lambda data: [["no", "dict"]], {}, "a batch must be a dict of the model's arguments, found list"),
        (lambda data: [{"x": 1}], {}, "a batch needs a tensor with a row for each example, found only x"),
    ],
)
def test_a_loader_that_cannot_be_read_is_refused(tmp_path, make_loader, changes, words):
    with pytest.raises(ValueError, match=words):
        trainer_of("minibert", tmp_path, with_loader(make_loader), changes=changes).train()


def test_resuming_with_another_loader_is_refused(tmp_path):
    seen_rows(tmp_path / "whole", shuffled)
    with pytest.raises(minibert.training.checkpointing.ResumeError, match="batches of the train loader: was 3, is 4"):
        seen_rows(tmp_path / "rest", lambda data: DataLoader(data, 3), tmp_path / "whole" / "checkpoint-4")


def test_loaders_of_evaluation(tmp_path):
    def make(base):
        class Own(base):
            def get_eval_dataloader(self, eval_dataset=None):
                return DataLoader(rows(8), batch_size=4)

            def get_test_dataloader(self, test_dataset):
                return DataLoader(test_dataset[::-1], batch_size=4)

        return Own

    changes = {"eval_strategy": "epoch"}
    theirs, ours = both(tmp_path, make=make, changes=changes)
    assert_same_run(theirs, ours)
    predictions = [trainer.predict(rows(9)).predictions for trainer in (theirs, ours)]
    assert predictions[1] == pytest.approx(predictions[0], abs=1e-5)
    none_given = make(Trainer)(Toy(), ours.args, train_dataset=rows())
    none_given.train()
    assert none_given.state.best_metric is None and "eval_loss" in none_given.state.log_history[-2]

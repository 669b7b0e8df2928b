"""What is random in the data is a function of seed, epoch and batch; dropout draws as if nobody else did."""

import itertools
import random

import numpy as np
import pytest
import torch
import transformers
from reference import our_model
from reference_tokenizer import vocab_path
from torch.utils.data import DataLoader
from toy_training import Toy, rows, trainer_of
from training_runs import same

from minibert import BertTokenizer, DataCollatorForLanguageModeling, Trainer, TrainingArguments, set_seed
from minibert.training.seeding import drawn, seed_of_batch


def draws():
    return random.random(), np.random.rand(), torch.rand(1).item()


def test_set_seed_is_that_of_the_reference():
    numbers = []
    for set_it in (set_seed, transformers.set_seed, set_seed):
        set_it(7)
        numbers.append(draws())
    assert numbers[0] == numbers[1] == numbers[2]
    set_seed(8)
    assert not set(draws()) & set(numbers[0])


def test_deterministic_algorithms():
    try:
        set_seed(1, deterministic=True)
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


class Noise:
    """Batches of random numbers, and a generator that somebody else draws from in between."""

    def __iter__(self):
        start = torch.rand(1)  # as samplers do
        for _ in range(6):
            yield torch.rand(1).item(), start.item()


def test_batches_are_drawn_apart_from_everything_else():
    torch.manual_seed(3)
    expected = [torch.rand(1).item() for _ in range(6)]
    torch.manual_seed(3)
    found = [(batch, torch.rand(1).item()) for batch in drawn(Noise(), seed=1, epoch=2)]
    assert [other for _, other in found] == expected
    torch.manual_seed(4)
    again = list(drawn(Noise(), seed=1, epoch=2))
    assert again == [batch for batch, _ in found]
    assert len({number for number, _ in again}) == 6


@pytest.mark.parametrize("changes", [{"seed": 2}, {"epoch": 3}, {"rank": 1}])
def test_others_draw_others(changes):
    numbers = {"seed": 1, "epoch": 2, "rank": 0, "processes": 2}
    first, other = list(drawn(Noise(), **numbers)), list(drawn(Noise(), **(numbers | changes)))
    assert not {number for number, _ in first} & {number for number, _ in other}


def test_batches_have_their_numbers():
    """Whoever begins in the middle draws what was drawn there."""

    class FromThree:
        def __iter__(self):
            return (torch.rand(1).item() for _ in range(3))

    def numbers():
        return (torch.rand(1).item() for _ in range(6))

    class Whole:
        def __iter__(self):
            return numbers()

    assert list(drawn(FromThree(), 1, 2, first=3)) == list(drawn(Whole(), 1, 2))[3:]
    seeds = [seed_of_batch(*numbers) for numbers in itertools.product((1, 2), (0, 1), (0, 1, 2))]
    assert len(set(seeds)) == 12 and all(0 <= seed < 2**64 for seed in seeds)


def test_an_error_leaves_the_generator_as_it_was():
    def broken():
        torch.rand(1)
        raise ZeroDivisionError
        yield

    torch.manual_seed(3)
    before = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError):
        list(drawn(broken(), 1, 2))
    assert torch.equal(torch.get_rng_state(), before)


# --- in a run


def masked_run(folder, resume=None, **changes):
    """The batches that a model with dropout was trained on, whose masks are drawn by a collator; and the trainer."""
    tokenizer = BertTokenizer(vocab_path("uncased"))
    torch.manual_seed(1)
    model = our_model("BertForMaskedLM", vocab_size=len(tokenizer))
    seen = []

    def look(module, arguments, named):
        if module.training:
            seen.append((named["input_ids"].clone(), named["labels"].clone()))

    model.register_forward_pre_hook(look, with_kwargs=True)
    numbers = {"max_steps": 9, "save_steps": 2, "eval_strategy": "steps", "eval_steps": 3, "logging_steps": 1}
    args = TrainingArguments(folder, per_device_train_batch_size=2, disable_tqdm=True, **(numbers | changes))
    generator = torch.Generator().manual_seed(4)
    data = [{"input_ids": torch.randint(110, 200, (5 + i,), generator=generator).tolist()} for i in range(9)]
    collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.4)
    trainer = Trainer(model, args, collator, data, data[:4])
    trainer.train(resume)
    return seen, trainer


def weights(trainer):
    return [p.detach() for p in trainer.model.parameters()]


@pytest.mark.parametrize("workers", [0, 2])
def test_masks_are_the_same_after_a_resume(tmp_path, workers):
    """In the middle of an epoch, with dropout, and with evaluations in between that have masks of their own."""
    whole, trainer = masked_run(tmp_path / "whole", dataloader_num_workers=workers)
    for step in (2, 6):
        checkpoint = tmp_path / "whole" / f"checkpoint-{step}"
        rest, resumed = masked_run(tmp_path / str(step), checkpoint, dataloader_num_workers=workers)
        assert same(rest, whole[step:])
        assert same(weights(resumed), weights(trainer))
    assert not same(whole[0][1], whole[5][1])  # another epoch, another mask


def test_masks_of_evaluations_stay_the_same(tmp_path):
    _, trainer = masked_run(tmp_path)
    assert trainer.evaluate() == trainer.evaluate()
    seen, _ = masked_run(tmp_path / "evaluated")
    undisturbed, _ = masked_run(tmp_path / "not evaluated", eval_strategy="no")
    assert same(seen, undisturbed)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_make_what_is_not_random_just_so(tmp_path, workers):
    """The same batches as without them, in the same order."""
    batches = []
    for count in (0, workers):
        changes = {"per_device_train_batch_size": 5, "dataloader_num_workers": count}
        trainer = trainer_of("minibert", tmp_path, changes=changes)
        trainer.train()
        batches.append((weights(trainer), trainer.evaluate(), trainer.predict(rows(5)).predictions.tolist()))
    assert same(*batches)


def test_workers_hear_of_every_epoch(tmp_path):
    class Epochs(torch.utils.data.Dataset):
        epoch = None

        def set_epoch(self, epoch):
            self.epoch = epoch

        def __len__(self):
            return 4

        def __getitem__(self, index):
            return {"x": torch.full((4,), float(self.epoch)), "labels": torch.tensor(0)}

    class Recorder(Toy):
        def forward(self, x, labels):
            seen.append(x[0, 0].item())
            return super().forward(x, labels)

    seen = []
    changes = {"per_device_train_batch_size": 2, "dataloader_num_workers": 2}
    trainer_of("minibert", tmp_path, model=Recorder(), train=Epochs(), changes=changes).train()
    assert seen == [0, 0, 1, 1, 2, 2]


def test_an_error_in_the_data_is_told_before_workers_begin(tmp_path):
    changes = {"dataloader_num_workers": 2}
    with pytest.raises(ValueError, match="x of example 0: expected numbers, found 'no'"):
        trainer_of("minibert", tmp_path, train=[{"x": "no", "labels": 1}], changes=changes).train()


def test_a_loader_of_pytorch_can_be_read_by_hand(tmp_path):
    """What people look at before they train: its length, its first batch."""
    loader = trainer_of("minibert", tmp_path, changes={"per_device_train_batch_size": 5}).get_train_dataloader()
    assert isinstance(loader, DataLoader) and len(loader) == 3
    batches = list(loader)
    assert [len(batch["x"]) for batch in batches] == [5, 5, 2]
    assert sorted(torch.cat([b["x"] for b in batches]).tolist()) == sorted(row["x"].tolist() for row in rows())

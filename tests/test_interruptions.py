"""Kills, Ctrl-C, full disks, broken numbers: afterwards the run goes on, and ends as if nothing had happened."""

import errno
import itertools
import os
import random
import resource
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest
import torch
from training_runs import (
    Lines,
    RecordingCollator,
    build_trainer,
    in_child,
    last_state,
    names,
    same,
    steps_of,
    train_to_the_end,
)

from minibert import BertForPreTraining
from minibert.commands.run import run
from minibert.training.checkpointing import STATE_FILE, checkpoints
from minibert.training.failures import TrainingError
from minibert.training.metrics_log import METRICS_FILE, MetricsLog, read_metrics

TRAINING = [
    f"minibert/training/{name}.py"
    for name in ("trainer", "resumable", "checkpointing", "batches", "clock", "metrics_log")
]
SAVING = ["minibert/training/checkpointing.py"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The folder of a run of 16 steps that nobody interrupted."""
    folder = tmp_path_factory.mktemp("undisturbed")
    build_trainer(folder).train()
    return folder


def assert_same_end(folder, undisturbed):
    assert same(last_state(folder), last_state(undisturbed))
    assert steps_of(folder) == steps_of(undisturbed)
    assert not [path for path in Path(folder).iterdir() if path.name.startswith(".")]  # nothing half-written is left


# --- SIGKILL


def train_until_line(folder, files, number):
    with Lines(files, number):
        train_to_the_end(folder)


def count_lines(folder, files, counted):
    with Lines(files) as lines:
        train_to_the_end(folder)
    Path(counted).write_text(str(lines.count))


def assert_all_checkpoints_are_whole(folder):
    for checkpoint in folder.glob("checkpoint-*"):
        assert torch.load(checkpoint / STATE_FILE, weights_only=True)["clock"]["step"] > 0
        BertForPreTraining.from_pretrained(checkpoint)


def test_killed_at_random_moments(undisturbed, tmp_path):
    assert in_child(count_lines, tmp_path / "counted", TRAINING, tmp_path / "lines") == 0
    n_lines, rng = int((tmp_path / "lines").read_text()), random.Random(0)
    kills = 0
    for _ in range(8):
        code = in_child(train_until_line, tmp_path / "run", TRAINING, rng.randrange(n_lines // 2))
        assert code in (0, -signal.SIGKILL)
        kills += code != 0
        assert_all_checkpoints_are_whole(tmp_path / "run")
    assert kills >= 4
    assert in_child(train_to_the_end, tmp_path / "run") == 0
    assert_same_end(tmp_path / "run", undisturbed)


def train_then_die_in_save(folder, number):
    """Killed at a line of the first checkpoint that this process writes."""
    trainer = build_trainer(folder, save_total_limit=2)
    save, lines = trainer._save_run, Lines(SAVING, number)

    def save_and_die(metrics=None):
        trainer._save_run = save
        with lines:
            return save(metrics)

    trainer._save_run = save_and_die
    trainer.train(resume_from_checkpoint=True)


def test_killed_all_through_a_save(undisturbed, tmp_path):
    """What is there is always whole: at first checkpoints 4 and 8, at last 8 and 12, and in between all three."""
    found = []
    for number in itertools.count(1, step=3):
        folder = tmp_path / str(number)
        for name in ("checkpoint-4", "checkpoint-8"):
            shutil.copytree(undisturbed / name, folder / name)
        code = in_child(train_then_die_in_save, folder, number)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        assert_all_checkpoints_are_whole(folder)
        found.append(" ".join(sorted(path.name.removeprefix("checkpoint-") for path in folder.glob("checkpoint-*"))))
        if number % 5 == 0:  # and the run goes on from it
            train_to_the_end(folder, save_total_limit=2)
            assert same(last_state(folder), last_state(undisturbed))
            assert names(folder) == ["checkpoint-12", "checkpoint-16", "metrics.jsonl"]
    assert list(dict.fromkeys(found)) == ["4 8", "12 4 8", "12 8"]


def train_then_die_within_the_file(folder):
    write = torch.save

    def write_half(state, file):
        write(state, file)
        file.truncate(file.tell() // 2)
        signal.raise_signal(signal.SIGKILL)

    trainer = build_trainer(folder)
    after_step = trainer._after_step

    def await_second_save(*args):
        if trainer.clock.step == 8:
            torch.save = write_half
        after_step(*args)

    trainer._after_step = await_second_save
    trainer.train()


def test_killed_within_a_file(undisturbed, tmp_path):
    assert in_child(train_then_die_within_the_file, tmp_path) == -signal.SIGKILL
    left = sorted(path.name for path in tmp_path.glob(".*"))
    assert left == [".checkpoint-8.tmp", ".lock"]  # nobody takes the one for a checkpoint, or the other for locked
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-4"]
    train_to_the_end(tmp_path)
    assert_same_end(tmp_path, undisturbed)


# --- Ctrl-C


def press_ctrl_c(folder, number):
    with Lines(TRAINING, number, signal.SIGINT):
        run(lambda: train_to_the_end(folder))


def test_ctrl_c_saves_and_says_how_to_go_on(undisturbed, tmp_path):
    """In a step, in a save, anywhere: the step is done to its end, then everything is saved."""
    assert in_child(count_lines, tmp_path / "counted", TRAINING, tmp_path / "lines") == 0
    n_lines, rng = int((tmp_path / "lines").read_text()), random.Random(1)
    for number in range(4):
        folder, said = tmp_path / str(number), tmp_path / f"{number}.txt"
        assert in_child(press_ctrl_c, folder, int(n_lines * rng.uniform(0.2, 0.9)), stderr=said) == 130
        saved = checkpoints(folder)[-1]
        advice = "go on with --resume (in Python: resume_from_checkpoint=True)"
        assert said.read_text() == f"interrupted: saved {saved}; {advice}\n"
        train_to_the_end(folder)
        assert_same_end(folder, undisturbed)


def test_ctrl_c_saves_also_where_nothing_else_does(tmp_path):
    class Interrupting(RecordingCollator):
        def __call__(self, examples):
            if len(self.seen) == 5:
                signal.raise_signal(signal.SIGINT)
            return super().__call__(examples)

    with pytest.raises(KeyboardInterrupt, match="saved .*checkpoint-6;"):
        build_trainer(tmp_path, save_strategy="no", collator=Interrupting()).train()
    assert [folder.name for folder in checkpoints(tmp_path)] == ["checkpoint-6"]
    with pytest.raises(KeyboardInterrupt):  # from now on it is what it was
        signal.raise_signal(signal.SIGINT)


class Slow(torch.utils.data.Dataset):
    """What it is made of, a quarter of a second later."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        time.sleep(0.25 / 8)
        return self.dataset[index]


def press_ctrl_c_in_the_terminal(folder):
    """All processes of the terminal hear of it, those that make the batches, too."""
    os.setpgrp()
    trainer = build_trainer(folder, dataloader_num_workers=2, save_strategy="no")
    trainer.train_dataset = Slow(trainer.train_dataset)

    def press():
        while trainer.state.global_step < 3:
            time.sleep(0.001)
        time.sleep(0.1)  # while it waits for the next batch
        os.killpg(0, signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    run(trainer.train)


def test_ctrl_c_with_workers(tmp_path):
    assert in_child(press_ctrl_c_in_the_terminal, tmp_path / "run", stderr=tmp_path / "said") == 130
    (saved,) = checkpoints(tmp_path / "run")
    assert (tmp_path / "said").read_text().startswith(f"interrupted: saved {saved}; go on with --resume")


# --- full disk, broken numbers


def test_no_space_left(undisturbed, tmp_path, monkeypatch):
    write = torch.save

    def save(state, file):
        if state["clock"]["step"] == 8:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(state, file)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", save)
        with pytest.raises(OSError, match=r"checkpoint-8: .*could not be written .*No space left on device"):
            build_trainer(tmp_path).train()
    assert names(tmp_path) == ["checkpoint-4", "metrics.jsonl"]
    train_to_the_end(tmp_path)
    assert_same_end(tmp_path, undisturbed)


def test_no_space_left_for_the_first_checkpoint(tmp_path, monkeypatch):
    def save(state, file):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(OSError, match=r"checkpoint-4: .*could not be written .*; make room for it, then begin again$"):
        build_trainer(tmp_path).train()


def train_on_a_small_disk(folder):
    trainer = build_trainer(folder)
    after_step = trainer._after_step

    def fill_the_disk(*args):
        if trainer.clock.step == 6:
            resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, resource.RLIM_INFINITY))
        after_step(*args)

    trainer._after_step = fill_the_disk
    run(trainer.train)


def test_a_file_that_cannot_grow(undisturbed, tmp_path):
    """The same from the system itself, through PyTorch's own writer."""
    folder = tmp_path / "run"
    assert in_child(train_on_a_small_disk, folder, stderr=tmp_path / "said") == 2
    (line,) = (tmp_path / "said").read_text().splitlines()
    assert line.startswith(f"error: {folder}/checkpoint-8: this checkpoint could not be written (")
    assert "File too large" in line and "go on from the one before" in line
    assert names(folder) == ["checkpoint-4", "metrics.jsonl"]
    train_to_the_end(folder)
    assert_same_end(folder, undisturbed)


def test_no_space_for_the_metrics(tmp_path):
    """The line may have been written in part; the log of the resumed run begins with whole ones."""
    log = MetricsLog(tmp_path)
    log.write({"step": 1, "loss": 2.0})
    log.file.close()
    log.file = Path("/dev/full").open("a")  # noqa: SIM115
    with log, pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        log.write({"step": 2, "loss": 1.5})
    with (tmp_path / METRICS_FILE).open("a") as file:
        file.write('{"step": 2, "lo')
    with MetricsLog(tmp_path, resumed_at=2) as log:
        log.write({"step": 2, "loss": 1.5})
    assert read_metrics(tmp_path / METRICS_FILE) == [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.5}]


def test_after_a_loss_that_is_no_number(undisturbed, tmp_path, monkeypatch):
    forward = BertForPreTraining.forward

    def explode(self, *args, **kwargs):
        outputs = forward(self, *args, **kwargs)
        if trainer.clock.step == 9:
            outputs.loss = outputs.loss * float("nan")
        return outputs

    with monkeypatch.context() as patch:
        patch.setattr(BertForPreTraining, "forward", explode)
        trainer = build_trainer(tmp_path)
        with pytest.raises(TrainingError, match="the loss is nan .* at step 10;"):
            trainer.train()
    assert checkpoints(tmp_path)[-1].name == "checkpoint-8"
    train_to_the_end(tmp_path)  # this time without the accident
    assert_same_end(tmp_path, undisturbed)

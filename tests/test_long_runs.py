"""What befalls runs of hours: kills, copies, clocks, neighbours, full memory; each in short, some in long too."""

import ctypes
import itertools
import os
import resource
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from random import Random

import pytest
import torch
from training_runs import build_trainer, in_child, last_state, same, steps_of, train_to_the_end

from minibert import BertForPreTraining, pipeline
from minibert.commands.run import run
from minibert.inference.records import Record, chunks, predict
from minibert.training.checkpointing import STATE_FILE, checkpoints
from minibert.training.failures import TrainingError
from minibert.training.run_folder import LOCK_FILE

# --- SIGKILL, at moments that no line of Python decides

STEPS_A_LIFE = 8


def train_and_be_killed(folder, arguments, step, seconds):
    """Killed by another thread, so long after this step."""
    trainer = build_trainer(folder, **arguments)

    def kill():
        while not hasattr(trainer, "clock") or trainer.clock.step < step:
            time.sleep(1e-4)
        time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    trainer.train(resume_from_checkpoint=bool(checkpoints(folder)))
    signal.pause()  # the run was over first


def train_in_peace(folder, arguments):
    train_to_the_end(folder, **arguments)


def last_step(folder):
    return max((int(checkpoint.name.split("-")[1]) for checkpoint in checkpoints(folder)), default=0)


def assert_ends_as_if_undisturbed(tmp_path, kills):
    """With a checkpoint every other step, a good part of the moments is within a save."""
    arguments = {"max_steps": kills * STEPS_A_LIFE, "save_steps": 2, "save_total_limit": 2}
    assert in_child(train_in_peace, tmp_path / "undisturbed", arguments, timeout=600) == 0
    folder, rng = tmp_path / "killed", Random(0)
    for _ in range(kills):
        step = min(last_step(folder) + rng.randint(1, 2 * STEPS_A_LIFE - 3), arguments["max_steps"] - 1)
        seconds = rng.uniform(0, 0.02)
        code = in_child(train_and_be_killed, folder, arguments, step, seconds, timeout=600)
        assert code == -signal.SIGKILL
    assert last_step(folder) > arguments["max_steps"] / 2, "the kills must meet all parts of the run"
    assert in_child(train_in_peace, folder, arguments, timeout=600) == 0
    assert same(last_state(folder), last_state(tmp_path / "undisturbed"))
    assert steps_of(folder) == steps_of(tmp_path / "undisturbed")
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_killed_by_the_clock(tmp_path):
    assert_ends_as_if_undisturbed(tmp_path, 5)


@pytest.mark.soak
def test_killed_fifty_times(tmp_path):
    assert_ends_as_if_undisturbed(tmp_path, 50)


# --- two runs, one folder


def hold(folder, ready, done):
    """A run that is under way until the file `done` appears."""
    trainer = build_trainer(folder, max_steps=10**6, logging_steps=10**6, save_strategy="no")
    after_step = trainer._after_step

    def wait(*arguments):
        ready.touch()
        while not done.exists():
            time.sleep(0.01)
        trainer.clock.total_steps = trainer.clock.step
        after_step(*arguments)

    trainer._after_step = wait
    trainer.train()


def train_as_a_script(folder, arguments):
    def main():
        build_trainer(folder, **arguments).train()

    run(main)


def test_a_second_run_into_the_folder_is_refused(tmp_path):
    folder, ready, done, said = (tmp_path / name for name in ("run", "ready", "done", "said"))
    first = threading.Thread(target=in_child, args=(hold, folder, ready, done))
    first.start()
    try:
        while not ready.exists():
            time.sleep(0.01)
        before = (folder / "metrics.jsonl").read_text()
        assert in_child(train_as_a_script, folder, {}, stderr=said) == 2
        assert said.read_text() == (
            f"error: {folder}: another run is writing there; wait for its end, or choose another folder"
            f" (if there is none, remove {folder}/{LOCK_FILE})\n"
        )
        assert (folder / "metrics.jsonl").read_text() == before
    finally:
        done.touch()
        first.join()
    assert in_child(train_as_a_script, folder, {"max_steps": 1}, stderr=said) == 0, said.read_text()  # now it is free


def test_a_killed_run_leaves_the_folder_free(tmp_path):
    assert in_child(train_and_be_killed, tmp_path, {}, 3, 0) == -signal.SIGKILL
    assert (tmp_path / LOCK_FILE).exists()
    build_trainer(tmp_path, max_steps=1).train()
    assert not (tmp_path / LOCK_FILE).exists()


def train_as_nobody(folder):
    """Also where tests run as root, who may write everywhere."""
    trainer = build_trainer(Path(folder.name) / "run")
    os.chdir(folder.parent)
    if os.geteuid() == 0:
        os.setuid(65534)
    run(trainer.train)


def test_a_folder_that_cannot_be_written(tmp_path):
    """That is noticed before the first step, not at the first checkpoint."""
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    assert in_child(train_as_nobody, folder, stderr=tmp_path / "said") == 2
    said = (tmp_path / "said").read_text().splitlines()[0]  # then nobody's Python has trouble of its own
    assert said.startswith("error: locked/run: no run can write there (") and "Permission denied" in said
    assert said.endswith("; choose another folder")


# --- a damaged checkpoint, a copied run


def test_a_damaged_last_checkpoint_costs_only_its_steps(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    build_trainer(whole).train()
    shutil.copytree(whole, broken)
    shutil.rmtree(broken / "checkpoint-16")
    os.truncate(broken / "checkpoint-12" / STATE_FILE, 1000)
    with pytest.warns(UserWarning, match=r"checkpoint-12/\S+: damaged .*: going on from \S*checkpoint-8$"):
        build_trainer(broken).train(resume_from_checkpoint=True)
    assert same(last_state(broken), last_state(whole)) and steps_of(broken) == steps_of(whole)


def test_a_copied_run_knows_its_last_checkpoint(tmp_path):
    """Copies have new times, in any order."""
    build_trainer(tmp_path / "run", max_steps=12).train()
    for number, name in enumerate(("checkpoint-12", "checkpoint-4", "checkpoint-8")):
        shutil.copytree(tmp_path / "run" / name, tmp_path / "copy" / name)
        os.utime(tmp_path / "copy" / name / STATE_FILE, (number, number))
    assert [folder.name for folder in checkpoints(tmp_path / "copy")] == [f"checkpoint-{n}" for n in (4, 8, 12)]


# --- the system's clock, the GPU's memory, ours


def test_clock_jumps_do_not_disturb_the_minutes(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "time", itertools.cycle((1e9, -1e9)).__next__)  # decades, to and fro, for every thread
    monkeypatch.setattr(time, "time_ns", lambda: int(time.time() * 1e9))
    trainer = build_trainer(tmp_path, max_minutes=0.5 / 60, max_steps=-1)
    started = time.monotonic()
    trainer.train()
    assert 0.5 <= trainer.clock.seconds <= time.monotonic() - started < 20
    assert checkpoints(tmp_path)[-1].name == f"checkpoint-{trainer.clock.step}"


def test_out_of_memory_has_advice(tmp_path, monkeypatch):
    forward = BertForPreTraining.forward

    def fill_the_memory(self, *arguments, **more):
        if trainer.clock.step == 6:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return forward(self, *arguments, **more)

    monkeypatch.setattr(BertForPreTraining, "forward", fill_the_memory)
    trainer = build_trainer(tmp_path)
    with pytest.raises(TrainingError, match="out of memory at step 7; try a smaller per_device_train_batch_size"):
        trainer.train()
    assert [folder.name for folder in checkpoints(tmp_path)] == ["checkpoint-4"]


def measure_memory(folder, steps, answer):
    """By how many bytes the process grows after the first quarter of a run."""
    trainer = build_trainer(folder, max_steps=steps, save_steps=steps // 5, save_total_limit=1, logging_steps=7)
    after_step, sizes = trainer._after_step, {}

    def measure(*arguments):
        after_step(*arguments)
        sizes[trainer.clock.step] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    trainer._after_step = measure
    trainer.train()
    answer.write_text(str(sizes[steps] - sizes[steps // 4]))


def assert_flat(tmp_path, steps, megabytes, timeout):
    assert in_child(measure_memory, tmp_path / "run", steps, tmp_path / "grown", timeout=timeout) == 0
    assert int((tmp_path / "grown").read_text()) < megabytes * 2**20


def test_memory_is_flat(tmp_path):
    assert_flat(tmp_path, 300, 8, timeout=120)


@pytest.mark.soak
def test_memory_is_flat_over_ten_thousand_steps(tmp_path):
    assert_flat(tmp_path, 10_000, 8, timeout=1800)


def memory_in_use():
    """In bytes. Batches of all lengths leave gaps between what is in use, which are not counted."""
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def measure_memory_of_inference(count, answer):
    """By how many bytes the process grows in the second half of a stream of texts of all lengths.

    In fp32: in bfloat16, oneDNN keeps the last 1,024 products that it compiled, which takes 100,000 texts to fill.
    """
    rng = Random(0)
    texts = (" ".join(["list"] * rng.randint(1, 60)) + " [MASK]" for _ in range(count))
    records = (Record(f"line {number}", {"text": text}) for number, text in enumerate(texts))
    fill = pipeline("fill-mask", "minibert-tiny", "fp32")
    for number, _ in enumerate(predict(fill, "fill-mask", chunks(records), top_k=1), start=1):
        if number == count // 2:
            half_way = memory_in_use()
    assert number == count
    answer.write_text(str(memory_in_use() - half_way))


def assert_inference_is_flat(tmp_path, count, timeout):
    assert in_child(measure_memory_of_inference, count, tmp_path / "grown", timeout=timeout) == 0
    assert int((tmp_path / "grown").read_text()) < 8 * 2**20


needs_glibc = pytest.mark.skipif(sys.platform != "linux", reason="memory in use is asked of Linux and its C library")


@needs_glibc
def test_memory_of_inference_is_flat(tmp_path):
    assert_inference_is_flat(tmp_path, 4000, timeout=120)


@needs_glibc
@pytest.mark.soak
def test_memory_of_inference_is_flat_over_a_hundred_thousand_texts(tmp_path):
    assert_inference_is_flat(tmp_path, 100_000, timeout=1800)

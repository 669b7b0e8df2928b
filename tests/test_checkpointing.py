"""Checkpoints: whole or not there, the right ones at the right steps, and clear words about those that are broken."""

import os
from pathlib import Path

import pytest
import torch
from torch import nn

from minibert.training import checkpointing
from minibert.training.checkpointing import (
    ORDER_FILE,
    STATE_FILE,
    DamagedCheckpointError,
    ResumeError,
    checkpoints,
    load_checkpoint,
    load_last_checkpoint,
    prune,
    save_checkpoint,
)


def names(folder):
    return [path.name for path in sorted(folder.iterdir())]


def steps(folder):
    """The checkpoints that are there, by step."""
    return sorted(int(path.name.removeprefix("checkpoint-")) for path in checkpoints(folder))


def write(folder, step, **state):
    model = nn.Linear(50, 50)
    save_checkpoint(folder / f"checkpoint-{step}", model, [], {"step": step} | state)
    return model


class Part:
    def __init__(self, name):
        self.name = name

    def save_pretrained(self, folder):
        (folder / self.name).write_text("here")


# --- one checkpoint


def test_what_is_saved_comes_back(tmp_path):
    saved = write(tmp_path / "new" / "run", 3, order=[1, 2], position=(0, 3))
    model = nn.Linear(50, 50)
    state = load_checkpoint(tmp_path / "new" / "run" / "checkpoint-3", model)
    assert state == {"step": 3, "order": [1, 2], "position": (0, 3)}
    assert torch.equal(model.weight, saved.weight)
    assert names(tmp_path / "new" / "run") == ["checkpoint-3"]


def test_everything_that_can_save_itself_is_saved_beside(tmp_path):
    save_checkpoint(tmp_path / "checkpoint-1", nn.Linear(2, 2), [Part("tokenizer"), None, Part("more")], {})
    assert names(tmp_path / "checkpoint-1") == ["more", ORDER_FILE, "tokenizer", STATE_FILE]


def test_a_checkpoint_is_replaced_whole(tmp_path):
    write(tmp_path, 3)
    (tmp_path / "checkpoint-3" / "old").touch()
    saved = write(tmp_path, 3)
    assert names(tmp_path) == ["checkpoint-3"] and names(tmp_path / "checkpoint-3") == [ORDER_FILE, STATE_FILE]
    model = nn.Linear(50, 50)
    load_checkpoint(tmp_path / "checkpoint-3", model)
    assert torch.equal(model.weight, saved.weight)


def test_a_failed_save_leaves_what_was_there(tmp_path):
    class Broken:
        def save_pretrained(self, folder):
            raise PermissionError(13, "Permission denied", str(folder))

    saved = write(tmp_path, 3)
    with pytest.raises(OSError, match="checkpoint-3: this checkpoint could not be written .*Permission denied"):
        save_checkpoint(tmp_path / "checkpoint-3", nn.Linear(50, 50), [Broken()], {})
    assert names(tmp_path) == ["checkpoint-3"]
    model = nn.Linear(50, 50)
    load_checkpoint(tmp_path / "checkpoint-3", model)
    assert torch.equal(model.weight, saved.weight)


def test_what_killed_runs_left_is_removed(tmp_path):
    for name in (".checkpoint-2.tmp", ".checkpoint-1.old.tmp"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / STATE_FILE).write_text("half of")
    assert checkpoints(tmp_path) == []
    write(tmp_path, 3)
    assert names(tmp_path) == ["checkpoint-3"]


@pytest.mark.parametrize("remove", ["prune", "replace"])
def test_killed_while_it_removes(tmp_path, monkeypatch, remove):
    """A checkpoint that is half gone has no name left by which it could be taken for a whole one."""

    class Killed(BaseException):
        pass

    def remove_half(folder, ignore_errors=False):
        if Path(folder).exists():
            (Path(folder) / "part").unlink()
            raise Killed

    for step in (1, 2):
        save_checkpoint(tmp_path / f"checkpoint-{step}", nn.Linear(2, 2), [Part("part")], {})
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(checkpointing.shutil, "rmtree", remove_half)
        if remove == "prune":
            prune(tmp_path, 1, keep=None)
        else:
            save_checkpoint(tmp_path / "checkpoint-1", nn.Linear(2, 2), [Part("part")], {})
    assert all(names(folder) == [ORDER_FILE, "part", STATE_FILE] for folder in tmp_path.glob("checkpoint-*"))
    write(tmp_path, 3)
    assert all(not name.startswith(".") for name in names(tmp_path))


# --- broken ones


def damage_nothing_there(path):
    path.unlink()


def damage_cut_short(path):
    os.truncate(path, path.stat().st_size // 2)


def damage_empty(path):
    path.write_bytes(b"")


def damage_turned_bits(path):
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(255 - byte for byte in content[middle : middle + 64])
    path.write_bytes(content)


def damage_other_content(path):
    torch.save([1, 2, 3], path)


def damage_no_model(path):
    torch.save({"step": 3}, path)


def damage_code(path):
    torch.save({"model": {}, "code": damage_code}, path)


@pytest.mark.parametrize("damage", [f for name, f in sorted(globals().items()) if name.startswith("damage_")])
def test_a_broken_checkpoint_is_named(tmp_path, damage):
    write(tmp_path, 3)
    damage(tmp_path / "checkpoint-3" / STATE_FILE)
    with pytest.raises(ResumeError) as error:
        load_checkpoint(tmp_path / "checkpoint-3", nn.Linear(50, 50))
    message = str(error.value)
    assert str(tmp_path / "checkpoint-3") in message and STATE_FILE in message and "\n" not in message


def test_a_checkpoint_of_another_model(tmp_path):
    write(tmp_path, 3)
    with pytest.raises(
        ResumeError, match=r"checkpoint-3/training_state.pt: written from another model; go on with the model"
    ):
        load_checkpoint(tmp_path / "checkpoint-3", nn.Linear(50, 51))


# --- several


def test_oldest_first(tmp_path):
    """Whatever the times of the files: a copy does not keep them, and the system's clock may be set back."""
    for number, step in enumerate((2, 10, 9, 11)):
        write(tmp_path, step)
        os.utime(tmp_path / f"checkpoint-{step}" / STATE_FILE, (1000 - number, 1000 - number))
    assert [path.name for path in checkpoints(tmp_path)] == [f"checkpoint-{step}" for step in (2, 10, 9, 11)]
    write(tmp_path, 2)  # again, by another run
    assert [path.name for path in checkpoints(tmp_path)] == [f"checkpoint-{step}" for step in (10, 9, 11, 2)]


def test_without_a_written_order_that_of_the_steps(tmp_path):
    for step in (2, 10, 9):
        write(tmp_path, step)
    (tmp_path / "checkpoint-2" / ORDER_FILE).unlink()
    (tmp_path / "checkpoint-10" / ORDER_FILE).write_text("")
    (tmp_path / "checkpoint-9" / ORDER_FILE).write_text("ninth")
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-2", "checkpoint-9", "checkpoint-10"]


def test_a_damaged_last_checkpoint_is_passed_over(tmp_path):
    saved = [write(tmp_path, step) for step in (1, 2, 3)]
    damage_cut_short(tmp_path / "checkpoint-3" / STATE_FILE)
    damage_turned_bits(tmp_path / "checkpoint-2" / STATE_FILE)
    model = nn.Linear(50, 50)
    with pytest.warns(UserWarning, match="damaged .*; take the checkpoint before it: going on from ") as warned:
        folder, state = load_last_checkpoint(tmp_path, model)
    assert (folder.name, state) == ("checkpoint-1", {"step": 1})
    assert torch.equal(model.weight, saved[0].weight)
    said = [str(warning.message) for warning in warned]
    for step, message in zip((3, 2), said, strict=True):
        assert message.startswith(f"{tmp_path}/checkpoint-{step}/{STATE_FILE}: damaged")
        assert message.endswith(f"going on from {tmp_path}/checkpoint-{step - 1}")


def test_nothing_whole_to_go_on_from(tmp_path):
    with pytest.raises(ResumeError, match="no checkpoint there to resume from; start a new run"):
        load_last_checkpoint(tmp_path, nn.Linear(50, 50))
    write(tmp_path, 1)
    damage_empty(tmp_path / "checkpoint-1" / STATE_FILE)
    with pytest.raises(DamagedCheckpointError, match=f"checkpoint-1/{STATE_FILE}: damaged"):
        load_last_checkpoint(tmp_path, nn.Linear(50, 50))


def test_the_checkpoint_of_another_model_is_not_passed_over(tmp_path):
    write(tmp_path, 1)
    save_checkpoint(tmp_path / "checkpoint-2", nn.Linear(50, 51), [], {})
    with pytest.raises(ResumeError, match="written from another model"):
        load_last_checkpoint(tmp_path, nn.Linear(50, 50))


def test_only_checkpoints_count(tmp_path):
    write(tmp_path, 7)
    for name in ("checkpoint-best", "checkpoint-8.bak", "runs", "checkpoint-9"):
        (tmp_path / name).mkdir()  # checkpoint-9 is one in name only
    (tmp_path / "checkpoint-10").touch()
    assert steps(tmp_path) == [7]
    assert checkpoints(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    ("limit", "keep", "left"),
    [(1, None, [5]), (2, None, [4, 5]), (9, None, [1, 2, 3, 4, 5]), (2, 1, [1, 4, 5]), (1, 5, [4, 5])],
)
def test_prune(tmp_path, monkeypatch, limit, keep, left):
    for step in range(1, 6):
        write(tmp_path, step)
    monkeypatch.chdir(tmp_path)  # the same folder under another name is the same folder
    prune(tmp_path, limit, Path(f"checkpoint-{keep}") if keep else None)
    assert steps(tmp_path) == left
    assert names(tmp_path) == [f"checkpoint-{step}" for step in left]

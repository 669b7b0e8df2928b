"""One run at a time in a folder, and a new run in a folder of its own."""

import threading

import pytest
import torch
from torch import nn
from training_runs import in_child

from minibert.pretraining.job import pretrain
from minibert.pretraining.options import PretrainingOptions
from minibert.training import run_folder
from minibert.training.checkpointing import ResumeError, save_checkpoint
from minibert.training.distributed import Processes
from minibert.training.run_folder import (
    LOCK_FILE,
    SETTINGS_FILE,
    RunFolderError,
    goes_on,
    keep_settings,
    last_used,
    next_unused,
    only_run_in,
    refuse_used,
)


def enter(folder):
    with only_run_in(folder):
        pass


def enter_in_vain(folder):
    with pytest.raises(RunFolderError, match="run: another run is writing there; wait for its end"):
        enter(folder)


def test_alone(tmp_path):
    folder = tmp_path / "new" / "run"
    with only_run_in(folder):
        assert (folder / LOCK_FILE).exists()
        assert in_child(enter_in_vain, folder) == 0
        assert in_child(enter, tmp_path / "another") == 0
        (folder / "result").touch()
    assert [path.name for path in folder.iterdir()] == ["result"]
    assert in_child(enter, folder) == 0


def test_a_run_that_does_nothing_leaves_nothing(tmp_path):
    (tmp_path / "there").mkdir()
    for folder in (tmp_path / "new", tmp_path / "there"):
        with only_run_in(folder):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_run_may_enter_again(tmp_path, monkeypatch):
    """As `pretrain` does: it holds the folder from the start, and its Trainer while it trains."""
    folder = tmp_path / "run"
    monkeypatch.chdir(tmp_path)
    with only_run_in(folder):
        with only_run_in(folder.relative_to(tmp_path)):
            pass
        assert in_child(enter_in_vain, folder) == 0, "only the outer one ends it"
    assert in_child(enter, folder) == 0


def test_freed_by_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), only_run_in(tmp_path / "run"):
        raise ZeroDivisionError
    assert in_child(enter, tmp_path / "run") == 0


def test_another_thread_is_another_run(tmp_path):
    refused = []

    def enter_too():
        try:
            enter(tmp_path / "run")
        except RunFolderError as error:
            refused.append(error)

    with only_run_in(tmp_path / "run"):
        thread = threading.Thread(target=enter_too)
        thread.start()
        thread.join()
    assert len(refused) == 1


def test_the_first_process_locks_for_all(tmp_path):
    with only_run_in(tmp_path / "run"), only_run_in(tmp_path / "run", is_first=False):
        pass
    with only_run_in(tmp_path / "other", is_first=False):
        assert not (tmp_path / "other").exists()


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"file: no run can write there \(.*\); choose another folder"):
        enter(tmp_path / "file")


def test_what_an_earlier_run_left(tmp_path):
    refuse_used(tmp_path / "absent")
    (tmp_path / "metrics.jsonl").touch()
    refuse_used(tmp_path)  # killed before its first checkpoint
    save_checkpoint(tmp_path / "checkpoint-9", nn.Linear(2, 2), [], {})
    with pytest.raises(RunFolderError, match=r"an earlier run left checkpoint-9 there; go on with it \(--resume\)"):
        refuse_used(tmp_path)


def test_a_model_is_not_overwritten(tmp_path):
    (tmp_path / "model.safetensors").touch()
    process = Processes(0, 1, torch.device("cpu"))
    with pytest.raises(RunFolderError, match=r"a model \(model\.safetensors\), which a new run would overwrite"):
        goes_on(tmp_path, False, [tmp_path], process)
    save_checkpoint(tmp_path / "checkpoint-9", nn.Linear(2, 2), [], {})
    assert goes_on(tmp_path, True, [tmp_path], process)


def test_the_last_run_is_the_one_with_the_largest_number(tmp_path):
    """Although runs before it were removed; a new one does not take their numbers, or it would come before the last."""
    folder = tmp_path / "run"
    assert next_unused(folder) == folder
    with pytest.raises(ResumeError, match="no checkpoint to go on from in"):
        last_used(folder)
    for name in ("run", "run-3", "run-10", "run-x", "run-1"):
        save_checkpoint(tmp_path / name / "checkpoint-9", nn.Linear(2, 2), [], {})
    (tmp_path / "run-12").mkdir()
    assert last_used(folder).name == "run-10" and next_unused(folder).name == "run-11"


def test_only_the_same_run_goes_on(tmp_path):
    begun = {"corpus": "3 documents", "rate": None, "seed": 42}
    keep_settings(tmp_path, begun, resume=False)
    keep_settings(tmp_path, begun, resume=True)
    with pytest.raises(
        ResumeError, match="holds another run: corpus was 3 documents, is 4 documents; rate was None, is"
    ):
        keep_settings(tmp_path, begun | {"corpus": "4 documents", "rate": 0.1}, resume=True)
    keep_settings(tmp_path, {"seed": 1}, resume=False)
    keep_settings(tmp_path, {"seed": 1}, resume=True)


def test_settings_that_nobody_wrote_down_are_not_compared(tmp_path, caplog):
    keep_settings(tmp_path, {"seed": 1}, resume=True)
    assert "settings.json is missing, so nobody knows whether these are the options" in caplog.text
    with pytest.raises(ResumeError, match="seed was 1, is 2"):
        keep_settings(tmp_path, {"seed": 2}, resume=True)


def test_the_first_process_writes_settings(tmp_path, monkeypatch):
    monkeypatch.setattr(run_folder.Processes, "join", lambda: Processes(1, 2, torch.device("cpu")))
    keep_settings(tmp_path, {"seed": 1}, resume=False)
    assert not (tmp_path / SETTINGS_FILE).exists()


def test_pretraining_begins_in_a_folder_of_its_own(tmp_path):
    """And says so at once, not after the corpus was read."""
    (tmp_path / "corpus.txt").write_text("never read")
    options = {"corpus": [str(tmp_path / "corpus.txt")], "output_dir": tmp_path / "run"}
    save_checkpoint(tmp_path / "run" / "checkpoint-9", nn.Linear(2, 2), [], {})
    with pytest.raises(RunFolderError, match="an earlier run left checkpoint-9 there"):
        pretrain(PretrainingOptions(**options))
    with only_run_in(tmp_path / "run"):
        assert in_child(resume_in_vain, options) == 0


def resume_in_vain(options):
    with pytest.raises(RunFolderError, match="another run is writing there"):
        pretrain(PretrainingOptions(**options, resume=True))

"""The folder of a run: one run at a time writes into it, and only the run that began there goes on there."""

import contextlib
import json
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from minibert.checkpoint.files import WEIGHT_FILES, read_json, write_text
from minibert.training.checkpointing import ResumeError, checkpoints
from minibert.training.distributed import Processes

LOCK_FILE = ".lock"
SETTINGS_FILE = "settings.json"

logger = logging.getLogger(__name__)


class RunFolderError(ValueError):
    """A folder that a run may not write into; the message names it, and says what to do."""


@contextlib.contextmanager
def only_run_in(output_dir: Path, is_first: bool = True) -> Iterator[None]:
    """While this context is open, no other process can open it for the same folder, which is made where necessary.

    The system frees the lock of a killed run. Within one that holds it, the context may be opened again.

    Args:
        is_first: whether this is the first of a run's processes: that one locks the folder for all of them.

    Raises: `RunFolderError` if another run is writing there, `OSError` if nobody can.
    """
    if not is_first:
        yield
        return
    try:
        is_new = not output_dir.exists()
        output_dir.mkdir(parents=True, exist_ok=True)
        # A singleton is one object per path, and counts how often it was acquired.
        lock = FileLock(output_dir.resolve() / LOCK_FILE, timeout=0, is_singleton=True)
        lock.acquire()
    except Timeout as error:
        raise RunFolderError(
            f"{output_dir}: another run is writing there; wait for its end, or choose another folder"
            f" (if there is none, remove {output_dir / LOCK_FILE})"
        ) from error
    except OSError as error:
        raise OSError(f"{output_dir}: no run can write there ({error}); choose another folder") from error
    try:
        yield
    finally:
        if lock.lock_counter == 1:  # while it is still ours: afterwards it may be another run's
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
        if is_new and not any(output_dir.iterdir()):  # a run that could not begin leaves nothing
            output_dir.rmdir()


def goes_on(output_dir: Path, resume: bool, places: list[Path], processes: Processes) -> bool:
    """Whether a job goes on from its last checkpoints: where it is asked to, or where `torchrun` has restarted it.

    Args:
        resume: what the user says.
        places: folders of its runs.

    Raises: `ResumeError` where there is nothing to go on from, or other machines do not see it, and `RunFolderError`
        where a new job would replace another one.
    """
    used = [place for place in places if checkpoints(place)]
    found = [checkpoints(place)[-1].name for place in used]
    of_first = processes.gather(found)[0]
    resume |= processes.was_restarted() and bool(of_first)
    if found != of_first and resume:
        raise ResumeError(
            f"--resume: process {processes.rank} expected in --output-dir {output_dir} what the first one sees,"
            f" {', '.join(of_first) or 'no checkpoint'}; found {', '.join(found) or 'none'}. Put the folder on a disk"
            " that all machines share, or copy it to each of them"
        )
    if resume and not used:
        raise ResumeError(f"--resume: no checkpoint to go on from in --output-dir {output_dir}")
    if not resume:
        for refuse in (refuse_used, _refuse_model):  # where there are checkpoints, the better advice is to go on
            for place in places:
                refuse(place)
    return resume


def next_unused(folder: Path) -> Path:
    """`folder`, if it and all of `folder`-2, `folder`-3, ... are empty; else the one behind the last that is not."""
    used = [number for number, path in _numbered(folder).items() if not path.is_dir() or any(path.iterdir())]
    return folder.with_name(f"{folder.name}-{used[-1] + 1}") if used else folder


def last_used(folder: Path) -> Path:
    """Of `folder`, `folder`-2, ... the last with a checkpoint; `ResumeError` if none has one."""
    used = [path for path in _numbered(folder).values() if checkpoints(path)]
    if not used:
        raise ResumeError(f"--resume: no checkpoint to go on from in {folder}; name the run's --output-dir")
    return used[-1]


def _numbered(folder: Path) -> dict[int, Path]:
    """Those of `folder`, `folder`-2, `folder`-3, ... that exist, by their numbers. Any may have been removed."""
    matches = (
        (re.fullmatch(rf"{re.escape(folder.name)}-([2-9]|[1-9]\d+)", path.name), path)
        for path in folder.parent.glob("*")
    )
    found = {int(match[1]): path for match, path in matches if match}
    if folder.exists():
        found[1] = folder
    return dict(sorted(found.items()))


def refuse_used(output_dir: Path) -> None:
    """Raise `RunFolderError` if an earlier run left checkpoints in `output_dir`: a new one would replace them."""
    if found := checkpoints(output_dir):
        raise RunFolderError(
            f"{output_dir}: an earlier run left {found[-1].name} there; go on with it (--resume), choose another"
            " folder for a new run, or remove this one"
        )


def _refuse_model(output_dir: Path) -> None:
    if model := next((name for name in WEIGHT_FILES if (output_dir / name).exists()), None):
        raise RunFolderError(
            f"{output_dir}: there is a model ({model}), which a new run would overwrite; choose another folder, or"
            " remove this one"
        )


def keep_settings(
    output_dir: Path, settings: dict[str, Any], resume: bool, changeable: Mapping[str, Any] | None = None
) -> None:
    """Write down in `output_dir` what a run begins with; when it goes on, compare that with what it has now.

    Args:
        settings: names and values, as JSON has them: all that must stay the same for it to be the same run.
        changeable: what is written down, too, and may be another when it goes on.

    Raises: `ResumeError` naming every setting that differs.
    """
    path = output_dir / SETTINGS_FILE
    begun = settings_of(output_dir)
    if resume and begun:
        other = [f"{name} was {begun.get(name)}, is {now}" for name, now in settings.items() if begun.get(name) != now]
        if other:
            raise ResumeError(
                f"--resume: {output_dir} holds another run: {'; '.join(other)}. Give the options that it began with,"
                " or choose another folder for a new run"
            )
    elif resume:
        logger.warning("%s is missing, so nobody knows whether these are the options that the run began with", path)
    if Processes.join().is_first:
        write_text(path, json.dumps(settings | dict(changeable or {}), indent=2, ensure_ascii=False) + "\n")


def settings_of(output_dir: Path) -> dict[str, Any]:
    """What `keep_settings` wrote down there; empty if it did not."""
    path = output_dir / SETTINGS_FILE
    return read_json(path) if path.is_file() else {}

"""Grade files of answers, each in a process of its own that may loop, exit, print and crash without harm to others."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import minibert.course
from minibert.course import one_submission
from minibert.course.all_exercises import EXERCISES
from minibert.course.languages import in_language
from minibert.course.phrases import Phrase, say
from minibert.course.sheet import language_of
from minibert.course.verdict import RIGHT, WRONG, Verdict, judged

STARTING = 60  # seconds that a process may take before it comes to the submission: it imports PyTorch


@dataclass
class Submission:
    """A graded file.

    verdicts: of each exercise, in the order of the course.
    problem: why nothing could be graded, or "".
    language: of the verdicts and the problem.
    """

    path: Path
    verdicts: list[Verdict] = field(default_factory=list)
    problem: str = ""
    language: str = "en"

    @property
    def points(self) -> int:
        return sum(verdict.points for verdict in self.verdicts)

    @property
    def of(self) -> int:
        return sum(verdict.of for verdict in self.verdicts)

    @property
    def right(self) -> int:
        return sum(verdict.status == RIGHT for verdict in self.verdicts)


def grade_all(
    paths: Sequence[Path], names: Sequence[str], seconds: float, language: str | None = None
) -> Iterator[Submission]:
    """Grade files in the order in which they are given, as many at once as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(lambda path: grade(path, names, seconds, language), paths)


def grade(path: Path, names: Sequence[str], seconds: float, language: str | None = None) -> Submission:
    """Grade one file.

    names: of exercises.
    seconds: that importing the file, and then each exercise, may take.
    language: of what is said; None: the one that the file says it is in.
    """
    submission, left = Submission(path, language=language or language_of(path)), list(names)
    with tempfile.TemporaryDirectory() as folder:
        while left and not submission.problem:
            ending = run_process(submission, left, seconds, Path(folder))
            for line in lines_of(Path(folder, "results")):
                if "problem" in line:
                    submission.problem = line["problem"]
                elif "begun" not in line:
                    submission.verdicts.append(Verdict(**line))
                    left.remove(line["exercise"])
            if left and not submission.problem:
                blame(submission, left, ending, lines_of(Path(folder, "results")))
    if submission.problem:
        submission.verdicts = [failed(submission, name, submission.problem) for name in names]
    return submission


def blame(submission: Submission, left: list[str], ending: Phrase, lines: list[dict]) -> None:
    """The process did not come to its end: the exercise that it was at is wrong, the others get a new process."""
    if not lines or "begun" not in lines[-1]:
        submission.problem = say(Phrase("{ending} while it was imported", ending=ending), submission.language)
    else:
        submission.verdicts.append(failed(submission, left.pop(0), ending))


def failed(submission: Submission, name: str, fault: str) -> Verdict:
    return judged(in_language(EXERCISES[name], submission.language), WRONG, [fault])


def run_process(submission: Submission, names: Sequence[str], seconds: float, folder: Path) -> Phrase:
    """Run `one_submission` on a file until it ends, or stops telling of progress; returns how it ended, in words."""
    results, own = folder / "results", folder / "own"
    results.unlink(missing_ok=True)
    own.mkdir(exist_ok=True)  # where a submission may delete all that it finds
    file = str(submission.path.resolve())
    command = [sys.executable, "-m", one_submission.__name__, file, str(results), submission.language, *names]
    package = Path(minibert.course.__file__).parents[2]
    paths = os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    nothing = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=own, env=environment, start_new_session=True, **nothing)  # type: ignore[call-overload]
    try:
        in_time = wait(process, results, seconds)
    finally:
        kill(process)
    if not in_time:
        return Phrase("did not end within {seconds:g} seconds", seconds=seconds)
    return Phrase("ended the program (exit code {code})", code=process.returncode)


def wait(process: subprocess.Popen, results: Path, seconds: float) -> bool:
    """Until the process ends (True), or has told nothing new for too long (False)."""
    told, deadline = -1, time.monotonic() + STARTING + seconds
    while process.poll() is None:
        size = results.stat().st_size if results.exists() else -1
        if size > told:
            told, deadline = size, time.monotonic() + seconds
        elif time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def kill(process: subprocess.Popen) -> None:
    """A process with all that it has started."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):  # it and all the others are gone
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def lines_of(results: Path) -> list[dict]:
    """What the process has told; a last line that it did not finish is left out."""
    text = results.read_text(encoding="utf-8") if results.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

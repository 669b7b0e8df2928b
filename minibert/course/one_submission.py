"""The process in which one submission runs.

    python -m minibert.course.one_submission FILE RESULTS LANGUAGE EXERCISE...

It writes what it finds to RESULTS at once, an object a line, so that nothing is lost if the submission ends it:
`{"begun": name}` before an exercise, its verdict after it; `{"problem": ...}` if FILE cannot be imported.
"""

import importlib.machinery
import importlib.util
import json
import sys
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

from minibert.course.all_exercises import EXERCISES
from minibert.course.languages import in_language
from minibert.course.phrases import Phrase, say
from minibert.course.verdict import examine, no_such

# Of one submission, in bytes: what it may hold in memory, and write to one file.
MEMORY, FILE_SIZE = 4 * 2**30, 100 * 2**20


def main(file: str, results: str, language: str, *names: str) -> None:
    with open(results, "w", encoding="utf-8", buffering=1) as out:
        limit_resources()
        try:
            module = load(Path(file))
        except (Exception, SystemExit) as error:  # whatever a learner's file may do
            problem = Phrase("cannot be imported: {kind}: {error}", kind=type(error).__name__, error=str(error))
            return report(out, {"problem": say(problem, language)})
        for name in names:
            report(out, {"begun": name})
            exercise = in_language(EXERCISES[name], language)
            there = hasattr(module, name)
            report(out, asdict(examine(exercise, getattr(module, name)) if there else no_such(exercise)))


def load(path: Path) -> ModuleType:
    """Import a file of any name, as `submission`."""
    loader = importlib.machinery.SourceFileLoader("submission", str(path))
    spec = importlib.util.spec_from_loader("submission", loader)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["submission"] = module  # where `inspect` looks for the code of a class
    spec.loader.exec_module(module)
    return module


def report(out: TextIO, found: dict[str, Any]) -> None:
    out.write(json.dumps(found) + "\n")


def limit_resources() -> None:
    """So that a submission cannot take what the others need. Windows has no such limits."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_SIZE, FILE_SIZE))


if __name__ == "__main__":
    main(*sys.argv[1:])

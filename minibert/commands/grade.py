"""Grade answers to the exercises of the course: a file, or a folder with one for each learner.

Every file runs in a process of its own. One that loops for ever, exits, prints a lot or crashes hurts no other; but it
does run, so grade strangers' files in a container. A right answer gives the exercise's difficulty, 1 to 3, in points.

    minibert grade --new my_exercises.py     a file with all tasks, to write answers into
    minibert grade my_exercises.py           what is right, and what is wrong with the rest
    minibert grade submissions/              a table

Each file is answered in its own language, which a line `# language: en` or `# language: zh` says; in English if none
does. The headings of a table are Chinese if all its files are. JSON has English keys, and names the language of its
texts.

Exit code: 0 all is right, 1 some is not, 2 bad input.
"""

import argparse
import json
import sys
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path

from tqdm import tqdm

from minibert.checkpoint.files import write_text
from minibert.course.all_exercises import EXERCISES, NOTEBOOKS
from minibert.course.exercise import columns
from minibert.course.languages import LANGUAGES
from minibert.course.phrases import Phrase, say
from minibert.course.sheet import sheet
from minibert.course.submissions import Submission, grade_all


def main(options: argparse.Namespace) -> int:
    names = choose(options.only)
    if options.new:
        return write_sheet(options.path, names, options.language or "en")
    if options.time_limit <= 0:
        raise ValueError(f"--time-limit {options.time_limit:g}: expected seconds, more than 0")
    paths = find_files(options.path)
    graded = grade_all(paths, names, options.time_limit, options.language)
    submissions = list(tqdm(graded, total=len(paths), unit=" files", disable=len(paths) == 1))
    if options.json:
        print(json.dumps([as_dict(submission, options.path) for submission in submissions], indent=1))
    elif options.path.is_dir():
        print_table(submissions, options.path, names)
    else:
        print_verdicts(submissions[0])
    return 0 if all(submission.right == len(names) for submission in submissions) else 1


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=Path, help="a .py file, or a folder of them")
    parser.add_argument("--only", nargs="+", metavar="WHICH", help="exercises, or notebooks: 0 to 9, A to C (all)")
    parser.add_argument(
        "--time-limit", type=float, default=10, metavar="SECONDS", help="for each exercise (%(default)g)"
    )
    parser.add_argument("--json", action="store_true", help="print all verdicts as JSON")
    parser.add_argument("--new", action="store_true", help="write the tasks to a new file, and grade nothing")
    parser.add_argument(
        "--language",
        choices=LANGUAGES,
        help="of the tasks that --new writes (en), or of what is said of all answers (each file's own)",
    )


def choose(only: list[str] | None) -> list[str]:
    """The names of exercises that `--only` means, in the order of the course."""
    for which in only or ():
        if which not in EXERCISES and which not in NOTEBOOKS:
            near = get_close_matches(which, EXERCISES) or [*NOTEBOOKS, *EXERCISES]
            raise ValueError(f"--only {which}: no such exercise or notebook; there is {', '.join(near)}")
    return [name for name, exercise in EXERCISES.items() if not only or {name, exercise.notebook} & {*only}]


def write_sheet(path: Path, names: list[str], language: str) -> int:
    if path.exists():
        raise ValueError(f"{path}: exists; give --new a name that does not")
    write_text(path, sheet(names, path.name, language))
    points = sum(EXERCISES[name].difficulty for name in names)
    written = Phrase(
        "{count} exercises, {points} points, written to {path}", count=len(names), points=points, path=path
    )
    print(say(written, language))
    return 0


def find_files(path: Path) -> list[Path]:
    """The file, or all Python files in the folder."""
    if path.is_file() and path.suffix == ".py":
        return [path]
    if not path.is_dir():
        what = "expected a .py file or a folder" if path.exists() else "no such file or folder"
        raise ValueError(f"{path}: {what}; `minibert grade --new my_exercises.py` writes a file to begin with")
    if others := sorted(path.rglob("*.ipynb")):
        print(
            f"not graded: {', '.join(str(other.relative_to(path)) for other in others)}: no .py file", file=sys.stderr
        )
    if not (files := sorted(path.rglob("*.py"))):
        raise ValueError(f"{path}: has no .py file in it")
    return files


def as_dict(submission: Submission, root: Path) -> dict:
    return {
        "file": title(submission, root),
        "language": submission.language,
        "points": submission.points,
        "of": submission.of,
        "problem": submission.problem,
        "exercises": [asdict(verdict) for verdict in submission.verdicts],
    }


def title(submission: Submission, root: Path) -> str:
    return str(submission.path.relative_to(root) if root.is_dir() else submission.path)


def print_verdicts(submission: Submission) -> None:
    if submission.problem:
        raise ValueError(f"{submission.path}: {submission.problem}")
    width = max(len(verdict.exercise) for verdict in submission.verdicts)
    for verdict in submission.verdicts:
        print(f"{verdict.exercise:{width}}  {verdict.points}/{verdict.of} ", f"\n{'':{width + 7}}".join(verdict.lines))
    numbers = {"points": submission.points, "of": submission.of, "right": submission.right}
    sums = Phrase("{points} of {of} points, {right} of {count} right", count=len(submission.verdicts), **numbers)
    print(f"\n{say(sums, submission.language)}")


def print_table(submissions: list[Submission], root: Path, names: list[str]) -> None:
    """A line for each submission: its points, all together and of each notebook."""
    languages = {submission.language for submission in submissions}
    language = languages.pop() if len(languages) == 1 else "en"
    heads = [say(head, language) for head in (Phrase("submission"), Phrase("points"), Phrase("right"))]
    notebooks = sorted({EXERCISES[name].notebook for name in names})
    width = max(columns(title(submission, root)) for submission in submissions)
    print(
        padded(heads[0], width), padded(heads[1], 7, ">"), padded(heads[2], 7, ">"), "", *(f"{n:>3}" for n in notebooks)
    )
    for submission in sorted(submissions, key=lambda submission: -submission.points):
        sums = [sum(v.points for v in submission.verdicts if EXERCISES[v.exercise].notebook == n) for n in notebooks]
        totals = f"{submission.points:3}/{submission.of:<3}  {submission.right:2}/{len(names):<2} "
        print(padded(title(submission, root), width), totals, *(f"{points:3}" for points in sums), submission.problem)


def padded(text: str, width: int, side: str = "<") -> str:
    """Filled up with blanks; a Chinese character takes two columns."""
    return f"{text:{side}{width - columns(text) + len(text)}}"

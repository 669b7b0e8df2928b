"""Graded submissions: whatever one does, it hurts neither itself nor the others more than it must."""

from pathlib import Path

import pytest

from minibert.course.submissions import Submission, grade_all
from minibert.course.verdict import MISSING, RIGHT, WRONG, Verdict

NAMES = ["hide", "bits", "mark"]
BITS = "bits = 6\n"
MARK = "def mark(a, b):\n    return ['[CLS]', *a, '[SEP]', *b, '[SEP]']\n"

# Files in which the answer that comes first is wrong and the two after it are right, and what is said of the first.
FILES = {
    "loops": (
        f"{BITS}{MARK}def hide(text, word):\n    while True: pass",
        "did not end within",
    ),
    "ends": (f"import os\n{BITS}{MARK}def hide(text, word): os._exit(7)", "ended the program (exit code 7)"),
    "deletes": (
        f"import os, shutil\nshutil.rmtree(os.getcwd())\n{BITS}{MARK}def hide(text, word): return os.getcwd()",
        "raises FileNotFoundError",
    ),
}
PROBLEMS = {
    "loops at once": ("while True: pass", "did not end within 2 seconds while it was imported"),
    "ends at once": ("import os\nos._exit(0)", "ended the program (exit code 0) while it was imported"),
}


@pytest.fixture(scope="module")
def graded(tmp_path_factory) -> dict[str, Submission]:
    """All of them, graded together."""
    folder = tmp_path_factory.mktemp("submissions")
    codes = {name: code for name, (code, *_) in [*FILES.items(), *PROBLEMS.items()]}
    for name, code in codes.items():
        (folder / f"{name}.py").write_text(code, encoding="utf-8")
    (folder / "an answer twice").mkdir()
    (folder / "an answer twice" / "ends.py").write_text(f"print('a' * 10**7)\n{BITS}", encoding="utf-8")
    paths = [*(folder / f"{name}.py" for name in codes), folder / "an answer twice" / "ends.py"]
    found = list(grade_all(paths, NAMES, seconds=2))
    assert [submission.path for submission in found] == paths
    assert all(path.exists() for path in paths)
    return dict(zip([*codes, "twice"], found, strict=True))


@pytest.mark.parametrize("name", FILES)
def test_what_one_answer_does_costs_that_answer_alone(graded, name):
    hide, bits, mark = graded[name].verdicts
    assert (hide.status, bits.status, mark.status) == (WRONG, RIGHT, RIGHT)
    assert FILES[name][1] in hide.faults[0] and not graded[name].problem
    assert (graded[name].points, graded[name].right) == (bits.of + mark.of, 2)


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_file_that_does_not_get_far_has_a_problem(graded, name):
    submission, problem = graded[name], PROBLEMS[name][1]
    assert submission.problem.startswith(problem)
    assert [verdict.faults for verdict in submission.verdicts] == [[submission.problem]] * len(NAMES)
    assert submission.points == 0 and submission.of == graded["loops"].of


def test_files_of_one_name_are_two_submissions(graded):
    """This one prints a lot, too."""
    assert [verdict.status for verdict in graded["twice"].verdicts] == [MISSING, RIGHT, MISSING]


def test_sums():
    verdicts = [Verdict("a", RIGHT, 2, 2), Verdict("b", WRONG, 0, 3), Verdict("c", RIGHT, 1, 1)]
    submission = Submission(Path("a.py"), verdicts)
    assert (submission.points, submission.of, submission.right) == (3, 6, 2)

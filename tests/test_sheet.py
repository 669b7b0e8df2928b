"""The file with all tasks: it is Python, has every exercise once and in order, and the solutions fill it."""

import ast

from minibert.course.all_exercises import EXERCISES
from minibert.course.sheet import language_of, sheet, solutions


def defined_by(code: str) -> list[str]:
    """Names of the functions and numbers at the top level."""
    found = []
    for node in ast.parse(code).body:
        if isinstance(node, ast.FunctionDef):
            found.append(node.name)
        elif isinstance(node, ast.Assign):
            found.append(node.targets[0].id)
    return found


def test_every_exercise_once_and_in_the_order_of_the_course():
    assert defined_by(sheet(list(EXERCISES), "a.py")) == list(EXERCISES)


def test_a_part_of_them_under_its_notebooks():
    code = sheet(["embed", "split_heads", "merge_heads"], "part.py")
    assert defined_by(code) == ["embed", "split_heads", "merge_heads"]
    assert [line for line in code.splitlines() if line.startswith("# --- ")] == ["# --- Notebook 1", "# --- Notebook 2"]
    assert "minibert grade part.py" in code


def test_every_task_is_in_it_as_it_is():
    code = sheet(list(EXERCISES), "a.py")
    words = " ".join(line.removeprefix("#").strip() for line in code.splitlines())
    for exercise in EXERCISES.values():
        assert " ".join(exercise.task.split()) in words and exercise.marks in words, exercise.name


def test_solutions_define_every_exercise():
    assert {*EXERCISES} <= {*defined_by(solutions(list(EXERCISES)))}


def test_a_sheet_says_its_language(tmp_path):
    path = tmp_path / "a.py"
    for language in ("en", "zh"):
        path.write_text(sheet(["bits"], "a.py", language), encoding="utf-8")
        assert language_of(path) == language
    for other in ("bits = 6", "# language: fr", "x = '# language: zh'", ""):
        path.write_text(other, encoding="utf-8")
        assert language_of(path) == "en", other
    path.write_bytes("# language: zh\n# 甲".encode("gbk"))
    assert language_of(path) == "zh", "whatever else is in it"

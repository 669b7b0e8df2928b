"""`minibert grade`: what it takes and refuses, and what it prints of a file and of a folder."""

import json
from pathlib import Path

import pytest
from script_runs import call

import minibert.commands.grade
from minibert.course.all_exercises import EXERCISES
from minibert.course.languages import in_language
from minibert.course.sheet import language_of
from minibert.course.submissions import Submission
from minibert.course.verdict import examine, no_such

ANSWERS = {
    "Ann/work.py": {"bits": 6, "hide": None},
    "Bob/work.py": {"bits": 7},
    "no/such.py": "cannot be imported: boo",
}


@pytest.fixture
def graded(monkeypatch):
    """Grade what ANSWERS says instead of running files; `test_submissions.py` runs them."""

    def grade_all(paths, names, seconds, language):
        for path in paths:
            answers = ANSWERS["/".join(path.parts[-2:])]
            problem = answers if isinstance(answers, str) else ""
            submission = Submission(path, problem=problem, language=language or language_of(path))
            for name in names:
                is_there = name in answers and not submission.problem
                exercise = in_language(EXERCISES[name], submission.language)
                submission.verdicts.append(examine(exercise, answers[name]) if is_there else no_such(exercise))
            yield submission

    monkeypatch.setattr(minibert.commands.grade, "grade_all", grade_all)


@pytest.fixture
def folder(tmp_path, graded) -> Path:
    for name in ANSWERS:
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("", encoding="utf-8")
    return tmp_path


def test_a_file_and_its_points(capsys, tmp_path):
    """For once with a process of its own."""
    (tmp_path / "mine.py").write_text("bits = 7", encoding="utf-8")
    ending = call(capsys, "grade", tmp_path / "mine.py", "--only", "bits", "hide")
    assert ending.code == 1 and not ending.err
    bits, hide, empty, sums = [line for line in ending.out.splitlines() if "mistake" not in line]
    assert bits.split() == ["bits", "0/1", *["7", "is", "not", "the", "number"]]
    assert hide.split() == ["hide", "0/2", *["not", "in", "the", "file"]] and not empty
    assert sums == "0 of 3 points, 0 of 2 right"


def test_all_right_is_code_0(capsys, folder):
    ending = call(capsys, "grade", folder / "Ann" / "work.py", "--only", "bits")
    assert ending.code == 0 and ending.out.endswith("1 of 1 points, 1 of 1 right\n")


def test_a_folder_is_a_table_best_first(capsys, folder):
    ending = call(capsys, "grade", folder, "--only", "0")
    head, *rows = [line.split() for line in ending.out.splitlines()]
    assert ending.code == 1 and head == ["submission", "points", "right", "0"]
    own = [exercise for exercise in EXERCISES.values() if exercise.notebook == "0"]
    points = sum(exercise.difficulty for exercise in own)
    assert rows == [
        ["Ann/work.py", f"1/{points}", f"1/{len(own)}", "1"],
        ["Bob/work.py", f"0/{points}", f"0/{len(own)}", "0"],
        ["no/such.py", f"0/{points}", f"0/{len(own)}", "0", *["cannot", "be", "imported:", "boo"]],
    ]


def test_json_has_every_verdict_and_problem(capsys, folder):
    found = json.loads(call(capsys, "grade", folder, "--json", "--only", "bits").out)
    assert [(entry["file"], entry["points"], entry["problem"]) for entry in found] == [
        ("Ann/work.py", 1, ""),
        ("Bob/work.py", 0, ""),
        ("no/such.py", 0, "cannot be imported: boo"),
    ]
    assert found[1]["exercises"][0]["faults"] == ["7 is not the number"]


def test_json_has_the_same_keys_and_names_the_language_of_its_texts(capsys, folder):
    english, chinese = (
        json.loads(call(capsys, "grade", folder, "--json", "--only", "bits", "--language", language).out)[1]
        for language in ("en", "zh")
    )
    assert list(english) == list(chinese) and (english["language"], chinese["language"]) == ("en", "zh")
    (one,), (other,) = english["exercises"], chinese["exercises"]
    assert list(one) == list(other) and one["status"] == other["status"] == "wrong" and other["language"] == "zh"
    assert other["faults"] == ["不是 7"]


def test_a_sheet_in_chinese_is_answered_in_chinese(capsys, tmp_path):
    """With a process of its own."""
    mine, only = tmp_path / "我的.py", ("--only", "bits", "hide", "mark")
    written = call(capsys, "grade", "--new", mine, "--language", "zh", *only)
    assert written.out == f"3 道习题，共 4 分，已写入 {mine}\n"
    mine.write_text(mine.read_text(encoding="utf-8").replace("bits = None", "bits = -6"), encoding="utf-8")
    bits, mistake, mark, hide, _, sums = call(capsys, "grade", mine, *only).out.splitlines()
    assert bits.split() == ["bits", "0/1", "不是", "-6"] and mistake.strip().startswith("错因：惊讶程度是")
    assert (mark.split()[-1], hide.split()[-1]) == ("还没有写", "还没有写")
    assert sums == "得 0 分，满分 4 分；答对 0 题，共 3 题"


def test_the_headings_are_chinese_if_all_files_are(capsys, folder):
    english, chinese = (
        call(capsys, "grade", folder, "--only", "bits", "--language", language).out for language in ("en", "zh")
    )
    assert english.splitlines()[0] == "submission   points   right    0"
    assert chinese.splitlines()[0] == "作业           分数    正确    0"
    assert english.splitlines()[1:] == chinese.splitlines()[1:]
    (folder / "Ann" / "work.py").write_text("# language: zh", encoding="utf-8")
    assert call(capsys, "grade", folder, "--only", "bits").out == english, "they have two languages"
    for name in ANSWERS:
        (folder / name).write_text("# 甲\n# language: zh\n", encoding="utf-8")
    assert call(capsys, "grade", folder, "--only", "bits").out == chinese


def test_a_file_that_cannot_be_imported_is_an_error(capsys, folder):
    assert "such.py: cannot be imported: boo" in call(capsys, "grade", folder / "no" / "such.py").only_error


def test_notebooks_that_nobody_grades_are_named(capsys, folder):
    (folder / "Bob" / "work.ipynb").write_text("{}", encoding="utf-8")
    assert "not graded: Bob/work.ipynb: no .py file\n" in call(capsys, "grade", folder).err


def test_new_writes_the_tasks_and_nothing_over(capsys, tmp_path):
    path = tmp_path / "new.py"
    ending = call(capsys, "grade", "--new", path, "--only", "2", "embed")
    assert ending.code == 0 and "def split_heads(" in path.read_text(encoding="utf-8")
    assert f"written to {path}" in ending.out
    assert "exists; give --new a name that does not" in call(capsys, "grade", "--new", path).only_error


def test_new_tasks_may_be_in_chinese(capsys, tmp_path):
    assert call(capsys, "grade", "--new", tmp_path / "new.py", "--language", "zh", "--only", "embed").code == 0
    assert "每个词元的词向量" in (tmp_path / "new.py").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["missing.py"], "missing.py: no such file or folder; `minibert grade --new my_exercises.py` writes"),
        (["there.txt"], "there.txt: expected a .py file or a folder"),
        (["empty"], "empty: has no .py file in it"),
        (["there.py", "--only", "embeds"], "--only embeds: no such exercise or notebook; there is embed"),
        (["there.py", "--only", "D"], "--only D: no such exercise or notebook; there is 0, 1"),
        (["there.py", "--time-limit", "0"], "--time-limit 0: expected seconds, more than 0"),
    ],
)
def test_bad_input_is_refused(capsys, tmp_path, monkeypatch, arguments, error):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for name in ("there.txt", "there.py"):
        (tmp_path / name).write_text("", encoding="utf-8")
    assert error in call(capsys, "grade", *arguments).only_error

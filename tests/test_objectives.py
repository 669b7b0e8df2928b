"""The page of objectives says what the notebooks' first lines and the exercises say."""

import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_markdown_cell, new_notebook

from minibert.course.all_exercises import EXERCISES

FOLDER = Path(__file__).parent.parent / "notebooks"
sys.path.append(str(FOLDER))

import objectives  # noqa: E402

FIRST = """# 1 · A title

[中文](zh/1_a.ipynb)

> **The question:** how does it
> *work*?

- **You need** notebook 0,
  and tensors.
- **Afterwards you can** do it.
- **Time:** 25 minutes. It is long.

And so it begins."""


def notebook(text: str):
    return new_notebook(cells=[new_markdown_cell(text)])


def test_the_first_lines_are_read():
    header = objectives.header("1_a", notebook(FIRST), objectives.LANGUAGES["en"])
    assert header == objectives.Header(
        "1 · A title",
        "**The question:** how does it *work*?",
        "**You need** notebook 0, and tensors.",
        "**Afterwards you can** do it.",
        "**Time:** 25 minutes. It is long.",
        25,
    )


@pytest.mark.parametrize("line", ["> **The question:**", "- **You need**", "- **Time:**"])
def test_a_missing_line_is_named(line):
    with pytest.raises(ValueError, match="1_a: its first cell has no line that begins with .*" + line[4:8]):
        objectives.header("1_a", notebook(FIRST.replace(line, "-")), objectives.LANGUAGES["en"])


def test_minutes_must_be_a_number():
    with pytest.raises(ValueError, match="1_a: expected a number of minutes after .*, found .*an hour"):
        objectives.header("1_a", notebook(FIRST.replace("25 minutes", "an hour")), objectives.LANGUAGES["en"])


@pytest.mark.parametrize(("language", "place"), [("en", "."), ("zh", "zh")])
def test_the_page_has_every_notebook_and_exercise_and_their_sums(language, place):
    paths = sorted((FOLDER / place).glob("[0-9A-Z]_*.ipynb"))
    page = objectives.objectives({path.stem: nbformat.read(path, as_version=4) for path in paths}, language)
    assert page.count("\n## ") == 13
    for exercise in EXERCISES.values():
        assert page.count(f"| `{exercise.name}` | {exercise.dots} | {exercise.minutes} | {exercise.difficulty} |") == 1
    sums = page.partition("**all**" if language == "en" else "**合计**")[2]
    points, minutes = (
        sum(numbers) for numbers in zip(*((e.difficulty, e.minutes) for e in EXERCISES.values()), strict=True)
    )
    assert sums.split("\n")[0].split("|")[2:5] == [f" {n} " for n in (len(EXERCISES), minutes, points)]

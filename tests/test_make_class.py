"""What a class gets: notebooks without and with solutions, slides, objectives, the project; and nothing unfinished."""

import linecache
import re
import sys
from dataclasses import replace
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbformat import NotebookNode

from minibert.course.all_exercises import EXERCISES
from minibert.course.exercises import from_memory
from minibert.course.verdict import OPEN, RIGHT, examine

FOLDER = Path(__file__).parent.parent / "notebooks"
sys.path.append(str(FOLDER))

import make_class  # noqa: E402
import write_exercises  # noqa: E402

SOME = [source for source in make_class.find_sources() if source.name[0] in "1C"]


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("class") / "out"
    make_class.write_beside(folder, SOME)
    return folder


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def text_of(notebook: NotebookNode) -> str:
    return "\n".join(cell.source for cell in notebook.cells)


def without_blanks(text: str) -> str:
    return re.sub(r"\s", "", text)


def test_everything_is_there(out):
    names = [source.stem for source in SOME]
    places = [f"{edition}/{place}" for edition in ("student", "teacher") for place in ("", "zh/")]
    notebooks = [f"{place}{name}.ipynb" for place in places for name in names]
    decks = [f"slides/{name}.{language}.html" for name in names for language in ("en", "zh")]
    pages = [f"{page}{suffix}" for page in ("objectives", "project") for suffix in (".md", ".zh.md")]
    files = ["student/my_exercises.py", "student/zh/my_exercises.py", "teacher/solutions.py"]
    found = {str(path.relative_to(out)) for path in out.rglob("*.*") if path.suffix != ".svg" and path.is_file()}
    assert found == {*notebooks, *decks, *pages, *files}
    assert not list(out.parent.glob(".*"))


@pytest.mark.parametrize("source", make_class.find_sources(), ids=lambda source: source.stem)
@pytest.mark.parametrize("place", ["", "zh"])
def test_no_solution_reaches_a_student(source, place):
    """Of any exercise, in any notebook; above the exercises, a notebook may compute the same in its own way."""
    words = write_exercises.CHINESE if place else write_exercises.ENGLISH
    text = (FOLDER / place / source.name).read_text(encoding="utf-8")
    students = make_class.with_section(text, source.name[0], replace(words, with_solutions=False))
    above, section = (
        "\n".join(re.sub(r"^# ?", "", line) for line in part.split("\n")) for part in students.split(words.heading)
    )
    assert words.solution not in re.findall(r"<summary>(.*?)</summary>", section)
    assert words.hint in section and words.folded_hints in section and words.folded not in section
    for exercise in EXERCISES.values():
        assert without_blanks(exercise.solution_code) not in without_blanks(section), exercise.name
        if exercise.notebook == source.name[0]:
            bodies = [
                line for line in exercise.solution_code.split("\n") if len(line.strip()) > 30 and "def " not in line
            ]
            assert not [line for line in bodies if without_blanks(line) in without_blanks(section)]


@pytest.mark.parametrize("place", ["", "zh"])
@pytest.mark.parametrize("name", [source.stem for source in SOME])
def test_a_students_exercises_ask_the_engine(out, name, place, capsys, tmp_path):
    """The cells run as they are, with the notebook's own imports, and say that nothing is written yet."""
    cells = [cell.source for cell in read(out / "student" / place / f"{name}.ipynb").cells if cell.cell_type == "code"]
    course, open_ = ("minibert.course.zh", "：还没有写") if place else ("minibert.course", f": {OPEN}")
    imports = next(cell for cell in cells if f"from {course} import check" in cell)
    own = [e for e in EXERCISES.values() if e.notebook == name[0] and e not in from_memory.EXERCISES]
    for exercise in own:
        cell = next(cell for cell in cells if f'check("{exercise.name}"' in cell)
        (tmp_path / "cell.py").write_text(f"{imports}\n{cell}", encoding="utf-8")
        run(tmp_path / "cell.py")
        assert capsys.readouterr().out == f"{exercise.name}{open_}\n"


@pytest.mark.parametrize("place", ["", "zh"])
@pytest.mark.parametrize("name", [source.stem for source in SOME])
def test_the_two_editions_differ_in_solutions_alone(out, name, place):
    student, teacher = (read(out / edition / place / f"{name}.ipynb") for edition in ("student", "teacher"))
    for cell, other in zip(student.cells, teacher.cells, strict=True):
        assert cell.get("outputs") == other.get("outputs")
        new = set(cell.source.split("\n")) - set(other.source.split("\n"))
        assert all("folded up" in line or "折叠" in line for line in new)
    words = write_exercises.CHINESE if place else write_exercises.ENGLISH
    assert text_of(teacher).count(f"<summary>{words.solution}</summary>") == 3
    assert text_of(student).count(f"<summary>{words.hint}</summary>") == 3


def test_what_a_notebook_links_is_there(out):
    for path in [*out.glob("student/**/*.ipynb"), *out.glob("teacher/**/*.ipynb")]:
        targets = [target for _, _, target in make_class.LINK.findall(text_of(read(path))) if ":" not in target]
        assert any(target.endswith(".svg") for target in targets)
        for target in targets:
            if target.endswith(".svg") or Path(target).stem in [source.stem for source in SOME]:
                assert (path.parent / target).exists(), target
            else:
                assert target.endswith(".ipynb")


def test_solutions_in_one_file_are_right_and_stubs_are_open(out):
    for path, status in ((out / "teacher" / "solutions.py", RIGHT), (out / "student" / "my_exercises.py", OPEN)):
        space = run(path)
        for name, exercise in EXERCISES.items():
            assert examine(exercise, space[name]).status == status, (path, name)


def run(path: Path) -> dict:
    """What a file defines; `inspect` finds its code."""
    linecache.checkcache()
    space: dict = {"__name__": path.stem}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), space)
    return space


def test_links_that_leave_the_class_become_words():
    text = "[a](b.md) ![c](../docs/images/c.svg) [d](https://e.org) [f](g.ipynb) [h](#i)"
    assert make_class.alone(text) == "a ![c](images/c.svg) [d](https://e.org) [f](g.ipynb) [h](#i)"


def test_what_is_there_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["make_class.py", str(tmp_path)])
    with pytest.raises(ValueError, match="exists; name a new folder, or remove it"):
        make_class.main()


def test_nothing_is_left_of_a_class_that_failed(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(make_class, "deck", fail)
    with pytest.raises(OSError, match="no space left"):
        make_class.write_beside(tmp_path / "out", SOME[:1])
    assert not list(tmp_path.iterdir())


def test_the_chinese_notebook_is_in_chinese(out):
    for edition in ("student", "teacher"):
        assert "## 习题" in text_of(jupytext.read(out / edition / "zh" / f"{SOME[0].stem}.ipynb"))

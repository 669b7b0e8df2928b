"""The read-along: every notebook runs from top to bottom, prints what its file says, and its exercises are fair.

The cells run in this process, which imports nothing anew, and not in a kernel; `notebooks/execute.py` uses a kernel to
write the outputs that they are compared with.
"""

import ast
import contextlib
import importlib.util
import io
import linecache
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import jupytext
import matplotlib
import nbformat
import pytest
import torch
from nbformat import NotebookNode

FOLDER = Path(__file__).parent.parent / "notebooks"
sys.path.insert(0, str(FOLDER))

import write_exercises  # noqa: E402 (it lies in no package)

SOURCES = {path.stem: path for path in sorted(FOLDER.glob("[0-9A-Z]_*.py"))}
COURSE = [
    "0_why",
    "1_embeddings",
    "2_attention",
    "3_encoder_layer",
    "4_bert",
    "5_pretraining_data",
    "6_optimizer",
    "7_pretraining",
    "8_fine_tuning",
    "9_attention_maps",
    "A_checkpoints",
    "B_parity",
    "C_packing",
]

# Training magnifies what another processor rounds differently, and no two machines are equally fast. So the numbers of
# these are not compared; what they claim, their cells assert.
OTHER_NUMBERS_ELSEWHERE = {"7_pretraining", "8_fine_tuning", "C_packing"}

# A number, with what may stand in it; spaces and bars only align.
NUMBER = re.compile(r"-?\d+(?:[.,]\d+)*(?:e[-+]\d+)?")
ALIGNMENT = re.compile(r"[\s█]+")


def saved(name: str) -> NotebookNode:
    """The notebook as it lies in the repository."""
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def code_lines(source: str) -> list[str]:
    return [line for line in source.splitlines() if line.strip() and not line.strip().startswith("#")]


def text_of(cell: NotebookNode) -> str:
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


@dataclass
class Run:
    """What became of a notebook's cells."""

    printed: list[str] = field(default_factory=list)  # of each code cell
    figures: list[int] = field(default_factory=list)  # of each code cell, how many
    names: dict = field(default_factory=lambda: {"__name__": "__main__"})

    def execute(self, source: str, where: str) -> str:
        linecache.cache[where] = (len(source), None, source.splitlines(keepends=True), where)  # `check` reads it
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(source, where, "exec"), self.names)
        return out.getvalue()


@pytest.fixture(scope="module", params=SOURCES)
def executed(request) -> tuple[str, Run]:
    """A notebook's name, and its cells run from top to bottom."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    torch.manual_seed(0)
    run = Run()
    for number, cell in enumerate(code_cells(saved(request.param))):
        run.printed.append(run.execute(cell.source, f"{request.param}, code cell {number}"))
        for figure in map(pyplot.figure, pyplot.get_fignums()):
            figure.canvas.draw()
        run.figures.append(len(pyplot.get_fignums()))
        pyplot.close("all")
    return request.param, run


def test_the_course_is_complete_and_in_order():
    assert list(SOURCES) == COURSE


@pytest.mark.parametrize("name", SOURCES)
def test_source_and_notebook_are_the_same(name):
    source, notebook = jupytext.read(SOURCES[name]), saved(name)
    cells = [[(cell.cell_type, cell.source) for cell in both.cells] for both in (source, notebook)]
    assert cells[0] == cells[1], "run notebooks/execute.py"


@pytest.mark.parametrize("name", SOURCES)
def test_small_enough_to_read(name):
    cells = saved(name).cells
    assert len(cells) <= 40
    too_long = [cell.source for cell in cells if cell.cell_type == "code" and len(code_lines(cell.source)) > 10]
    assert not too_long


@pytest.mark.parametrize("name", SOURCES)
def test_what_every_notebook_has(name):
    notebook = saved(name)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    first = notebook.cells[0].source
    assert first.startswith(f"# {name[0]} · ")
    labels = re.findall(r"^(?:> |- )\*\*(The question:|You need|Afterwards you can|Time:)\*\* ", first, re.MULTILINE)
    assert labels == ["The question:", "You need", "Afterwards you can", "Time:"]
    assert re.search(r"\*\*Time:\*\* \d+ minutes", first)
    assert code_cells(notebook)[0].source == code_cells(saved("1_embeddings"))[0].source, "the first cell, for Colab"
    assert "$$" in text and "| symbol | here |" in text and re.search(r"et al\. \d{4},\s+section|IEEE", text)
    assert "The file is opened for" in text.replace("*", "") + "".join(cell.source for cell in code_cells(notebook))
    assert re.findall(r"^### (\d)\. ", text[text.index("## Exercises") :], re.MULTILINE) == ["1", "2", "3"]


@pytest.mark.parametrize("name", SOURCES)
def test_parts_come_in_the_plain_form_until_packing_is_introduced(name):
    text = SOURCES[name].read_text(encoding="utf-8")
    assert ("Packing" in text) == (name == "C_packing")
    named = [text.count(f'"{model}"') for model in ("minibert-tiny", "minibert-english")]
    assert max(named) == 1, "the model's name belongs in one place"


@pytest.mark.parametrize("name", SOURCES)
def test_the_time_for_the_exercises_is_the_sum_of_theirs(name):
    text = SOURCES[name].read_text(encoding="utf-8")
    minutes = re.findall(r"^# ### \d\. `\w+` \([●○]+, (\d+) minutes?\)", text, re.MULTILINE)
    assert len(minutes) == 3
    assert re.search(r"\*\*Time:\*\* \d+ minutes, and (\d+) for the exercises", text)[1] == str(sum(map(int, minutes)))


@pytest.mark.parametrize("name", SOURCES)
def test_links_lead_somewhere(name):
    """Diagrams excepted, which are drawn by a script."""
    cells = [cell.source for cell in saved(name).cells if cell.cell_type == "markdown"]
    links = [link for text in cells for link in re.findall(r"\]\((?!https?:)([^)#]+)", text)]
    missing = [link for link in links if "/diagrams/" not in link and not (FOLDER / link).exists()]
    assert not missing


@pytest.mark.parametrize("name", SOURCES)
def test_every_claim_is_asserted(name):
    cells = [ast.parse(cell.source) for cell in code_cells(saved(name))]
    claims = [node for cell in cells for node in ast.walk(cell) if is_claim(node)]
    assert len(claims) >= 5


def is_claim(node: ast.AST) -> bool:
    return isinstance(node, ast.Assert) or (isinstance(node, ast.Attribute) and node.attr == "assert_close")


@pytest.mark.parametrize("name", SOURCES)
def test_outputs_and_pictures_are_kept(name):
    cells = code_cells(saved(name))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = [output.get("name", output.output_type) for cell in cells for output in cell.outputs]
    assert set(kinds) == {"stdout", "display_data"}


def test_runs_and_prints_what_is_kept(executed):
    name, run = executed
    for number, cell in enumerate(code_cells(saved(name))):
        assert_prints_the_same(run.printed[number], text_of(cell), f"{name}, code cell {number}")
        pictures = sum(output.output_type == "display_data" for output in cell.outputs)
        assert run.figures[number] == pictures, f"{name}, code cell {number}"


def assert_prints_the_same(found: str, kept: str, where: str) -> None:
    """The same words; numbers may differ by what another processor rounds differently."""
    words = [ALIGNMENT.sub(" ", NUMBER.sub("#", text)).strip() for text in (found, kept)]
    assert words[0] == words[1], where
    if where.split(",")[0] not in OTHER_NUMBERS_ELSEWHERE:
        numbers = [[float(n.replace(",", "")) for n in NUMBER.findall(text)] for text in (found, kept)]
        assert numbers[0] == pytest.approx(numbers[1], rel=0.05, abs=0.011), where


@pytest.mark.parametrize("language", ["English", "Chinese"])
@pytest.mark.parametrize("name", SOURCES)
def test_the_section_with_the_exercises_is_that_of_the_package(name, language):
    words = write_exercises.ENGLISH if language == "English" else write_exercises.CHINESE
    path = SOURCES[name] if language == "English" else SOURCES[name].parent / "zh" / SOURCES[name].name
    text = path.read_text(encoding="utf-8")
    assert write_exercises.with_section(text, name[0], words) == text, "run notebooks/write_exercises.py"


def test_exercises_are_open_and_their_solutions_pass(executed):
    """The solutions as a learner copies them, out of the folded part of a cell, into this notebook."""
    name, run = executed
    cells = saved(name).cells
    answered = [number for number, cell in enumerate(cells) if re.search(r"^check\(", cell.source, re.MULTILINE)]
    assert len(answered) == 3
    for number in answered:
        call = cells[number].source.splitlines()[-1]
        exercise = re.fullmatch(r'check\("(\w+)", \1\)', call)[1]
        assert text_of(cells[number]) == f"{exercise}: not written yet\n"
        (code,) = re.findall(r"<summary>Solution</summary>\n\n```python\n(.*?)```", cells[number - 1].source, re.DOTALL)
        file = f"<{name}, {exercise}>"
        assert run.execute(code, file) == "" and run.execute(call, name) == f"{exercise}: right\n"


def test_without_the_reference_the_cell_says_so(executed, monkeypatch):
    name, run = executed
    cells = [cell for cell in code_cells(saved(name)) if "NOT CHECKED" in cell.source]
    assert len(cells) == (name != "5_pretraining_data")  # where there is no reference
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    for cell in cells:
        assert "NOT CHECKED" in run.execute(cell.source, name) and "NOT CHECKED" not in text_of(cell)

"""Write the exercises of the course into the notebooks' sources: the section "Exercises", at the end of each.

Their one source is `minibert/course/exercises`. After a change there, run this, and then `notebooks/execute.py`.
"""

import argparse
import re
from collections.abc import Iterable
from pathlib import Path

from minibert.checkpoint.files import write_text
from minibert.commands.run import run
from minibert.course.all_exercises import EXERCISES
from minibert.course.exercise import Exercise
from minibert.course.exercises import from_memory

FOLDER = Path(__file__).parent
HEADING = "# ## Exercises\n"
INTRODUCTION = (
    "Write each answer into its cell and run it, as often as you like: `check` says what is wrong. The dots say how "
    "hard an exercise is. Hints and solutions are folded up."
)
# A word; what stands between backticks or dollars is one.
WORD = re.compile(r"(?:`[^`]*`|\$[^$]*\$|\S)+")


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    for source in sorted(FOLDER.glob("[0-9A-Z]_*.py")):
        write_text(source, with_section(source.read_text(encoding="utf-8"), source.name[0]))


def with_section(text: str, notebook: str) -> str:
    """A notebook's source with the exercises of today."""
    before, heading, _ = text.partition(HEADING)
    if not heading:
        raise ValueError(f"notebook {notebook} has no line {HEADING.strip()!r}, where its exercises begin")
    return f"{before}{section(notebook)}"


def section(notebook: str) -> str:
    """The last section of a notebook, in jupytext's percent format."""
    memory = [exercise for exercise in from_memory.EXERCISES if exercise.notebook == notebook]
    exercises = [e for e in EXERCISES.values() if e.notebook == notebook and e not in memory]
    introduction = [*wrapped(INTRODUCTION), ""]
    if memory:
        names = ", ".join(f"`{exercise.name}` ({exercise.marks})" for exercise in memory)
        how = f'`from minibert.course import task; task("{memory[0].name}")` prints what to write.'
        introduction += [*wrapped(f"To be written **from memory**, with the notebook closed: {names}. {how}"), ""]
    cells = [cell for number, exercise in enumerate(exercises, 1) for cell in cells_of(exercise, number)]
    cells[0] = cells[0].removeprefix("# %% [markdown]\n")
    return f"{HEADING}#\n{markdown(introduction)}{''.join(cells)}".rstrip("\n") + "\n"


def cells_of(exercise: Exercise, number: int) -> tuple[str, str]:
    """The task, with what is folded up, and the cell for the answer."""
    lines = [f"### {number}. `{exercise.name}` ({exercise.marks})", "", *wrapped(exercise.task), ""]
    lines += folded("Hint", wrapped(exercise.hint))
    lines += folded("Solution", ["```python", *exercise.solution_code.split("\n"), "```"])
    gap = "\n" if exercise.is_number else "\n\n\n"
    code = f'{gap[2:]}# %%\n{exercise.stub}{gap}check("{exercise.name}", {exercise.name})\n\n'
    return f"# %% [markdown]\n{markdown(lines)}\n", code


def folded(title: str, lines: Iterable[str]) -> list[str]:
    """HTML that GitHub, Jupyter, Colab and the site fold up; after the empty line comes Markdown."""
    return [f"<details><summary>{title}</summary>", "", *lines, "</details>"]


def markdown(lines: Iterable[str]) -> str:
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


def wrapped(text: str, width: int = 116) -> list[str]:
    """Lines of a paragraph; code and formulas stay in one piece."""
    lines = [""]
    for word in WORD.findall(text):
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines


if __name__ == "__main__":
    run(main)

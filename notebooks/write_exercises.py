"""Write the exercises of the course into the notebooks' sources: the section "Exercises", at the end of each.

Their one source is `minibert/course/exercises`, and for the words of the Chinese notebooks `minibert/course/zh.json`.
After a change there, run this, and then `notebooks/execute.py`.
"""

import argparse
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from minibert.checkpoint.files import write_text
from minibert.commands.run import run
from minibert.course.all_exercises import EXERCISES
from minibert.course.exercise import Exercise, wrapped
from minibert.course.exercises import from_memory
from minibert.course.languages import in_language

FOLDER = Path(__file__).parent
FROM_MEMORY = [exercise.name for exercise in from_memory.EXERCISES]


@dataclass(frozen=True)
class Words:
    """What a section says in one language, and how it is set."""

    heading: str
    introduction: str
    folded: str  # that hints and solutions are folded up; in an edition without solutions, that hints are
    folded_hints: str
    memory: str  # {names}: the exercises to be written from memory, {first}: the first one's name
    comma: str
    hint: str
    solution: str
    language: str = "en"  # of tasks and hints
    width: int = 116
    gap: str = " "  # between two sentences
    with_solutions: bool = True


ENGLISH = Words(
    heading="# ## Exercises\n",
    introduction="Write each answer into its cell and run it, as often as you like: `check` says what is wrong. The "
    "dots say how hard an exercise is.",
    folded="Hints and solutions are folded up.",
    folded_hints="Hints are folded up.",
    memory="To be written **from memory**, with the notebook closed: {names}. "
    '`from minibert.course import task; task("{first}")` prints what to write.',
    comma=", ",
    hint="Hint",
    solution="Solution",
)
CHINESE = Words(
    heading="# ## 习题\n",
    introduction="把答案写进对应的那一格，然后运行，想试几次就试几次：哪里不对，`check` 会说出来。圆点表示难度。",
    folded="提示和答案都是折叠的，点开才看得见。",
    folded_hints="提示是折叠的，点开才看得见。",
    memory="**默写**：合上笔记本，再写 {names}。"
    '`from minibert.course.zh import task; task("{first}")` 会把题目打印出来。',
    comma="、",
    hint="提示",
    solution="答案",
    language="zh",
    gap="",
    width=sys.maxsize,  # a line break would show as a blank between two Chinese characters
)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    for folder, words in ((FOLDER, ENGLISH), (FOLDER / "zh", CHINESE)):
        for source in sorted(folder.glob("[0-9A-Z]_*.py")):
            write_text(source, with_section(source.read_text(encoding="utf-8"), source.name[0], words))


def with_section(text: str, notebook: str, words: Words = ENGLISH) -> str:
    """A notebook's source with the exercises of today."""
    before, heading, _ = text.partition(words.heading)
    if not heading:
        raise ValueError(f"notebook {notebook} has no line {words.heading.strip()!r}, where its exercises begin")
    return f"{before}{section(notebook, words)}"


def section(notebook: str, words: Words) -> str:
    """The last section of a notebook, in jupytext's percent format."""
    own = [in_language(e, words.language) for e in EXERCISES.values() if e.notebook == notebook]
    memory = [exercise for exercise in own if exercise.name in FROM_MEMORY]
    exercises = [exercise for exercise in own if exercise.name not in FROM_MEMORY]
    folded_up = words.folded if words.with_solutions else words.folded_hints
    introduction = [*wrapped(f"{words.introduction}{words.gap}{folded_up}", words.width), ""]
    if memory:
        names = words.comma.join(titled(exercise, words) for exercise in memory)
        introduction += [*wrapped(words.memory.format(names=names, first=memory[0].name), words.width), ""]
    cells = [cell for number, exercise in enumerate(exercises, 1) for cell in cells_of(exercise, number, words)]
    cells[0] = cells[0].removeprefix("# %% [markdown]\n")
    return f"{words.heading}#\n{markdown(introduction)}{''.join(cells)}".rstrip("\n") + "\n"


def titled(exercise: Exercise, words: Words) -> str:
    """Its name, how hard it is, and how long it takes."""
    return f"`{exercise.name}`{words.gap}{exercise.marks}"


def cells_of(exercise: Exercise, number: int, words: Words) -> tuple[str, str]:
    """The task, with what is folded up, and the cell for the answer."""
    lines = [f"### {number}. {titled(exercise, words)}", "", *wrapped(exercise.task, words.width), ""]
    lines += folded(words.hint, wrapped(exercise.hint, words.width))
    if words.with_solutions:
        lines += folded(words.solution, ["```python", *exercise.solution_code.split("\n"), "```"])
    gap = "\n" if exercise.is_number else "\n\n\n"
    code = f'{gap[2:]}# %%\n{exercise.stub}{gap}check("{exercise.name}", {exercise.name})\n\n'
    return f"# %% [markdown]\n{markdown(lines)}\n", code


def folded(title: str, lines: Iterable[str]) -> list[str]:
    """HTML that GitHub, Jupyter, Colab and the site fold up; after the empty line comes Markdown."""
    return [f"<details><summary>{title}</summary>", "", *lines, "</details>"]


def markdown(lines: Iterable[str]) -> str:
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


if __name__ == "__main__":
    run(main)

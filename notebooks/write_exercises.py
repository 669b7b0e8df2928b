"""Write the exercises of the course into the notebooks' sources: the section "Exercises", at the end of each.

Their one source is `minibert/course/exercises`, and for the words of the Chinese notebooks `zh/exercises.json`. After a
change there, run this, and then `notebooks/execute.py`.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from minibert.checkpoint.files import write_text
from minibert.commands.run import run
from minibert.course.all_exercises import EXERCISES
from minibert.course.exercise import Exercise
from minibert.course.exercises import from_memory

FOLDER = Path(__file__).parent
CHINESE = FOLDER / "zh" / "exercises.json"
# A word; what stands between backticks or dollars is one.
WORD = re.compile(r"(?:`[^`]*`|\$[^$]*\$|\S)+")


@dataclass(frozen=True)
class Words:
    """What a section says in one language, and how it is set."""

    heading: str
    introduction: str
    folded: str  # that hints and solutions are folded up; in an edition without solutions, that hints are
    folded_hints: str
    memory: str  # {names}: the exercises to be written from memory, {first}: the first one's name
    comma: str
    marks: str  # {dots}, {minutes}
    hint: str
    solution: str
    comments: dict[str, str] = field(default_factory=dict)  # those of the stubs, from English
    texts: dict[str, dict[str, str]] | None = None  # task and hint by the exercise's name; None: its own
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
    marks=" ({dots}, {minutes} minutes)",
    hint="Hint",
    solution="Solution",
)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    for folder, words in ((FOLDER, ENGLISH), (FOLDER / "zh", chinese())):
        for source in sorted(folder.glob("[0-9A-Z]_*.py")):
            write_text(source, with_section(source.read_text(encoding="utf-8"), source.name[0], words))


def chinese() -> Words:
    """Raises `ValueError` if not all exercises, or others, are in Chinese."""
    texts = json.loads(CHINESE.read_text(encoding="utf-8"))
    if found := faults(texts):
        raise ValueError(f"{CHINESE}: " + "; ".join(found))
    return Words(
        heading="# ## 习题\n",
        introduction="把答案写进对应的那一格，然后运行，想试几次就试几次：哪里不对，`check` 会用英文说出来。"
        "圆点表示难度。",
        folded="提示和答案都是折叠的，点开才看得见。",
        folded_hints="提示是折叠的，点开才看得见。",
        memory="**默写**：合上笔记本，再写 {names}。"
        '`from minibert.course import task; task("{first}")` 会把题目打印出来。',
        comma="、",
        marks="（{dots}，{minutes} 分钟）",
        hint="提示",
        solution="答案",
        comments={"# a number": "# 一个数", "# your code": "# 你的代码"},
        texts=texts,
        gap="",
        width=sys.maxsize,  # a line break would show as a blank between two Chinese characters
    )


def faults(texts: dict[str, dict[str, str]]) -> list[str]:
    """What is missing from the Chinese texts, or too much in them."""
    names = [name for name, exercise in EXERCISES.items() if exercise not in from_memory.EXERCISES]
    found = [f"the exercise {name!r} has no text" for name in names if name not in texts]
    found += [f"{name!r} is no exercise of a notebook" for name in texts if name not in names]
    wrong = {name: list(text) for name, text in texts.items() if set(text) != {"task", "hint"}}
    return found + [f"{name!r} has {own}, not a task and a hint" for name, own in wrong.items()]


def with_section(text: str, notebook: str, words: Words = ENGLISH) -> str:
    """A notebook's source with the exercises of today."""
    before, heading, _ = text.partition(words.heading)
    if not heading:
        raise ValueError(f"notebook {notebook} has no line {words.heading.strip()!r}, where its exercises begin")
    return f"{before}{section(notebook, words)}"


def section(notebook: str, words: Words) -> str:
    """The last section of a notebook, in jupytext's percent format."""
    memory = [exercise for exercise in from_memory.EXERCISES if exercise.notebook == notebook]
    exercises = [e for e in EXERCISES.values() if e.notebook == notebook and e not in memory]
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
    return f"`{exercise.name}`" + words.marks.format(dots=exercise.dots, minutes=exercise.minutes)


def cells_of(exercise: Exercise, number: int, words: Words) -> tuple[str, str]:
    """The task, with what is folded up, and the cell for the answer."""
    text = {"task": exercise.task, "hint": exercise.hint} if words.texts is None else words.texts[exercise.name]
    lines = [f"### {number}. {titled(exercise, words)}", "", *wrapped(text["task"], words.width), ""]
    lines += folded(words.hint, wrapped(text["hint"], words.width))
    if words.with_solutions:
        lines += folded(words.solution, ["```python", *exercise.solution_code.split("\n"), "```"])
    stub = exercise.stub
    for english, other in words.comments.items():
        stub = stub.replace(english, other)
    gap = "\n" if exercise.is_number else "\n\n\n"
    code = f'{gap[2:]}# %%\n{stub}{gap}check("{exercise.name}", {exercise.name})\n\n'
    return f"# %% [markdown]\n{markdown(lines)}\n", code


def folded(title: str, lines: Iterable[str]) -> list[str]:
    """HTML that GitHub, Jupyter, Colab and the site fold up; after the empty line comes Markdown."""
    return [f"<details><summary>{title}</summary>", "", *lines, "</details>"]


def markdown(lines: Iterable[str]) -> str:
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


def wrapped(text: str, width: int) -> list[str]:
    """Lines of a paragraph; code and formulas stay in one piece."""
    lines = [""]
    for word in WORD.findall(text):
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines


if __name__ == "__main__":
    run(main)

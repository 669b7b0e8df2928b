"""The page of objectives: what each notebook asks, needs and teaches, read from its first lines, and its exercises."""

import re
from dataclasses import dataclass

from nbformat import NotebookNode

from minibert.course.all_exercises import EXERCISES
from minibert.course.exercise import Exercise


@dataclass(frozen=True)
class Labels:
    """How a notebook marks its first lines, and the words of the page, in one language."""

    question: str
    needs: str
    objectives: str
    time: str
    page: str
    introduction: str  # {points}, {minutes}
    columns: tuple[str, str, str, str, str]
    exercise_columns: tuple[str, str, str, str]
    all: str
    minutes: str


LANGUAGES = {
    "en": Labels(
        question="**The question:**",
        needs="**You need**",
        objectives="**Afterwards you can**",
        time="**Time:**",
        page="Objectives of the course",
        introduction="The minutes are for reading and running a notebook; its exercises come on top. A right answer "
        "gives 1 to 3 points, as many as the exercise has dots.",
        columns=("notebook", "minutes", "exercises", "their minutes", "points"),
        exercise_columns=("exercise", "difficulty", "minutes", "points"),
        all="all",
        minutes=r"(\d+) minutes",
    ),
    "zh": Labels(
        question="**问题**：",
        needs="**需要**：",
        objectives="**学完以后**：",
        time="**时间**：",
        page="课程目标",
        introduction="分钟数是读完并运行一课所需的时间，习题另算。答对一题得 1 到 3 分，有几个实心圆点就得几分。",
        columns=("课", "分钟", "习题", "习题分钟", "分数"),
        exercise_columns=("习题", "难度", "分钟", "分数"),
        all="合计",
        minutes=r"(\d+) 分钟",
    ),
}


@dataclass(frozen=True)
class Header:
    """The first lines of a notebook, each as it is written there."""

    title: str
    question: str
    needs: str
    objectives: str
    time: str
    minutes: int


def objectives(notebooks: dict[str, NotebookNode], language: str) -> str:
    """The page, of notebooks by their file's name without its ending."""
    labels = LANGUAGES[language]
    headers = {name: header(name, notebook, labels) for name, notebook in notebooks.items()}
    parts = [f"# {labels.page}", labels.introduction, overview(headers, labels)]
    return "\n\n".join([*parts, *(section(name, header, labels) for name, header in headers.items())]) + "\n"


def header(name: str, notebook: NotebookNode, labels: Labels) -> Header:
    """Raises `ValueError` where a line is missing."""
    text = notebook.cells[0].source
    # A label begins a quote or an item, which goes on over several lines, up to an empty one or the next item.
    found = {}
    for label in (labels.question, labels.needs, labels.objectives, labels.time):
        match = re.search(
            rf"^(?:> |- )({re.escape(label)}.*?)(?=\n(?:- |>?\s*\n)|\n?\Z)", text, re.MULTILINE | re.DOTALL
        )
        if match is None:
            raise ValueError(f"{name}: its first cell has no line that begins with {label}")
        found[label] = re.sub(r"\n>? *", " ", match[1]).strip()
    minutes = re.search(labels.minutes, found[labels.time])
    if minutes is None:
        raise ValueError(f"{name}: expected a number of minutes after {labels.time}, found {found[labels.time]!r}")
    title = text.partition("\n")[0].removeprefix("# ")
    return Header(title, *found.values(), int(minutes[1]))


def overview(headers: dict[str, Header], labels: Labels) -> str:
    """A table with a row for each notebook, and one for all of them."""
    rows, sums = [], [0, 0, 0, 0]
    for name, header in headers.items():
        own = exercises_of(name)
        numbers = [header.minutes, len(own), sum(e.minutes for e in own), sum(e.difficulty for e in own)]
        sums = [a + b for a, b in zip(sums, numbers, strict=True)]
        rows.append([header.title, *numbers])
    return table([labels.columns, *rows, [f"**{labels.all}**", *sums]])


def section(name: str, header: Header, labels: Labels) -> str:
    rows = [[f"`{e.name}`", e.dots, e.minutes, e.difficulty] for e in exercises_of(name)]
    items = "\n".join(f"- {line}" for line in (header.needs, header.objectives, header.time))
    return "\n\n".join([f"## {header.title}", f"> {header.question}", items, table([labels.exercise_columns, *rows])])


def exercises_of(name: str) -> list[Exercise]:
    return [exercise for exercise in EXERCISES.values() if exercise.notebook == name[0]]


def table(rows: list) -> str:
    head, *rest = (f"| {' | '.join(map(str, row))} |" for row in rows)
    return "\n".join([head, "|" + " --- |" * len(rows[0]), *rest])

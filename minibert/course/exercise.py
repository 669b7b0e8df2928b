"""What an exercise is: a task, its solution, cases to try an answer on, and the mistakes that people make."""

import inspect
import math
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

# What a line is not broken in: a word, with the blanks before it. What stands between backticks or dollars is part of
# one, and so is the mark after a Chinese character, which is a word of its own.
_CHINESE = r"\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef"
_MARKS = "，。；：、！？）」》”…"
PIECE = re.compile(
    rf"\s*(?:[（「《“]*(?:(?:`[^`]*`|\$[^$]*\$|[^\s{_CHINESE}])+|[{_CHINESE}])[{_MARKS}]*|[^\s]+)", re.DOTALL
)


@dataclass(frozen=True)
class Case:
    """Arguments that an answer is tried with, and what to call them."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Mistake:
    """A typical mistake: what to say of it, and what an answer with this mistake gives.

    answer: the wrong function, or the wrong number.
    changes: instead, arguments of the exercise's `variant`. Two mistakes of this form can be made at once.
    """

    says: str
    answer: Any = None
    changes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Remarks:
    """What is said beside a task, in English or in another language.

    language: "en" or "zh", which is also that of a verdict.
    marks: how hard an exercise is ({dots}), and how long it takes ({minutes}).
    number, code: comments in the place of an answer.
    """

    language: str = "en"
    marks: str = "({dots}, {minutes} minutes)"
    number: str = "a number"
    code: str = "your code"


@dataclass(frozen=True)
class Exercise:
    """One exercise. Its solution, its mistakes and an answer are compared on the same cases.

    name: of the function or number that the learner writes.
    notebook: its digit or letter.
    difficulty: 1 to 3, which is also how many points it gives.
    task, hint: Markdown.
    solution: the function; for a number, the Python expression that gives it.
    helpers: functions that the solution calls, printed with it.
    cases: makes the cases, anew and alike at every call, so that an answer may spoil those that it was given.
    variant: the solution once more, with keyword arguments that put mistakes in.
    parts: names of what a function returns, where it returns several things.
    finished: what the exercise is to write, and PyTorch has ready, such as "torch.nn.functional.layer_norm".
    remarks: in the language of task and hint.
    """

    name: str
    notebook: str
    difficulty: int
    minutes: int
    task: str
    hint: str
    solution: Callable | str
    helpers: tuple[Callable, ...] = ()
    cases: Callable[[], list[Case]] = list
    mistakes: tuple[Mistake, ...] = ()
    variant: Callable | None = None
    parts: tuple[str, ...] = ("",)
    finished: tuple[str, ...] = ()
    remarks: Remarks = Remarks()

    @property
    def is_number(self) -> bool:
        return isinstance(self.solution, str)

    @property
    def right_answer(self) -> Any:
        """The function, or the number."""
        return eval(self.solution, {"math": math}) if isinstance(self.solution, str) else self.solution

    @property
    def solution_code(self) -> str:
        """Python code that defines `name`."""
        if isinstance(self.solution, str):
            return f"{self.name} = {self.solution}"
        sources = (inspect.getsource(function).strip() for function in (*self.helpers, self.solution))
        return "\n\n\n".join(sources)

    @property
    def dots(self) -> str:
        """How hard it is, for people."""
        return "●" * self.difficulty + "○" * (3 - self.difficulty)

    @property
    def marks(self) -> str:
        """How hard it is and how long it takes, for people, in parentheses."""
        return self.remarks.marks.format(dots=self.dots, minutes=self.minutes)

    @property
    def stub(self) -> str:
        """Python code that a learner begins with."""
        if isinstance(self.solution, str):
            return f"{self.name} = None  # {self.remarks.number}"
        return f"def {self.name}{inspect.signature(self.solution)}:\n    pass  # {self.remarks.code}"

    @property
    def sheet(self) -> str:
        """The stub, with the task written into it."""
        lines = wrapped(f"{self.task} {self.marks}".replace(" （", "（"), 110)
        if self.is_number:
            return "\n".join([*(f"# {line}" for line in lines), self.stub])
        head, body = self.stub.split("\n")
        opening = 'r"""' if "\\" in self.task else '"""'
        docstring = "\n".join([f"{opening}{lines[0]}", *lines[1:], '"""'])
        return "\n".join([head, textwrap.indent(docstring, "    "), body])


def wrapped(text: str, width: int) -> list[str]:
    """Lines of a paragraph; a Chinese character takes two columns."""
    lines = [""]
    for piece in PIECE.findall(text):
        if columns(lines[-1]) + columns(piece.strip()) > width:
            lines.append("")
        lines[-1] += piece if lines[-1] else piece.strip()
    return lines


def columns(text: str) -> int:
    return len(text) + len(re.findall(f"[{_CHINESE}]", text))


class Draw:
    """Random numbers of few digits, which read well in a verdict; the same ones every time."""

    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(0)

    def normal(self, *shape: int, middle: float = 0.0) -> Tensor:
        return (torch.randn(*shape, generator=self.generator) + middle).mul(100).round() / 100

    def uniform(self, *shape: int) -> Tensor:
        """Between 0.01 and 0.99."""
        return (torch.rand(*shape, generator=self.generator) * 980 + 10).round() / 1000

    def order(self, count: int) -> Tensor:
        """As many numbers, no two alike, between 0 and 0.5."""
        return (torch.randperm(count, generator=self.generator) + 1) / (count + 1) / 2

"""What a learner calls in a notebook."""

from difflib import get_close_matches
from typing import Any

from minibert.course.all_exercises import EXERCISES
from minibert.course.exercise import Exercise
from minibert.course.languages import in_language
from minibert.course.verdict import examine


def check(name: str, answer: Any) -> None:
    """Print whether an answer is right, and if not, what is wrong with it.

    name: of the exercise, as its notebook says.
    answer: the function, or the number; None: not written yet.

    Raises `ValueError` for a name that no exercise has.
    """
    verdict = examine(find(name), answer)
    print(f"{name}:", "\n    ".join(verdict.lines))


def task(name: str, language: str = "en") -> None:
    """Print what is to be written, as code to begin with; `language="zh"`: with its words in Chinese."""
    print(in_language(find(name), language).sheet)


def hint(name: str, language: str = "en") -> None:
    """Print how to begin; `language="zh"`: in Chinese."""
    print(in_language(find(name), language).hint)


def solution(name: str) -> None:
    """Print code that passes the check."""
    print(find(name).solution_code)


def find(name: str) -> Exercise:
    """The exercise of a name."""
    if name not in EXERCISES:
        near = " or ".join(map(repr, get_close_matches(str(name), EXERCISES))) or f"one of {', '.join(EXERCISES)}"
        raise ValueError(f"there is no exercise {name!r}; did you mean {near}?")
    return EXERCISES[name]

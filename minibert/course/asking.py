"""What a learner calls in a notebook; in Chinese it is `minibert.course.zh`."""

from difflib import get_close_matches
from typing import Any

from minibert.course.all_exercises import EXERCISES
from minibert.course.exercise import Exercise
from minibert.course.languages import in_language
from minibert.course.phrases import Phrase, say
from minibert.course.verdict import examine


def check(name: str, answer: Any, language: str = "en") -> None:
    """Print whether an answer is right, and if not, what is wrong with it.

    name: of the exercise, as its notebook says.
    answer: the function, or the number; None: not written yet.
    language: "en" or "zh".

    Raises `ValueError` for a name that no exercise has, and for another language.
    """
    verdict = examine(find(name, language), answer)
    print(say(Phrase("{name}: {verdict}", name=name, verdict="\n    ".join(verdict.lines)), language))


def task(name: str, language: str = "en") -> None:
    """Print what is to be written, as code to begin with."""
    print(find(name, language).sheet)


def hint(name: str, language: str = "en") -> None:
    """Print how to begin."""
    print(find(name, language).hint)


def solution(name: str, language: str = "en") -> None:
    """Print code that passes the check; `language` is that of the error if no exercise has the name."""
    print(find(name, language).solution_code)


def find(name: str, language: str) -> Exercise:
    """The exercise of a name, with its words in a language."""
    if name in EXERCISES:
        return in_language(EXERCISES[name], language)
    near = say(Phrase(" or "), language).join(map(repr, get_close_matches(str(name), EXERCISES)))
    near = near or Phrase("one of {names}", names=", ".join(EXERCISES))
    raise ValueError(
        say(Phrase("there is no exercise {name}; did you mean {near}?", name=repr(name), near=near), language)
    )

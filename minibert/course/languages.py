"""The words of the exercises in Chinese: `zh.json` has a task and a hint for each, by its name."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

from minibert.course.all_exercises import EXERCISES
from minibert.course.exercise import Exercise, Remarks

CHINESE = Path(__file__).with_name("zh.json")
LANGUAGES = {
    "en": Remarks(),
    "zh": Remarks(marks="（{dots}，{minutes} 分钟）", number="一个数", code="你的代码"),
}


def in_language(exercise: Exercise, language: str) -> Exercise:
    """The exercise with its words in "en" or "zh". What `check` says of an answer is in English in any case.

    Raises `ValueError` for another language.
    """
    if language not in LANGUAGES:
        raise ValueError(f"language {language!r}: expected {' or '.join(map(repr, LANGUAGES))}")
    if language == "en":
        return exercise
    text = texts()[exercise.name]
    return replace(exercise, task=text["task"], hint=text["hint"], remarks=LANGUAGES[language])


@cache
def texts() -> dict[str, dict[str, str]]:
    """Raises `ValueError` if not all exercises, or others, are in Chinese."""
    found = json.loads(CHINESE.read_text(encoding="utf-8"))
    if wrong := faults(found):
        raise ValueError(f"{CHINESE}: " + "; ".join(wrong))
    return found


def faults(texts: dict[str, dict[str, str]]) -> list[str]:
    """What is missing from the Chinese texts, or too much in them."""
    found = [f"the exercise {name!r} has no text" for name in EXERCISES if name not in texts]
    found += [f"{name!r} is no exercise" for name in texts if name not in EXERCISES]
    wrong = {name: list(text) for name, text in texts.items() if set(text) != {"task", "hint"}}
    return found + [f"{name!r} has {own}, not a task and a hint" for name, own in wrong.items()]

"""The words of the exercises in Chinese: `zh.json` has a task and a hint for each, by its name.

Those of its typical mistakes and cases are among the sentences of the verdicts, as some belong to several exercises.
"""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

from minibert.course.all_exercises import EXERCISES
from minibert.course.exercise import Case, Exercise, Remarks
from minibert.course.phrases import translate

CHINESE = Path(__file__).with_name("zh.json")
LANGUAGES = {
    "en": Remarks(),
    "zh": Remarks("zh", marks="（{dots}，{minutes} 分钟）", number="一个数", code="你的代码"),
}


def in_language(exercise: Exercise, language: str) -> Exercise:
    """The exercise with its words in "en" or "zh", and so what is said of an answer to it.

    Raises `ValueError` for another language.
    """
    if language not in LANGUAGES:
        raise ValueError(f"language {language!r}: expected {' or '.join(map(repr, LANGUAGES))}")
    if language == "en":
        return exercise
    mistakes = tuple(replace(mistake, says=translate(mistake.says)) for mistake in exercise.mistakes)

    def cases() -> list[Case]:
        return [replace(case, name=translate(case.name)) for case in exercise.cases()]

    text, remarks = texts()[exercise.name], LANGUAGES[language]
    return replace(exercise, task=text["task"], hint=text["hint"], mistakes=mistakes, cases=cases, remarks=remarks)


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

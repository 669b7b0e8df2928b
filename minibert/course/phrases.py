"""Sentences that can be said in another language: in the code they are English, and `zh_verdicts.json` has the Chinese.

The English sentence is the key. What is filled into it, such as a shape or an error of Python, stays as it is.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

CHINESE = Path(__file__).with_name("zh_verdicts.json")


class Phrase(str):
    """An English sentence that remembers how it was made, so that it can be said in another language.

    form: the sentence, with names in braces for what is filled in.
    values: what is filled in; a `Phrase` among them is said in the other language, too.
    """

    form: str
    values: dict[str, Any]

    def __new__(cls, form: str, **values: Any) -> "Phrase":
        phrase = super().__new__(cls, form.format(**values))
        phrase.form, phrase.values = form, values
        return phrase


def say(text: str, language: str) -> str:
    """A text in "en" or "zh". Only what is a `Phrase` has another language; all else is said as it is."""
    if language == "en" or not isinstance(text, Phrase):
        return str(text)
    return translate(text)


def translate(text: str) -> str:
    """The Chinese of a sentence. Raises `ValueError` if there is none."""
    form, values = (text.form, text.values) if isinstance(text, Phrase) else (text, {})
    if form not in chinese():
        raise ValueError(f"{CHINESE}: the sentence {form!r} has no Chinese")
    said = {name: say(value, "zh") if isinstance(value, str) else value for name, value in values.items()}
    return chinese()[form].format(**said)


@cache
def chinese() -> dict[str, str]:
    """From a sentence in English to the same in Chinese."""
    return json.loads(CHINESE.read_text(encoding="utf-8"))

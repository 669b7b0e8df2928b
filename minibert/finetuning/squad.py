"""SQuAD's files, and its two scores (Rajpurkar et al. 2016): exact match and F1 over words."""

import json
import re
import string
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minibert.text.lines import numbered_lines


@dataclass(frozen=True)
class Question:
    """A question, the text that holds its answer, and the answers that people gave, the first of them to learn from."""

    text: str
    context: str
    answers: list[str]
    start: int  # of the first answer, in characters of the context
    place: str  # "file, question ID": how every message about it begins


def read_squad(path: str | Path) -> list[Question]:
    """All questions of a JSON file of SQuAD 1.1's form (perhaps gzipped), in order.

    Raises `ValueError` naming the file and the question: an answer that does not stand where the file says, a question
    without an answer (SQuAD 2.0 has them), an empty text, a field that is not there; or a file without questions.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such file")
    questions: list[Question] = []
    for number, article in enumerate(_field(_read_json(Path(path)), "data", list, str(path))):
        for paragraph in _field(article, "paragraphs", list, f"{path}, data[{number}]"):
            questions += _questions(paragraph, f"{path}, data[{number}]")
    if not questions:
        raise ValueError(f"{path}: no question in this file; expected SQuAD's form, data > paragraphs > qas")
    return questions


def _read_json(file: Path) -> Any:
    text = "".join(line for _, line in numbered_lines(file))
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file}: expected a JSON file of SQuAD's form, but it cannot be read: {error}") from error


def _questions(paragraph: Any, article: str) -> Iterator[Question]:
    context = _field(paragraph, "context", str, article)
    for entry in _field(paragraph, "qas", list, article):
        place = f"{article.rpartition(',')[0]}, question {_field(entry, 'id', str, article)}"
        text = _field(entry, "question", str, place)
        answers = _field(entry, "answers", list, place)
        if entry.get("is_impossible") or not answers:
            raise ValueError(f"{place}: has no answer, like some questions of SQuAD 2.0; leave such questions out")
        for answer in answers:
            start, words = _field(answer, "answer_start", int, place), _field(answer, "text", str, place)
            found = context[start : start + len(words)] if start >= 0 else ""
            if found != words or not words.strip():
                where = context.find(words)
                hint = f"the context has it at {where}" if where >= 0 else "the context does not hold it"
                raise ValueError(
                    f"{place}: expected the answer {words!r:.80} at character {start}, found {found!r:.80}; {hint}"
                )
        if not text.strip():
            raise ValueError(f"{place}: the question is empty; fill it, or leave it out")
        yield Question(text.strip(), context, [a["text"] for a in answers], answers[0]["answer_start"], place)


def _field(holder: Any, name: str, kind: type, place: str) -> Any:
    value = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(value, kind):
        raise ValueError(f"{place}: expected {kind.__name__} {name!r}, found {value!r:.80}; is this SQuAD's form?")
    return value


# --- scores ---------------------------------------------------------------------------------------------

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(text: str) -> str:
    """Lower case, no punctuation, no articles, single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def squad_scores(predicted: Sequence[str], expected: Sequence[Sequence[str]]) -> dict[str, float]:
    """{"exact_match", "f1"}: means over the questions, each scored by the answer that agrees best.

    Args:
        predicted: an answer for every question.
        expected: the answers that are right, for every question.
    """
    pairs = list(zip(predicted, expected, strict=True))
    exact = [max(normalize_answer(answer) == normalize_answer(a) for a in right) for answer, right in pairs]
    overlap = [max(word_f1(answer, a) for a in right) for answer, right in pairs]
    return {"exact_match": sum(exact) / len(pairs), "f1": sum(overlap) / len(pairs)}


def word_f1(predicted: str, expected: str) -> float:
    """The harmonic mean of the shares of words that two answers have in common."""
    words, others = normalize_answer(predicted).split(), normalize_answer(expected).split()
    if not words or not others:  # nothing but articles and punctuation
        return float(words == others)
    common = (Counter(words) & Counter(others)).total()
    return 2 * common / (len(words) + len(others))

"""Question answering: where in a text the answer begins and ends (Devlin et al. 2019, section 4.2).

A text that is longer than the model is read through several windows that overlap; the answer is the best span of all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from minibert.finetuning.examples import Columns
from minibert.finetuning.squad import Question, read_squad, squad_scores
from minibert.finetuning.task import Split, Task, encode_in_parts, rows_of
from minibert.model.tasks import BertForQuestionAnswering
from minibert.text.batch_encoding import BatchEncoding
from minibert.text.tokenizer import BertTokenizer
from minibert.training.evaluation_loop import EvalPrediction

LONGEST_QUESTION = 64  # tokens, as in google-research/bert: what is longer is cut
LONGEST_ANSWER = 30  # tokens, as there
OVERLAP = 3  # windows share a third of their length: SQuAD's usual 128 of 384


@dataclass(frozen=True)
class Window:
    """What the model sees of a text: for each token where it stands in the context, or None if it is not of it."""

    question: int
    spans: list[tuple[int, int] | None]  # S times (first character, one after the last)


def question_answering_task(
    files: Mapping[str, str], columns: Columns, tokenizer: BertTokenizer, max_length: int
) -> Task:
    """The task in `files`, named by their splits; `columns` have no meaning here.

    Raises `ValueError` naming the file and the question that cannot be used, or a `max_length` without room.
    """
    if max_length < 2 * LONGEST_QUESTION:
        raise ValueError(f"--max-length must be at least {2 * LONGEST_QUESTION} for questions, got {max_length}")
    questions = {split: read_squad(path) for split, path in files.items()}
    splits = {split: _split(part, tokenizer, max_length) for split, part in questions.items()}
    windows = len(splits["train"].items) / len(questions["train"])
    return Task(
        description=f"spans of a text that answer a question; {windows:.1f} windows of {max_length} tokens a question",
        unit="windows",
        model_class=BertForQuestionAnswering,
        metric="f1",
        splits=splits,
    )


def _split(questions: Sequence[Question], tokenizer: BertTokenizer, max_length: int) -> Split:
    items, windows = [], []
    options: dict[str, Any] = {
        "truncation": "only_second",
        "max_length": max_length,
        "stride": max_length // OVERLAP,
        "return_overflowing_tokens": True,
        "return_offsets_mapping": True,
    }
    texts = _short_questions(questions, tokenizer)
    first = 0  # the number of the part's first question
    for part in encode_in_parts(tokenizer, texts, [q.context for q in questions], **options):
        for row, item in enumerate(rows_of(part)):
            window = _window(part, row, first)
            items.append(item | answer_positions(window, questions[window.question]))
            windows.append(window)
        first = windows[-1].question + 1
    return Split(items, partial(_score, questions=questions, windows=windows))


def _short_questions(questions: Sequence[Question], tokenizer: BertTokenizer) -> list[str]:
    """The questions' texts, none longer than `LONGEST_QUESTION` tokens."""
    options: dict[str, Any] = {"truncation": True, "max_length": LONGEST_QUESTION, "add_special_tokens": False}
    parts = encode_in_parts(tokenizer, [q.text for q in questions], return_offsets_mapping=True, **options)
    offsets = [row for part in parts for row in part["offset_mapping"]]
    return [q.text[: row[-1][1]] if row else q.text for q, row in zip(questions, offsets, strict=True)]


def _window(encoded: BatchEncoding, row: int, first: int) -> Window:
    spans = zip(encoded.sequence_ids(row), encoded["offset_mapping"][row], strict=True)
    question = first + encoded["overflow_to_sample_mapping"][row]
    return Window(question, [tuple(span) if sequence == 1 else None for sequence, span in spans])


def answer_positions(window: Window, question: Question) -> dict[str, int]:
    """The first and the last token of the answer; position 0, [CLS], if not all of it is in this window."""
    first, last = question.start, question.start + len(question.answers[0]) - 1
    of_character = {
        character: token
        for token, span in enumerate(window.spans)
        if span is not None
        for character in (first, last)
        if span[0] <= character < span[1]
    }
    start, end = of_character.get(first, 0), of_character.get(last, 0)
    return (
        {"start_positions": start, "end_positions": end}
        if start and end
        else {"start_positions": 0, "end_positions": 0}
    )


def best_span(start_logits: np.ndarray, end_logits: np.ndarray, window: Window) -> tuple[float, tuple[int, int]]:
    """The score of the best span of a window, and its (first, last) token.

    Args:
        start_logits, end_logits: (S,), or longer by the padding.

    A span lies in the context, ends where it starts or behind, and has at most `LONGEST_ANSWER` tokens.
    """
    tokens = np.array([i for i, span in enumerate(window.spans) if span is not None])
    scores = start_logits[tokens][:, None] + end_logits[tokens][None, :]  # (context, context)
    lengths = tokens[None, :] - tokens[:, None]
    scores[(lengths < 0) | (lengths >= LONGEST_ANSWER)] = -np.inf
    first, last = np.unravel_index(scores.argmax(), scores.shape)
    return float(scores[first, last]), (int(tokens[first]), int(tokens[last]))


def _score(prediction: EvalPrediction, questions: Sequence[Question], windows: Sequence[Window]) -> dict[str, float]:
    """Exact match and F1 of each question's best span in all its windows, from logits twice (windows, S)."""
    best = {number: (-np.inf, "") for number in range(len(questions))}
    for window, starts, ends in zip(windows, *prediction.predictions, strict=True):
        if not any(window.spans):
            continue
        score, (first, last) = best_span(starts, ends, window)
        if score > best[window.question][0]:
            text = questions[window.question].context[window.spans[first][0] : window.spans[last][1]]
            best[window.question] = (score, text)
    return squad_scores([text for _, text in best.values()], [q.answers for q in questions])

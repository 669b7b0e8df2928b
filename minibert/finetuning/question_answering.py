"""Question answering: where in a text the answer begins and ends (Devlin et al. 2019, section 4.2).

A text that is longer than the model is read through several windows that overlap; the answer is the best span of all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np

from minibert.finetuning.examples import Columns
from minibert.finetuning.squad import Question, read_squad, squad_scores
from minibert.finetuning.task import Split, Task, count_cut, encode_in_parts, lost, rows_of
from minibert.model.tasks import BertForQuestionAnswering
from minibert.text.batch_encoding import BatchEncoding
from minibert.text.tokenizer import BertTokenizer
from minibert.training.evaluation_loop import EvalPrediction

LONGEST_QUESTION = 64  # tokens, as in google-research/bert: what is longer is cut
LONGEST_ANSWER = 30  # tokens, as there
OVERLAP = 3  # windows share a third of their length: SQuAD's usual 128 of 384

NOWHERE = 1_000_000  # a position beyond every window, which the loss ignores


@dataclass(frozen=True)
class Window:
    """What the model sees of a text: for each token where it stands in the context, or None if it is not of it."""

    question: int
    spans: list[tuple[int, int] | None]  # S times (first character, one after the last)


def question_answering_task(
    files: Mapping[str, str], columns: Columns, tokenizer: BertTokenizer, max_length: int
) -> Task:
    """The task in `files`, named by their splits.

    Raises `ValueError` naming the file and the question that cannot be used, for a `max_length` without room, or for
    `columns`, which SQuAD's form has none of.
    """
    columns.refuse("questions, which are SQuAD's JSON", "text", "pair", "label", "label_separator")
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
    items: list[dict[str, Any]] = []
    windows: list[Window] = []
    n_unseen = n_long = 0
    options = {
        "truncation": "only_second",
        "max_length": max_length,
        "stride": max_length // OVERLAP,
        "return_overflowing_tokens": True,
        "return_offsets_mapping": True,
    }
    texts, n_cut = _short_questions(questions, tokenizer)
    first = 0  # the number of the part's first question
    for part in encode_in_parts(tokenizer, texts, [q.context for q in questions], **options):
        rows = [(_window(part, row, first), item) for row, item in enumerate(rows_of(part))]
        for number, group in groupby(rows, key=lambda row: row[0].question):
            own_windows, own_items = zip(*group, strict=True)
            positions = answer_positions(own_windows, questions[number])
            n_unseen += positions[0][0] == NOWHERE
            n_long += max(end - start for start, end in positions) >= LONGEST_ANSWER
            for item, (start, end) in zip(own_items, positions, strict=True):
                items.append(item | {"start_positions": start, "end_positions": end})
            windows += own_windows
        first = windows[-1].question + 1
    if n_unseen == len(questions):
        raise ValueError(
            f"{questions[0].place}, and all that follow: expected answers that a window of {max_length} tokens holds as"
            " a whole; check them, or pass a larger --max-length"
        )
    cut = lost(n_cut, len(questions), f"longer than {LONGEST_QUESTION} tokens, and cut", "questions")
    unseen = lost(n_unseen, len(questions), "in no window as a whole, and not learnt", "answers")
    long = lost(n_long, len(questions), f"longer than {LONGEST_ANSWER} tokens, as no prediction is", "answers")
    return Split(items, partial(_score, questions=questions, windows=windows), cut + unseen + long)


def _short_questions(questions: Sequence[Question], tokenizer: BertTokenizer) -> tuple[list[str], int]:
    """The questions' texts, none longer than `LONGEST_QUESTION` tokens, and how many were."""
    options: dict[str, Any] = {"truncation": True, "max_length": LONGEST_QUESTION, "add_special_tokens": False}
    parts = encode_in_parts(tokenizer, [q.text for q in questions], return_offsets_mapping=True, **options)
    offsets, n_cut = [], 0
    for part in parts:
        offsets += part["offset_mapping"]
        n_cut += count_cut(part)
    return [q.text[: row[-1][1]] if row else q.text for q, row in zip(questions, offsets, strict=True)], n_cut


def _window(encoded: BatchEncoding, row: int, first: int) -> Window:
    spans = zip(encoded.sequence_ids(row), encoded["offset_mapping"][row], strict=True)
    question = first + encoded["overflow_to_sample_mapping"][row]
    return Window(question, [tuple(span) if sequence == 1 else None for sequence, span in spans])


def answer_positions(windows: Sequence[Window], question: Question) -> list[tuple[int, int]]:
    """The first and the last token of the answer in each of the windows, which are all of a question.

    They are (0, 0), [CLS], in a window that does not hold all of the answer; where none does, they are `NOWHERE`. What
    no token covers, such as blanks, is not needed at the ends of an answer.
    """
    begin, end = question.start, question.start + len(question.answers[0])
    spans = [span for window in windows for span in window.spans if span and span[0] < end and begin < span[1]]
    if not spans:
        return [(NOWHERE, NOWHERE)] * len(windows)
    first, last = max(begin, min(start for start, _ in spans)), min(end, max(stop for _, stop in spans)) - 1
    found = [_tokens_at(window, first, last) for window in windows]
    return found if any(start for start, _ in found) else [(NOWHERE, NOWHERE)] * len(windows)


def _tokens_at(window: Window, first: int, last: int) -> tuple[int, int]:
    """The tokens that hold two characters of the context; (0, 0) if the window lacks one of them."""
    at_first, at_last = (
        [token for token, span in enumerate(window.spans) if span and span[0] <= character < span[1]]
        for character in (first, last)
    )
    return (at_first[0], at_last[-1]) if at_first and at_last else (0, 0)


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

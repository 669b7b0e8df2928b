"""Question answering: the stretch of a context that answers a question (Devlin et al. 2019, section 4.2)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from tokenizers import Encoding
from torch import Tensor

from minibert.inference.base import InputError, Pipeline, at_least_one, check_characters, rows_of
from minibert.text.batch_encoding import BatchEncoding

NO_ANSWER = (0, 0)  # the characters of an answer that the context does not have


class TokenSpan(NamedTuple):
    """An answer inside one window: its first and last token, and its probability."""

    score: float
    first: int
    last: int


class QuestionAnsweringPipeline(Pipeline):
    """For `BertForQuestionAnswering`; contexts may be longer than the model."""

    def __call__(
        self,
        inputs: Any = None,
        context: str | Sequence[str] | None = None,
        *,
        question: str | Sequence[str] | None = None,
        **options: Any,
    ) -> Any:
        """As `run`; also of `question=..., context=...`, each a text or a list of them, a text for all of a list.

        (A list of one question gives a list of one result, as any list does; the reference gives the result alone.)
        """
        if context is not None or question is not None:
            inputs = _paired(inputs if question is None else question, context)
        return super().__call__(inputs, **options)

    def run(
        self,
        inputs: list[dict[str, str]],
        top_k: int = 1,
        max_answer_len: int = 15,
        max_seq_len: int = 384,
        doc_stride: int = 128,
        handle_impossible_answer: bool = False,
        align_to_words: bool = True,
    ) -> list:
        """For each {"question": ..., "context": ...} the answer, {"score", "start", "end", "answer"}.

        Args:
            top_k: above 1, each result is a list of at most so many different answers, the best first.
            max_answer_len: how many tokens an answer may have.
            max_seq_len: a longer context is read in windows of so many tokens, question included,
            doc_stride: each of which repeats so many tokens of the one before it; at most half of `max_seq_len`.
            handle_impossible_answer: "", from 0 to 0, is an answer, too. Its score is the probability of [CLS] to be
                first and last token, in the window where that is the lowest.
            align_to_words: an answer is of whole words, not of parts of them.

        `context[start:end]` is the answer. The score is the probability of its first token times that of its last
        one, among the tokens of the window in which it is the highest.
        """
        at_least_one("top_k", top_k)
        at_least_one("max_answer_len", max_answer_len)
        for index, item in enumerate(inputs):
            _check(index, item)
        windows = self._windows(inputs, min(at_least_one("max_seq_len", max_seq_len), self.max_length), doc_stride)
        answers: list[dict[tuple[int, int], float]] = [{} for _ in inputs]
        none = [1.0] * len(inputs)
        rows = (windows["overflow_to_sample_mapping"], windows.encodings or (), self.batched(windows, self._point))
        for number, encoding, (start_logits, end_logits) in zip(*rows, strict=True):
            in_context = torch.tensor([sequence == 1 for sequence in encoding.sequence_ids])
            start, end = probabilities(start_logits, end_logits, in_context)
            none[number] = min(none[number], float(start[0] * end[0]))
            for span in best_spans(start, end, in_context, max_answer_len, top_k):
                place = _characters(encoding, span, align_to_words)
                answers[number][place] = max(span.score, answers[number].get(place, 0.0))
        for index, item in enumerate(inputs):
            _check_found(index, item["context"], answers[index])
            answers[index] |= {NO_ANSWER: none[index]} if handle_impossible_answer else {}
        described = [_describe(item["context"], found) for item, found in zip(inputs, answers, strict=True)]
        return [best[0] if top_k == 1 else best[:top_k] for best in described]

    def _windows(self, inputs: list[dict[str, str]], length: int, stride: int) -> BatchEncoding:
        """[CLS] question [SEP] part of the context [SEP], as often as it takes to have all of every context."""
        questions, contexts = [item["question"] for item in inputs], [item["context"] for item in inputs]
        if stride < 0:
            raise ValueError(f"doc_stride must be at least 0, got {stride}")
        stride = min(stride, length // 2)
        for index, ids in enumerate(self.tokenizer(questions)["input_ids"]):
            if len(ids) + 1 + stride >= length:  # [CLS] question [SEP], and a [SEP] after the context
                raise InputError(
                    index,
                    f"question: {len(ids) - 2} tokens leave no room for the context in windows of {length} that"
                    f" share {stride}; shorten it, or pass a larger max_seq_len or a smaller doc_stride",
                )
        return self.windows(questions, contexts, truncation="only_second", max_length=length, stride=stride)

    def _point(self, batch: dict[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
        """For each window its logits of start and end, (n,) each."""
        outputs, mask = self.compute(batch), batch["attention_mask"]
        return list(zip(rows_of(outputs.start_logits, mask), rows_of(outputs.end_logits, mask), strict=True))


def probabilities(start: Tensor, end: Tensor, in_context: Tensor) -> tuple[Tensor, Tensor]:
    """How probable each token of a window is as an answer's first one, and as its last one, (n,) each.

    Args:
        start, end: (n,) logits.
        in_context: (n,) bool, where an answer may lie.
    """
    # [CLS], where a model points that finds no answer, takes its share of the probability.
    visible = in_context.clone()
    visible[0] = True
    first, last = (logits.double().masked_fill(~visible, -torch.inf).softmax(0) for logits in (start, end))
    return first, last


def best_spans(start: Tensor, end: Tensor, in_context: Tensor, max_tokens: int, count: int) -> list[TokenSpan]:
    """The `count` most probable answers in one window, the best first; fewer if there are no more.

    Args:
        start, end: (n,) `probabilities`.
        in_context: (n,) bool, where an answer may lie.
        max_tokens: how many tokens an answer may have.
    """
    possible = (in_context[:, None] & in_context[None, :]).triu().tril(max_tokens - 1)  # (n, n): first, last
    scores = torch.outer(start, end).masked_fill(~possible, -1.0)
    best = scores.flatten().topk(min(count, int(possible.sum())))
    places = zip(best.values.tolist(), best.indices.tolist(), strict=True)
    return [TokenSpan(score, *divmod(place, len(start))) for score, place in places]


def _paired(questions: Any, contexts: Any) -> Any:
    """A question with its context, or a list of such pairs if one of both is a list."""
    lists = [texts for texts in (questions, contexts) if isinstance(texts, list | tuple)]
    if not lists:
        return {"question": questions, "context": contexts}
    if len({len(texts) for texts in lists}) > 1:
        raise ValueError(f"question and context: expected as many of both, got {len(questions)} and {len(contexts)}")
    columns = (texts if isinstance(texts, list | tuple) else [texts] * len(lists[0]) for texts in (questions, contexts))
    return [{"question": question, "context": context} for question, context in zip(*columns, strict=True)]


def _check(index: int, item: Any) -> None:
    if not isinstance(item, dict) or item.keys() != {"question", "context"}:
        raise InputError(index, f"expected a dict of question and context, found {item!r:.80}")
    for name, text in item.items():
        if not isinstance(text, str) or not text.strip():
            raise InputError(index, f"{name}: expected a text, found {text!r:.80}")
        check_characters(index, text)


def _check_found(index: int, context: str, answers: dict[tuple[int, int], float]) -> None:
    if not answers:  # a text of control characters, for example
        raise InputError(index, f"context: expected words, found nothing that the tokenizer reads in {context!r:.80}")


def _characters(encoding: Encoding, span: TokenSpan, whole_words: bool) -> tuple[int, int]:
    """Where the words that the span touches, or its tokens, begin and end in the context."""
    if not whole_words:
        return encoding.offsets[span.first][0], encoding.offsets[span.last][1]
    return _word(encoding, span.first)[0], _word(encoding, span.last)[1]


def _word(encoding: Encoding, token: int) -> tuple[int, int]:
    word = encoding.token_to_word(token)
    place = None if word is None else encoding.word_to_chars(word, 1)
    assert place is not None  # a span lies in the context, and each token of that is part of a word
    return place


def _describe(context: str, answers: dict[tuple[int, int], float]) -> list[dict]:
    best = sorted(answers.items(), key=lambda answer: -answer[1])
    return [{"score": score, "start": start, "end": end, "answer": context[start:end]} for (start, end), score in best]

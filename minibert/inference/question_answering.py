"""Question answering: the stretch of a context that answers a question (Devlin et al. 2019, section 4.2)."""

from typing import Any, NamedTuple

import torch
from tokenizers import Encoding
from torch import Tensor

from minibert.inference.base import InputError, Pipeline, rows_of
from minibert.text.batch_encoding import BatchEncoding


class TokenSpan(NamedTuple):
    """An answer inside one window: its first and last token, and its probability."""

    score: float
    first: int
    last: int


class QuestionAnsweringPipeline(Pipeline):
    """For `BertForQuestionAnswering`; contexts may be longer than the model."""

    def __call__(
        self, inputs: Any = None, *, question: str | None = None, context: str | None = None, **options: int
    ) -> Any:
        """As `run`; a single question may also come as `question=..., context=...`."""
        return super().__call__({"question": question, "context": context} if inputs is None else inputs, **options)

    def run(
        self,
        inputs: list[dict[str, str]],
        top_k: int = 1,
        max_answer_len: int = 15,
        max_seq_len: int = 384,
        doc_stride: int = 128,
    ) -> list:
        """For each {"question": ..., "context": ...} the answer, {"score", "start", "end", "answer"}.

        Args:
            top_k: above 1, each result is a list of at most so many different answers, the best first.
            max_answer_len: how many tokens an answer may have.
            max_seq_len: a longer context is read in windows of so many tokens, question included,
            doc_stride: each of which repeats so many tokens of the one before it; at most half of `max_seq_len`.

        `context[start:end]` is the answer, in whole words. The score is the probability of its first token times that
        of its last one, among the tokens of the window in which it is the highest.
        """
        for name, value in (("top_k", top_k), ("max_answer_len", max_answer_len)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        for index, item in enumerate(inputs):
            _check(index, item)
        windows = self._windows(inputs, min(max_seq_len, self.max_length), doc_stride)
        logits = self.batched(windows, self._point)
        answers: list[dict[tuple[int, int], float]] = [{} for _ in inputs]
        for row, number in enumerate(windows["overflow_to_sample_mapping"]):
            encoding = windows.encodings[row]
            for span in best_spans(*logits[row], _in_context(encoding), max_answer_len, top_k):
                place = _characters(encoding, span)
                answers[number][place] = max(span.score, answers[number].get(place, 0.0))
        described = [_describe(index, inputs[index]["context"], found) for index, found in enumerate(answers)]
        return [best[0] if top_k == 1 else best[:top_k] for best in described]

    def _windows(self, inputs: list[dict[str, str]], length: int, stride: int) -> BatchEncoding:
        """[CLS] question [SEP] part of the context [SEP], as often as it takes to have all of every context."""
        questions, contexts = [item["question"] for item in inputs], [item["context"] for item in inputs]
        stride = min(stride, length // 2)
        for index, ids in enumerate(self.tokenizer(questions)["input_ids"]):
            if len(ids) + 1 + stride >= length:  # [CLS] question [SEP], and a [SEP] after the context
                raise InputError(
                    index,
                    f"question: {len(ids) - 2} tokens leave no room for the context in windows of {length} that"
                    f" share {stride}; shorten it, or pass a larger max_seq_len or a smaller doc_stride",
                )
        cut = {"truncation": "only_second", "max_length": length, "stride": stride}
        return self.tokenizer(questions, contexts, **cut, return_overflowing_tokens=True)

    def _point(self, batch: dict[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
        """For each window its logits of start and end, (n,) each."""
        outputs, mask = self.model(**batch), batch["attention_mask"]
        return list(zip(rows_of(outputs.start_logits, mask), rows_of(outputs.end_logits, mask), strict=True))


def best_spans(start: Tensor, end: Tensor, in_context: Tensor, max_tokens: int, count: int) -> list[TokenSpan]:
    """The `count` most probable answers in one window, the best first; fewer if there are no more.

    Args:
        start, end: (n,) logits.
        in_context: (n,) bool, where an answer may lie.
        max_tokens: how many tokens an answer may have.
    """
    # [CLS], where a model points that finds no answer, takes its share of the probability but is no answer.
    visible = in_context.clone()
    visible[0] = True
    start, end = (logits.double().masked_fill(~visible, -torch.inf).softmax(0) for logits in (start, end))
    possible = (in_context[:, None] & in_context[None, :]).triu().tril(max_tokens - 1)  # (n, n): first, last
    scores = torch.outer(start, end).masked_fill(~possible, -1.0)
    best = scores.flatten().topk(min(count, int(possible.sum())))
    places = zip(best.values.tolist(), best.indices.tolist(), strict=True)
    return [TokenSpan(score, *divmod(place, len(start))) for score, place in places]


def _check(index: int, item: Any) -> None:
    if not isinstance(item, dict) or item.keys() != {"question", "context"}:
        raise InputError(index, f"expected a dict of question and context, found {item!r:.80}")
    for name, text in item.items():
        if not isinstance(text, str) or not text.strip():
            raise InputError(index, f"{name}: expected a text, found {text!r:.80}")


def _in_context(encoding: Encoding) -> Tensor:
    return torch.tensor([sequence == 1 for sequence in encoding.sequence_ids])


def _characters(encoding: Encoding, span: TokenSpan) -> tuple[int, int]:
    """Where the words that the span touches begin and end in the context."""
    first, last = (encoding.word_to_chars(encoding.token_to_word(token), 1) for token in (span.first, span.last))
    return first[0], last[1]


def _describe(index: int, context: str, answers: dict[tuple[int, int], float]) -> list[dict]:
    if not answers:  # a text of control characters, for example
        raise InputError(index, f"context: expected words, found nothing that the tokenizer reads in {context!r:.80}")
    best = sorted(answers.items(), key=lambda answer: -answer[1])
    return [{"score": score, "start": start, "end": end, "answer": context[start:end]} for (start, end), score in best]

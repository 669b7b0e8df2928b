"""Token classification: what each token, each word, or each group of words is tagged as."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Encoding
from torch import Tensor

from minibert.inference.base import Pipeline, check_texts, rows_of

STRATEGIES = ("none", "simple", "first", "average", "max")

# How many tokens the windows of a long text share, at most a quarter of a window.
OVERLAP = 64


@dataclass(frozen=True)
class Token:
    """A word piece of a text: where it stands, and how probable each class is."""

    piece: str
    word: int  # the number of the word that it is a piece of
    start: int  # its characters in the text
    end: int
    probabilities: Tensor  # (C,)


@dataclass(frozen=True)
class Span:
    """A stretch of text with one label: a token, a word, or a group of them."""

    label: str
    score: float
    pieces: list[str]
    start: int
    end: int


class TokenClassificationPipeline(Pipeline):
    """For `BertForTokenClassification`; texts may be longer than the model."""

    def run(
        self,
        inputs: list[str],
        aggregation_strategy: str | None = None,
        ignore_labels: Sequence[str] = ("O",),
        stride: int | None = None,
        grouped_entities: bool | None = None,
    ) -> list[list[dict]]:
        """For each text its tags, in order, without those in `ignore_labels`.

        A text that is longer than the model is read in windows that share some tokens; each of these is tagged in the
        window that shows more of what is around it. (The reference cuts such a text if it gets no `stride`; with one,
        it makes groups in each window, and of those that overlap it keeps the longer one.)

        aggregation_strategy:
            None, "none": each token, {"entity": its label, "score", "index", "word": the token, "start", "end"}.
            "simple": neighbours of the same label as one group, {"entity_group": the label without `B-` and `I-`,
                "score": the mean of theirs, "word", "start", "end"}; a `B-` begins a new group.
            "first", "average", "max": the same, after all tokens of a word have got one label: that of its first
                token, that of the tokens' mean probabilities, or that of its surest token. "first" suits models that
                were trained on the first token of each word, as ours are.
        stride: how many tokens two windows share; default: `OVERLAP`.
        grouped_entities: the older option for "simple".

        `text[start:end]` is what was tagged.
        """
        strategy = _strategy(aggregation_strategy, grouped_entities)
        texts = self._tag(inputs, self._overlap(stride))
        if strategy == "none":
            return [self._describe_tokens(tokens, ignore_labels) for tokens in texts]
        return [self._describe_groups(tokens, strategy, ignore_labels) for tokens in texts]

    def _overlap(self, stride: int | None) -> int:
        if stride is None:
            return min(OVERLAP, self.max_length // 4)
        longest = self.max_length - 3  # beside [CLS] and [SEP], a window must show something new
        if not 0 <= stride <= longest:
            raise ValueError(f"stride must be from 0 to {longest} in windows of {self.max_length} tokens, got {stride}")
        return stride

    def _tag(self, texts: list[str], overlap: int) -> list[list[Token]]:
        """The tokens of each text, without [CLS] and [SEP]; windows share `overlap` of them."""
        check_texts(texts)
        windows = self.windows(texts, truncation=True, max_length=self.max_length, stride=overlap)
        probabilities = self.batched(windows, self._classify)
        tagged: list[list[Token]] = [[] for _ in texts]
        rows = (windows["overflow_to_sample_mapping"], windows.encodings or (), probabilities)
        for number, encoding, of_window in zip(*rows, strict=True):
            tokens = self._tokens(texts[number], encoding, of_window)
            if tagged[number]:  # a window that goes on where another one ended, after `overlap` tokens that both have
                del tagged[number][len(tagged[number]) - (overlap - overlap // 2) :]
                tokens = tokens[overlap // 2 :]
            tagged[number] += tokens
        return tagged

    def _tokens(self, text: str, encoding: Encoding, probabilities: Tensor) -> list[Token]:
        """The tokens of one window, without [CLS] and [SEP]."""
        tokens = []
        columns = (encoding.tokens, encoding.word_ids, encoding.offsets, probabilities)
        for piece, word, (start, end), row in zip(*columns, strict=True):
            if word is not None:
                piece = text[start:end] if piece == self.tokenizer.unk_token else piece
                tokens.append(Token(piece, word, start, end, row))
        return tokens

    def _classify(self, batch: dict[str, Tensor]) -> list[Tensor]:
        return [row.softmax(dim=-1) for row in rows_of(self.compute(batch).logits, batch["attention_mask"])]  # (n, C)

    def _describe_tokens(self, tokens: list[Token], ignore_labels: Sequence[str]) -> list[dict]:
        described = []
        for index, token in enumerate(tokens, start=1):  # [CLS] is number 0
            span = self._span([token], token.probabilities)
            if span.label not in ignore_labels:
                place = {"index": index, "word": token.piece, "start": token.start, "end": token.end}
                described.append({"entity": span.label, "score": span.score, **place})
        return described

    def _describe_groups(self, tokens: list[Token], strategy: str, ignore_labels: Sequence[str]) -> list[dict]:
        if strategy == "simple":
            spans = [self._span([token], token.probabilities) for token in tokens]
        else:
            words = _grouped(tokens, lambda last, token: last.word == token.word)
            spans = [self._span(word, _of_word(word, strategy)) for word in words]
        groups = [(_split(group[0].label)[1], group) for group in _grouped(spans, _goes_on)]
        return [self._describe_group(name, group) for name, group in groups if name not in ignore_labels]

    def _describe_group(self, name: str, spans: list[Span]) -> dict:
        pieces = [piece for span in spans for piece in span.pieces]
        return {
            "entity_group": name,
            "score": sum(span.score for span in spans) / len(spans),
            "word": self.tokenizer.convert_tokens_to_string(pieces),
            "start": spans[0].start,
            "end": spans[-1].end,
        }

    def _span(self, tokens: list[Token], probabilities: Tensor) -> Span:
        score, number = probabilities.max(dim=0)
        label = self.model.config.id2label[int(number)]
        return Span(label, score.item(), [token.piece for token in tokens], tokens[0].start, tokens[-1].end)


def _strategy(chosen: str | None, grouped_entities: bool | None) -> str:
    """One of `STRATEGIES`. Raises `ValueError` for what is none, or for two answers."""
    if grouped_entities is not None:
        if chosen is not None:
            raise ValueError("grouped_entities is the older name of aggregation_strategy: pass only that")
        return "simple" if grouped_entities else "none"
    if chosen is not None and chosen.lower() not in STRATEGIES:
        raise ValueError(f"aggregation_strategy must be one of {', '.join(STRATEGIES)}, got {chosen!r}")
    return (chosen or "none").lower()


def _of_word(tokens: list[Token], strategy: str) -> Tensor:
    """The probabilities of a word, (C,), from those of its tokens."""
    if strategy == "first":
        return tokens[0].probabilities
    if strategy == "max":
        return max(tokens, key=lambda token: token.probabilities.max()).probabilities
    return torch.stack([token.probabilities for token in tokens]).mean(dim=0)


def _goes_on(last: Span, span: Span) -> bool:
    """Whether `span` belongs to the same entity as the one before it."""
    prefix, name = _split(span.label)
    return prefix != "B" and name == _split(last.label)[1]


def _split(label: str) -> tuple[str, str]:
    """("B", "LOC") of "B-LOC"; a label without a prefix is the inside of its entity."""
    return (label[0], label[2:]) if label.startswith(("B-", "I-")) else ("I", label)


def _grouped(items: list, belongs: Callable[[Any, Any], bool]) -> list[list]:
    """Neighbours together, as long as `belongs(the one before, this one)`."""
    groups: list[list] = []
    for item in items:
        if groups and belongs(groups[-1][-1], item):
            groups[-1].append(item)
        else:
            groups.append([item])
    return groups

"""Sentences on which an exported file is compared with its model: of Python's documentation, read as the task does."""

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor

from minibert.model.pretrained import BertPreTrainedModel
from minibert.model.tasks import (
    BertForMaskedLM,
    BertForMultipleChoice,
    BertForNextSentencePrediction,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForTokenClassification,
)
from minibert.text.batch_encoding import BatchEncoding
from minibert.text.stdlib_docs import python_documentation
from minibert.text.tokenizer import BertTokenizer

SAMPLES = 200  # sentences
HIDDEN = 0.15  # of a sentence's tokens, for a model that guesses words (Devlin et al. 2019, section 3.1)


def sample_batches(model: BertPreTrainedModel, tokenizer: BertTokenizer) -> Iterator[dict[str, Tensor]]:
    """`SAMPLES` batches of one, (1, S), with the sentences that follow if the model reads more than one.

    For a model that answers at every token they have `scored`, (1, S) bool: where its answers count, at words that
    are hidden from it, or at the first token of each word.
    """
    documents = itertools.chain(python_documentation([]), python_documentation())  # the quick half first
    sentences = list(itertools.islice(itertools.chain.from_iterable(documents), SAMPLES + 2))
    generator = torch.Generator().manual_seed(0)
    longest = min(tokenizer.model_max_length, model.config.max_position_embeddings)

    def read(text: str | list[str], other: str | list[str] | None = None) -> BatchEncoding:
        return tokenizer(text, other, padding=True, truncation=True, max_length=longest, return_tensors="pt")

    for first, second, third in zip(sentences, sentences[1:], sentences[2:], strict=False):
        if isinstance(model, BertForMultipleChoice):
            yield {name: column[None] for name, column in read([first, first], [second, third]).items()}
        elif isinstance(model, BertForNextSentencePrediction | BertForQuestionAnswering):
            yield read(first, second)
        elif isinstance(model, BertForMaskedLM | BertForPreTraining):
            yield _with_hidden_words(read(first), tokenizer.mask_token_id, generator)
        elif isinstance(model, BertForTokenClassification):
            encoded = read(first)
            words = encoded.word_ids()
            is_first = [word not in (None, before) for before, word in itertools.pairwise([None, *words])]
            yield {**encoded, "scored": torch.tensor([is_first])}
        else:
            yield read(first)


def _with_hidden_words(encoded: BatchEncoding, mask_token_id: int, generator: torch.Generator) -> dict[str, Tensor]:
    """The row with masks in the place of some tokens, but not of [CLS] and [SEP], and where they are."""
    ids = encoded["input_ids"]
    count = ids.shape[1] - 2
    chosen = 1 + torch.randperm(count, generator=generator)[: max(1, round(HIDDEN * count))]
    scored = torch.zeros_like(ids, dtype=torch.bool)
    scored[0, chosen] = True
    return {**encoded, "input_ids": ids.masked_fill(scored, mask_token_id), "scored": scored}

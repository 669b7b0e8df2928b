"""What the encoder itself knows: vectors of tokens, vectors of sentences, and how similar sentences are."""

import torch
import torch.nn.functional as F
from torch import Tensor

from minibert.inference.base import InputError, Pipeline, rows_of


class FeatureExtractionPipeline(Pipeline):
    """For `BertModel`: the last hidden states."""

    def run(self, inputs: list[str]) -> list[list]:
        """For each text its tokens' vectors, [CLS] and [SEP] included, as a nested list (1, n, D)."""
        vectors = self.batched(
            self.encode(inputs), lambda batch: rows_of(self.model(**batch).last_hidden_state, batch["attention_mask"])
        )
        return [[rows.tolist()] for rows in vectors]


class SentenceSimilarityPipeline(Pipeline):
    """For `BertModel`, best one that was trained to bring similar sentences together (Reimers & Gurevych 2019)."""

    def run(self, inputs: list[dict]) -> list[list[float]]:
        """For each {"source_sentence": a text, "sentences": texts}, how similar each of the texts is to the first.

        The similarity is the cosine of the two sentences' vectors (`embed`), from -1 to 1.
        """
        for index, item in enumerate(inputs):
            _check(index, item)
        texts = {text: None for item in inputs for text in (item["source_sentence"], *item["sentences"])}
        vector_of = dict(zip(texts, self.embed(list(texts)), strict=True))  # the same sentence is embedded once
        return [
            [float(vector_of[item["source_sentence"]] @ vector_of[text]) for text in item["sentences"]]
            for item in inputs
        ]

    def embed(self, sentences: list[str]) -> Tensor:
        """(N, D): the mean over each sentence's tokens, [CLS] and [SEP] included, scaled to length 1.

        As sentence-transformers computes it for models with mean pooling.
        """

        def pool(batch: dict[str, Tensor]) -> Tensor:
            hidden, real = self.model(**batch).last_hidden_state.float(), batch["attention_mask"]
            return (hidden.sum(1) / real.sum(1, keepdim=True)).cpu()  # (B, D); hidden states are zero in the padding

        return F.normalize(torch.stack(self.batched(self.encode(sentences), pool)), dim=1)


def _check(index: int, item: dict) -> None:
    if not isinstance(item, dict) or item.keys() != {"source_sentence", "sentences"}:
        raise InputError(index, f"expected a dict of source_sentence and sentences, found {item!r:.80}")
    if not isinstance(item["sentences"], list) or not item["sentences"]:
        raise InputError(index, f"sentences: expected a list of texts, found {item['sentences']!r:.80}")
    for text in (item["source_sentence"], *item["sentences"]):
        if not isinstance(text, str):
            raise InputError(index, f"source_sentence and sentences: expected texts, found {text!r:.80}")

"""What the encoder itself knows: vectors of tokens, vectors of sentences, and how similar sentences are."""

from typing import Any

import torch
from torch import Tensor

from minibert.inference.base import InputError, Pipeline, check_characters, check_texts, finite, rows_of
from minibert.inference.sentence_modules import SIMILARITIES, SentenceModules
from minibert.model.pretrained import BertPreTrainedModel
from minibert.text.tokenizer import BertTokenizer


class EncoderPipeline(Pipeline):
    """For `BertModel`. Texts are cut and lowercased as `modules`, those of a folder of sentence-transformers, say."""

    def __init__(
        self,
        model: BertPreTrainedModel,
        tokenizer: BertTokenizer,
        *,
        modules: SentenceModules | None = None,
        **options: Any,
    ) -> None:
        self.modules = modules or SentenceModules()
        longest = model.config.max_position_embeddings
        super().__init__(model, self.modules.tokenizer(tokenizer, longest), **options)


class FeatureExtractionPipeline(EncoderPipeline):
    """The last hidden states.

    What a folder of sentence-transformers says beside how texts are read, from its prompt to its pooling, makes vectors
    of sentences; here are those of the text's own tokens.
    """

    def run(self, inputs: list[str], return_tensors: bool = False, **cut: Any) -> list[list] | list[Tensor]:
        """For each text its tokens' vectors, [CLS] and [SEP] included, as a nested list (1, n, D).

        Args:
            return_tensors: as a tensor (1, n, D) on the CPU instead.
            cut: `truncation`, `max_length` and `padding`, as for `Pipeline.encode`.
        """
        vectors = self.batched(
            self.encode(inputs, **cut),
            lambda batch: rows_of(self.compute(batch).last_hidden_state, batch["attention_mask"]),
        )
        return [rows[None] if return_tensors else [rows.tolist()] for rows in vectors]


class SentenceSimilarityPipeline(EncoderPipeline):
    """For models that were trained to bring similar sentences together (Reimers & Gurevych 2019), or any other.

    Settings in a sentence-transformers folder are followed; other checkpoints get the mean over the tokens.
    """

    def run(self, inputs: list[dict]) -> list[list[float]]:
        """For each {"source_sentence": a text, "sentences": texts}, how similar each of the texts is to the first.

        The similarity is the cosine of the two sentences' vectors (`embed`), from -1 to 1, or what the checkpoint
        says: their product, or a distance with a minus before it.
        """
        for index, item in enumerate(inputs):
            _check(index, item)
        texts = {text: number for number, text in enumerate(dict.fromkeys(_texts(inputs)))}
        vectors, similarity = self.embed(list(texts)), SIMILARITIES[self.modules.similarity]
        numbers = [[texts[text] for text in _texts([item])] for item in inputs]  # each sentence is embedded once
        return [similarity(vectors[first], vectors[others]).tolist() for first, *others in numbers]

    def embed(self, sentences: list[str], **cut: Any) -> Tensor:
        """The vectors of the sentences, (N, D), as `SentenceTransformer.encode` gives them.

        Of a checkpoint that does not say how, they are the means over each sentence's tokens, [CLS] and [SEP] included,
        scaled to length 1.

        cut: `truncation` and `max_length`, as for `Pipeline.encode`.
        """

        def pool(batch: dict[str, Tensor]) -> Tensor:
            hidden = self.compute(batch).last_hidden_state.float()
            return finite(self.modules.pool(hidden, batch["attention_mask"]).cpu())

        check_texts(sentences)
        prompted = [self.modules.prompt + sentence for sentence in sentences]
        return self.modules.finish(torch.stack(self.batched(self.encode(prompted, **cut), pool)))


def _texts(items: list[dict]) -> list[str]:
    return [text for item in items for text in (item["source_sentence"], *item["sentences"])]


def _check(index: int, item: dict) -> None:
    if not isinstance(item, dict) or item.keys() != {"source_sentence", "sentences"}:
        raise InputError(index, f"expected a dict of source_sentence and sentences, found {item!r:.80}")
    if not isinstance(item["sentences"], list) or not item["sentences"]:
        raise InputError(index, f"sentences: expected a list of texts, found {item['sentences']!r:.80}")
    for text in (item["source_sentence"], *item["sentences"]):
        if not isinstance(text, str):
            raise InputError(index, f"source_sentence and sentences: expected texts, found {text!r:.80}")
        check_characters(index, text)

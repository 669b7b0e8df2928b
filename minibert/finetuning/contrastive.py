"""Contrastive training: sentence vectors without labels (unsupervised SimCSE, Gao et al. 2021).

Every sentence goes through the encoder twice. Dropout makes the two vectors differ a little; they must find each other
among the vectors of all other sentences of the batch.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minibert.finetuning.examples import Columns, read_examples
from minibert.finetuning.metrics import correlations, library, one_array
from minibert.finetuning.regression import number_of
from minibert.finetuning.task import Split, Task, encode_texts
from minibert.model.bert import BertModel
from minibert.model.config import BertConfig
from minibert.model.losses import cross_entropy
from minibert.model.tasks import TaskOutput
from minibert.text.tokenizer import BertTokenizer
from minibert.training.evaluation_loop import EvalPrediction

TEMPERATURE = 0.05  # Gao et al. 2021, appendix A


def contrastive_loss(vectors: Tensor, others: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """How well each of `vectors` finds its own among `others`, by the cosine (Gao et al. 2021, equation 4).

    The mean over i of -log softmax_j(cos(vectors[i], others[j]) / temperature) at j = i.

    Args:
        vectors, others: (B, D)
    """
    with torch.autocast(vectors.device.type, enabled=False):  # bfloat16 is too coarse for differences of cosines
        cosines = F.normalize(vectors.float(), dim=1) @ F.normalize(others.float(), dim=1).T  # (B, B)
    return cross_entropy(cosines / temperature, torch.arange(len(cosines), device=cosines.device))


class SimCSE(nn.Module):
    """An encoder in training: the model that `Trainer` is given. What it saves is the encoder.

    A sentence's vector is the mean of its tokens' (the paper takes [CLS], through a layer that it then throws away):
    it needs no layer, and is what the pipeline "sentence-similarity" computes.

    Raises `ValueError` for an encoder without dropout: both passes would be the same.
    """

    def __init__(self, encoder: BertModel) -> None:
        super().__init__()
        config = encoder.config
        if not (config.hidden_dropout_prob or config.attention_probs_dropout_prob):
            raise ValueError(
                "contrastive training needs dropout, but hidden_dropout_prob and attention_probs_dropout_prob are 0:"
                " both passes would give the same vectors; set them to 0.1 in the checkpoint's config.json"
            )
        self.encoder = encoder

    @property
    def config(self) -> BertConfig:
        return self.encoder.config

    def forward(self, labels: Tensor | None = None, **inputs: Tensor) -> TaskOutput:
        """The vectors, (B, D), as `logits`; in training also the loss.

        Args:
            labels: (B,) scores to evaluate with, which have no part in this.
            inputs: those of `BertModel`; `attention_mask` must be there.
        """
        vectors = self.embed(**inputs)
        return TaskOutput(contrastive_loss(vectors, self.embed(**inputs)) if self.training else None, vectors)

    def embed(self, **inputs: Tensor) -> Tensor:
        """(B, D): the mean of every sentence's tokens."""
        hidden, real = self.encoder(return_dict=True, **inputs).last_hidden_state.float(), inputs["attention_mask"]
        return hidden.sum(1) / real.sum(1, keepdim=True)  # padding is zero

    def freeze(self, what: str | int) -> Self:
        """As `BertPreTrainedModel.freeze`. Raises `ValueError` for "encoder": nothing would be left to train."""
        if what == "encoder":
            raise ValueError("contrastive training has no head: with the encoder frozen there is nothing to train")
        self.encoder.freeze(what)
        return self

    def depth_below_head(self, parameter_name: str) -> int:
        """As `BertPreTrainedModel.depth_below_head`."""
        return self.encoder.depth_below_head(parameter_name)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the encoder."""
        self.encoder.save_pretrained(folder)


def contrastive_task(files: Mapping[str, str], columns: Columns, tokenizer: BertTokenizer, max_length: int) -> Task:
    """Sentences to train on, and pairs of them with scores to evaluate on.

    The training file may be plain text, a sentence a line. Raises `ValueError` naming file and line of what cannot be
    used.
    """
    columns.refuse("contrastive training", "label_separator")
    library("scipy.stats")
    only_text = Columns(text=columns.text)
    texts = [e.text for e in read_examples(files["train"], only_text, labelled=False)]
    if len(texts) < 2:
        raise ValueError(f"{files['train']}: expected two sentences or more, to tell from each other")
    items, lost = encode_texts(tokenizer, texts, max_length)
    splits = {"train": Split(items, similarity_score, lost)}
    for split, path in files.items():
        if split != "train":
            splits[split] = _scored_pairs(path, columns, tokenizer, max_length)
    return Task(
        description="vectors of sentences, learnt without labels",
        unit="sentences",
        model_class=BertModel,
        metric="spearman",
        splits=splits,
        config={"add_pooling_layer": False},
        wrap=SimCSE,
    )


def _scored_pairs(path: str, columns: Columns, tokenizer: BertTokenizer, max_length: int) -> Split:
    """The first sentences of all pairs, then the second ones, both with the pair's score."""
    pairs = read_examples(path, columns, paired=True)
    scores = [number_of(pair) for pair in pairs]
    texts = [pair.text for pair in pairs] + [pair.pair or "" for pair in pairs]
    items, lost = encode_texts(tokenizer, texts, max_length)
    return Split([item | {"labels": s} for item, s in zip(items, scores * 2, strict=True)], similarity_score, lost)


def similarity_score(prediction: EvalPrediction) -> dict[str, float]:
    """Spearman's correlation of the cosines of vectors (2 N, D), first and second sentences, with scores (2 N,)."""
    first, second = F.normalize(torch.from_numpy(one_array(prediction.predictions)), dim=1).chunk(2)
    scores = one_array(prediction.label_ids)[: len(first)]
    return {"spearman": correlations((first * second).sum(1).numpy(), scores)["spearman"]}

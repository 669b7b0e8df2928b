"""Fill-mask: which words a masked language model would put in place of [MASK]."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from minibert.inference.base import InputError, Pipeline, at_least_one, finite
from minibert.labels import IGNORE_INDEX
from minibert.model.tasks import BertForPreTraining

logger = logging.getLogger(__name__)


class FillMaskPipeline(Pipeline):
    """For `BertForMaskedLM` and `BertForPreTraining`."""

    def run(
        self, inputs: list[str], top_k: int = 5, targets: str | Sequence[str] | None = None, **cut: Any
    ) -> list[list]:
        """For each text the `top_k` most probable tokens, the best first.

        A candidate is {"score": its probability, "token": its id, "token_str", "sequence": the text with it}. For a
        text with several masks there is a list of candidates for each mask, each as if the others stayed masked.
        (A list of one text gives a list of one result, as any list does; the reference drops the outer list.)

        Args:
            targets: consider only these words, each with the probability that it has among all words. If a word is
                not in the vocabulary, its first piece is used, with a warning, as in the reference.
            cut: `truncation`, `max_length` and `padding`, as for `Pipeline.encode`, but by default nothing is cut.

        Raises: `InputError` for a text without a mask, or one that is longer than the model.
        """
        candidates = None if targets is None else self._token_ids([targets] if isinstance(targets, str) else targets)
        at_least_one("top_k", top_k)
        encoded = self.encode(inputs, **{"truncation": False} | cut)
        for index, ids in enumerate(encoded["input_ids"]):
            if self.tokenizer.mask_token_id not in ids:
                raise InputError(index, f"the text has no {self.tokenizer.mask_token} to fill: {inputs[index]!r}")
        found = self.batched(encoded, lambda batch: self._fill(batch, top_k, candidates))
        return [self._describe(*texts_and_tokens) for texts_and_tokens in zip(encoded["input_ids"], found, strict=True)]

    def _token_ids(self, words: Sequence[str]) -> Tensor:
        """The token of each word, each once. Raises `ValueError` if there is none, or for what is no word."""
        vocabulary, ids = self.tokenizer.get_vocab(), []
        for word in words:
            if not isinstance(word, str):
                raise ValueError(f"targets: expected words, found {word!r:.80}")
            pieces = [word] if word in vocabulary else self.tokenizer.tokenize(word)[:1]
            if pieces != [word]:
                taken = f"its first piece {pieces[0]!r} is taken" if pieces else "it is left out"
                logger.warning("targets: %r is not in the vocabulary, %s", word, taken)
            ids += [vocabulary[piece] for piece in pieces]
        if not ids:
            raise ValueError(f"targets: expected at least one word, found none in {list(words)!r:.80}")
        return torch.tensor(sorted(set(ids)))

    def _fill(self, batch: dict[str, Tensor], top_k: int, candidates: Tensor | None) -> list[tuple[Tensor, Tensor]]:
        """For each sequence the probabilities and the ids of the best tokens, twice (masks, top_k)."""
        is_mask = batch["input_ids"] == self.tokenizer.mask_token_id  # (B, S)
        # Vocabulary logits at the masks alone: as labels, because those say which positions to compute.
        labels = batch["input_ids"].masked_fill(~is_mask, IGNORE_INDEX)
        outputs = self.compute(batch, labels=labels, labelled_logits_only=True)
        logits = outputs.prediction_logits if isinstance(self.model, BertForPreTraining) else outputs.logits
        scores = finite(logits.float().softmax(dim=-1))  # (masks of the batch, V)
        if candidates is not None:
            scores = scores[:, candidates]
        best = scores.topk(min(top_k, scores.shape[1]))  # each (masks of the batch, top_k)
        ids = best.indices.cpu() if candidates is None else candidates[best.indices.cpu()]
        counts = is_mask.sum(1).tolist()
        return list(zip(best.values.cpu().split(counts), ids.split(counts), strict=True))

    def _describe(self, ids: list[int], best: tuple[Tensor, Tensor]) -> list:
        """The candidates of one text."""
        tokens = torch.tensor(ids)
        positions = (tokens == self.tokenizer.mask_token_id).nonzero()[:, 0].tolist()
        rows = zip(positions, *(x.tolist() for x in best), strict=True)
        described = [
            [self._candidate(tokens, position, *candidate) for candidate in zip(*found, strict=True)]
            for position, *found in rows
        ]
        return described[0] if len(described) == 1 else described

    def _candidate(self, ids: Tensor, position: int, score: float, token: int) -> dict:
        filled = ids.clone()
        filled[position] = token
        # The masks that are left are special tokens, too, and have to stay in sight.
        is_whole = self.tokenizer.mask_token_id not in filled
        sequence = self.tokenizer.decode(filled, skip_special_tokens=is_whole)
        return {"score": score, "token": token, "token_str": self.tokenizer.decode(token), "sequence": sequence}

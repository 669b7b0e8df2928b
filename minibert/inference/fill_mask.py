"""Fill-mask: what a masked language model would put in the place of [MASK]."""

import torch
from torch import Tensor

from minibert.inference.base import InputError, Pipeline, check_texts
from minibert.labels import IGNORE_INDEX
from minibert.model.tasks import BertForPreTraining


class FillMaskPipeline(Pipeline):
    """For `BertForMaskedLM` and `BertForPreTraining`."""

    def run(self, inputs: list[str], top_k: int = 5) -> list[list]:
        """For each text the `top_k` most probable tokens, the best first.

        A candidate is {"score": its probability, "token": its id, "token_str", "sequence": the text with it}. For a
        text with several masks there is a list of candidates for each mask, each as if the others stayed masked.
        Raises `InputError` for a text without a mask, or one that is longer than the model.
        """
        if top_k < 1:
            raise ValueError(f"top_k must be at least 1, got {top_k}")
        check_texts(inputs)
        encoded = self.tokenizer(inputs)
        for index, ids in enumerate(encoded["input_ids"]):
            self._check(index, inputs[index], ids)
        found = self.batched(encoded, lambda batch: self._fill(batch, top_k))
        return [self._describe(*texts_and_tokens) for texts_and_tokens in zip(encoded["input_ids"], found, strict=True)]

    def _check(self, index: int, text: str, ids: list[int]) -> None:
        if self.tokenizer.mask_token_id not in ids:
            raise InputError(index, f"the text has no {self.tokenizer.mask_token} to fill: {text!r}")
        if len(ids) > self.max_length:
            raise InputError(index, f"the text has {len(ids)} tokens, but the model reads only {self.max_length}")

    def _fill(self, batch: dict[str, Tensor], top_k: int) -> list[tuple[Tensor, Tensor]]:
        """For each sequence the probabilities and the ids of the best tokens, twice (masks, top_k)."""
        is_mask = batch["input_ids"] == self.tokenizer.mask_token_id  # (B, S)
        # Vocabulary logits at the masks alone: as labels, because those say which positions to compute.
        labels = batch["input_ids"].masked_fill(~is_mask, IGNORE_INDEX)
        outputs = self.model(**batch, labels=labels, labelled_logits_only=True)
        logits = outputs.prediction_logits if isinstance(self.model, BertForPreTraining) else outputs.logits
        best = logits.float().softmax(dim=-1).topk(min(top_k, logits.shape[-1]))  # each (masks of the batch, top_k)
        counts = is_mask.sum(1).tolist()
        return list(zip(best.values.cpu().split(counts), best.indices.cpu().split(counts), strict=True))

    def _describe(self, ids: list[int], best: tuple[Tensor, Tensor]) -> list:
        """The candidates of one text."""
        ids = torch.tensor(ids)
        positions = (ids == self.tokenizer.mask_token_id).nonzero()[:, 0].tolist()
        rows = zip(positions, *(x.tolist() for x in best), strict=True)
        described = [
            [self._candidate(ids, position, *candidate) for candidate in zip(scores, tokens, strict=True)]
            for position, scores, tokens in rows
        ]
        return described[0] if len(described) == 1 else described

    def _candidate(self, ids: Tensor, position: int, score: float, token: int) -> dict:
        filled = ids.clone()
        filled[position] = token
        # The masks that are left are special tokens, too, and have to stay in sight.
        is_whole = self.tokenizer.mask_token_id not in filled
        sequence = self.tokenizer.decode(filled, skip_special_tokens=is_whole)
        return {"score": score, "token": token, "token_str": self.tokenizer.decode(token), "sequence": sequence}

"""What a masked language model would put in the place of [MASK]."""

from dataclasses import dataclass

import torch

from minibert.tasks import BertForMaskedLM, BertForPreTraining
from minibert.text.tokenizer import BertTokenizer


@dataclass(frozen=True)
class Candidate:
    """One token for one [MASK], and its probability."""

    token: str
    probability: float


@torch.inference_mode()
def fill_mask(
    model: BertForMaskedLM | BertForPreTraining, tokenizer: BertTokenizer, text: str, top_k: int = 5
) -> list[list[Candidate]]:
    """The `top_k` most probable tokens for every [MASK] in `text`, in the order of the masks.

    Raises `ValueError` for a text without a mask, or one that is longer than the model.
    """
    if top_k < 1:
        raise ValueError(f"top_k must be at least 1, got {top_k}")
    inputs = tokenizer(text, return_tensors="pt").to(next(model.parameters()).device)
    is_mask = inputs["input_ids"][0] == tokenizer.mask_token_id  # (S,)
    if not is_mask.any():
        raise ValueError(f"the text has no {tokenizer.mask_token} to fill: {text!r}")
    outputs = model(**inputs)
    logits = outputs.prediction_logits if isinstance(model, BertForPreTraining) else outputs.logits
    probabilities, ids = logits[0, is_mask].softmax(dim=-1).topk(min(top_k, logits.shape[-1]))  # (masks, top_k)
    return [
        [Candidate(tokenizer.convert_ids_to_tokens(i), p) for i, p in zip(row_ids, row, strict=True)]
        for row_ids, row in zip(ids.tolist(), probabilities.tolist(), strict=True)
    ]

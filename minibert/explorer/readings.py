"""What a model's heads say: the masked word, after every sub-layer too; the next sentence; the classes."""

from typing import Any

import torch
from torch import Tensor

from minibert.explorer.recording import Recording
from minibert.explorer.view import Pieces
from minibert.labels import IS_NEXT
from minibert.model.pretrained import BertPreTrainedModel
from minibert.model.tasks import (
    BertForMaskedLM,
    BertForNextSentencePrediction,
    BertForPreTraining,
    BertForSequenceClassification,
    BertForTokenClassification,
)
from minibert.text.tokenizer import BertTokenizer

CANDIDATES = 8  # of a masked word
STAGE_CANDIDATES = 3  # after every sub-layer

# The models whose heads are shown; of any other its encoder is.
FILLS_MASKS = (BertForPreTraining, BertForMaskedLM)
JUDGES_PAIRS = (BertForPreTraining, BertForNextSentencePrediction)
CLASSIFIES = (BertForSequenceClassification, BertForTokenClassification)


def word_probabilities(model: BertPreTrainedModel, recording: Recording, pieces: Pieces) -> Tensor | None:
    """The model's own answer for the followed mask, (V,); None without a mask, or without the head."""
    if pieces.position is None or not isinstance(model, FILLS_MASKS):
        return None
    outputs = recording.outputs
    logits = outputs.prediction_logits if isinstance(model, BertForPreTraining) else outputs.logits
    return logits[0, pieces.position].softmax(dim=-1)


def candidates(now: Tensor, before: Tensor | None, original: int | None, tokenizer: BertTokenizer) -> list[dict]:
    """The most probable words of both distributions (V,) and the one that was there, the best first."""
    best = now.topk(min(CANDIDATES, len(now))).indices.tolist()
    if before is not None:
        best += [token for token in before.topk(min(CANDIDATES, len(before))).indices.tolist() if token not in best]
    if original is not None and original not in best:
        best.append(original)
    rows = []
    for token in sorted(best, key=lambda token: -float(now[token])):
        row = {"id": token, "piece": tokenizer.convert_ids_to_tokens(token), "now": _digits(now[token])}
        row["rank"] = int((now > now[token]).sum()) + 1
        row["before"] = None if before is None else _digits(before[token])
        rows.append(row | {"is_original": token == original})
    return rows


@torch.inference_mode()
def logit_lens(model: Any, recording: Recording, position: int, tokenizer: BertTokenizer) -> dict[str, Any]:
    """What the MLM head would answer at `position` after every sub-layer, though it was trained for the last alone.

    Returns: `stages`, 1 + 2L of them: the best candidates there, the probability of what is the answer at the end,
        and how much of the probability has moved to other words since the stage before (the total variation, 0 to 1);
        `moved_most`, the number of the stage at which that was most.
    Source: nostalgebraist 2020, "interpreting GPT: the logit lens".
    """
    stream = torch.stack([x[position] for x in recording.stream])  # (1 + 2L, D)
    predictions = model.mlm_head(stream).softmax(dim=-1)  # (1 + 2L, V)
    answer = int(predictions[-1].argmax())
    moved = (predictions[1:] - predictions[:-1]).abs().sum(dim=-1) / 2  # (2L,)
    stages = []
    for number, prediction in enumerate(predictions):
        best = prediction.topk(min(STAGE_CANDIDATES, len(prediction)))
        words = tokenizer.convert_ids_to_tokens(best.indices)
        stages.append(
            {
                "part": "embeddings" if number == 0 else ("attention", "feed_forward")[(number - 1) % 2],
                "layer": None if number == 0 else (number - 1) // 2,
                "best": [[word, _digits(p)] for word, p in zip(words, best.values, strict=True)],
                "answer": _digits(prediction[answer]),
                "moved": None if number == 0 else _digits(moved[number - 1]),
            }
        )
    word = tokenizer.convert_ids_to_tokens(answer)
    return {"stages": stages, "answer": word, "moved_most": int(moved.argmax()) + 1 if len(moved) else None}


def next_sentence(model: BertPreTrainedModel, recording: Recording) -> float | None:
    """The probability that B follows A; None if the model has no head for it."""
    if not isinstance(model, JUDGES_PAIRS):
        return None
    outputs = recording.outputs
    logits = outputs.seq_relationship_logits if isinstance(model, BertForPreTraining) else outputs.logits
    return _digits(logits[0].softmax(dim=-1)[IS_NEXT])


def classes(model: BertPreTrainedModel, recording: Recording) -> list | None:
    """A score for each class: (C,) of the sequence, or (S, C) of its pieces; None if the model has no such head.

    It is a probability, or the number itself in a regression.
    """
    if not isinstance(model, CLASSIFIES):
        return None
    logits, config = recording.outputs.logits[0], model.config
    if config.problem_type == "regression":
        scores = logits
    elif config.problem_type == "multi_label_classification" or config.num_labels == 1:
        scores = logits.sigmoid()
    else:
        scores = logits.softmax(dim=-1)
    return scores.double().round(decimals=4).tolist()


def _digits(x: Tensor) -> float:
    return round(float(x), 6)

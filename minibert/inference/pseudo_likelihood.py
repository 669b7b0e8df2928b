"""How likely a masked language model finds a sentence (Salazar et al. 2020, "Masked Language Model Scoring").

It gives no probability of a whole sentence, but one of every token given all others: hide each token alone, ask for
it, and add up the logarithms. That is the pseudo-log-likelihood (PLL, their equation 1).
"""

import math
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from minibert.labels import IGNORE_INDEX
from minibert.model.tasks import BertForMaskedLM, BertForPreTraining
from minibert.text.tokenizer import BertTokenizer

# From a model, its tokenizer and sentences to a number for each sentence.
Likelihoods = Callable[[Any, BertTokenizer, Sequence[Sequence[int]]], list[float]]

BATCH_TOKENS = 4096  # in one forward pass: as many as keep the cores busy and (4096 / S, V) logits small


def pseudo_perplexity(
    model: BertForMaskedLM | BertForPreTraining,
    tokenizer: BertTokenizer,
    sentences: Sequence[Sequence[int]],
    likelihoods: Likelihoods | None = None,
) -> float:
    """exp of the mean -log p of a token, over all `sentences` (PPPL, their equation 3).

    likelihoods: instead of `pseudo_log_likelihoods`, one that shares the work.
    Takes and raises what `pseudo_log_likelihoods` does; raises `ValueError` as well if there is no token.
    """
    tokens = sum(len(sentence) - 2 for sentence in sentences)
    if not tokens:
        raise ValueError("sentences: expected at least one token between [CLS] and [SEP], found none")
    mean = -sum((likelihoods or pseudo_log_likelihoods)(model, tokenizer, sentences)) / tokens
    return math.exp(mean) if mean < math.log(sys.float_info.max) else math.inf  # of a model that has diverged


@torch.inference_mode()
def pseudo_log_likelihoods(
    model: BertForMaskedLM | BertForPreTraining, tokenizer: BertTokenizer, sentences: Sequence[Sequence[int]]
) -> list[float]:
    """The pseudo-log-likelihood of each sentence, in nats; equal sentences get equal numbers.

    Args:
        sentences: the token ids of each, [CLS] first and [SEP] last. All between these two are scored, [UNK] too.

    Raises `ValueError` for a sentence that is longer than the model, and for a model whose predictions are NaN.
    """
    model.eval()
    device = model.device
    scores: dict[tuple[int, ...], float] = {}
    distinct = {tuple(sentence) for sentence in sentences if len(sentence) > 2}
    with tqdm(total=sum(len(s) - 2 for s in distinct), desc="scoring", unit=" tokens", delay=2, leave=False) as bar:
        for group in _by_length(distinct):
            totals = torch.zeros(len(group), dtype=torch.float64, device=device)
            for inputs, labels, rows in _masked_copies(torch.tensor(group, device=device), tokenizer.mask_token_id):
                totals.index_add_(0, rows, _log_probabilities(model, inputs, labels))
                bar.update(len(rows))
            if totals.isnan().any():
                _refuse_nan(model)
            scores |= zip(group, totals.tolist(), strict=True)
    return [scores.get(tuple(sentence), 0.0) for sentence in sentences]  # there is nothing to doubt in an empty one


def _refuse_nan(model: BertForMaskedLM | BertForPreTraining) -> NoReturn:
    damaged = next((name for name, weights in model.named_parameters() if not weights.isfinite().all()), None)
    why = f"{damaged} holds NaN or infinity" if damaged else f"its numbers are too large for {model.dtype}"
    raise ValueError(
        f"model: its predictions are NaN, because {why}; training has diverged, or the file is damaged: take an earlier"
        " checkpoint, or another copy"
    )


def _by_length(sentences: set[tuple[int, ...]]) -> list[list[tuple[int, ...]]]:
    """Sentences of equal length together: their batches are rectangles without padding."""
    groups = defaultdict(list)
    for sentence in sorted(sentences):  # a set has another order in every process
        groups[len(sentence)].append(sentence)
    return list(groups.values())


def _masked_copies(ids: Tensor, mask_token_id: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Batches of all copies of `ids` (N, S) in which one token is hidden.

    Each is the inputs (B, S), the labels (B, S), and of which row of `ids` each is a copy, (B,).
    """
    count, length = ids.shape
    copies = torch.arange(count * (length - 2), device=ids.device)  # all of the first sentence's, then the second's
    for numbers in copies.split(max(1, BATCH_TOKENS // length)):
        rows, columns = numbers // (length - 2), 1 + numbers % (length - 2)
        inputs = ids[rows]
        is_hidden = torch.arange(length, device=ids.device) == columns[:, None]  # (B, S)
        yield inputs.masked_fill(is_hidden, mask_token_id), inputs.masked_fill(~is_hidden, IGNORE_INDEX), rows


def _log_probabilities(model: BertForMaskedLM | BertForPreTraining, inputs: Tensor, labels: Tensor) -> Tensor:
    """log p of the one label in each row, (B,)."""
    outputs = model(inputs, labels=labels, labelled_logits_only=True)
    logits = outputs.prediction_logits if isinstance(model, BertForPreTraining) else outputs.logits  # (B, V)
    return -F.cross_entropy(logits.float(), labels[labels != IGNORE_INDEX], reduction="none").double()

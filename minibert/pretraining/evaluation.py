"""How well a model fills masks and tells consecutive sentences, on text that it was not trained on."""

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from minibert.labels import IGNORE_INDEX
from minibert.model.tasks import BertForPreTraining
from minibert.text.dataset import PretrainingCollator, PretrainingDataset
from minibert.text.packed import PackedCorpus
from minibert.text.tokenizer import BertTokenizer


@torch.inference_mode()
def evaluate_pretraining(
    model: BertForPreTraining, dataset: PretrainingDataset, collator: PretrainingCollator, batch_size: int = 64
) -> dict[str, float]:
    """The mean MLM loss per labelled token, and the share of right guesses of both tasks.

    Pairs and masks are those of the dataset's present epoch, so they are the same at every call.
    Raises `ValueError` if no token can be masked, because the vocabulary knows none of them.
    """
    model.eval()
    device = next(model.parameters()).device
    totals = {"mlm_loss": 0.0, "mlm_right": 0, "labels": 0, "nsp_right": 0, "pairs": 0}
    loader = DataLoader(dataset, batch_size=batch_size, collate_fn=collator)
    for batch in tqdm(loader, desc="evaluating", leave=False):
        batch = {name: x.to(device) if isinstance(x, Tensor) else x for name, x in batch.items()}
        outputs = model(**batch)
        labels = batch["labels"][batch["labels"] != IGNORE_INDEX]  # (labels,), as the logits are
        totals["labels"] += len(labels)
        totals["mlm_loss"] += outputs.loss_terms["mlm_loss"].item() * len(labels)
        totals["mlm_right"] += int((outputs.prediction_logits.argmax(1) == labels).sum())
        totals["pairs"] += len(outputs.seq_relationship_logits)
        right = outputs.seq_relationship_logits.argmax(1) == batch["next_sentence_label"]
        totals["nsp_right"] += int(right.sum())
    if not totals["labels"]:
        raise ValueError("the vocabulary knows no word of the held-out text: use one made for this language and script")
    return {
        "mlm_loss": totals["mlm_loss"] / totals["labels"],
        "mlm_accuracy": totals["mlm_right"] / totals["labels"],
        "nsp_accuracy": totals["nsp_right"] / totals["pairs"],
    }


def spread_sentences(corpus: PackedCorpus, tokenizer: BertTokenizer, count: int, max_length: int) -> list[list[int]]:
    """`count` sentences (or all there are) from all over the corpus, for `pseudo_perplexity`.

    Each is its token ids with [CLS] and [SEP], cut at `max_length`.
    """
    numbers = np.concatenate([np.arange(first, end) for first, end in corpus.documents])
    chosen = numbers[np.linspace(0, len(numbers) - 1, min(count, len(numbers))).astype(int)]
    starts, ends = corpus.sentence_starts[chosen], corpus.sentence_starts[chosen + 1]
    ends = np.minimum(ends, starts + max_length - 2)
    spans = zip(starts.tolist(), ends.tolist(), strict=True)
    return [[tokenizer.cls_token_id, *corpus.ids[a:b].tolist(), tokenizer.sep_token_id] for a, b in spans]

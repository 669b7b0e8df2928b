"""How well a model fills masks and tells consecutive sentences, on text that it was not trained on."""

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from minibert.labels import IGNORE_INDEX
from minibert.tasks import BertForPreTraining
from minibert.text.dataset import PretrainingCollator, PretrainingDataset


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

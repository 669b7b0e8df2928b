"""How well a model fills masks and tells consecutive sentences, on text that it was not trained on."""

import numpy as np
import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from minibert.checkpoint.files import CheckpointError
from minibert.checkpoint.opened import Checkpoint
from minibert.inference.loading import load_tokenizer_for
from minibert.inference.pseudo_likelihood import pseudo_perplexity
from minibert.labels import IGNORE_INDEX
from minibert.model.tasks import BertForPreTraining
from minibert.model.weights import quiet_loading
from minibert.pretraining.preparation import say_pairs
from minibert.pretraining.presets import Preset
from minibert.report import say
from minibert.text.dataset import PretrainingCollator, PretrainingDataset
from minibert.text.packed import PackedCorpus
from minibert.text.tokenizer import BertTokenizer
from minibert.training.batch import to_device

SCORED_SENTENCES = 500  # by pseudo-perplexity, which takes a forward pass for every token


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
        batch = to_device(batch, device)
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


def load_with_mlm_head(name: str) -> tuple[BertForPreTraining, BertTokenizer, bool]:
    """The checkpoint, its tokenizer, and whether it comes with a trained NSP head.

    Raises `CheckpointError` if it has no head for masked language modelling, or no tokenizer that fits.
    """
    checkpoint = Checkpoint.open(name)
    with quiet_loading():  # what is missing is told apart here
        model, info = BertForPreTraining.from_pretrained(checkpoint, output_loading_info=True)
    missing = info["missing_keys"]
    if absent := [key for key in missing if not key.startswith(("bert.pooler.", "cls.seq_relationship."))]:
        raise CheckpointError(f"{name}: only masked language models can be scored; the checkpoint lacks {absent[0]}")
    return model, load_tokenizer_for(model, checkpoint), not missing


def score_text(
    model: BertForPreTraining, tokenizer: BertTokenizer, has_nsp_head: bool, corpus: PackedCorpus, seed: int
) -> list[tuple[str, str]]:
    """Print, and return, how well the model fills masks and tells sentences apart, and the pseudo-perplexity."""
    max_length = min(Preset.max_length, model.config.max_position_embeddings)
    dataset = PretrainingDataset(corpus, tokenizer, max_length, seed)
    say_pairs(dataset)
    metrics = evaluate_pretraining(model, dataset, PretrainingCollator(tokenizer.pad_token_id))
    pairs = f"{len(dataset):,} pairs of up to {max_length} tokens"
    mlm = f"loss {metrics['mlm_loss']:.3f}, accuracy {metrics['mlm_accuracy']:.1%}: 15% of {pairs} masked"
    nsp = f"accuracy {metrics['nsp_accuracy']:.1%}" if has_nsp_head else "the checkpoint has no such head"
    say("MLM", mlm)
    say("NSP", nsp)
    sentences = spread_sentences(corpus, tokenizer, SCORED_SENTENCES, max_length)
    tokens = sum(len(sentence) - 2 for sentence in sentences)
    perplexity = pseudo_perplexity(model, tokenizer, sentences)
    hidden = f"{perplexity:,.1f}: {tokens:,} tokens of {len(sentences):,} sentences, each hidden alone"
    say("perplexity", hidden)
    return [("MLM", mlm), ("NSP", nsp), ("pseudo-perplexity", hidden)]

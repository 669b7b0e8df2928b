"""How well a model fills masks and tells consecutive sentences, on text that it was not trained on."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler
from tqdm import tqdm

from minibert.checkpoint.files import CheckpointError
from minibert.checkpoint.opened import Checkpoint
from minibert.inference.loading import load_tokenizer_for
from minibert.inference.pseudo_likelihood import pseudo_log_likelihoods, pseudo_perplexity
from minibert.labels import IGNORE_INDEX
from minibert.model.tasks import BertForMaskedLM, BertForPreTraining
from minibert.model.weights import quiet_loading
from minibert.pretraining.preparation import say_pairs
from minibert.pretraining.presets import Preset
from minibert.report import say
from minibert.text.dataset import PretrainingCollator, PretrainingDataset
from minibert.text.packed import PackedCorpus
from minibert.text.tokenizer import BertTokenizer
from minibert.training.batch import Batch, to_device
from minibert.training.distributed import Processes

SCORED_SENTENCES = 500  # by pseudo-perplexity, which takes a forward pass for every token


@torch.inference_mode()
def evaluate_pretraining(
    model: BertForPreTraining, dataset: PretrainingDataset, collator: PretrainingCollator, batch_size: int = 64
) -> dict[str, float]:
    """The mean MLM loss per labelled token, and the share of right guesses of both tasks.

    Pairs and masks are those of the dataset's present epoch, so they are the same at every call. Several processes
    share the batches, and all return the numbers of all: those that one process alone would.
    Raises `ValueError` if no token can be masked, because the vocabulary knows none of them.
    """
    model.eval()
    device, processes = next(model.parameters()).device, Processes.join()
    batches = BatchSampler(SequentialSampler(dataset), batch_size, drop_last=False)
    own = dict(processes.numbered_share(batches))
    loader = DataLoader(dataset, batch_sampler=list(own.values()), collate_fn=collator)
    bar = tqdm(loader, desc="evaluating", leave=False, disable=not processes.is_first)
    counted = [_count_right(model, to_device(batch, device)) for batch in bar]
    of_all = processes.in_order(list(zip(own, counted, strict=True)))
    labels, pairs, loss, mlm_right, nsp_right = map(sum, zip(*of_all, strict=True))
    if not labels:
        raise ValueError("the vocabulary knows no word of the held-out text: use one made for this language and script")
    return {"mlm_loss": loss / labels, "mlm_accuracy": mlm_right / labels, "nsp_accuracy": nsp_right / pairs}


def _count_right(model: BertForPreTraining, batch: Batch) -> tuple[int, int, float, int, int]:
    """Of a batch: its labels and its pairs, the sum of the labels' MLM losses, and how often either task was right."""
    outputs = model(**batch)
    labels = batch["labels"][batch["labels"] != IGNORE_INDEX]  # (labels,), as the logits are
    loss = outputs.loss_terms["mlm_loss"].item() * len(labels)
    mlm_right = int((outputs.prediction_logits.argmax(1) == labels).sum())
    nsp_right = int((outputs.seq_relationship_logits.argmax(1) == batch["next_sentence_label"]).sum())
    return len(labels), len(outputs.seq_relationship_logits), loss, mlm_right, nsp_right


def shared_log_likelihoods(
    model: BertForMaskedLM | BertForPreTraining, tokenizer: BertTokenizer, sentences: Sequence[Sequence[int]]
) -> list[float]:
    """As `pseudo_log_likelihoods`, but each process works on its share of the different sentences."""
    processes = Processes.join()
    distinct = sorted(set(map(tuple, sentences)))
    own = dict(processes.numbered_share(distinct))
    scores = pseudo_log_likelihoods(model, tokenizer, list(own.values()))
    score_of = dict(zip(distinct, processes.in_order(list(zip(own, scores, strict=True))), strict=True))
    return [score_of[tuple(sentence)] for sentence in sentences]


def spread_sentences(corpus: PackedCorpus, tokenizer: BertTokenizer, count: int, max_length: int) -> list[list[int]]:
    """`count` sentences (or all there are) from all over the corpus, for `pseudo_perplexity`.

    Each is its token ids with [CLS] and [SEP], cut at `max_length`.
    """
    numbers = corpus.sentences
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
    masked = f"{dataset.masking_rate:.0%} of {len(dataset):,} pairs of up to {max_length} tokens masked"
    mlm = f"loss {metrics['mlm_loss']:.3f}, accuracy {metrics['mlm_accuracy']:.1%}: {masked}"
    nsp = f"accuracy {metrics['nsp_accuracy']:.1%}" if has_nsp_head else "the checkpoint has no such head"
    say("MLM", mlm)
    say("NSP", nsp)
    sentences = spread_sentences(corpus, tokenizer, SCORED_SENTENCES, max_length)
    tokens = sum(len(sentence) - 2 for sentence in sentences)
    perplexity = pseudo_perplexity(model, tokenizer, sentences, shared_log_likelihoods)
    hidden = f"{perplexity:,.1f}: {tokens:,} tokens of {len(sentences):,} sentences, each hidden alone"
    say("perplexity", hidden)
    return [("MLM", mlm), ("NSP", nsp), ("pseudo-perplexity", hidden)]

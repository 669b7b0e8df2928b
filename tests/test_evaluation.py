"""Held-out measurements against a slow computation, one example at a time."""

import math

import numpy as np
import pytest
import torch
from reference import model_pair

from minibert.labels import IGNORE_INDEX
from minibert.pretraining.evaluation import evaluate_pretraining
from minibert.text.dataset import PretrainingCollator, PretrainingDataset
from minibert.text.packed import PackedCorpus
from minibert.text.tokenizer import BertTokenizer

WORDS = [f"w{chr(97 + i)}{chr(97 + j)}" for i in range(8) for j in range(8)]


@pytest.fixture(scope="module")
def tokenizer():
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    return BertTokenizer({token: i for i, token in enumerate(tokens)})


def dataset_of(tokenizer, words=WORDS, length=20):
    rng = np.random.default_rng(3)
    documents = [[" ".join(rng.choice(words, rng.integers(3, 7))) for _ in range(8)] for _ in range(13)]
    return PretrainingDataset(PackedCorpus.from_documents(documents, tokenizer), tokenizer, length, seed=1)


def by_hand(model, dataset):
    """The same numbers from the reference model, without batches, padding, or loss functions."""
    losses, right_words, right_pairs = [], [], []
    for example in (dataset[i] for i in range(len(dataset))):
        ids = torch.from_numpy(example["input_ids"])[None]
        with torch.no_grad():
            outputs = model(ids, token_type_ids=torch.from_numpy(example["token_type_ids"])[None])
        for scores, label in zip(outputs.prediction_logits[0].tolist(), example["labels"].tolist(), strict=True):
            if label != IGNORE_INDEX:
                losses.append(math.log(sum(map(math.exp, scores))) - scores[label])
                right_words.append(scores.index(max(scores)) == label)
        is_next, is_random = outputs.seq_relationship_logits[0].tolist()
        right_pairs.append(int(is_random > is_next) == example["next_sentence_label"])
    return {
        "mlm_loss": sum(losses) / len(losses),
        "mlm_accuracy": sum(right_words) / len(right_words),
        "nsp_accuracy": sum(right_pairs) / len(right_pairs),
    }


@pytest.mark.parametrize("batch_size", [5, 64])
def test_equal_to_the_slow_computation(tokenizer, batch_size):
    theirs, ours = model_pair("BertForPreTraining")
    dataset = dataset_of(tokenizer)
    assert len(dataset) % 5  # the last batch is smaller, and must not count for more
    found = evaluate_pretraining(ours.train(), dataset, PretrainingCollator(tokenizer.pad_token_id), batch_size)
    expected = by_hand(theirs, dataset)
    assert expected["nsp_accuracy"] != 0.5  # or swapped labels would give the same
    assert found == pytest.approx(expected, rel=1e-5)
    assert not ours.training  # no dropout while it is judged


def test_same_numbers_at_every_call(tokenizer):
    _, ours = model_pair("BertForPreTraining")
    collator = PretrainingCollator(tokenizer.pad_token_id)
    first = evaluate_pretraining(ours, dataset_of(tokenizer), collator)
    torch.rand(3)
    assert evaluate_pretraining(ours, dataset_of(tokenizer), collator) == first


def test_text_of_which_no_word_is_known(tokenizer):
    _, ours = model_pair("BertForPreTraining")
    unknown = dataset_of(tokenizer, words=["東", "京"])
    with pytest.raises(ValueError, match="knows no word"):
        evaluate_pretraining(ours, unknown, PretrainingCollator(tokenizer.pad_token_id))

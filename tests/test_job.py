"""The main job's heart: fresh weights, counts, and a few steps of training learn the structure of a text."""

import numpy as np
import pytest
import torch

import minibert
from minibert.pretraining.evaluation import evaluate_pretraining
from minibert.pretraining.initialization import initialise_from_corpus
from minibert.pretraining.job import pretrain
from minibert.pretraining.options import PretrainingOptions
from minibert.pretraining.presets import PRESETS
from minibert.text.dataset import PretrainingCollator, PretrainingDataset
from minibert.text.packed import PackedCorpus
from minibert.text.tokenizer import BertTokenizer
from minibert.training.arguments import TrainingArguments
from minibert.training.trainer import Trainer

WORDS = [f"{a}{b}" for a in "bdfgk" for b in "aeiou"]


def chains(documents=60):
    """Sentences in which each word but the first is the one that follows its neighbour in `WORDS`."""
    rng = np.random.default_rng(0)

    def sentence():
        start = rng.integers(len(WORDS))
        return " ".join(WORDS[(start + i) % len(WORDS)] for i in range(rng.integers(5, 10)))

    return [[sentence() for _ in range(10)] for _ in range(documents)]


def test_it_learns_what_follows_what(tmp_path):
    """The neighbours of a masked word tell it for sure; its frequency alone tells nothing."""
    torch.manual_seed(3)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    tokenizer = BertTokenizer({token: i for i, token in enumerate(vocabulary)})
    train, held_out = PackedCorpus.from_documents(chains(), tokenizer).split()
    preset = PRESETS["tiny"]
    model = minibert.BertForPreTraining(
        minibert.BertConfig(
            **preset.config,
            vocab_size=len(tokenizer),
            max_position_embeddings=32,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    )
    initialise_from_corpus(model, train)
    datasets = [PretrainingDataset(part, tokenizer, max_length=32, seed=1) for part in (train, held_out)]
    collator = PretrainingCollator(tokenizer.pad_token_id)
    before = evaluate_pretraining(model, datasets[1], collator)
    arguments = TrainingArguments(
        tmp_path, max_steps=100, per_device_train_batch_size=16, disable_tqdm=True, **preset.arguments
    )
    Trainer(model, arguments, collator, datasets[0]).train()
    after = evaluate_pretraining(model, datasets[1], collator)
    unigram_entropy = np.log(len(WORDS))  # 3.2: all are equally frequent
    assert before["mlm_loss"] > 0.8 * unigram_entropy
    assert after["mlm_loss"] < 0.4 * unigram_entropy
    assert after["mlm_accuracy"] > 0.75


def test_an_unknown_preset_is_refused_at_once():
    with pytest.raises(ValueError, match="--preset must be one of tiny, .*'gigantic'"):
        pretrain(PretrainingOptions(preset="gigantic"))

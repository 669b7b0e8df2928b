"""The larger checkpoint that ships with the package: found by its name, small, the same in the reference, English."""

import pytest
import torch
import transformers

from minibert import BertForPreTraining, BertTokenizer, pipeline
from minibert.checkpoint.opened import SHIPPED
from minibert.inference.minimal_pairs import MinimalPair, minimal_pair_accuracy

NAME = "minibert-english"

# What a sentence needs, and the same with a mistake: agreement, articles, pronouns, tense, comparison, word order.
PAIRS = [
    MinimalPair("The dogs were barking at the gate.", "The dogs was barking at the gate."),
    MinimalPair("The children were asleep.", "The children was asleep."),
    MinimalPair("These books are old.", "This books are old."),
    MinimalPair("Those men had gone away.", "That men had gone away."),
    MinimalPair("She washed herself before supper.", "She washed himself before supper."),
    MinimalPair("He looked at himself in the glass.", "He looked at herself in the glass."),
    MinimalPair("She has never seen the sea.", "She has never saw the sea."),
    MinimalPair("He had taken his hat.", "He had took his hat."),
    MinimalPair("He was taller than his brother.", "He was taller that his brother."),
    MinimalPair("They went to the house.", "They went the to house."),
    MinimalPair("I do not know who he is.", "I do not know who is he it."),
    MinimalPair("There was a man at the door.", "There was each man at the door."),
]


@pytest.fixture(scope="module")
def tokenizer():
    return BertTokenizer.from_pretrained(NAME)


@pytest.fixture(scope="module")
def model():
    return BertForPreTraining.from_pretrained(NAME)


def test_small_enough_to_ship():
    files = list((SHIPPED / NAME).iterdir())
    assert sum(file.stat().st_size for file in files if file.suffix == ".safetensors") <= 14e6
    assert "README.md" in {file.name for file in files}


def test_the_same_in_the_reference(model, tokenizer):
    theirs = transformers.BertForPreTraining.from_pretrained(SHIPPED / NAME, dtype=torch.float32).eval()
    inputs = tokenizer("She opened the [MASK].", "Nobody was there.", return_tensors="pt")
    with torch.no_grad():
        ours, expected = model(**inputs), theirs(**inputs)
    assert torch.equal(ours.prediction_logits, expected.prediction_logits)
    assert torch.equal(ours.seq_relationship_logits, expected.seq_relationship_logits)


def test_it_knows_what_one_opens_and_enters():
    best = pipeline("fill-mask", NAME, precision="fp32")("She opened the [MASK] and went in.", top_k=1)
    assert best[0]["token_str"] == "door"


def test_it_prefers_what_is_english(model, tokenizer):
    """Chance is one half, with a deviation of 14 %."""
    assert minimal_pair_accuracy(model, tokenizer, {"ours": PAIRS})["ours"] >= 0.8

"""Pseudo-log-likelihoods: those of the reference, computed for one masked token after the other."""

import math
import random

import pytest
import torch
import transformers
from reference import TINY, model_pair

import minibert
from minibert.inference import pseudo_likelihood
from minibert.inference.pseudo_likelihood import pseudo_log_likelihoods, pseudo_perplexity
from minibert.text.tokenizer import BertTokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
UNK, CLS, SEP, MASK = 1, 2, 3, 4


@pytest.fixture(scope="module")
def tokenizer():
    tokens = [*SPECIAL, *(f"w{i}" for i in range(TINY["vocab_size"] - len(SPECIAL)))]
    return BertTokenizer({token: i for i, token in enumerate(tokens)})


@pytest.fixture(scope="module")
def sentences():
    """Of many lengths, some of them equal, one empty, one as long as the model."""
    rng = random.Random(0)
    lengths = [3, 0, 7, 7, 1, 12, TINY["max_position_embeddings"] - 2, 3, 5]
    return [[CLS, *(rng.randrange(5, TINY["vocab_size"]) for _ in range(n)), SEP] for n in lengths]


@torch.no_grad()
def slow_score(theirs: transformers.PreTrainedModel, sentence: list[int]) -> float:
    """The definition: one sentence, one mask, one forward pass of the reference at a time."""
    total = 0.0
    for position in range(1, len(sentence) - 1):
        ids = torch.tensor([sentence])
        ids[0, position] = MASK
        outputs = theirs(ids)
        logits = outputs.prediction_logits if "prediction_logits" in outputs else outputs.logits
        total += logits[0, position].log_softmax(0)[sentence[position]].item()
    return total


@pytest.mark.parametrize("class_name", ["BertForMaskedLM", "BertForPreTraining"])
@pytest.mark.parametrize("batch_tokens", [1, 50, 4096])
def test_equal_to_the_reference_one_by_one(monkeypatch, tokenizer, sentences, class_name, batch_tokens):
    monkeypatch.setattr(pseudo_likelihood, "BATCH_TOKENS", batch_tokens)
    theirs, ours = model_pair(class_name)
    found = pseudo_log_likelihoods(ours, tokenizer, sentences)
    expected = [slow_score(theirs, sentence) for sentence in sentences]
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-5)
    assert len(set(found)) == len(found) and max(found) == 0  # the empty sentence is certain


def test_perplexity(tokenizer, sentences):
    theirs, ours = model_pair("BertForMaskedLM")
    tokens = sum(len(sentence) - 2 for sentence in sentences)
    expected = math.exp(-sum(slow_score(theirs, sentence) for sentence in sentences) / tokens)
    assert pseudo_perplexity(ours, tokenizer, sentences) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match="at least one token"):
        pseudo_perplexity(ours, tokenizer, [[CLS, SEP]])
    assert pseudo_perplexity(ours, tokenizer, sentences, lambda *_: [-1e9]) == math.inf  # it has diverged


def test_predictions_that_are_no_numbers_are_refused(tokenizer, sentences):
    """They would make the model infinitely perplexed, and all its preferences wrong."""
    _, ours = model_pair("BertForMaskedLM")
    bias = "bert.encoder.layer.1.output.dense.bias"
    with torch.no_grad():
        ours.get_parameter(bias)[0] = math.nan
    with pytest.raises(ValueError, match=rf"^model: its predictions are NaN, because {bias} holds NaN or infinity; "):
        pseudo_perplexity(ours, tokenizer, sentences)
    with torch.no_grad():
        ours.get_parameter(bias)[0] = 3e38
        ours.get_input_embeddings().weight.fill_(3e38)
    with pytest.raises(ValueError, match=r"NaN, because its numbers are too large for torch\.float32; "):
        pseudo_log_likelihoods(ours, tokenizer, sentences)


def test_a_model_that_knows_nothing_is_as_perplexed_as_the_vocabulary_is_large(tokenizer, sentences):
    model = minibert.BertForMaskedLM(minibert.BertConfig(**TINY))
    with torch.no_grad():
        model.get_input_embeddings().weight.zero_()  # and with it the decoder
    assert pseudo_perplexity(model, tokenizer, sentences) == pytest.approx(TINY["vocab_size"], rel=1e-5)


def test_equal_sentences_tie_to_the_last_bit(monkeypatch, tokenizer, sentences):
    monkeypatch.setattr(pseudo_likelihood, "BATCH_TOKENS", 30)
    _, ours = model_pair("BertForMaskedLM")
    found = pseudo_log_likelihoods(ours, tokenizer, [*sentences, *reversed(sentences)])
    assert found == found[::-1]


def test_each_distinct_sentence_is_computed_once(monkeypatch, tokenizer):
    computed = []
    log_probabilities = pseudo_likelihood._log_probabilities

    def counted(model, inputs, labels):
        computed.extend(inputs.tolist())
        return log_probabilities(model, inputs, labels)

    monkeypatch.setattr(pseudo_likelihood, "_log_probabilities", counted)
    _, ours = model_pair("BertForMaskedLM")
    pseudo_log_likelihoods(ours, tokenizer, [[CLS, 7, 8, SEP], [CLS, 9, SEP], [CLS, 7, 8, SEP]])
    assert sorted(computed) == sorted([[CLS, MASK, 8, SEP], [CLS, 7, MASK, SEP], [CLS, MASK, SEP]])


def test_dropout_is_off_and_unknown_words_count(tokenizer):
    theirs, ours = model_pair("BertForMaskedLM")
    sentence = [CLS, 7, UNK, 8, SEP]
    found = pseudo_log_likelihoods(ours.train(), tokenizer, [sentence])
    assert found == pytest.approx([slow_score(theirs, sentence)], rel=1e-5)


def test_too_long_a_sentence_is_refused(tokenizer):
    _, ours = model_pair("BertForMaskedLM")
    with pytest.raises(ValueError, match="24"):
        pseudo_log_likelihoods(ours, tokenizer, [[CLS, *[7] * 23, SEP]])

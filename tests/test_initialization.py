"""What a model knows before its first step: frequencies, company, and where its neighbours are."""

import numpy as np
import pytest
import torch
import transformers
from torch.nn.functional import normalize

import minibert
from minibert.pretraining.initialization import (
    POSITION_DIMS,
    company_vectors,
    initialise_from_corpus,
    leading_tokens,
    log_frequencies,
    look_at_neighbours,
)
from minibert.text.packed import PackedCorpus

V = 90
FIRST_WORD = 10  # ids below it are special, or do not occur


def planted_ids(count=20_000):
    """Four topics of 20 words each; a sentence draws its 8 words from one of them."""
    rng = np.random.default_rng(0)
    return torch.from_numpy(FIRST_WORD + 20 * rng.integers(0, 4, count // 8).repeat(8) + rng.integers(0, 20, count))


def corpus_of(ids, sentence=8, document=10):
    """`ids` as documents of equal length."""
    sentence_starts = np.arange(0, len(ids) + 1, sentence)
    document_starts = np.arange(0, len(sentence_starts), document)
    return PackedCorpus(
        ids.numpy().astype("<u2"), sentence_starts, np.stack([document_starts[:-1], document_starts[1:]], 1)
    )


def model_of(heads=4, hidden=128, **changes):
    return minibert.BertForPreTraining(
        minibert.BertConfig(
            vocab_size=V,
            hidden_size=hidden,
            num_hidden_layers=2,
            num_attention_heads=heads,
            intermediate_size=64,
            max_position_embeddings=128,
            initializer_range=0.08,
            **changes,
        )
    ).eval()


# --- frequencies


def test_log_frequencies():
    found = log_frequencies(torch.tensor([1, 1, 1, 2]), 4)
    assert found.exp().tolist() == pytest.approx([0.5 / 6, 3.5 / 6, 1.5 / 6, 0.5 / 6])


def test_only_documents_of_the_corpus_are_counted():
    everything = corpus_of(torch.arange(800))  # ten documents of 80 tokens
    train, held_out = everything.split(every=5)
    ids = leading_tokens(train, enough=10_000)
    assert len(ids) == train.n_tokens == 640
    held_out_ids = {i for a, b in held_out.documents for i in range(8 * a, 8 * b)}
    assert not held_out_ids & set(ids.tolist())
    assert leading_tokens(train, enough=100).tolist() == list(range(160))  # whole documents
    assert leading_tokens(train, enough=640).tolist() == ids.tolist()


# --- company


def test_words_of_the_same_company_are_close():
    ids = planted_ids()
    vectors = company_vectors(ids, V, dims=4)
    has_company = torch.bincount(ids, minlength=V) > 0  # the special tokens have none
    assert vectors.shape == (V, 4)
    assert vectors[has_company].square().mean(1).tolist() == pytest.approx([1] * int(has_company.sum()), rel=1e-5)
    assert vectors[~has_company].abs().max() < 1e-3
    classes = normalize(vectors[FIRST_WORD:]).view(4, 20, 4)
    likeness = torch.einsum("aid,bjd->abij", classes, classes)  # cosine of word i of class a and word j of b
    within = torch.stack([likeness[a, a] for a in range(4)])
    between = torch.stack([likeness[a, b] for a in range(4) for b in range(4) if a != b])
    assert within.amin() > between.amax() + 0.3


def test_company_is_the_same_for_the_same_seed():
    ids = planted_ids(4000)
    vectors = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        vectors.append(company_vectors(ids, V, dims=16))
    assert torch.equal(vectors[0], vectors[1])
    assert not torch.equal(vectors[0], vectors[2])


def test_a_vocabulary_smaller_than_the_vectors():
    vectors = company_vectors(torch.tensor([0, 1, 2, 0, 1, 2, 1, 0]), vocab_size=3, dims=8)
    assert vectors.shape == (3, 8) and float(vectors.square().mean()) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_corpus_of_hardly_any_tokens(count):
    assert company_vectors(torch.arange(count), vocab_size=5, dims=4).isfinite().all()


# --- neighbours


@pytest.mark.parametrize(("heads", "hidden"), [(4, 128), (2, 128), (8, 128)])  # heads of 32, 64 and 16
def test_every_head_of_a_fresh_model_looks_at_its_neighbour(heads, hidden):
    model = model_of(heads, hidden)
    initialise_from_corpus(model, corpus_of(planted_ids(4000)))
    ids = torch.randint(FIRST_WORD, V, (3, 100))
    segments = (torch.arange(100) >= 40).long().expand(3, -1)
    first_layer, second_layer = model(ids, token_type_ids=segments, output_attentions=True).attentions
    offsets = [-1, 1, -2, 2, -3, 3, -4, 4][:heads]
    inner = torch.arange(4, 96)
    for head, offset in enumerate(offsets):
        weights = first_layer[:, head, inner]  # (3, 92, 100)
        assert torch.equal(weights.argmax(-1), (inner + offset).expand(3, -1)), f"head {head}"
        assert weights.amax(-1).mean() > 0.5
    assert second_layer.amax() < 0.5  # the others find out for themselves


def test_positions_and_words_have_dimensions_of_their_own():
    model = model_of()
    initialise_from_corpus(model, corpus_of(planted_ids(4000)))
    words, positions = model.get_input_embeddings().weight, model.bert.embeddings.position.weight
    assert not words[:, :POSITION_DIMS].any() and not positions[:, POSITION_DIMS:].any()
    for part in (words[:, POSITION_DIMS:], positions[:, :POSITION_DIMS]):
        assert float(part.detach().square().mean().sqrt()) == pytest.approx(0.08, rel=0.1)


def test_look_at_neighbours_touches_the_first_layers_scores_alone():
    model = model_of()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    look_at_neighbours(model)
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    attention = "bert.encoder.layer.0.attention"
    assert changed == {
        *(f"bert.embeddings.{table}_embeddings.weight" for table in ("position", "token_type")),
        *(f"{attention}.self.{projection}.weight" for projection in ("query", "key")),
    }


# --- the whole


@pytest.mark.parametrize("pad_token_id", [0, 7, None])
def test_padding_row_is_zero(pad_token_id):
    ids = planted_ids(4000)
    ids[::5] = 7  # even if it occurred in the text
    model = model_of(pad_token_id=pad_token_id)
    initialise_from_corpus(model, corpus_of(ids))
    assert bool(model.get_input_embeddings().weight[7].any()) == (pad_token_id != 7)


def test_it_is_a_plain_bert(tmp_path):
    model = model_of()
    shapes = {name: p.shape for name, p in model.named_parameters()}
    initialise_from_corpus(model, corpus_of(planted_ids(4000)))
    assert {name: p.shape for name, p in model.named_parameters()} == shapes
    assert all(p.requires_grad and p.isfinite().all() for p in model.parameters())
    assert model.mlm_head.decoder.weight is model.get_input_embeddings().weight
    model.save_pretrained(tmp_path)
    theirs, info = transformers.BertForPreTraining.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    ids = torch.randint(FIRST_WORD, V, (2, 20))
    with torch.no_grad():
        torch.testing.assert_close(
            model(ids).prediction_logits, theirs.eval()(ids).prediction_logits, rtol=1e-5, atol=1e-5
        )


def test_it_begins_better_than_a_guess():
    """Half of all tokens are one word: whoever knows the frequencies beats the uniform guess, log V."""
    ids = planted_ids(4000)
    ids[::2] = 11
    losses = []
    for initialise in (lambda model, corpus: None, initialise_from_corpus):
        model = model_of()
        initialise(model, corpus_of(ids))
        labels = {"labels": ids[400:800].view(8, 50), "next_sentence_label": torch.zeros(8, dtype=torch.long)}
        with torch.no_grad():
            losses.append(model(ids[:400].view(8, 50), **labels).loss_terms["mlm_loss"].item())
    assert losses[1] < np.log(V) - 0.5 < losses[0]

"""From documents to batches: what an example holds, that nothing but seed, epoch and index decides, padding."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from minibert.labels import IGNORE_INDEX, IS_RANDOM
from minibert.text.dataset import PretrainingCollator, PretrainingDataset
from minibert.text.packed import PackedCorpus
from minibert.text.tokenizer import BertTokenizer


@pytest.fixture(scope="module")
def documents():
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefgh"), rng.integers(2, 9))) for _ in range(300)]
    return [[" ".join(rng.choice(words, rng.integers(3, 12))) for _ in range(20)] for _ in range(150)]


@pytest.fixture(scope="module")
def tokenizer(documents):
    return BertTokenizer.train((s for document in documents for s in document), vocab_size=200)


@pytest.fixture(scope="module")
def corpus(documents, tokenizer):
    return PackedCorpus.from_documents(documents, tokenizer)


@pytest.fixture
def dataset(corpus, tokenizer):
    return PretrainingDataset(corpus, tokenizer, max_length=64, seed=0)


def restore(example):
    """The ids of an example before they were masked."""
    return np.where(example["labels"] == IGNORE_INDEX, example["input_ids"], example["labels"])


def same(a, b):
    return all(np.array_equal(a[name], b[name]) for name in a) and a.keys() == b.keys()


def test_an_example_is_its_pair(dataset, corpus, tokenizer):
    for index in range(0, len(dataset), 7):
        a_start, a_end, b_start, b_end, label = dataset.pairs[index]
        example = dataset[index]
        a, b = corpus.ids[a_start:a_end].tolist(), corpus.ids[b_start:b_end].tolist()
        cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
        assert restore(example).tolist() == [cls, *a, sep, *b, sep]
        assert example["token_type_ids"].tolist() == [0] * (len(a) + 2) + [1] * (len(b) + 1)
        assert example["next_sentence_label"] == label
        assert {example[name].dtype for name in ["input_ids", "token_type_ids", "labels"]} == {np.dtype(np.int64)}


def test_long_sentences_are_cut(tokenizer):
    words = [f"a{'bcdefgh'[i % 7]} " * 40 for i in range(30)]
    corpus = PackedCorpus.from_documents([[words[i], words[i + 1]] for i in range(0, 30, 2)], tokenizer)
    dataset = PretrainingDataset(corpus, tokenizer, max_length=32, seed=0)
    shown = np.zeros(len(corpus.ids), dtype=bool)
    for a_start, a_end, b_start, b_end, _ in dataset.pairs:
        shown[a_start:a_end] = shown[b_start:b_end] = True
    assert shown.mean() > 0.8 and np.diff(corpus.sentence_starts).min() > 32


@pytest.mark.parametrize("whole_word_masking", [False, True])
def test_masking_over_a_whole_epoch(corpus, tokenizer, whole_word_masking):
    dataset = PretrainingDataset(corpus, tokenizer, 128, seed=0, whole_word_masking=whole_word_masking)
    examples = dataset.__getitems__(range(len(dataset)))
    labels = np.concatenate([example["labels"] for example in examples])
    inputs = np.concatenate([example["input_ids"] for example in examples])
    chosen = labels != IGNORE_INDEX
    assert len(labels) > 50_000 and not np.isin(labels[chosen], tokenizer.all_special_ids).any()
    assert chosen.mean() == pytest.approx(0.15, abs=0.005)
    assert (inputs[chosen] == tokenizer.mask_token_id).mean() == pytest.approx(0.8, abs=0.02)
    counts = [(example["labels"] != IGNORE_INDEX).sum() for example in examples]
    quotas = [max(1, round(0.15 * len(example["labels"]))) for example in examples]
    assert all(count <= quota for count, quota in zip(counts, quotas, strict=True))
    assert whole_word_masking or counts == quotas


def test_whole_words(corpus, tokenizer):
    dataset = PretrainingDataset(corpus, tokenizer, 64, seed=0, whole_word_masking=True)
    continues = {i for token, i in tokenizer.get_vocab().items() if token.startswith("##")}
    n_pieces = 0
    for example in dataset.__getitems__(range(len(dataset))):
        ids, chosen = restore(example).tolist(), (example["labels"] != IGNORE_INDEX).tolist()
        for position in range(2, len(ids)):
            if ids[position] in continues and ids[position - 1] not in tokenizer.all_special_ids:
                assert chosen[position] == chosen[position - 1]
                n_pieces += 1
    assert n_pieces > 10_000


def test_options_reach_the_masking(corpus, tokenizer):
    dataset = PretrainingDataset(corpus, tokenizer, 64, seed=0, masking_rate=0.4, max_predictions=20)
    counts = {len(e["labels"]): (e["labels"] != IGNORE_INDEX).sum() for e in map(dataset.__getitem__, range(200))}
    assert counts[64] == 20 and all(count == min(20, round(0.4 * n)) for n, count in counts.items())


def test_an_example_depends_on_seed_epoch_and_index_alone(dataset, corpus, tokenizer):
    dataset.set_epoch(3)
    alone = [dataset[index] for index in range(50)]
    together = dataset.__getitems__(list(range(49, -1, -1)))[::-1]
    other = PretrainingDataset(corpus, tokenizer, max_length=64, seed=0)
    other.set_epoch(3)
    afresh = [other[index] for index in range(50)]
    assert all(same(a, b) and same(a, c) for a, b, c in zip(alone, together, afresh, strict=True))


def test_every_epoch_is_new(dataset, corpus, tokenizer):
    first = [dataset[index] for index in range(50)]
    dataset.set_epoch(1)
    second = [dataset[index] for index in range(50)]
    reseeded = PretrainingDataset(corpus, tokenizer, max_length=64, seed=1)
    assert not any(same(a, b) for a, b in zip(first, second, strict=True))
    assert not any(same(first[index], reseeded[index]) for index in range(50))
    dataset.set_epoch(0)
    assert all(same(example, dataset[index]) for index, example in enumerate(first))


def test_masks_are_new_where_the_pairs_are_the_same(tokenizer):
    # One document of one sentence has but one pair: only the mask is left to chance.
    dataset = PretrainingDataset(PackedCorpus.from_documents([["ab cd ef gh ba"]], tokenizer), tokenizer, 64, 0)
    masks = set()
    for epoch in range(20):
        dataset.set_epoch(epoch)
        assert len(dataset) == 1 and dataset[0]["next_sentence_label"] == IS_RANDOM
        masks.add(tuple(dataset[0]["labels"].tolist()))
    assert len(masks) > 5


def test_data_loader_with_and_without_workers(dataset, tokenizer):
    collator = PretrainingCollator(tokenizer.pad_token_id)
    options = {"batch_size": 16, "sampler": range(64), "collate_fn": collator}
    here = list(DataLoader(dataset, **options))
    elsewhere = list(DataLoader(dataset, num_workers=2, multiprocessing_context="fork", **options))
    assert len(here) == 4
    for a, b in zip(here, elsewhere, strict=True):
        assert a.pop("labelled_logits_only") and b.pop("labelled_logits_only")
        assert a.pop("label_count") == b.pop("label_count") == (a["labels"] != IGNORE_INDEX).sum()
        assert all(torch.equal(a[name], b[name]) for name in a) and a.keys() == b.keys()


def test_collator_pads_to_the_longest(dataset):
    examples = sorted((dataset[index] for index in range(200)), key=lambda example: len(example["labels"]))[::40]
    batch = PretrainingCollator(pad_token_id=9)(examples)
    assert batch.pop("labelled_logits_only") is True
    assert batch.pop("label_count") == sum((example["labels"] != IGNORE_INDEX).sum() for example in examples)
    longest = len(examples[-1]["labels"])
    assert {name: tuple(tensor.shape) for name, tensor in batch.items()} == {
        "input_ids": (5, longest),
        "attention_mask": (5, longest),
        "token_type_ids": (5, longest),
        "labels": (5, longest),
        "next_sentence_label": (5,),
    }
    assert {tensor.dtype for tensor in batch.values()} == {torch.int64}
    for row, example in enumerate(examples):
        length = len(example["labels"])
        padding = {"input_ids": 9, "attention_mask": 0, "token_type_ids": 0, "labels": IGNORE_INDEX}
        for name, value in padding.items():
            expected = example.get(name, np.ones(length))
            assert batch[name][row, :length].tolist() == expected.tolist()
            assert (batch[name][row, length:] == value).all()
        assert batch["next_sentence_label"][row] == example["next_sentence_label"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"masking_rate": 0.0}, "masking_rate: .*found 0.0"),
        ({"masking_rate": 1.5}, "masking_rate: .*found 1.5"),
        ({"max_predictions": 0}, "max_predictions: .*found 0"),
        ({"max_length": 4}, "max_length: .*found 4"),
    ],
)
def test_bad_options_are_named(corpus, tokenizer, options, message):
    with pytest.raises(ValueError, match=message):
        PretrainingDataset(corpus, tokenizer, **{"max_length": 64, "seed": 0, **options})

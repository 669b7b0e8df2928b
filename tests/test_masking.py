"""Every proportion of the masking recipe, on more than 100,000 tokens; and where its randomness comes from."""

import numpy as np
import pytest

from minibert.labels import IGNORE_INDEX
from minibert.text.masking import example_keys, mask_tokens, mix

V, MASK, CLS, SEP = 1000, 4, 2, 3


def batch(n_sequences, length, seed=0):
    """[CLS] ... [SEP] of ordinary tokens, all of one length."""
    ids = np.random.default_rng(seed).integers(5, V, (n_sequences, length))
    ids[:, 0], ids[:, -1] = CLS, SEP
    return ids


def mask(ids, seed=0, epoch=0, **options):
    keys = example_keys(seed, epoch, np.arange(len(ids)))
    lengths = np.full(len(ids), ids.shape[1])
    return mask_tokens(ids, ids >= 5, lengths, keys, mask_token_id=MASK, vocab_size=V, **options)


def share_is(found, count, expected):
    return abs(found - expected) < 5 * (expected * (1 - expected) / count) ** 0.5


def test_proportions():
    ids = batch(20_000, 64)  # 1.28 million tokens
    inputs, labels = mask(ids)
    chosen = labels != IGNORE_INDEX
    assert (chosen.sum(axis=1) == round(0.15 * 64)).all()
    n = int(chosen.sum())
    assert share_is((inputs[chosen] == MASK).mean(), n, 0.8)
    kept = (inputs[chosen] == ids[chosen]).mean()
    assert share_is(kept, n, 0.1 + 0.1 / V)  # a random token is now and then the same token
    assert share_is(((inputs[chosen] != MASK) & (inputs[chosen] != ids[chosen])).mean(), n, 0.1 * (1 - 2 / V))


def test_chosen_tokens_are_labelled_and_others_untouched():
    ids = batch(100, 64)
    inputs, labels = mask(ids)
    chosen = labels != IGNORE_INDEX
    assert (labels[chosen] == ids[chosen]).all() and (inputs[~chosen] == ids[~chosen]).all()
    assert not np.shares_memory(inputs, ids) and (ids == batch(100, 64)).all()


def test_every_position_is_chosen_alike():
    _, labels = mask(batch(20_000, 34))
    counts = (labels != IGNORE_INDEX).sum(axis=0)
    assert counts[0] == counts[-1] == 0
    assert all(share_is(n / 20_000, 20_000, 5 / 32) for n in counts[1:-1])


def test_random_token_is_uniform_over_the_whole_vocabulary():
    inputs, labels = mask(batch(20_000, 128), rate=0.5)
    replaced = inputs[(labels != IGNORE_INDEX) & (inputs != MASK) & (inputs != labels)]
    counts = np.delete(np.bincount(replaced, minlength=V), MASK)
    assert len(replaced) > 100_000 and counts[:3].min() > 0  # special tokens, too
    chi_squared = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
    assert abs(chi_squared - V) < 5 * (2 * V) ** 0.5


def test_choices_of_one_token_are_independent():
    inputs, labels = mask(batch(20_000, 64))
    chosen = labels != IGNORE_INDEX
    first, second = chosen[:, 1:-2], chosen[:, 2:-1]
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1] + 1 / 61) < 0.005  # without replacement
    is_mask = (inputs == MASK)[chosen].reshape(len(inputs), -1)
    assert abs(np.corrcoef(is_mask[:, 0], is_mask[:, 1])[0, 1]) < 0.04


@pytest.mark.parametrize(
    ("length", "rate", "expected"), [(3, 0.15, 1), (6, 0.05, 1), (10, 0.15, 2), (64, 0.4, 26), (9, 1.0, 7)]
)
def test_number_of_predictions(length, rate, expected):
    # Rounded, at least one, and no more than there are tokens that may be chosen.
    _, labels = mask(batch(50, length), rate=rate)
    assert ((labels != IGNORE_INDEX).sum(axis=1) == expected).all()


@pytest.mark.parametrize("whole_words", [False, True])
def test_max_predictions(whole_words):
    ids = batch(50, 128)
    _, labels = mask(ids, max_predictions=7, word_starts=ids % 2 == 0 if whole_words else None)
    counts = (labels != IGNORE_INDEX).sum(axis=1)
    assert counts.max() == 7 and (whole_words or counts.min() == 7)


def test_sequences_of_different_lengths_and_nothing_to_mask():
    ids = batch(3, 40)
    maskable = ids >= 5
    maskable[1, 19:] = False
    maskable[2] = False
    keys = example_keys(0, 0, np.arange(3))
    options = {"mask_token_id": MASK, "vocab_size": V}
    for word_starts in [None, ids % 3 > 0]:
        _, labels = mask_tokens(ids, maskable, np.array([40, 20, 2]), keys, word_starts=word_starts, **options)
        chosen = labels != IGNORE_INDEX
        assert not (chosen & ~maskable).any()
        assert chosen.sum(axis=1).tolist() == [6, 3, 0]


def test_a_mask_depends_on_its_key_alone():
    ids = batch(8, 64)
    keys = example_keys(7, 2, np.arange(8))
    options = {"mask_token_id": MASK, "vocab_size": V}
    inputs, labels = mask_tokens(ids, ids >= 5, np.full(8, 64), keys, **options)
    order = np.array([5, 0, 3])
    padded = np.pad(ids[order], ((0, 0), (0, 30)))
    again, again_labels = mask_tokens(padded, padded >= 5, np.full(3, 64), keys[order], **options)
    assert (again[:, :64] == inputs[order]).all() and (again_labels[:, :64] == labels[order]).all()


def test_masks_are_new_for_every_seed_epoch_and_index():
    ids = np.tile(batch(1, 128), (200, 1))
    masks = [mask(ids, seed, epoch)[1] != IGNORE_INDEX for seed, epoch in [(0, 0), (0, 1), (1, 0), (-1, 0)]]
    assert len(np.unique(np.concatenate(masks), axis=0)) == 800
    overlap = (masks[0] & masks[1]).sum() / masks[0].sum()
    assert abs(overlap - 19 / 126) < 0.03  # as often as chance has it


def test_keys_do_not_collide():
    keys = np.concatenate([example_keys(seed, epoch, np.arange(1000)) for seed in range(-5, 5) for epoch in range(10)])
    assert len(np.unique(keys)) == 100_000


# --- whole words ---


def words_of(word_starts, maskable):
    """The positions of each word of one sequence, found the slow way."""
    words = []
    for position, (starts, may) in enumerate(zip(word_starts, maskable, strict=True)):
        if may and (starts or not maskable[position - 1]):
            words.append([])
        if may:
            words[-1].append(position)
    return words


def test_words_are_hidden_whole():
    ids = batch(5000, 64)
    ids[:, 30] = SEP
    word_starts = ids % 3 > 0  # a third of the tokens go on a word
    inputs, labels = mask(ids, word_starts=word_starts)
    chosen = labels != IGNORE_INDEX
    for row in range(200):
        for word in words_of(word_starts[row], ids[row] >= 5):
            assert chosen[row, word].all() or not chosen[row, word].any()
    counts = chosen.sum(axis=1)
    assert counts.max() == 10 and counts.mean() > 9.9
    assert share_is((inputs[chosen] == MASK).mean(), int(chosen.sum()), 0.8)


def test_a_word_that_would_overfill_is_passed_over():
    ids = batch(200, 12)  # two words: one of eight tokens, one of two; a quota of two
    word_starts = np.zeros_like(ids, dtype=bool)
    word_starts[:, [1, 9]] = True
    _, labels = mask(ids, word_starts=word_starts)
    assert ((labels != IGNORE_INDEX) == np.isin(np.arange(12), [9, 10])).all()


def test_words_are_chosen_alike():
    ids = batch(20_000, 42)
    word_starts = np.broadcast_to(np.arange(42) % 2 == 1, ids.shape)  # twenty words of two tokens
    _, labels = mask(ids, word_starts=word_starts)
    counts = (labels != IGNORE_INDEX).sum(axis=0)[1:-1]
    assert all(share_is(n / 20_000, 20_000, 3 / 20) for n in counts)


# --- the same masks for ever: a run that was resumed with another version of minibert would be another run


def test_the_bits_are_those_of_splitmix64():
    """The first numbers of its published C code (Steele et al. 2014) from the seed 1234567."""
    states = np.uint64(1234567) + np.arange(5, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    assert mix(states).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_a_mask_as_it_always_was():
    inputs, labels = mask(np.arange(5, 65)[None].repeat(2, 0), seed=3, epoch=2)
    hidden = [np.flatnonzero(row != IGNORE_INDEX) for row in labels]
    seen = [row[places] for row, places in zip(inputs, hidden, strict=True)]
    assert [dict(zip(x.tolist(), y.tolist(), strict=True)) for x, y in zip(hidden, seen, strict=True)] == [
        {11: 4, 17: 4, 19: 4, 21: 26, 40: 569, 42: 4, 43: 4, 50: 55, 56: 4},
        {9: 14, 20: 4, 21: 26, 22: 4, 32: 4, 35: 40, 36: 4, 39: 4, 44: 49},
    ]

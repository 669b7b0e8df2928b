"""Masked language modelling: which tokens to hide, and behind what (Devlin et al. 2019, section 3.1, task 1).

A mask must be new at every visit of an example, and yet be the same after a resume, in another batch, or in
another process. So its randomness does not come from a generator with a history but from the example's *key*:
64 bits made from seed, epoch and index, and hashed with the position of each token.
"""

import numpy as np

from minibert.labels import IGNORE_INDEX

GOLDEN = 0x9E3779B97F4A7C15
_MAX = np.iinfo(np.uint64).max
_N_STREAMS = 3  # independent random numbers per token
_ORDER, _ACTION, _TOKEN = range(_N_STREAMS)


def example_keys(seed: int, epoch: int, indices: np.ndarray) -> np.ndarray:
    """One random-looking key for each example of an epoch: (B,) uint64, a pure function of the arguments."""
    seed_key = mix(np.array([seed % 2**64], dtype=np.uint64))
    epoch_key = mix(seed_key + np.uint64(epoch))
    return mix(epoch_key + np.asarray(indices).astype(np.uint64))


def mix(bits: np.ndarray) -> np.ndarray:
    """SplitMix64 (Steele, Lea and Flood 2014): scramble 64-bit numbers so that neighbours share nothing."""
    bits = bits + np.uint64(GOLDEN)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def _random_bits(keys: np.ndarray, n_positions: int, stream: int) -> np.ndarray:
    """(B, S) uint64, fresh bits for every key, position and stream; they do not depend on B or S."""
    counters = np.arange(n_positions, dtype=np.uint64) * np.uint64(_N_STREAMS) + np.uint64(stream)
    return mix(keys[:, None] + counters * np.uint64(GOLDEN))


def mask_tokens(
    input_ids: np.ndarray,
    maskable: np.ndarray,
    lengths: np.ndarray,
    keys: np.ndarray,
    *,
    mask_token_id: int,
    vocab_size: int,
    rate: float = 0.15,
    max_predictions: int | None = None,
    word_starts: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Hide some tokens of each sequence; returns the inputs and the labels, both (B, S).

    input_ids: (B, S) token ids; maskable: (B, S), False at special tokens and padding
    lengths: (B,) real tokens of each sequence, special ones included
    keys: (B,) uint64 from `example_keys`; row b depends on nothing random but `keys[b]`
    word_starts: (B, S), True where a word begins; if given, words are hidden whole or not at all

    `round(rate * length)` tokens are chosen in each sequence, at least one, at most `max_predictions`. Of
    these 80 % become [MASK], 10 % a random token, 10 % stay; all are labelled with what they were, the others
    with `IGNORE_INDEX`. The random token comes from the whole vocabulary, as in google-research/bert: it may
    be a special token, or by chance the token itself.
    """
    quota = np.maximum(1, np.rint(lengths * rate).astype(np.int64))
    if max_predictions is not None:
        quota = np.minimum(quota, max_predictions)
    order = np.where(maskable, _random_bits(keys, input_ids.shape[1], _ORDER), _MAX)
    if word_starts is None:
        chosen = _first_tokens(order, quota) & maskable
    else:
        chosen = _whole_words(order, quota, maskable, word_starts)
    action = _uniform(_random_bits(keys, input_ids.shape[1], _ACTION))
    random_ids = (_uniform(_random_bits(keys, input_ids.shape[1], _TOKEN)) * vocab_size).astype(input_ids.dtype)
    inputs = np.where(chosen & (action < 0.8), mask_token_id, input_ids)
    inputs = np.where(chosen & (action >= 0.9), random_ids, inputs)
    return inputs, np.where(chosen, input_ids, IGNORE_INDEX)


def _uniform(bits: np.ndarray) -> np.ndarray:
    """Uniform numbers in [0, 1): the upper 53 bits, as many as a float64 holds."""
    return (bits >> np.uint64(11)) * 2.0**-53


def _first_tokens(order: np.ndarray, quota: np.ndarray) -> np.ndarray:
    """The `quota[b]` positions of each row that come first when the row is sorted by `order`."""
    last_chosen = np.take_along_axis(np.sort(order, axis=1), quota[:, None] - 1, axis=1)
    return order <= last_chosen


def _whole_words(order: np.ndarray, quota: np.ndarray, maskable: np.ndarray, word_starts: np.ndarray) -> np.ndarray:
    """Words in random order, until the quota is full; a word that would overfill it is passed over."""
    follows_word = np.pad(maskable, ((0, 0), (1, 0)))[:, :-1]
    begins = maskable & (word_starts | ~follows_word)  # a special token ends a word, too
    word = np.cumsum(begins, axis=1) - 1  # the number of the word that each position belongs to
    chosen = np.zeros_like(maskable)
    for row, budget in enumerate(quota.tolist()):
        lengths = np.bincount(word[row, maskable[row]]).tolist()
        is_chosen = np.zeros(len(lengths) + 1, dtype=bool)  # one more for the -1 before the first word
        for number in np.argsort(order[row, begins[row]]).tolist():
            if lengths[number] <= budget:
                is_chosen[number] = True
                budget -= lengths[number]
        chosen[row] = maskable[row] & is_chosen[word[row]]
    return chosen

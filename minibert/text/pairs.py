"""Next-sentence pairs, drawn afresh every epoch (google-research/bert, create_pretraining_data.py).

A pair is two spans of the packed corpus. That is enough because the sentences of a document lie one after the
other, so a run of sentences is a span of tokens, and cutting tokens off its ends leaves a span.
"""

import random
from array import array
from bisect import bisect_left

import numpy as np
from tqdm import tqdm

from minibert.labels import IS_NEXT, IS_RANDOM
from minibert.text.packed import PackedCorpus

N_SPECIAL = 3  # [CLS] A [SEP] B [SEP]

# So many tokens, from all over a corpus, tell well enough how much of it is seen.
MOST_WATCHED_TOKENS = 500_000

# Among fewer pairs, either label may by chance be as rare as `balance_warning` warns of: three standard deviations.
FEW_PAIRS = 225


def cut_long_sentences(corpus: PackedCorpus, max_length: int) -> PackedCorpus:
    """The same tokens, but in documents of long sentences, those longer than half a window are cut into halves of one.

    Of long sentences are documents whose sentences are on average longer than half a window. Two such neighbours do not
    fit into a window, and what `draw_pairs` cuts off their ends is much the same in every epoch: of lines of 100 tokens
    a quarter would never be seen, of text without any stops nearly all. Only the last two pieces of a sentence, which
    share what is left, are shorter than half a window.

    A long sentence among shorter ones stays whole, and a corpus without documents of long sentences is returned as it
    is: of usual text, the pairs are those of google-research/bert, which shows all but a hundredth of it.
    """
    half = max(1, (max_length - N_SPECIAL + 1) // 2)
    starts = corpus.sentence_starts
    firsts, ends = corpus.documents.T
    of_long_sentences = corpus.documents[starts[ends] - starts[firsts] > half * (ends - firsts)].tolist()
    if not of_long_sentences:
        return corpus
    n_pieces = np.ones(len(starts) - 1, dtype=np.int64)
    for first, end in of_long_sentences:
        n_pieces[first:end] = -(-np.diff(starts[first : end + 1]) // half)
    first_piece = np.concatenate([[0], np.cumsum(n_pieces)])  # of each sentence
    place = np.arange(first_piece[-1]) - np.repeat(first_piece[:-1], n_pieces)  # of each piece, in its sentence
    cut = np.append(np.repeat(starts[:-1], n_pieces) + half * place, starts[-1])
    last = first_piece[1:][n_pieces > 1] - 1
    cut[last] = (cut[last - 1] + cut[last + 1]) // 2
    return PackedCorpus(corpus.ids, cut, first_piece[corpus.documents])


def draw_pairs(
    corpus: PackedCorpus, max_length: int, seed: int, epoch: int, short_probability: float = 0.1
) -> np.ndarray:
    """The pairs of one epoch, as (n_pairs, 5) int64: a_start, a_end, b_start, b_end (in `corpus.ids`), label.

    Every document is walked once, in shuffled order. Its target length is `max_length` less the special
    tokens, or with `short_probability` a random shorter one. Sentences are gathered until they reach it; A is
    a random number of them; B is the rest, or half of the time (always, when A took the only sentence) as
    many sentences as are needed from a random place of another document, and then the rest is used again.
    What is too long is cut.

    `seed` and `epoch` alone decide what is drawn. Raises `ValueError` if `max_length` has no room for a pair.
    """
    max_tokens = max_length - N_SPECIAL
    if max_tokens < 2:
        raise ValueError(f"max_length: expected at least {N_SPECIAL + 2}, [CLS] A [SEP] B [SEP], found {max_length}")
    rng = random.Random(f"pairs of seed {seed}, epoch {epoch}")
    order = list(range(corpus.n_documents))
    rng.shuffle(order)
    pairs = array("q")
    for document in tqdm(order, desc="drawing pairs", unit=" documents", delay=2, leave=False):
        is_short = rng.random() < short_probability
        target = rng.randint(2, max_tokens) if is_short else max_tokens
        _walk_document(corpus, document, target, max_tokens, rng, pairs)
    return np.frombuffer(pairs, dtype=np.int64).reshape(-1, 5)


def _walk_document(
    corpus: PackedCorpus, document: int, target: int, max_tokens: int, rng: random.Random, pairs: array
) -> None:
    starts = corpus.sentence_starts.data  # gives Python ints, faster than an array does
    sentence, end = corpus.documents[document].tolist()
    while sentence < end:
        chunk_end = _reach(starts, sentence, end, target)
        b_first = sentence + 1
        if chunk_end - sentence >= 2:
            b_first = sentence + rng.randint(1, chunk_end - sentence - 1)
        a_start, a_end = starts[sentence], starts[b_first]
        if b_first == chunk_end or rng.random() < 0.5:
            label = IS_RANDOM
            b_start, b_end = _random_span(corpus, starts, document, target - (a_end - a_start), rng)
            sentence = b_first  # the sentences that B would have had are used again
        else:
            label = IS_NEXT
            b_start, b_end = starts[b_first], starts[chunk_end]
            sentence = chunk_end
        pairs.extend((*_truncate(a_start, a_end, b_start, b_end, max_tokens, rng), label))


def _reach(starts: memoryview, sentence: int, end: int, n_tokens: int) -> int:
    """The end of the shortest run of sentences, from `sentence` on, that holds `n_tokens`; at most `end`."""
    return min(end, bisect_left(starts, starts[sentence] + n_tokens, sentence + 1, end))


def _random_span(
    corpus: PackedCorpus, starts: memoryview, document: int, n_tokens: int, rng: random.Random
) -> tuple[int, int]:
    """Sentences from a random place of another document (of this one, if ten draws give no other)."""
    for _ in range(10):
        other = rng.randrange(corpus.n_documents)
        if other != document:
            break
    first, end = corpus.documents[other].tolist()
    sentence = rng.randrange(first, end)
    return starts[sentence], starts[_reach(starts, sentence, end, n_tokens)]


def _truncate(
    a_start: int, a_end: int, b_start: int, b_end: int, max_tokens: int, rng: random.Random
) -> tuple[int, int, int, int]:
    """Cut single tokens off the longer of A and B (off B when they are equal) until both fit, at random ends.

    How many each of them loses is a matter of arithmetic; each lost token is then a coin that says which end.
    """
    a_length, b_length = a_end - a_start, b_end - b_start
    excess = max(0, a_length + b_length - max_tokens)
    from_longer = min(excess, abs(a_length - b_length))
    from_each = excess - from_longer
    from_a = from_each // 2 + (from_longer if a_length > b_length else 0)
    from_b = excess - from_a
    a_front = rng.getrandbits(from_a).bit_count()
    b_front = rng.getrandbits(from_b).bit_count()
    return a_start + a_front, a_end - (from_a - a_front), b_start + b_front, b_end - (from_b - b_front)


def random_share(pairs: np.ndarray) -> float:
    """The share of the pairs whose B is random (label `IS_RANDOM`); the rest are `IS_NEXT`."""
    return float((pairs[:, 4] == IS_RANDOM).mean())


def seen_share(corpus: PackedCorpus, max_length: int, seed: int, epochs: int) -> float:
    """The share of the tokens that stand in a pair of the first `epochs` epochs: what is cut off a pair is not seen.

    Of a large corpus, that of some of its documents.
    """
    step = -(-corpus.n_tokens // MOST_WATCHED_TOKENS)
    part = PackedCorpus(corpus.ids, corpus.sentence_starts, corpus.documents[::step])
    bar = tqdm(range(epochs), desc="looking what is seen", unit=" epochs", delay=2, leave=False)
    pairs = np.concatenate([draw_pairs(part, max_length, seed, epoch) for epoch in bar])
    return covered_tokens(pairs[:, :4].reshape(-1, 2)) / part.n_tokens


def covered_tokens(spans: np.ndarray) -> int:
    """How many different tokens lie in `spans`, (n, 2) of begin and end, which may overlap."""
    begins, ends = spans[spans[:, 0].argsort()].T
    reached = np.maximum.accumulate(ends)  # by a span and all before it
    new = reached[1:] - np.maximum(begins[1:], reached[:-1])
    return int(ends[0] - begins[0] + new.clip(min=0).sum())


def balance_warning(pairs: np.ndarray, corpus: PackedCorpus) -> str | None:
    """What to tell the user when the two labels of an epoch are out of balance (outside 40-60 %), and why it is so."""
    share = random_share(pairs)
    if 0.4 <= share <= 0.6:
        return None
    # The end of a document has no next sentence: of short documents, that is most of what there is.
    if share > 0.6 and len(pairs) < 5 * corpus.n_documents:
        per_document = corpus.n_sentences / corpus.n_documents
        why = (
            f"the documents are short, {per_document:.1f} sentences on average, and nothing follows the last one. Do "
            "blank lines separate documents, rather than sentences or paragraphs?"
        )
    elif len(pairs) < FEW_PAIRS:
        why = f"there are only {len(pairs):,} of them, and chance decides. Add text."
    else:
        why = (
            "many sentences are longer than what the model reads at a time, so that none fits beside them. Are there "
            "lines or tables without full stops among shorter sentences?"
        )
    return (
        f"{share:.0%} of the sentence pairs are random, {1 - share:.0%} consecutive: next-sentence prediction learns "
        f"little from that. It is so because {why}"
    )

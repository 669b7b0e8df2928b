"""Next-sentence pairs, drawn afresh every epoch (google-research/bert, create_pretraining_data.py).

A pair is two spans of the packed corpus. That is enough because the sentences of a document lie one after the
other, so a run of sentences is a span of tokens, and cutting tokens off its ends leaves a span.
"""

import itertools

import numpy as np
from tqdm import tqdm

from minibert.labels import IS_NEXT, IS_RANDOM
from minibert.text.draws import Draws
from minibert.text.masking import example_keys
from minibert.text.packed import PackedCorpus

N_SPECIAL = 3  # [CLS] A [SEP] B [SEP]

# Documents, enough that the arrays are long, and so few that what is in between takes little memory.
WALKED_TOGETHER = 1 << 16

# What is drawn for a document, and for each of its pairs.
_IS_SHORT, _TARGET = 1, 2
_SIZE_OF_A, _IS_RANDOM, _OTHER, _SENTENCE, _LOST_OF_A, _LOST_OF_B = range(1, 7)

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
    """The pairs of one epoch, (n_pairs, 5): a_start, a_end, b_start, b_end (in `corpus.ids`), label.

    Every document is walked once. Its target length is `max_length` less the special tokens, or with
    `short_probability` a random shorter one. Sentences are gathered until they reach it; A is a random number of them;
    B is the rest, or half of the time (always, when A took the only sentence) as many sentences as are needed from a
    random place of another document, and then the rest is used again. What is too long is cut.

    `seed`, `epoch` and the number of a document alone decide what is drawn for it: no draw waits for those before it,
    so many documents are walked at the same time, in arrays. Pairs come in the order of the documents, int32 where the
    positions fit. Raises `ValueError` if `max_length` has no room for a pair.
    """
    max_tokens = max_length - N_SPECIAL
    if max_tokens < 2:
        raise ValueError(f"max_length: expected at least {N_SPECIAL + 2}, [CLS] A [SEP] B [SEP], found {max_length}")
    dtype = np.int32 if corpus.sentence_starts[-1] <= np.iinfo(np.int32).max else np.int64
    parts = [np.empty((0, 5), dtype)]
    firsts = range(0, corpus.n_documents, WALKED_TOGETHER)
    for first in tqdm(firsts, desc="drawing pairs", unit=f" × {WALKED_TOGETHER:,} documents", delay=2, leave=False):
        documents = np.arange(first, min(first + WALKED_TOGETHER, corpus.n_documents))
        draws = Draws(example_keys(seed, epoch, documents))
        is_short = draws.share(_IS_SHORT) < short_probability
        targets = np.where(is_short, 2 + draws.below(max_tokens - 1, _TARGET), max_tokens)
        parts.append(_walk(corpus, documents, targets, max_tokens, draws).astype(dtype))
    return np.concatenate(parts)


def _walk(
    corpus: PackedCorpus, documents: np.ndarray, targets: np.ndarray, max_tokens: int, draws: Draws
) -> np.ndarray:
    """The pairs of some documents, (n, 5): in every turn the next one of each that has any sentences left."""
    starts = corpus.sentence_starts
    sentence, ends = corpus.documents[documents].T.copy()
    order, pairs = [], []
    turns = itertools.count(1)
    while len(documents):
        now = draws.turn(next(turns))
        chunk_end = _reach(starts, sentence, ends, targets)
        # A is all but one of the sentences at most, if there are several.
        b_first = sentence + 1 + now.below(np.maximum(chunk_end - sentence - 1, 1), _SIZE_OF_A)
        a_start, a_end = starts[sentence], starts[b_first]
        is_random = (now.share(_IS_RANDOM) < 0.5) | (b_first == chunk_end)
        b_start, b_end = a_end.copy(), starts[chunk_end]
        wanted = (targets - (a_end - a_start))[is_random]
        b_start[is_random], b_end[is_random] = _random_spans(corpus, documents[is_random], wanted, now.of(is_random))
        order.append(documents)
        spans = _truncate(a_start, a_end, b_start, b_end, max_tokens, now)
        pairs.append(np.stack([*spans, np.where(is_random, IS_RANDOM, IS_NEXT)], axis=1))
        sentence = np.where(is_random, b_first, chunk_end)  # what a random B did not take is used again
        left = sentence < ends
        documents, sentence, ends, targets = documents[left], sentence[left], ends[left], targets[left]
        draws = draws.of(left)
    return np.concatenate(pairs)[np.argsort(np.concatenate(order), kind="stable")]


def _reach(starts: np.ndarray, sentences: np.ndarray, ends: np.ndarray, n_tokens: np.ndarray) -> np.ndarray:
    """The end of the shortest run of sentences, from each on, that holds `n_tokens`; at most its document's end."""
    return np.clip(np.searchsorted(starts, starts[sentences] + n_tokens), sentences + 1, ends)


def _random_spans(
    corpus: PackedCorpus, documents: np.ndarray, n_tokens: np.ndarray, draws: Draws
) -> tuple[np.ndarray, np.ndarray]:
    """Sentences from a random place of another document than each (of this one, if there is no other)."""
    others = draws.below(max(corpus.n_documents - 1, 1), _OTHER)
    others += (others >= documents) & (corpus.n_documents > 1)
    firsts, ends = corpus.documents[others].T
    sentences = firsts + draws.below(ends - firsts, _SENTENCE)
    starts = corpus.sentence_starts
    return starts[sentences], starts[_reach(starts, sentences, ends, n_tokens)]


def _truncate(
    a_start: np.ndarray, a_end: np.ndarray, b_start: np.ndarray, b_end: np.ndarray, max_tokens: int, draws: Draws
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Cut single tokens off the longer of A and B (off B when they are equal) until both fit, at random ends.

    How many each of them loses is a matter of arithmetic; each lost token is then a coin that says which end.
    """
    a_length, b_length = a_end - a_start, b_end - b_start
    excess = np.maximum(0, a_length + b_length - max_tokens)
    from_longer = np.minimum(excess, abs(a_length - b_length))
    from_a = (excess - from_longer) // 2 + np.where(a_length > b_length, from_longer, 0)
    from_b = excess - from_a
    a_front, b_front = draws.heads(from_a, _LOST_OF_A), draws.heads(from_b, _LOST_OF_B)
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
    bar = tqdm(range(epochs), desc="counting what is seen", unit=" epochs", delay=2, leave=False)
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

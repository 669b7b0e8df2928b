"""The pair recipe, against an independent implementation that handles tokens one by one."""

import random

import numpy as np
import pytest

from minibert.labels import IS_NEXT, IS_RANDOM
from minibert.text.draws import Draws
from minibert.text.masking import example_keys
from minibert.text.packed import PackedCorpus
from minibert.text.pairs import (
    balance_warning,
    covered_tokens,
    cut_long_sentences,
    draw_pairs,
    random_share,
    seen_share,
)
from minibert.text.stdlib_docs import python_documentation
from minibert.text.tokenizer import BertTokenizer


def corpus_of(documents):
    """A corpus with sentences of the given lengths; its tokens are numbered, so that a span is its own content."""
    lengths = [length for document in documents for length in document]
    starts = np.cumsum([0, *lengths])
    ends = np.cumsum([len(document) for document in documents])
    spans = np.stack([ends - [len(document) for document in documents], ends], axis=1)
    return PackedCorpus(np.arange(starts[-1]), starts, spans)


def random_corpus(seed, n_documents=60, longest_document=30, longest_sentence=40):
    rng = random.Random(seed)
    return [
        [rng.randint(1, longest_sentence) for _ in range(rng.randint(1, longest_document))] for _ in range(n_documents)
    ]


class SlowRecipe:
    """The recipe of the original, in lists of tokens, for one document after the other; it draws what ours does."""

    def __init__(self, lengths, max_length, seed, epoch):
        numbers = iter(range(10**9))
        self.documents = [[[next(numbers) for _ in range(n)] for n in document] for document in lengths]
        self.max_tokens = max_length - 3
        self.seed, self.epoch = seed, epoch

    def pairs(self):
        return [pair for index in range(len(self.documents)) for pair in self.pairs_of_document(index)]

    def below(self, limit, purpose):
        return int(self.draws.below(limit, purpose)[0])

    def pairs_of_document(self, index):
        document, pairs, chunk, i = self.documents[index], [], [], 0
        of_document = self.draws = Draws(example_keys(self.seed, self.epoch, np.array([index])))
        short = self.draws.share(1)[0] < 0.1
        target = 2 + self.below(self.max_tokens - 1, 2) if short else self.max_tokens
        while i < len(document):
            chunk.append(document[i])
            if i == len(document) - 1 or sum(map(len, chunk)) >= target:
                self.draws = of_document.turn(len(pairs) + 1)
                size_of_a = 1 if len(chunk) == 1 else 1 + self.below(len(chunk) - 1, 1)
                a = sum(chunk[:size_of_a], [])
                if len(chunk) == 1 or self.draws.share(2)[0] < 0.5:
                    b, label = self.random_tokens(index, target - len(a)), IS_RANDOM
                    i -= len(chunk) - size_of_a
                else:
                    b, label = sum(chunk[size_of_a:], []), IS_NEXT
                self.truncate(a, b)
                pairs.append((a, b, label))
                chunk = []
            i += 1
        return pairs

    def random_tokens(self, index, wanted):
        others = [number for number in range(len(self.documents)) if number != index] or [index]
        document, tokens = self.documents[others[self.below(len(others), 3)]], []
        for sentence in document[self.below(len(document), 4) :]:
            tokens += sentence
            if len(tokens) >= wanted:
                break
        return tokens

    def truncate(self, a, b):
        victims, lengths = [], {"a": len(a), "b": len(b)}
        while sum(lengths.values()) > self.max_tokens:
            victims.append("a" if lengths["a"] > lengths["b"] else "b")
            lengths[victims[-1]] -= 1
        for name, tokens, purpose in [("a", a, 5), ("b", b, 6)]:
            count = victims.count(name)
            heads = int(self.draws.heads(np.array([count]), purpose)[0])
            for toss in range(count):
                tokens.pop(0 if toss < heads else -1)


@pytest.mark.parametrize(
    ("lengths", "max_length"),
    [
        (random_corpus(0), 64),
        (random_corpus(1), 128),
        (random_corpus(2, longest_sentence=3), 32),
        (random_corpus(3, longest_sentence=300), 16),
        (random_corpus(4, n_documents=2), 5),
        (random_corpus(5, longest_document=1), 64),
        (random_corpus(6, n_documents=1, longest_document=200), 64),
        ([[7]], 64),
        ([[1]], 5),
    ],
    ids=["64", "128", "short-sentences", "long-sentences", "smallest", "one-sentence-documents"]
    + ["one-document", "one-sentence", "one-token"],
)
def test_equal_to_the_slow_recipe(lengths, max_length):
    corpus = corpus_of(lengths)
    for epoch in range(5):
        expected = SlowRecipe(lengths, max_length, seed=3, epoch=epoch).pairs()
        drawn = draw_pairs(corpus, max_length, seed=3, epoch=epoch)
        assert drawn.shape == (len(expected), 5) and drawn.dtype == np.int32
        for (a_start, a_end, b_start, b_end, label), (a, b, expected_label) in zip(
            drawn.tolist(), expected, strict=True
        ):
            assert list(range(a_start, a_end)) == a
            assert list(range(b_start, b_end)) == b
            assert label == expected_label
            assert a and b and len(a) + len(b) <= max_length - 3


def test_many_documents_are_walked_a_part_at_a_time(monkeypatch):
    corpus = corpus_of(random_corpus(0))
    expected = draw_pairs(corpus, 64, seed=1, epoch=0)
    monkeypatch.setattr("minibert.text.pairs.WALKED_TOGETHER", 7)
    assert np.array_equal(draw_pairs(corpus, 64, seed=1, epoch=0), expected)


def test_positions_of_a_large_corpus():
    """Beyond 2³¹ tokens, which are in no memory here."""
    starts = np.arange(2**31 - 50, 2**31 + 50)
    corpus = PackedCorpus(np.empty(0, np.uint16), starts, np.array([[0, 50], [50, 99]]))
    pairs = draw_pairs(corpus, 16, seed=0, epoch=0)
    assert pairs.dtype == np.int64 and pairs[:, :4].min() >= 2**31 - 50 and pairs[:, :4].max() == 2**31 + 49


def share_is(found, count, expected):
    """Whether a share of `count` independent draws is within five standard deviations of `expected`."""
    return abs(found - expected) < 5 * (expected * (1 - expected) / count) ** 0.5


def test_half_of_the_pairs_are_random_where_there_is_a_choice():
    # 200,000 one-token sentences; only at a document's very end is a single sentence ever left over.
    pairs = draw_pairs(corpus_of([[1] * 4000] * 50), 64, seed=0, epoch=0)
    assert share_is(random_share(pairs), len(pairs), 0.5) and len(pairs) > 3000


def test_unused_sentences_are_put_back():
    # Documents of two sentences: one consecutive pair, or a random pair and another for what is left over.
    pairs = draw_pairs(corpus_of([[3, 3]] * 40_000), 64, seed=0, epoch=0)
    n_next = (pairs[:, 4] == IS_NEXT).sum()
    assert share_is(n_next / 40_000, 40_000, 0.5)
    assert len(pairs) == n_next + 2 * (40_000 - n_next)


def test_a_tenth_of_the_documents_has_a_short_target():
    # 61 one-token sentences are just what max_length 64 holds: a consecutive first pair of fewer is a short
    # one.
    n_documents = 20_000
    corpus = corpus_of([[1] * 61] * n_documents)

    def short_share(short_probability):
        pairs = draw_pairs(corpus, 64, seed=0, epoch=0, short_probability=short_probability)
        first = pairs[(pairs[:, 0] % 61 == 0) & (pairs[:, 4] == IS_NEXT)]
        lengths = first[:, 1] - first[:, 0] + first[:, 3] - first[:, 2]
        return (lengths < 61).mean(), lengths

    share, lengths = short_share(0.1)
    assert share_is(share, len(lengths), 0.1 * 59 / 60)  # the random target is uniform in 2..61
    assert abs(lengths[lengths < 61].mean() - 31) < 2.5 and lengths.min() == 2
    assert short_share(0.0)[0] == 0


def test_a_is_a_uniform_number_of_sentences():
    pairs = draw_pairs(corpus_of([[1] * 5] * 50_000), 64, seed=0, epoch=0, short_probability=0)
    first = pairs[pairs[:, 0] % 5 == 0]
    counts = np.bincount(first[:, 1] - first[:, 0], minlength=5)
    assert counts[0] == 0 and all(share_is(n / len(first), len(first), 0.25) for n in counts[1:])


def test_random_b_comes_from_anywhere_in_another_document():
    corpus = corpus_of([[10]] * 100 + [[10] * 10] * 5)
    pairs = np.concatenate([draw_pairs(corpus, 23, seed=0, epoch=epoch) for epoch in range(300)])
    pairs = pairs[pairs[:, 4] == IS_RANDOM]
    document = np.where(pairs[:, [0, 2]] < 1000, pairs[:, [0, 2]] // 10, 100 + (pairs[:, [0, 2]] - 1000) // 100)
    assert (document[:, 0] != document[:, 1]).all()
    counts = np.bincount(document[:, 1], minlength=105)  # every document as often, whatever its length
    assert abs(counts / counts.mean() - 1).max() < 6 / counts.mean() ** 0.5


def test_truncation_takes_from_both_ends_alike():
    pairs = draw_pairs(corpus_of([[100, 100]] * 3000), 64, seed=0, epoch=0, short_probability=0)
    a_front = pairs[:, 0] % 100
    a_back = 100 - (pairs[:, 1] - 1) % 100 - 1
    lost = int((a_front + a_back).sum())
    assert lost > 100_000 and share_is(a_front.sum() / lost, lost, 0.5)
    assert set((pairs[:, 1] - pairs[:, 0]).tolist()) == {31}  # of two equal ones, B loses the odd token
    assert set((pairs[:, 3] - pairs[:, 2]).tolist()) == {30}


def test_seed_and_epoch_alone_decide():
    corpus = corpus_of(random_corpus(0))
    first = draw_pairs(corpus, 64, seed=1, epoch=0)
    assert np.array_equal(first, draw_pairs(corpus, 64, seed=1, epoch=0))
    for other in [draw_pairs(corpus, 64, seed=1, epoch=1), draw_pairs(corpus, 64, seed=2, epoch=0)]:
        assert not np.array_equal(first, other)


def test_held_out_documents_are_never_drawn():
    corpus = corpus_of(random_corpus(0))
    train, held_out = corpus.split(every=5)
    forbidden = {t for first, end in held_out.documents for t in range(*corpus.sentence_starts[[first, end]])}
    for epoch in range(5):
        for a_start, a_end, b_start, b_end, _ in draw_pairs(train, 64, seed=0, epoch=epoch).tolist():
            assert forbidden.isdisjoint(range(a_start, a_end)) and forbidden.isdisjoint(range(b_start, b_end))


def test_too_small_a_length_is_refused():
    with pytest.raises(ValueError, match="max_length: expected at least 5.*found 4"):
        draw_pairs(corpus_of([[3, 3]]), 4, seed=0, epoch=0)


@pytest.mark.parametrize(("n_random", "warns"), [(39, True), (40, False), (60, False), (61, True), (100, True)])
def test_balance_warning(n_random, warns):
    pairs = np.zeros((100, 5), dtype=np.int64)
    pairs[:n_random, 4] = IS_RANDOM
    assert random_share(pairs) == n_random / 100
    warning = balance_warning(pairs, corpus_of([[1] * 100]))
    assert (warning is not None) == warns
    assert warning is None or f"{n_random}% of the sentence pairs are random" in warning
    assert warning is None or "only 100 of them" in warning


def test_the_warning_names_the_cause():
    """Lines that are documents, and not lines that are long."""
    for documents, short in (([[30]] * 50, True), ([[30, 30]] * 50, True), ([[200] * 20] * 20, False)):
        corpus = cut_long_sentences(corpus_of(documents), 128)
        warning = balance_warning(draw_pairs(corpus, 128, seed=0, epoch=0), corpus)
        assert (warning is not None) == short
        assert not short or f"the documents are short, {len(documents[0]):.1f} sentences on average" in warning


def test_the_warning_names_long_sentences_among_short_ones():
    corpus = corpus_of([[150, 10, 10] * 20] * 40)
    assert cut_long_sentences(corpus, 128) is corpus
    pairs = draw_pairs(corpus, 128, seed=0, epoch=0)
    assert "many sentences are longer than what the model reads at a time" in balance_warning(pairs, corpus)


# --- what is seen of long sentences


def pieces_of(corpus):
    """For each document the lengths of its sentences."""
    return [np.diff(corpus.sentence_starts[first : end + 1]).tolist() for first, end in corpus.documents]


def test_in_documents_of_long_sentences_they_are_cut_into_halves_of_a_window():
    corpus = corpus_of([[3, 20, 5, 5], [30], [11, 31, 4], [12, 8, 10], [14, 8, 11]])
    cut = cut_long_sentences(corpus, 23)  # 20 tokens, of which a half is 10
    assert pieces_of(cut) == [[3, 20, 5, 5], [10, 10, 10], [5, 6, 10, 10, 5, 6, 4], [12, 8, 10], [7, 7, 8, 5, 6]]
    assert cut.ids is corpus.ids and cut.n_tokens == corpus.n_tokens
    some = PackedCorpus(corpus.ids, corpus.sentence_starts, corpus.documents[[4, 0]])
    assert pieces_of(cut_long_sentences(some, 23)) == [[7, 7, 8, 5, 6], [3, 20, 5, 5]]


def test_usual_text_stays_as_it_is():
    """So that its pairs are those of the recipe: a long sentence now and then, but not on average."""
    rng = random.Random(0)
    lengths = [[rng.randint(1, 30) for _ in range(20)] + [rng.randint(32, 200)] for _ in range(50)]
    corpus = corpus_of(lengths)
    assert cut_long_sentences(corpus, 64) is corpus


def test_of_pythons_documentation_that_is_held_out_nothing_is_cut(stdlib_modules):
    """On it models are compared, so its pairs are those of the recipe."""
    tokenizer = BertTokenizer.from_pretrained("minibert-tiny")
    _, held_out = PackedCorpus.from_documents(python_documentation(stdlib_modules), tokenizer).split()
    assert cut_long_sentences(held_out, 128) is held_out and np.diff(held_out.sentence_starts).max() > 125


@pytest.mark.parametrize("lengths", [[[1500] * 10] * 6, [[100] * 20] * 20, [[125] * 20] * 20, [[3000]] * 20])
def test_all_of_long_sentences_is_seen(lengths):
    whole = corpus_of(lengths)
    cut = cut_long_sentences(whole, 128)
    assert seen_share(whole, 128, 0, 20) < 0.8  # hence the cut
    assert seen_share(cut, 128, 0, 1) > 0.85 and seen_share(cut, 128, 0, 20) > 0.999


def test_pairs_of_pieces_are_next_and_random():
    corpus = cut_long_sentences(corpus_of([[1500] * 2] * 200), 128)
    pairs = draw_pairs(corpus, 128, seed=0, epoch=0)
    assert 0.45 < random_share(pairs) < 0.6
    follows = pairs[pairs[:, 4] == IS_NEXT]
    gap = follows[:, 2] - follows[:, 1]
    assert (gap <= 63).all() and (gap <= 2).mean() > 0.5  # B goes on where A ends, up to what was cut off


@pytest.mark.parametrize("n_documents", [1, 30])
def test_seen_tokens_are_counted(monkeypatch, n_documents):
    corpus = corpus_of(random_corpus(1, n_documents))
    pairs = draw_pairs(corpus, 32, seed=5, epoch=0)
    seen = {token for a, b, c, d, _ in pairs.tolist() for token in (*range(a, b), *range(c, d))}
    assert covered_tokens(pairs[:, :4].reshape(-1, 2)) == len(seen)
    assert seen_share(corpus, 32, 5, 1) == len(seen) / corpus.n_tokens
    both = np.concatenate([pairs, draw_pairs(corpus, 32, seed=5, epoch=1)])
    assert seen_share(corpus, 32, 5, 2) == covered_tokens(both[:, :4].reshape(-1, 2)) / corpus.n_tokens
    monkeypatch.setattr("minibert.text.pairs.MOST_WATCHED_TOKENS", corpus.n_tokens // 2)
    assert n_documents == 1 or abs(seen_share(corpus, 32, 5, 1) - len(seen) / corpus.n_tokens) < 0.05

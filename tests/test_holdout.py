"""What is held out: a share of the tokens, of every kind of corpus, and nothing twice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibert.text.holdout import MOST_SHARES, hold_out
from minibert.text.packed import PackedCorpus
from minibert.text.stdlib_docs import python_documentation
from minibert.text.tokenizer import BertTokenizer


def corpus(*documents):
    """`starts` and `documents` of sentences of the given lengths."""
    ends = np.cumsum([len(document) for document in documents])
    spans = np.stack([ends - [len(document) for document in documents], ends], axis=1)
    return np.cumsum([0, *(length for document in documents for length in document)]), spans


def split(*documents, every=20):
    """(training documents, held-out documents), as lists of [first sentence, one after the last]."""
    return [part.tolist() for part in hold_out(*corpus(*documents), every)]


def test_of_documents_of_one_size_every_nth_is_held_out():
    train, held_out = split(*[[5, 5]] * 50, every=10)
    assert held_out == [[18, 20], [38, 40], [58, 60], [78, 80], [98, 100]]
    assert train == [[i, i + 2] for i in range(0, 100, 2) if [i, i + 2] not in held_out]


def test_short_documents_are_held_out_whole_and_the_end_of_long_ones():
    documents = [[1] * 20] * 40
    documents[19], documents[39] = [1] * 10, [1] * 60
    train, held_out = split(*documents)  # 830 tokens: at most 41 of them
    assert held_out == [[380, 390], [799, 830]]
    assert train[-2:] == [[750, 770], [770, 799]]


def test_small_documents_stay_whole_though_they_are_more_than_the_share():
    documents = [[1] * 10] * 400
    documents[19::20] = [[1] * 23] * 20  # 4,260 tokens, of which 460 are 2.2 shares
    _, held_out = split(*documents)
    assert [end - first for first, end in held_out] == [23] * 20
    documents[19::20] = [[1] * 28] * 20  # 2.6 shares
    _, held_out = split(*documents)
    assert [end - first for first, end in held_out] == [10] * 20  # 218 of 4,360 tokens


def test_of_pythons_documentation_every_twentieth_document_is_held_out(stdlib_modules):
    """Whatever the vocabulary: models are compared on it, and minibert-tiny has not read it."""
    vocabulary = BertTokenizer.from_pretrained("minibert-tiny")
    letters = BertTokenizer.train(["abcdefghijklmnopqrstuvwxyz"] * 2, 200)
    for tokenizer in (vocabulary, letters):
        corpus = PackedCorpus.from_documents(python_documentation(stdlib_modules), tokenizer)
        train, held_out = corpus.split()
        assert held_out.documents.tolist() == corpus.documents[19::20].tolist()
        assert train.n_documents + held_out.n_documents == corpus.n_documents > 400


def test_of_a_licence_and_a_book_the_end_of_the_book_is_held_out():
    licence, book = [9] * 5, [20] * 2400
    for documents in ([licence, book], [book, licence]):
        start = 5 if documents[0] is licence else 0
        train, held_out = split(*documents)
        assert held_out == [[start + 2400 - 120, start + 2400]]  # 2,400 of 48,045 tokens
        assert sum(end - first for first, end in train) == 2405 - 120


def test_a_single_document_is_cut():
    assert split([1] * 100) == [[[0, 95]], [[95, 100]]]
    assert split([7, 7, 7, 3, 2] * 20) == [[[0, 95]], [[95, 100]]]  # 26 of 520 tokens


def test_a_tiny_document_alone_is_no_measure():
    documents = [[10] * 30] * 25
    documents[19] = [3]
    train, held_out = split(*documents)  # 7,203 tokens
    assert held_out == [[0, 30], [570, 571]] and [0, 30] not in train


@pytest.mark.parametrize(
    ("documents", "held_out"),
    [([[5, 3]], [[1, 2]]), ([[5], [3]], [[1, 2]]), ([[9, 4], [9, 2], [9, 5]], [[3, 4]]), ([[1] * 19], [[18, 19]])],
)
def test_one_sentence_at_least(documents, held_out):
    assert split(*documents)[1] == held_out


lengths = st.lists(st.lists(st.integers(1, 300), min_size=1, max_size=60), min_size=1, max_size=80)


@given(lengths, st.sampled_from([2, 5, 20, 50]))
def test_no_more_than_its_share_but_for_small_documents(documents, every):
    starts, spans = corpus(*documents)
    if len(starts) < 3:
        return
    train, held_out = hold_out(starts, spans, every)
    parts = [[s for first, end in part.tolist() for s in range(first, end)] for part in (train, held_out)]
    assert sorted(parts[0] + parts[1]) == list(range(len(starts) - 1)) and parts[0] and parts[1]
    sizes = np.diff(starts)
    share = starts[-1] // every
    lengths = [sizes[first:end].sum() for first, end in held_out]
    are_whole_and_small = held_out.tolist() == spans[every - 1 :: every].tolist() and max(lengths) <= share
    most = MOST_SHARES * share if are_whole_and_small else share
    assert sum(lengths) <= most or len(parts[1]) == 1
    for first, end in [*train.tolist(), *held_out.tolist()]:  # of one document
        assert sum(begin < end and first < stop for begin, stop in spans.tolist()) == 1
    longest = max(sum(document) for document in documents)
    if longest > share:  # then there is enough to hold out, up to a sentence
        assert sum(lengths) > share / 2 - 300

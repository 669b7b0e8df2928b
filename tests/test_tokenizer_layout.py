"""Truncation and padding belong to a call: threads share a tokenizer, and what is changed in it is never missed."""

import copy
import pickle
import random
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from reference_tokenizer import HOSTILE, TEXTS, assert_same, reference_tokenizer, vocab_path
from tokenizers.normalizers import BertNormalizer

from minibert.text.tokenizer import BertTokenizer
from minibert.text.tokenizer_layout import KEPT_COPIES

CALLS = [
    {},
    {"padding": True},
    {"truncation": True, "max_length": 5},
    {"padding": "max_length", "truncation": True, "max_length": 20},
    {"padding": "max_length", "max_length": 9, "padding_side": "left"},
    {"truncation": "only_first", "max_length": 8, "stride": 2, "return_overflowing_tokens": True},
    {"padding": True, "pad_to_multiple_of": 16},
]


def both():
    return BertTokenizer(vocab_path("uncased")), reference_tokenizer(vocab_path("uncased"), True)


# --- threads


def test_threads_that_want_different_rows_do_not_mix_them():
    tokenizer = BertTokenizer(vocab_path("uncased"))
    texts = [" ".join(TEXTS[: n + 1]) for n in range(4)]
    alone = [tokenizer(texts, **options) for options in CALLS]

    def call(number: int) -> bool:
        return tokenizer(texts, **CALLS[number]) == alone[number]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call, random.Random(0).choices(range(len(CALLS)), k=700)))


def test_threads_that_share_a_tokenizer_nobody_used_before():
    lengths = range(3, 19)
    for _ in range(20):
        tokenizer = BertTokenizer(vocab_path("uncased"))
        with ThreadPoolExecutor(8) as pool:
            rows = [pool.submit(tokenizer, "the quick fox " * 9, max_length=length) for length in lengths]
        assert [len(row.result()["input_ids"]) for row in rows] == list(lengths)


def test_the_shared_tokenizer_keeps_no_setting_of_a_call():
    tokenizer = BertTokenizer(vocab_path("uncased"))
    for options in CALLS:
        tokenizer(TEXTS, **options)
    assert tokenizer.backend_tokenizer.truncation is None and tokenizer.backend_tokenizer.padding is None


# --- what is changed holds from the next call on


def test_tokens_added_between_calls():
    ours, reference = both()
    texts = ["the newcomer and the dog", "newcomers"]
    for one in (ours, reference):
        one(texts, padding=True)
        one.add_tokens(["newcomer"])
    for options in CALLS:
        assert_same(ours, reference, texts, **options)
    assert ours.convert_tokens_to_ids("newcomer") in ours(texts)["input_ids"][0]


@pytest.mark.parametrize("when", ["before a call", "after it"])
def test_whoever_holds_the_backend_may_change_it(when):
    ours, reference = both()
    for one in (ours, reference):
        backend = one.backend_tokenizer
        if when == "after it":
            one("The Fox", padding=True)
        backend.add_special_tokens(["fox"])
        backend.normalizer = BertNormalizer(lowercase=False)
    for options in CALLS:
        assert_same(ours, reference, ["The fox", "a Dog"], **options)


def test_settings_that_are_changed_between_calls():
    ours, reference = both()
    for side in ("left", "right", "left"):
        for one in (ours, reference):
            one.padding_side, one.truncation_side, one.model_max_length = side, side, 7
        assert_same(ours, reference, HOSTILE, padding=True, truncation=True)
    ours.padding_side = "top"
    with pytest.raises(ValueError, match="padding_side: expected 'left' or 'right', found 'top'"):
        ours("the")


def test_the_number_of_copies_is_bounded():
    tokenizer = BertTokenizer(vocab_path("uncased"))
    for length in range(3 * KEPT_COPIES):
        assert len(tokenizer("the " * 300, max_length=length + 2)["input_ids"]) == length + 2
    assert len(tokenizer._backends._copies) <= KEPT_COPIES


def test_a_pickled_or_copied_tokenizer_leaves_its_copies_behind():
    tokenizer = BertTokenizer(vocab_path("uncased"))
    fresh = len(pickle.dumps(tokenizer))
    for options in CALLS:
        tokenizer(TEXTS, **options)
    assert len(pickle.dumps(tokenizer)) == fresh
    other = copy.deepcopy(tokenizer)
    other.add_tokens(["zzz"])
    assert len(other) == len(tokenizer) + 1
    assert all(other(TEXTS, **options) == tokenizer(TEXTS, **options) for options in CALLS)


# --- a multiple of


@pytest.mark.parametrize("side", [None, "left", "right"])
def test_pad_to_a_multiple(side):
    ours, reference = both()
    options = {"pad_to_multiple_of": 8, "padding_side": side}
    assert_same(ours, reference, HOSTILE, padding=True, **options)
    assert_same(ours, reference, HOSTILE, padding="max_length", truncation=True, max_length=24, **options)
    assert_same(ours, reference, "the", padding="max_length", max_length=9, **options)
    assert len(ours("the", padding=True, **options)["input_ids"]) == 8


def test_a_multiple_that_truncation_contradicts():
    ours, reference = both()
    options = {"padding": True, "truncation": True, "max_length": 12, "pad_to_multiple_of": 8}
    with pytest.raises(ValueError, match="12 tokens.*a multiple of pad_to_multiple_of=8; pass a max_length that is"):
        ours("the", **options)
    with pytest.raises(ValueError):
        reference("the", **options)
    with pytest.raises(ValueError, match="pad_to_multiple_of: expected a positive number, found 0"):
        ours("the", padding=True, pad_to_multiple_of=0)


# --- arguments without effect


@pytest.mark.parametrize(
    "options, message",
    [
        ({"padding": True, "max_length": 9}, "max_length has no effect: pass truncation=True, or padding='max_length'"),
        ({"pad_to_multiple_of": 8}, "pad_to_multiple_of has no effect: pass padding=True"),
        ({"stride": 2}, "stride has no effect: pass truncation=True"),
        ({"truncation": True}, "rows keep their length: pass max_length"),
        ({"padding": "max_length"}, "rows keep their length: pass max_length"),
    ],
)
def test_an_argument_without_effect_is_said(options, message):
    tokenizer = BertTokenizer(vocab_path("uncased"))
    with pytest.warns(UserWarning, match=message) as caught:
        assert tokenizer("the dog", **options) == tokenizer("the dog")
    assert caught[0].filename == __file__
    with warnings.catch_warnings(action="error"):
        tokenizer("the dog", verbose=False, **options)


def test_no_warning_where_everything_has_an_effect():
    tokenizer = BertTokenizer(vocab_path("uncased"))
    with warnings.catch_warnings(action="error"):
        for options in CALLS:
            tokenizer(TEXTS, **options)


@pytest.mark.parametrize("length", [-1, "12", 7.5])
def test_a_max_length_that_is_none(length):
    with pytest.raises(ValueError, match=f"max_length: expected a number of tokens, found {length!r}"):
        BertTokenizer(vocab_path("uncased"))("the", truncation=True, max_length=length)

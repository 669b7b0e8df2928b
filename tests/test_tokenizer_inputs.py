"""What the tokenizer refuses, and how clearly it says so."""

import pytest
from reference_tokenizer import vocab_path

from minibert.text.tokenizer import BertTokenizer


@pytest.mark.parametrize(
    "texts, options, message",
    [
        ((None,), {}, "text: expected a str, found NoneType None"),
        ((3,), {}, "text: expected a str, found int 3"),
        ((b"bytes",), {}, "text: expected a str, found bytes"),
        ((iter(["a", "b"]),), {}, "text: expected a str, found list_iterator .*; a batch is a list of them"),
        (("a", 0), {}, "text_pair: expected a str, found int 0"),
        ((["a", float("nan")],), {}, r"text\[1\]: expected a str, found float nan"),
        ((["a", ["b", "c", "d"]],), {}, r"text\[1\]: expected a str, found list"),
        ((["a", ("b", 2)],), {}, r"text\[1\]: expected a str, found int 2"),
        (([],), {}, "empty list"),
        ((["a", "b"], ["c"]), {}, "text_pair: expected a list of 2 texts"),
        ((["a"], "c"), {}, "text_pair: expected a list of 1 texts"),
        ((["a"], [None]), {}, r"text_pair\[0\]: expected a str"),
        (("a b",), {"is_split_into_words": True}, "text: expected a list of words.*found 'a b'"),
        (([["a"], ["b", 1]],), {"is_split_into_words": True}, r"text\[1\]: expected a list of words"),
        (("a",), {"padding": "longets"}, "padding: expected one of .*'max_length', found 'longets'"),
        (("a",), {"truncation": "first"}, "truncation: expected one of .*'only_first'.*, found 'first'"),
        (("a",), {"truncation": ["only_first"]}, "truncation: expected one of"),
        (("a",), {"max_length": -1}, "max_length: expected a number of tokens, found -1"),
        (("a",), {"return_tensors": "tf"}, "return_tensors must be 'pt', 'np' or None, found 'tf'"),
        ((["a", "the dog ran"],), {"return_tensors": "pt"}, "input_ids cannot become.*padding=True"),
        ((["a", "the dog ran"],), {"return_tensors": "np"}, "input_ids cannot become.*padding=True"),
        (("a", "the dog ran off"), {"truncation": "only_first", "max_length": 4}, "max_length=4.*too short"),
        (("a",), {"return_tensors": "jax"}, "found 'jax'; other libraries take 'np'"),
        (("the \ud800",), {}, r"cannot tokenize text: its character 4, in 'the \\ud800', is half of one"),
        ((["a", "b", "é\udc80"],), {}, r"cannot tokenize text\[2\]: its character 1, in 'é\\udc80'"),
        ((["a", "b"], ["c", "\udfff"]), {}, r"cannot tokenize text\[1\]: its character 0"),
        (([["a"], ["b", "\ud800"]],), {"is_split_into_words": True}, r"cannot tokenize text\[1\]: its character 0"),
    ],
)
def test_a_bad_call_is_refused_by_name(texts, options, message):
    with pytest.raises(ValueError, match=message):
        BertTokenizer(vocab_path("uncased"))(*texts, **options)


def test_an_impossible_stride_is_an_error_and_not_a_panic():
    tokenizer = BertTokenizer(vocab_path("uncased"))
    with pytest.raises(ValueError, match="stride=3.*stride"):
        tokenizer("the dog ran to the lazy fox", truncation=True, max_length=5, stride=3)
    assert len(tokenizer("the dog", truncation=True, max_length=3)["input_ids"]) == 3


def test_an_unknown_argument():
    with pytest.raises(TypeError, match="msk_token"):
        BertTokenizer(vocab_path("uncased"), msk_token="[MASK]")


def test_without_any_limit_rows_keep_their_length_and_a_warning_says_so():
    tokenizer = BertTokenizer(vocab_path("uncased"))
    with pytest.warns(UserWarning, match="model_max_length") as caught:
        assert tokenizer("the dog", truncation=True) == tokenizer("the dog")
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="model_max_length"):
        tokenizer("the dog", padding="max_length")


def test_pad_refuses_what_it_cannot_pad():
    tokenizer = BertTokenizer(vocab_path("uncased"))
    with pytest.raises(ValueError, match="at least one"):
        tokenizer.pad([])
    with pytest.raises(ValueError, match=r"encoded_inputs\[1\].*'labels'"):
        tokenizer.pad([{"input_ids": [1], "labels": 1}, {"input_ids": [1]}])
    with pytest.raises(ValueError, match="expected input_ids.*'labels'"):
        tokenizer.pad([{"labels": 1}])
    with pytest.raises(ValueError, match="labels cannot become a tensor"):
        tokenizer.pad([{"input_ids": [1], "labels": "x"}], return_tensors="pt")
    with pytest.raises(ValueError, match=r"encoded_inputs\[0\]: expected a dict, found list"):
        tokenizer.pad([[1, 2]])
    with pytest.raises(ValueError, match="at least one"):
        tokenizer.pad({"input_ids": []})
    with pytest.raises(ValueError, match="labels: expected 2 rows as in input_ids, found 1"):
        tokenizer.pad({"input_ids": [[1], [2]], "labels": [1]})
    with pytest.raises(ValueError, match="padded, not tokenized"):
        tokenizer.pad([{"input_ids": [1]}]).word_ids(0)

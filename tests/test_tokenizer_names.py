"""The names of the reference that are not needed to understand a tokenizer: they give what they give there."""

import json

import pytest
import torch
import transformers
from reference_tokenizer import EXTRA, HOSTILE, PAIRS, TEXTS, reference_tokenizer, vocab_path
from tokenizers import Tokenizer

import minibert
from minibert.text.tokenizer import BertTokenizer
from minibert.text.tokenizer_names import ABSENT, ELSEWHERE


@pytest.fixture(scope="module")
def both():
    return BertTokenizer(vocab_path("uncased")), reference_tokenizer(vocab_path("uncased"), True)


def test_the_fast_tokenizer_is_the_tokenizer():
    assert minibert.BertTokenizerFast is minibert.BertTokenizer is BertTokenizer


@pytest.mark.parametrize(
    "name",
    [
        *("vocab", "vocab_size", "added_tokens_encoder", "special_tokens_map", "all_special_tokens", "all_special_ids"),
        *("is_fast", "pad_token_type_id", "bos_token", "eos_token_id", "model_input_names", "name_or_path"),
        *("padding_side", "truncation_side", "model_max_length", "max_len_single_sentence", "max_len_sentences_pair"),
        *(EXTRA, "clean_up_tokenization_spaces"),
    ],
)
def test_attributes(both, name):
    ours, reference = both
    assert getattr(ours, name) == getattr(reference, name)


def test_added_tokens_decoder(both):
    ours, reference = both
    assert list(map(repr, ours.added_tokens_decoder.values())) == list(
        map(repr, reference.added_tokens_decoder.values())
    )
    assert list(ours.added_tokens_decoder) == list(reference.added_tokens_decoder)
    assert ours.get_added_vocab() == reference.get_added_vocab()


def test_convert_tokens_to_string(both):
    ours, reference = both
    for text in HOSTILE:
        tokens = ours.tokenize(text, add_special_tokens=True)
        assert ours.convert_tokens_to_string(tokens) == reference.convert_tokens_to_string(tokens)
    assert ours.convert_tokens_to_string(["unaf", "##fab", "##le", "[SEP]"]) == "unaffable [SEP]"
    for text in ("it isn ' t , so .", "we 've they 're I 'm he 's do n't ! ?"):
        assert ours.clean_up_tokenization(text) == reference.clean_up_tokenization(text)


def test_what_stands_around_a_text(both):
    ours, reference = both
    for pair in (False, True):
        assert ours.num_special_tokens_to_add(pair) == reference.num_special_tokens_to_add(pair) == 2 + pair
    for first, second in PAIRS:
        a, b = (ours(text, add_special_tokens=False)["input_ids"] for text in (first, second))
        alone, together = ours([first]), ours([first], [second])
        assert ours.build_inputs_with_special_tokens(a) == alone["input_ids"][0]
        assert ours.build_inputs_with_special_tokens(a, b) == together["input_ids"][0]
        assert ours.create_token_type_ids_from_sequences(a) == alone["token_type_ids"][0]
        assert ours.create_token_type_ids_from_sequences(a, b) == together["token_type_ids"][0]


def test_get_special_tokens_mask(both):
    ours, reference = both
    for first, second in PAIRS:
        rows = ours(first, second, padding="max_length", max_length=300, return_special_tokens_mask=True)
        found = ours.get_special_tokens_mask(rows["input_ids"], already_has_special_tokens=True)
        assert found == reference.get_special_tokens_mask(rows["input_ids"], already_has_special_tokens=True)
    assert ours.get_special_tokens_mask([7, 8]) == [1, 0, 0, 1]
    assert ours.get_special_tokens_mask([7, 8], [9]) == [1, 0, 0, 1, 0, 1]
    with pytest.raises(ValueError, match="token_ids_1: with already_has_special_tokens=True"):
        ours.get_special_tokens_mask([2], [3], already_has_special_tokens=True)


def test_the_older_names_of_a_call(both):
    ours, _ = both
    options = {"padding": "max_length", "truncation": True, "max_length": 9, "return_tensors": None}
    assert ours.encode_plus("the fox", "a dog", **options) == ours("the fox", "a dog", **options)
    assert ours.batch_encode_plus(TEXTS, **options) == ours(TEXTS, **options)
    assert ours.batch_encode_plus(PAIRS, **options) == ours(PAIRS, **options)


def test_save_vocabulary(both, tmp_path):
    ours, _ = both
    (path,) = ours.save_vocabulary(tmp_path)
    assert BertTokenizer(path).get_vocab() == ours.get_vocab()
    assert [file.name for file in tmp_path.iterdir()] == ["vocab.txt"]


def test_what_save_pretrained_returns(both, tmp_path):
    ours, _ = both
    files = ours.save_pretrained(save_directory=tmp_path, push_to_hub=False)
    assert sorted(files) == sorted(str(file) for file in tmp_path.iterdir())


def test_the_names_of_the_first_argument(both, tmp_path):
    ours, _ = both
    ours.save_pretrained(tmp_path)
    path = str(tmp_path / "tokenizer.json")
    for other in (
        BertTokenizer.from_pretrained(pretrained_model_name_or_path=tmp_path, use_fast=False, trust_remote_code=False),
        BertTokenizer(tokenizer_file=path, do_basic_tokenize=True),
        BertTokenizer(tokenizer_object=Tokenizer.from_file(path)),
        BertTokenizer(Tokenizer.from_file(path)),
        BertTokenizer(vocab_file=str(tmp_path / "vocab.txt"), model_max_length=None),
    ):
        assert other(HOSTILE) == ours(HOSTILE)
    assert BertTokenizer.from_pretrained(tmp_path).name_or_path == str(tmp_path)
    assert "name_or_path" not in json.loads((tmp_path / "tokenizer_config.json").read_text())
    with pytest.raises(TypeError, match="takes one vocabulary, found vocab and tokenizer_file"):
        BertTokenizer(vocab_path("uncased"), tokenizer_file=path)


def test_a_tokenizer_object_is_not_changed(both):
    backend = Tokenizer.from_str(both[0].backend_tokenizer.to_str())
    backend.enable_truncation(3)
    before = backend.to_str()
    tokenizer = BertTokenizer(backend, do_lower_case=False)
    tokenizer.add_tokens(["newcomer"])
    assert backend.to_str() == before
    assert len(tokenizer("the the the the")["input_ids"]) == 6


COLLATORS = {
    "padding": lambda tokenizer: transformers.DataCollatorWithPadding(tokenizer, pad_to_multiple_of=8),
    "tokens": lambda tokenizer: transformers.DataCollatorForTokenClassification(tokenizer),
    "masks": lambda tokenizer: transformers.DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.5, seed=1),
}


@pytest.mark.parametrize("make", COLLATORS.values(), ids=COLLATORS)
def test_the_collators_of_the_reference_take_ours(both, make):
    rows = [dict(both[0](text)) for text in HOSTILE]
    if make is COLLATORS["tokens"]:
        rows = [row | {"labels": row["input_ids"]} for row in rows]
    batches = [make(tokenizer)([dict(row) for row in rows]) for tokenizer in both]
    assert batches[0].keys() == batches[1].keys() >= {"input_ids", "attention_mask"}
    assert all(torch.equal(batches[0][key], batches[1][key]) for key in batches[1])


# --- what is refused


@pytest.mark.parametrize("name", ELSEWHERE)
def test_an_argument_that_cannot_be_obeyed_is_refused_with_a_reason(both, name, tmp_path):
    ours, _ = both
    harmless, reason = ELSEWHERE[name]
    calls = [
        lambda value: BertTokenizer(vocab_path("uncased"), **{name: value}),
        lambda value: ours("the", **{name: value}),
        lambda value: ours.save_pretrained(tmp_path, **{name: value}),
        lambda value: ours.add_special_tokens({}, **{name: value}),
    ]
    for call in calls:
        for value in (None, *harmless):
            call(value)
        with pytest.raises(TypeError) as caught:
            call("no such value")
        assert f"{name}='no such value': {reason}" in str(caught.value)


def test_an_unknown_argument_is_refused(both, tmp_path):
    ours, _ = both
    with pytest.raises(TypeError, match="a call of BertTokenizer has no argument 'paddding'"):
        ours("the", paddding=True)
    with pytest.raises(TypeError, match="has no argument 'paddding'"):
        ours.encode_plus("the", paddding=True)
    with pytest.raises(TypeError, match="save_pretrained has no argument 'safe'"):
        ours.save_pretrained(tmp_path, safe=True)
    with pytest.raises(TypeError, match="save_vocabulary does not take filename_prefix='x': a folder holds one"):
        ours.save_vocabulary(tmp_path, "x")


@pytest.mark.parametrize("name", ABSENT)
def test_a_method_that_is_not_here_says_what_to_do(both, name):
    ours, _ = both
    assert not hasattr(ours, name)
    with pytest.raises(AttributeError) as caught:
        getattr(ours, name)
    assert f"BertTokenizer has no attribute {name!r}; {ABSENT[name]}" in str(caught.value)


def test_names_that_nobody_has(both):
    ours, _ = both
    with pytest.raises(AttributeError, match="^BertTokenizer has no attribute 'pad_tokn'$"):
        _ = ours.pad_tokn
    with pytest.raises(AttributeError, match="bos_token: BERT has none; sequences begin with cls_token"):
        ours.bos_token = "[CLS]"
    with pytest.raises(AttributeError, match=r"additional_special_tokens: add_special_tokens\("):
        ours.additional_special_tokens = ["<e>"]


def test_how_a_tokenizer_shows_itself():
    tokenizer = BertTokenizer(vocab_path("uncased"), added_tokens=["newcomer"], model_max_length=64)
    shown = "BertTokenizer(name_or_path='', model_max_length=64, do_lower_case=True, 217 tokens, added: ['[PAD]', "
    assert repr(tokenizer).startswith(shown) and repr(tokenizer).endswith("'newcomer'])")

"""Special and added tokens: their names, their ids, and what adding one changes."""

import pytest
import transformers
from reference_tokenizer import EXTRA, HOSTILE, assert_same, reference_tokenizer, vocab_path
from tokenizers import AddedToken

from minibert.text.tokenizer import BertTokenizer

NAMES = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


@pytest.fixture
def both():
    return BertTokenizer(vocab_path("uncased")), reference_tokenizer(vocab_path("uncased"), True)


# --- adding


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize(
    "tokens",
    [
        "Newcomer",
        ["Newcomer", "dog", "Newcomer"],
        [AddedToken("x1", lstrip=True), AddedToken("ox", single_word=True)],
        ["the", "quick"],  # of the vocabulary: found whole from now on, without a new id
        [],
    ],
)
def test_add_tokens(both, tokens, special):
    ours, reference = both
    counts = [one.add_tokens(tokens, special_tokens=special) for one in both]
    assert counts[0] == counts[1]
    assert [one.add_tokens(tokens, special_tokens=special) for one in both] == [0, 0]
    assert len(ours) == len(reference) and ours.get_vocab() == reference.get_vocab()
    assert ours.get_added_vocab() == reference.get_added_vocab()
    texts = [*HOSTILE, "a newcomer and Newcomer, the fox  x1 theNewcomer", "NEWCOMER quickly x1x1"]
    assert_same(ours, reference, texts, return_offsets_mapping=True)
    for row in ours(texts)["input_ids"]:
        for skip in (False, True):
            assert ours.decode(row, skip_special_tokens=skip) == reference.decode(row, skip_special_tokens=skip)


@pytest.mark.parametrize("key", ["additional_special_tokens", "extra_special_tokens"])
def test_add_additional_special_tokens(both, key):
    ours, reference = both
    tokens = ["<e1>", AddedToken("<e2>", lstrip=True)]
    assert ours.add_special_tokens({key: tokens}) == reference.add_special_tokens({EXTRA: tokens}) == 2
    assert ours.all_special_tokens == reference.all_special_tokens
    assert ours.all_special_ids == reference.all_special_ids
    assert ours.additional_special_tokens == ours.extra_special_tokens == getattr(reference, EXTRA)
    assert_same(ours, reference, [*HOSTILE, "the <e1> dog  <e2> <E1>"], return_offsets_mapping=True)
    # More of them join these; the reference's list, not its tokenizer, forgets the older ones.
    assert ours.add_special_tokens({key: ["<e3>"]}) == 1
    assert ours.additional_special_tokens == ["<e1>", "<e2>", "<e3>"]


def test_another_token_for_a_name(both):
    ours, reference = both
    for one in both:
        assert one.add_special_tokens({"cls_token": "<cls>", "pad_token": "<pad>", "sep_token": "[SEP]"}) == 2
    assert ours.special_tokens_map == reference.special_tokens_map
    assert ours.pad_token_id == reference.pad_token_id == len(ours) - 1
    row = ours("the fox", padding="max_length", max_length=6)["input_ids"]
    # The reference names the token, and goes on with the older one around its texts until it is saved and loaded.
    assert row == [ours.cls_token_id, *row[1:3], ours.sep_token_id, ours.pad_token_id, ours.pad_token_id]
    assert ours.convert_ids_to_tokens(row[0]) == "<cls>"


def test_another_token_for_a_name_survives_saving(both, tmp_path):
    ours, reference = both
    for one, name in zip(both, ("ours", "reference"), strict=True):
        one.add_special_tokens({"cls_token": "<cls>", "additional_special_tokens": ["<e>"]})
        one.add_tokens(["Newcomer"])
        one.save_pretrained(tmp_path / name)
    for folder in (tmp_path / "ours", tmp_path / "reference"):
        loaded, expected = (type(one).from_pretrained(folder) for one in both)
        if transformers.__version__ < "5" and folder.name == "reference":
            expected = ours  # as version 4 cannot load what it saved: [CLS] is around its texts again
        assert_same(loaded, expected, [*HOSTILE, "a <e> newcomer<cls>"])
        assert_same(ours, expected, [*HOSTILE, "a <e> newcomer<cls>"])
        assert loaded.get_vocab() == ours.get_vocab()


@pytest.mark.parametrize("name", NAMES)
def test_a_name_can_be_set_to_a_token_or_an_id(both, name):
    ours, _ = both
    setattr(ours, name, "the")
    assert getattr(ours, name) == "the" and getattr(ours, f"{name}_id") == ours.get_vocab()["the"]
    setattr(ours, f"{name}_id", 7)
    assert getattr(ours, name) == ours.convert_ids_to_tokens(7)
    assert ours.special_tokens_map[name] == ours.convert_ids_to_tokens(7)
    assert 7 in ours.all_special_ids
    row = ours("xyz ☃", padding="max_length", max_length=8)["input_ids"]
    assert 7 in row or name == "mask_token"


def test_unknown_words_become_the_new_unknown_token(both):
    ours, _ = both
    ours.unk_token = "the"
    assert ours("☃", add_special_tokens=False)["input_ids"] == [ours.get_vocab()["the"]]
    assert ours.convert_tokens_to_ids("no such token") == ours.get_vocab()["the"]


@pytest.mark.parametrize(
    "change, message",
    [
        (
            lambda t: setattr(t, "pad_token", "<pad>"),
            r"pad_token: .* no '<pad>'; add it with add_special_tokens\({'pad",
        ),
        (lambda t: setattr(t, "pad_token", None), "pad_token: the vocabulary has no None"),
        (lambda t: setattr(t, "pad_token_id", 10**6), "pad_token_id: expected an id below 216, found 1000000"),
        (lambda t: setattr(t, "unk_token", "<u>"), "unk_token: expected a token of the vocabulary itself, found '<u>'"),
        (lambda t: t.add_special_tokens({"unk_token": "<u>"}), "unk_token: expected a token of the vocabulary itself"),
        (lambda t: t.add_special_tokens({"bos_token": "<s>"}), r"expected of the keys .*, found \['bos_token'\]"),
        (lambda t: t.add_special_tokens({"cls_token": ["<s>"]}), "cls_token: expected a str or an AddedToken"),
        (lambda t: t.add_tokens([""]), "new_tokens: expected a str or an AddedToken that is not empty, found ''"),
        (lambda t: t.add_tokens(["a", 3]), "new_tokens: .*found 3"),
    ],
)
def test_a_bad_change_is_refused_and_changes_nothing(both, change, message):
    ours, _ = both
    before = ours.get_vocab(), ours.special_tokens_map, ours.added_tokens_encoder
    with pytest.raises(ValueError, match=message):
        change(ours)
    assert (ours.get_vocab(), ours.special_tokens_map, ours.added_tokens_encoder) == before


def test_a_new_token_never_takes_the_id_of_another():
    vocab = BertTokenizer(vocab_path("uncased")).get_vocab()
    gone = vocab.pop("##t")
    ours = BertTokenizer(vocab, added_tokens=["newcomer"])
    assert ours.convert_tokens_to_ids("newcomer") == len(ours) - 1 == max(vocab.values()) + 1
    assert sorted(ours.get_vocab().values()) == list(range(len(ours)))
    assert ours.convert_ids_to_tokens(gone) == f"[no token {gone}]"


def test_a_tokenizer_json_without_room_for_a_new_token(tmp_path):
    BertTokenizer(vocab_path("uncased")).save_pretrained(tmp_path)
    path = tmp_path / "tokenizer.json"
    text = path.read_text().replace('"the": 96', '"the": 400')
    path.write_text(text)
    ours = BertTokenizer.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"'newcomer' cannot be added: .* fewer tokens \(216\) than ids \(401\)"):
        ours.add_tokens(["newcomer"])
    assert ours.add_tokens(["quick"]) == 1  # which needs no new id


@pytest.mark.parametrize("tokens", ["<new>", ["<new>"], ("<new>",), {"new_token": "<new>"}, AddedToken("<new>")])
@pytest.mark.parametrize("argument", ["additional_special_tokens", "extra_special_tokens", "added_tokens"])
def test_one_token_is_no_list_of_its_letters(tokens, argument):
    ours = BertTokenizer(vocab_path("uncased"), **{argument: tokens})
    assert list(ours.added_tokens_encoder)[5:] == ["<new>"]


def test_one_token_can_have_two_names(both):
    ours, _ = both
    ours.cls_token = ours.sep_token = ours.pad_token = "the"
    row = ours("fox")["input_ids"]
    assert row[0] == row[-1] == ours.cls_token_id == ours.pad_token_id == ours.get_vocab()["the"]
    assert ours.all_special_tokens == ["[UNK]", "the", "[MASK]", "[PAD]", "[CLS]", "[SEP]"]
    assert len(set(ours.all_special_ids)) == len(ours.all_special_ids)

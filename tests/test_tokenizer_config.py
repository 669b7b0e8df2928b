"""Tokenizers of any age and kind: loaded from their files, they give the reference's ids."""

import json
import shutil

import pytest
import transformers
from reference_tokenizer import HOSTILE, ReferenceTokenizer, assert_same, reference_tokenizer, vocab_path, write_vocab
from tokenizers import AddedToken

from minibert.checkpoint.files import CheckpointError
from minibert.text.tokenizer import BertTokenizer

OLD_TOKEN = {
    "__type": "AddedToken",
    "content": "[MASK]",
    "lstrip": False,
    "rstrip": False,
    "normalized": True,
}


@pytest.mark.parametrize(
    "kind, config",
    [
        ("uncased", {}),
        ("uncased", {"do_lower_case": True, "mask_token": OLD_TOKEN, "max_len": 77}),
        ("uncased", {"do_lower_case": True, "strip_accents": False, "model_max_length": 512}),
        ("uncased", {"tokenize_chinese_chars": False, "padding_side": "left", "truncation_side": "left"}),
        ("cased", {"do_lower_case": False}),
        ("cased", {"do_lower_case": False, "strip_accents": True, "name_or_path": "x", "never_split": None}),
        ("cased", {"do_lower_case": False, "additional_special_tokens": ["<e>", "</e>"]}),
    ],
)
def test_vocab_txt_with_a_config_of_any_age(tmp_path, kind, config):
    folder = write_vocab(tmp_path, vocab_path(kind), **config)
    ours = BertTokenizer.from_pretrained(folder)
    reference = ReferenceTokenizer.from_pretrained(folder)
    texts = [*HOSTILE, "an <e>entity</e> here"]
    assert_same(ours, reference, texts)
    assert_same(ours, reference, texts, padding="max_length", truncation=True, max_length=10)
    assert (len(ours), ours.model_max_length) == (len(reference), reference.model_max_length)
    assert sorted(ours.all_special_ids) == sorted(reference.all_special_ids)


def test_vocab_txt_alone_is_uncased(tmp_path):
    shutil.copy(vocab_path("uncased"), tmp_path / "vocab.txt")
    ours, reference = (cls.from_pretrained(tmp_path) for cls in (BertTokenizer, ReferenceTokenizer))
    assert ours.do_lower_case
    assert_same(ours, reference, HOSTILE)
    cased = BertTokenizer.from_pretrained(tmp_path, do_lower_case=False)
    assert cased.do_lower_case is False and cased("THE") != ours("THE")


@pytest.mark.parametrize("loader", [ReferenceTokenizer, transformers.AutoTokenizer])
def test_the_real_minilm_folder(loader):
    folder = vocab_path("minilm").parent
    ours, reference = BertTokenizer.from_pretrained(folder), loader.from_pretrained(folder)
    assert_same(ours, reference, HOSTILE)
    assert_same(ours, reference, HOSTILE, HOSTILE, padding=True, truncation=True, max_length=20)
    assert ours.model_max_length == reference.model_max_length == 512
    # This file bakes in padding and truncation to 128; a plain call must not.
    assert len(ours("the " * 300)["input_ids"]) == 302


@pytest.mark.parametrize("kind", ["uncased", "cased"])
def test_tokenizer_json_of_the_reference(tmp_path, kind):
    saved = reference_tokenizer(vocab_path(kind), kind == "uncased")
    saved.save_pretrained(tmp_path)
    assert_same(BertTokenizer.from_pretrained(tmp_path), saved, HOSTILE)
    # Without the config the file speaks for itself: a cased one stays cased.
    (tmp_path / "tokenizer_config.json").unlink()
    alone = BertTokenizer.from_pretrained(tmp_path)
    assert_same(alone, saved, HOSTILE)
    assert_same(BertTokenizer(tmp_path / "tokenizer.json"), saved, HOSTILE)
    assert alone.do_lower_case == (kind == "uncased")


def test_the_config_overrules_tokenizer_json(tmp_path):
    BertTokenizer(vocab_path("cased"), do_lower_case=False).save_pretrained(tmp_path)
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"do_lower_case": True}))
    reference = ReferenceTokenizer.from_pretrained(tmp_path)
    assert_same(BertTokenizer.from_pretrained(tmp_path), reference, HOSTILE)


def test_other_names_for_the_special_tokens(tmp_path):
    text = vocab_path("uncased").read_text()
    for old, new in (("[PAD]", "<pad>"), ("[UNK]", "<unk>"), ("[MASK]", "<mask>")):
        text = text.replace(f"{old}\n", f"{new}\n")
    (tmp_path / "vocab.txt").write_text(text)
    names = {"pad_token": "<pad>", "unk_token": {"content": "<unk>", "lstrip": False}, "mask_token": "<mask>"}
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(names))
    ours, reference = (cls.from_pretrained(tmp_path) for cls in (BertTokenizer, ReferenceTokenizer))
    assert_same(ours, reference, [*HOSTILE, "the <mask> dog<mask>"], padding=True)
    assert (ours.mask_token, ours.unk_token_id) == ("<mask>", reference.unk_token_id)


@pytest.mark.parametrize("file", ["added_tokens.json", "tokenizer_config.json"])
def test_added_tokens(tmp_path, file):
    folder = write_vocab(tmp_path, vocab_path("uncased"))
    size = len(BertTokenizer(vocab_path("uncased")))
    plain = {"lstrip": False, "rstrip": False, "normalized": True, "single_word": False, "special": False}
    content = {"Entity": size, "<e>": size + 1}
    if file == "tokenizer_config.json":
        special = plain | {"normalized": False, "special": True}
        decoder = {size: {"content": "Entity", **plain}, size + 1: {"content": "<e>", **special}}
        content = {"added_tokens_decoder": decoder, "additional_special_tokens": ["<e>"]}
    (folder / file).write_text(json.dumps(content))
    ours, reference = (cls.from_pretrained(folder) for cls in (BertTokenizer, ReferenceTokenizer))
    texts = [*HOSTILE, "an ENTITY<e>the dog <E>"]
    assert_same(ours, reference, texts)
    assert (len(ours), ours.vocab_size) == (size + 2, size)
    assert sorted(ours.all_special_ids) == sorted(reference.all_special_ids)
    ours.save_pretrained(tmp_path / "saved")
    assert_same(BertTokenizer.from_pretrained(tmp_path / "saved"), reference, texts)
    assert_same(ours, ReferenceTokenizer.from_pretrained(tmp_path / "saved"), texts)
    assert (tmp_path / "saved" / "vocab.txt").read_text().split("\n")[size:] == ["Entity", "<e>", ""]


def test_words_that_are_found_by_another_tool(tmp_path):
    folder = write_vocab(tmp_path, vocab_path("uncased"), word_tokenizer_type="mecab")
    with pytest.raises(CheckpointError, match=r"tokenizer_config\.json: word_tokenizer_type 'mecab'"):
        BertTokenizer.from_pretrained(folder)


# --- tokens that the vocabulary lacks


def folder_with_added(folder, file: str, tokens: list[str], special: list[str] = ()):
    """A vocab.txt, and beside it tokens with the next ids, in one of the files that hold such."""
    write_vocab(folder, vocab_path("uncased"), additional_special_tokens=list(special))
    size = len(BertTokenizer(vocab_path("uncased")))
    if file == "added_tokens.json":
        (folder / file).write_text(json.dumps({token: size + i for i, token in enumerate(tokens)}))
        return folder
    flags = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False}
    decoder = {size + i: {"content": token, "special": token[0] == "<", **flags} for i, token in enumerate(tokens)}
    config = json.loads((folder / "tokenizer_config.json").read_text()) | {"added_tokens_decoder": decoder}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("file", ["added_tokens.json", "tokenizer_config.json", "tokenizer.json"])
@pytest.mark.parametrize("argument", ["added_tokens", "additional_special_tokens", "extra_special_tokens"])
def test_tokens_of_the_caller_join_those_of_the_folder(tmp_path, file, argument):
    if file == "tokenizer.json":
        BertTokenizer(vocab_path("uncased"), added_tokens=["Entity", "<e>"]).save_pretrained(tmp_path)
    else:
        folder_with_added(tmp_path, file, ["Entity", "<e>"], special=["<e>"])
    size = len(BertTokenizer(vocab_path("uncased")))
    ours = BertTokenizer.from_pretrained(tmp_path, **{argument: ["<new>"]})
    assert ours.convert_tokens_to_ids(["Entity", "<e>", "<new>"]) == [size, size + 1, size + 2]
    words = ours("the Entity<e><new>dog", add_special_tokens=False)["input_ids"]
    assert words == [*ours.convert_tokens_to_ids(["the", "Entity", "<e>", "<new>"]), *ours.encode("dog")[1:-1]]
    assert ("<new>" in ours.all_special_tokens) == (argument != "added_tokens")
    assert ("<e>" in ours.all_special_tokens) == (file != "tokenizer.json")
    assert len(ours) == size + 3


@pytest.mark.parametrize("file", ["added_tokens.json", "tokenizer_config.json"])
@pytest.mark.parametrize("name", ["pad_token", "cls_token", "sep_token", "mask_token"])
def test_a_special_token_that_the_vocabulary_lacks(tmp_path, file, name):
    folder = folder_with_added(tmp_path, file, ["Entity", "<s>"])
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: "<s>"}))
    ours, reference = (cls.from_pretrained(folder) for cls in (BertTokenizer, ReferenceTokenizer))
    assert getattr(ours, f"{name}_id") == getattr(reference, f"{name}_id") == len(ours) - 1
    texts = [*HOSTILE, "the <s> dog<s> Entity"]
    assert_same(ours, reference, texts, padding=True)
    options = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}
    for row in ours(texts)["input_ids"]:
        assert ours.decode(row, **options) == reference.decode(row, **options)
    ours.save_pretrained(tmp_path / "saved")
    assert_same(BertTokenizer.from_pretrained(tmp_path / "saved"), reference, texts, padding=True)


def test_an_unknown_token_that_the_vocabulary_lacks(tmp_path):
    folder = folder_with_added(tmp_path, "added_tokens.json", ["<u>"])
    with pytest.raises(CheckpointError, match=r"vocab.txt: the vocabulary has no '<u>'; add it, .* unk_token="):
        BertTokenizer.from_pretrained(folder, unk_token="<u>")


def test_an_added_token_whose_id_cannot_be_had(tmp_path):
    folder = write_vocab(tmp_path, vocab_path("uncased"))
    size = len(BertTokenizer(vocab_path("uncased")))
    (folder / "added_tokens.json").write_text(json.dumps({"<e>": size + 5}))
    with pytest.raises(
        CheckpointError, match=rf"vocab.txt: .*gives '<e>' the id {size + 5}, but the next .* is {size};"
    ):
        BertTokenizer.from_pretrained(folder)


def test_an_id_that_contradicts_the_vocabulary_is_warned_of(tmp_path, caplog):
    folder = write_vocab(tmp_path, vocab_path("uncased"), added_tokens_decoder={"100": {"content": "[UNK]"}})
    ours = BertTokenizer.from_pretrained(folder)
    assert ours.unk_token_id == ReferenceTokenizer.from_pretrained(folder).unk_token_id == 1
    assert "vocab.txt: '[UNK]' has the id 1 here, and 100 in added_tokens.json or added_tokens_decoder" in caplog.text


@pytest.mark.parametrize("place", ["config", "decoder", "tokenizer.json"])
def test_a_special_token_that_takes_up_the_space_before_it(tmp_path, place):
    """What one of the files says of a token is not undone where another one only names it."""
    flags = {"content": "[MASK]", "lstrip": True, "rstrip": False, "normalized": False, "single_word": False}
    config = {
        "config": {"mask_token": {"__type": "AddedToken", **flags}},
        "decoder": {"mask_token": "[MASK]", "added_tokens_decoder": {"4": {"special": True, **flags}}},
        "tokenizer.json": {"mask_token": "[MASK]"},
    }[place]
    folder = write_vocab(tmp_path, vocab_path("uncased"), **config)
    if place == "tokenizer.json":
        mask = AddedToken(**flags, special=True)
        BertTokenizer(vocab_path("uncased"), mask_token=mask).save_pretrained(folder)
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
    ours, reference = (cls.from_pretrained(folder) for cls in (BertTokenizer, ReferenceTokenizer))
    assert_same(ours, reference, [*HOSTILE, "the  [MASK] dog"], return_offsets_mapping=True)
    assert ours("the  [MASK]", return_offsets_mapping=True)["offset_mapping"] == [(0, 0), (0, 3), (3, 11), (0, 0)]


def test_which_columns_a_checkpoint_wants(tmp_path):
    folder = write_vocab(tmp_path, vocab_path("uncased"), model_input_names=["input_ids", "attention_mask"])
    ours, reference = (cls.from_pretrained(folder) for cls in (BertTokenizer, ReferenceTokenizer))
    for one in (ours, reference):
        assert list(one("the dog")) == ["input_ids", "attention_mask"]
        assert list(one("the dog", return_token_type_ids=True)) == ["input_ids", "token_type_ids", "attention_mask"]
        assert list(one("the dog", return_attention_mask=False)) == ["input_ids"]
    ours.save_pretrained(tmp_path / "saved")
    assert list(BertTokenizer.from_pretrained(tmp_path / "saved")("the dog")) == ["input_ids", "attention_mask"]
    ours.model_input_names = ["input_ids"]
    assert list(ours("the dog")) == ["input_ids"] and list(ours.pad([{"input_ids": [1]}])) == ["input_ids"]

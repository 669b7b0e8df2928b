"""Vocabularies and tokenizer files that contradict themselves, the model, or common sense."""

import json
import shutil
from pathlib import Path

import pytest
import tokenizers
from training_runs import corpus
from whole_files import write_whole_files

from minibert import BertForPreTraining, BertTokenizer
from minibert.checkpoint.files import CheckpointError


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A folder with the whole files, see `write_whole_files`."""
    root = tmp_path_factory.mktemp("whole")
    write_whole_files(root)
    return root


def test_a_vocabulary_with_a_token_twice(whole, tmp_path, caplog):
    folder = Path(shutil.copytree(whole / "vocabulary", tmp_path / "checkpoint"))
    lines = (folder / "vocab.txt").read_text().splitlines()
    (folder / "vocab.txt").write_text("\n".join([*lines, lines[7]]))
    tokenizer = BertTokenizer.from_pretrained(folder)
    assert "vocab.txt: 1 lines are blank or hold a token that stands further down again, where it counts: line 8" in (
        caplog.text
    )
    assert tokenizer.convert_tokens_to_ids(lines[7]) == len(lines) and len(tokenizer) == len(lines) + 1


def test_a_vocabulary_with_an_id_twice(whole, tmp_path):
    folder = Path(shutil.copytree(whole / "tokenizer", tmp_path / "checkpoint"))
    content = json.loads((folder / "tokenizer.json").read_text())
    vocab = content["model"]["vocab"]
    first, second = list(vocab)[10:12]
    vocab[second] = vocab[first]
    (folder / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"tokenizer.json: the tokens '\S+' and '\S+' have the same id, \d+"):
        BertTokenizer.from_pretrained(folder)


def test_a_vocabulary_that_is_longer_than_the_embedding(whole):
    tokenizer = BertTokenizer(corpus()[1].get_vocab(), added_tokens=["newcomer"])
    model = BertForPreTraining.from_pretrained(whole / "safetensors")
    with pytest.raises(ValueError, match=rf"input_ids must lie in \[0, vocab_size={model.config.vocab_size}\), got"):
        model(**tokenizer("a newcomer", return_tensors="pt"))


def test_a_vocabulary_that_is_shorter_than_the_embedding(whole):
    """Some embeddings are padded to a round size; the rows that no token has can be predicted, and say so."""
    tokenizer = corpus()[1]
    model = BertForPreTraining.from_pretrained(whole / "safetensors")
    model.resize_token_embeddings(len(tokenizer) + 40)
    assert model(**tokenizer("ab ba", return_tensors="pt")).prediction_logits.shape[-1] == len(tokenizer) + 40
    assert tokenizer.convert_ids_to_tokens([1, len(tokenizer)]) == ["[UNK]", None]


@pytest.mark.parametrize("model_type", ["BPE", "Unigram", "WordLevel"])
def test_the_tokenizer_json_of_another_model(tmp_path, model_type):
    models = tokenizers.models
    other = {
        "BPE": models.BPE({"a": 0}, []),
        "Unigram": models.Unigram([("a", 0.0)], 0),
        "WordLevel": models.WordLevel({"a": 0}, unk_token="a"),
    }[model_type]
    tokenizers.Tokenizer(other).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(CheckpointError, match=f"tokenizer.json: expected a WordPiece model, found {model_type}"):
        BertTokenizer.from_pretrained(tmp_path)


def test_a_tokenizer_json_whose_parts_disagree(whole, tmp_path):
    for name, change in {
        "id": lambda content: content["post_processor"]["special_tokens"]["[CLS]"]["ids"].__setitem__(0, 9),
        "unknown token": lambda content: content["model"].__setitem__("unk_token", "absent"),
        "missing token": lambda content: content["post_processor"]["special_tokens"].pop("[SEP]"),
    }.items():
        folder = Path(shutil.copytree(whole / "tokenizer", tmp_path / name))
        content = json.loads((folder / "tokenizer.json").read_text())
        change(content)
        (folder / "tokenizer.json").write_text(json.dumps(content))
        expected = {"id": r"post_processor gives '\[CLS\]' the id 9"}.get(name, "tokenizer.json")
        with pytest.raises(CheckpointError, match=expected):
            BertTokenizer.from_pretrained(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("do_lower_case", "yes"),
        ("strip_accents", 0),
        ("model_max_length", "512"),
        ("model_max_length", 512.0),
        ("model_max_length", -1),
        ("padding_side", "top"),
        ("cls_token", ["[CLS]"]),
        ("cls_token", {"content": "[CLS]", "lstrip": 1}),
        ("mask_token", "\ud800"),
        ("added_tokens_decoder", {"x": {"content": "a"}}),
        ("added_tokens_decoder", {"5": "a"}),
        ("additional_special_tokens", 7),
        ("extra_special_tokens", [7]),
    ],
)
def test_settings_of_the_wrong_kind(whole, tmp_path, key, value):
    folder = Path(shutil.copytree(whole / "tokenizer", tmp_path / "checkpoint"))
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(CheckpointError, match=f"tokenizer_config.json: {key} must be .*, found "):
        BertTokenizer.from_pretrained(folder)


def test_added_tokens_without_numbers(whole, tmp_path):
    folder = Path(shutil.copytree(whole / "vocabulary", tmp_path / "checkpoint"))
    (folder / "added_tokens.json").write_text('{"new": "5"}')
    with pytest.raises(CheckpointError, match="added_tokens.json: expected ids of tokens, found 'new': '5'"):
        BertTokenizer.from_pretrained(folder)

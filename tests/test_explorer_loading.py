"""A checkpoint is opened with the head that it has."""

import pytest
from reference import reference_model

import minibert
from minibert.checkpoint.files import CheckpointError
from minibert.explorer.loading import open_model


@pytest.fixture
def folder(tmp_path):
    minibert.BertTokenizer.from_pretrained("minibert-tiny").save_pretrained(tmp_path)
    return tmp_path


def save(folder, class_name: str, said: str | None = None) -> None:
    model = reference_model(class_name, vocab_size=8192)
    model.config.architectures = [said or class_name]
    model.save_pretrained(folder)
    if said:
        config = (folder / "config.json").read_text()
        (folder / "config.json").write_text(config.replace(f'"{class_name}"', f'"{said}"'))


def test_the_one_that_ships():
    model, tokenizer = open_model("minibert-tiny")
    assert type(model) is minibert.BertForPreTraining and len(tokenizer) == model.config.vocab_size
    assert tokenizer.model_max_length == 128


@pytest.mark.parametrize("class_name", ["BertModel", "BertForMaskedLM", "BertForTokenClassification"])
def test_the_head_that_was_saved(folder, class_name):
    save(folder, class_name)
    assert type(open_model(folder)[0]).__name__ == class_name


def test_the_head_for_pairs_that_a_config_keeps_quiet_about(folder):
    save(folder, "BertForPreTraining", said="BertForMaskedLM")
    assert type(open_model(folder)[0]) is minibert.BertForPreTraining


def test_a_head_that_is_not_here_leaves_the_encoder(folder):
    save(folder, "BertForMaskedLM", said="BertLMHeadModel")
    assert type(open_model(folder)[0]) is minibert.BertModel


def test_a_head_that_was_said_and_is_missing(folder):
    save(folder, "BertModel", said="BertForSequenceClassification")
    with pytest.raises(CheckpointError, match="the explorer needs .*lacks classifier"):
        open_model(folder)

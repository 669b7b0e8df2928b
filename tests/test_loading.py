"""Loading for a task: only a checkpoint whose head was trained for it, and its own tokenizer."""

import json
import shutil

import pytest
from checkpoints import CLASSES, warnings_in
from pipeline_runs import checkpoint, our_tokenizer

import minibert
from minibert.checkpoint.files import CheckpointError
from minibert.checkpoint.opened import Checkpoint
from minibert.inference.loading import load_for, load_tokenizer_for
from minibert.inference.pipelines import TASKS
from minibert.text.tokenizer_layout import NO_LIMIT


def load(task, folder):
    _, model_class, trained_as = TASKS[task]
    model = load_for(task, model_class, trained_as, Checkpoint.open(folder))
    return model, load_tokenizer_for(model, Checkpoint.open(folder))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("class_name", CLASSES)
def test_a_checkpoint_is_used_for_what_it_was_trained_for(caplog, task, class_name):
    _, model_class, trained_as = TASKS[task]
    folder = checkpoint(class_name)
    if class_name in trained_as or not trained_as:
        model, tokenizer = load(task, folder)
        assert type(model) is model_class and not model.training and len(tokenizer) == 97
    else:
        with pytest.raises(CheckpointError) as error:
            load(task, folder)
        assert all(name in str(error.value) for name in (str(folder), task, class_name, *trained_as))
    assert not warnings_in(caplog)


@pytest.mark.parametrize("said", [None, ["BertForSequenceClassification"], ["SomethingElse"]])
def test_the_head_must_be_there_whatever_the_config_says(tmp_path, said):
    shutil.copytree(checkpoint("BertModel"), tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"architectures": said}))
    with pytest.raises(CheckpointError, match=r"lacks classifier\.weight, classifier\.bias"):
        load("text-classification", tmp_path)


def test_a_tokenizer_of_another_model(tmp_path):
    shutil.copytree(checkpoint("BertModel"), tmp_path, dirs_exist_ok=True)
    our_tokenizer(added_tokens=["longer"]).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="tokenizer has 98 word pieces, the model 97"):
        load("feature-extraction", tmp_path)


def test_a_tokenizer_without_a_limit_gets_the_models(tmp_path):
    shutil.copytree(checkpoint("BertModel"), tmp_path, dirs_exist_ok=True)
    for own, expected in ((NO_LIMIT, 24), (1000, 24), (7, 7)):
        our_tokenizer(model_max_length=own).save_pretrained(tmp_path)
        assert load("feature-extraction", tmp_path)[1].model_max_length == expected


def test_warnings_are_heard_again_afterwards(caplog):
    load("fill-mask", checkpoint("BertForPreTraining"))
    minibert.BertModel.from_pretrained(checkpoint("BertForPreTraining"))
    assert len(warnings_in(caplog)) == 1

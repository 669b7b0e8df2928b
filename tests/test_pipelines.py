"""`pipeline`: a task and a checkpoint by name."""

import pytest
import torch
from pipeline_runs import checkpoint

import minibert
from minibert.checkpoint.files import CheckpointError
from minibert.inference.pipelines import TASKS


def test_from_a_shipped_checkpoint():
    fill = minibert.pipeline("fill-mask", "minibert-tiny", precision="fp32")
    assert fill("A list is a mutable [MASK].")[0].keys() == {"score", "token", "token_str", "sequence"}


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_its_pipeline(task):
    class_name = {"fill-mask": "BertForMaskedLM"}.get(task, TASKS[task][1].__name__)
    found = minibert.pipeline(task, checkpoint(class_name), device="cpu")
    assert type(found) is TASKS[task][0]


def test_precision(monkeypatch):
    def dtype(precision):
        layers = minibert.pipeline("fill-mask", checkpoint("BertForMaskedLM"), precision).model.bert.encoder
        return next(layers.parameters()).dtype

    assert (dtype("fp32"), dtype("bf16")) == (torch.float32, torch.bfloat16)
    for fast, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr("minibert.model.precision.has_fast_bf16", lambda fast=fast: fast)
        assert dtype("auto") == expected


def test_minus_one_is_the_cpu():
    assert minibert.pipeline("fill-mask", checkpoint("BertForMaskedLM"), device=-1).model.device.type == "cpu"


@pytest.mark.parametrize(
    ("alias", "name"), [("ner", "token-classification"), ("sentiment-analysis", "text-classification")]
)
def test_what_the_reference_calls_otherwise(alias, name):
    with pytest.raises(ValueError, match=f"task must be one of .*, got '{alias}', which is {name} here"):
        minibert.pipeline(alias, "minibert-tiny")


def test_what_is_not_there():
    with pytest.raises(ValueError, match="task must be one of fill-mask, .*, got 'translation'"):
        minibert.pipeline("translation", "minibert-tiny")
    with pytest.raises(ValueError, match="precision must be one of auto, fp32, bf16, got 'int8'"):
        minibert.pipeline("fill-mask", "minibert-tiny", "int8")
    with pytest.raises(CheckpointError, match="no/such/folder"):
        minibert.pipeline("fill-mask", "no/such/folder")

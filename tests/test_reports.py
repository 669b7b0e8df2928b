"""Metrics on the screen and in files, the state, and the model, as the reference's scripts leave them."""

import json

import pytest
import torch
from safetensors.torch import load_file
from toy_training import LIBRARIES, Toy, trainer_of

METRICS = {"train_loss": 0.123456, "epoch": 2.0, "train_samples": 120, "name": "toy"}


def test_the_files_are_those_of_the_reference(tmp_path):
    written = {}
    for library in LIBRARIES:
        trainer = trainer_of(library, tmp_path / library)
        trainer.save_metrics("train", METRICS)
        trainer.save_metrics("eval", {"eval_loss": 1.5})
        trainer.save_metrics("test", {"test_loss": 2.5}, combined=False)
        files = sorted((tmp_path / library).glob("*.json"))
        written[library] = {path.name: json.loads(path.read_text()) for path in files}
    assert written["minibert"] == written["transformers"]
    assert written["minibert"]["all_results.json"] == METRICS | {"eval_loss": 1.5}


def test_metrics_on_the_screen(tmp_path, capsys):
    trainer = trainer_of("minibert", tmp_path)
    trainer.log_metrics("train", METRICS)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "***** train metrics *****" and len({line.index("=") for line in lines[1:]}) == 1
    assert [line.split() for line in lines[1:]] == [
        ["epoch", "=", "2.0000"],
        ["name", "=", "toy"],
        ["train_loss", "=", "0.1235"],
        ["train_samples", "=", "120"],
    ]
    trainer.log_metrics("eval", {})
    assert capsys.readouterr().out == "***** eval metrics *****\n"


def test_the_state_of_a_run(tmp_path):
    for library in LIBRARIES:
        trainer = trainer_of(library, tmp_path / library)
        trainer.train()
        trainer.save_state()
        state = json.loads((tmp_path / library / "trainer_state.json").read_text())
        assert state["global_step"] == 6 and len(state["log_history"]) == 7
        assert {"train_loss", "step", "epoch"} <= state["log_history"][-1].keys()


@pytest.mark.parametrize("shared", [False, True])
def test_a_model_that_cannot_save_itself(tmp_path, shared):
    model = Toy()
    if shared:
        model.same = model.linear
    trainer = trainer_of("minibert", tmp_path, model=model)
    trainer.save_model(tmp_path / "new" / "folder")
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["model.safetensors"]
    saved = load_file(tmp_path / "new" / "folder" / "model.safetensors")
    assert torch.equal(saved["linear.weight"], model.linear.weight)


def test_only_the_first_process_writes(tmp_path, capsys):
    trainer = trainer_of("minibert", tmp_path)
    others = type(trainer.processes)(rank=1, count=1, device=torch.device("cpu"))
    trainer.processes = others
    assert not trainer.is_world_process_zero() and not trainer.is_local_process_zero()
    trainer.log_metrics("train", METRICS)
    trainer.save_metrics("train", METRICS)
    trainer.save_state()
    trainer.save_model()
    assert not capsys.readouterr().out and not list(tmp_path.iterdir())

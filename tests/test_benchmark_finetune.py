"""`benchmark.py finetune`: the same start for both libraries, and a line for every data set."""

import importlib
import re

import pytest
import torch
from finetuning_runs import checkpoint, sentences, tokenizer, write_table
from script_runs import ROOT, call

from minibert.finetuning.classification import classification_task
from minibert.finetuning.examples import Columns


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    return importlib.import_module("benchmarks.finetuning")


@pytest.fixture
def folder(tmp_path):
    for seed, part in enumerate(("train", "dev")):
        write_table(tmp_path / f"trec6-{part}.tsv", sentences(20, seed))
        (tmp_path / f"conll2000-{part}.txt").write_text("The DT B-NP\nlist NN I-NP\nstops VBZ B-VP\n\n" * 10)
    return tmp_path


def test_a_line_for_every_data_set(benchmark, capsys, folder):
    arguments = ("--tasks", folder, "--model", checkpoint(), "--seeds", 1, "--epochs", 1, "--limit", 8)
    ending = call(capsys, "benchmark", "finetune", *arguments, "--only", "trec6", "conll2000")
    assert ending.code == 0, ending.err
    cells = r" +\d+\.\d% ± \d+\.\d% +[\d.]+ +\d+\.\d% ± \d+\.\d% +[\d.]+ +\d+\.\d\d$"
    rows = [re.fullmatch(rf"(.*\)){cells}", line) for line in ending.out.splitlines()[5:]]
    assert [row and row[1] for row in rows] == [
        "trec6 (accuracy)",
        "trec6, frozen (accuracy)",
        "conll2000 (f1)",
        "conll2000, frozen (f1)",
    ]


def test_means_and_standard_errors(benchmark):
    scores, seconds = {"minibert": [0.5, 0.7], "transformers": [0.25]}, {"minibert": [1, 2], "transformers": [3]}
    cells = benchmark._cells("accuracy", scores, seconds)
    assert list(cells) == ["60.0% ± 10.0%", "1.5", "25.0% ± 0.0%", "3.0"]


def test_both_begin_and_end_alike(benchmark, folder, tmp_path):
    """One step of nothing: the predictions are those of the same weights; many small steps: they stay close."""
    files = {split: str(folder / f"trec6-{part}.tsv") for split, part in (("train", "train"), ("eval", "dev"))}
    task = classification_task(files, Columns(), tokenizer(), 32)
    torch.manual_seed(0)
    benchmark.load_model(task, str(checkpoint())).save_pretrained(tmp_path / "model")
    tokenizer().save_pretrained(tmp_path / "model")
    recipe = benchmark.Recipe(epochs=1, batch_size=16, learning_rate=1e-9)
    predictions = [
        run(task, tmp_path / "model", recipe, "none", 42)[1] for run in (benchmark._our_run, benchmark._their_run)
    ]
    assert (predictions[0].label_ids == predictions[1].label_ids).all()
    torch.testing.assert_close(*(torch.from_numpy(p.predictions) for p in predictions), rtol=0, atol=0.03)  # bfloat16


def test_limits_keep_all_labels(benchmark, folder):
    task = benchmark._read(folder, "trec6", 2, tokenizer())
    assert len(task.splits["train"].items) == len(task.splits["eval"].items) == 2
    assert task.config["num_labels"] == 2
    assert len(benchmark._read(folder, "conll2000", 3, tokenizer()).splits["eval"].items) == 3
    assert len(benchmark._read(folder, "conll2000", None, tokenizer()).splits["train"].items) == 10


def test_files_that_are_not_there(capsys, tmp_path):
    arguments = ("--tasks", tmp_path, "--model", checkpoint(), "--limit", 2, "--only", "sts")
    ending = call(capsys, "benchmark", "finetune", *arguments)
    assert "sts-dev.tsv: no such file" in ending.err


def test_no_seed_is_one_line(capsys, tmp_path):
    ending = call(capsys, "benchmark", "finetune", "--tasks", tmp_path, "--seeds", 0)
    assert "must be at least 1" in ending.err

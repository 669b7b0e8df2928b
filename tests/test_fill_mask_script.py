"""`scripts/fill_mask.py`: candidates with probabilities, or one line that says what was wrong."""

import re

import pytest
import script_runs
from pipeline_runs import checkpoint

from minibert import pipeline


@pytest.fixture(scope="module")
def folder():
    """A checkpoint with random weights."""
    return checkpoint("BertForMaskedLM")


def test_candidates_as_a_user_sees_them(folder):
    ending = script_runs.start("fill_mask", "a [MASK] c [MASK] d", "--model", folder, "--top-k", 3)
    assert ending.code == 0 and not ending.err
    expected = pipeline("fill-mask", folder, precision="fp32")("a [MASK] c [MASK] d", top_k=3)
    lines = ending.out.splitlines()
    assert [lines[0], lines[4]] == ["mask 1", "mask 2"]
    assert [line.split() for line in lines[1:4] + lines[5:]] == [
        [f"{c['score']:.1%}", c["token_str"]] for candidates in expected for c in candidates
    ]


def test_one_mask(capsys, folder):
    ending = script_runs.call(capsys, "fill_mask", "a [MASK] c", "--model", folder, "--top-k", 2)
    assert [line.split()[0] for line in ending.out.splitlines()][0] == "mask" and len(ending.out.splitlines()) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no mask here"], r"no \[MASK\]"),
        ([""], r"no \[MASK\]"),
        (["[MASK] " * 30], "32 tokens.*24"),
        (["a [MASK]", "--top-k", 0], "top_k"),
        (["a [MASK]", "--top-k", -3], "top_k"),
    ],
)
def test_bad_input(capsys, folder, arguments, message):
    ending = script_runs.call(capsys, "fill_mask", *arguments, "--model", folder)
    assert not ending.out
    assert re.search(message, ending.only_error)


def test_no_such_model(capsys, tmp_path):
    assert "nowhere" in script_runs.call(capsys, "fill_mask", "a [MASK]", "--model", tmp_path / "nowhere").only_error


@pytest.mark.parametrize("broken", ["model.safetensors", "config.json", "tokenizer.json"])
def test_broken_checkpoint(capsys, folder, tmp_path, broken):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / broken).write_text("no such thing")
    assert broken in script_runs.call(capsys, "fill_mask", "a [MASK]", "--model", tmp_path).only_error


def test_empty_folder(capsys, tmp_path):
    assert str(tmp_path) in script_runs.call(capsys, "fill_mask", "a [MASK]", "--model", tmp_path).only_error


def test_words_that_argparse_does_not_know(capsys, folder):
    ending = script_runs.call(capsys, "fill_mask", "a [MASK]", "--model", folder, "--top-k", "many")
    assert ending.code == 2
    assert "argument --top-k: invalid int value: 'many'" in ending.err.splitlines()[-1]

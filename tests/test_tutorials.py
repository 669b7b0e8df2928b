"""Programs in the style of popular tutorials, run under both libraries, where they must leave the same `results`.

Each file of `tutorials/` is a program as people have it; only the import changes. The names of checkpoints in them are
folders of tiny random models, without dropout, so that both libraries have the same numbers to work with.
"""

import re
from pathlib import Path

import pytest
import torch
import transformers
from reference import assert_near, reference_model
from reference_tokenizer import vocab_path

from minibert import BertTokenizer

TUTORIALS = sorted((Path(__file__).parent / "tutorials").glob("*.py"))
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
CHECKPOINTS = {
    "bert-base-uncased": ("BertForPreTraining", {}),
    "textattack/bert-base-uncased-SST-2": ("BertForSequenceClassification", {"id2label": {0: "BAD", 1: "GOOD"}}),
    "regression": ("BertForSequenceClassification", {"num_labels": 1}),
    "dslim/bert-base-NER": ("BertForTokenClassification", {"id2label": dict(enumerate(TAGS))}),
    "deepset/bert-base-uncased-squad2": ("BertForQuestionAnswering", {}),
    "bert-multiple-choice": ("BertForMultipleChoice", {}),
}


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory) -> Path:
    """A folder with everything that the programs load."""
    root = tmp_path_factory.mktemp("checkpoints")
    tokenizer = BertTokenizer(vocab_path("uncased"), model_max_length=64)
    for name, (class_name, changes) in CHECKPOINTS.items():
        sizes = {"vocab_size": len(tokenizer), "max_position_embeddings": 64}
        no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        if "id2label" in changes:
            changes = {**changes, "label2id": {label: i for i, label in changes["id2label"].items()}}
        reference_model(class_name, **sizes, **no_dropout, **changes).save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    return root


@pytest.fixture(autouse=True)
def older_names(monkeypatch):
    """What version 5 of the reference has dropped, and tutorials have not: the call under its older names."""
    for name in ("encode_plus", "batch_encode_plus"):
        if not hasattr(transformers.PreTrainedTokenizerBase, name):
            monkeypatch.setattr(transformers.PreTrainedTokenizerBase, name, call, raising=False)


@pytest.fixture(autouse=True)
def in_fp32(monkeypatch):
    """As the reference computes; by default a pipeline of ours takes bfloat16 where the processor has it."""
    monkeypatch.setattr("minibert.model.precision.has_fast_bf16", lambda: False)


def call(tokenizer, *arguments, **options):
    return tokenizer(*arguments, **options)


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda path: path.stem)
def test_both_libraries_agree(tutorial, checkpoints, tmp_path, monkeypatch):
    theirs, ours = (
        run(tutorial, library, checkpoints, tmp_path, monkeypatch) for library in ("transformers", "minibert")
    )
    assert_same(ours, theirs, tutorial.stem)


def run(tutorial, library, checkpoints, tmp_path, monkeypatch) -> dict:
    """The `results` that a program leaves, run in a folder of its own in which the checkpoints are found."""
    folder = tmp_path / library
    folder.mkdir()
    for entry in checkpoints.iterdir():
        (folder / entry.name).symlink_to(entry)
    monkeypatch.chdir(folder)
    torch.manual_seed(0)
    program = re.sub(r"\bfrom transformers import\b", f"from {library} import", tutorial.read_text(encoding="utf-8"))
    names = {"__name__": "__main__"}
    exec(compile(program, tutorial, "exec"), names)
    return names["results"]


def assert_same(ours, theirs, where: str) -> None:
    """Equal, and numbers as near as float32 has them."""
    if isinstance(theirs, dict):
        assert set(ours) == set(theirs), where
        for key in theirs:
            assert_same(ours[key], theirs[key], f"{where}, {key}")
    elif isinstance(theirs, list | tuple):
        assert len(ours) == len(theirs), where
        for i, (our, their) in enumerate(zip(ours, theirs, strict=True)):
            assert_same(our, their, f"{where}[{i}]")
    elif isinstance(theirs, float):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-5), where
    elif isinstance(theirs, torch.Tensor):
        assert_near(ours, theirs, 1e-5, where)
    else:
        assert ours == theirs, where

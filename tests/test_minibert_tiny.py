"""The checkpoint that ships with the package: small, found by its name, the same in the reference, and of use."""

import golden
import pytest
import torch
import transformers

from minibert import BertForPreTraining, BertModel, BertTokenizer
from minibert.checkpoint.opened import SHIPPED
from minibert.inference.fill_mask import FillMaskPipeline

NAME = "minibert-tiny"


@pytest.fixture(scope="module")
def tokenizer():
    return BertTokenizer.from_pretrained(NAME)


@pytest.fixture(scope="module")
def model():
    return BertForPreTraining.from_pretrained(NAME)


def test_found_by_name_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, info = BertForPreTraining.from_pretrained(NAME, output_loading_info=True)
    assert info == {"missing_keys": [], "unexpected_keys": [], "mismatched_keys": []}
    assert BertModel.from_pretrained(NAME).config.hidden_dropout_prob == 0.1  # the usual one, for fine-tuning


def test_is_small_and_says_how_it_was_made():
    assert (SHIPPED / NAME / "model.safetensors").stat().st_size < 3.2e6
    assert "python scripts/pretrain.py" in (SHIPPED / NAME / "README.md").read_text()


def test_a_text_is_cut_to_what_the_model_reads(model, tokenizer):
    theirs = transformers.AutoTokenizer.from_pretrained(SHIPPED / NAME)
    for name, found in (("ours", tokenizer), ("theirs", theirs)):
        assert len(found("a " * 600, truncation=True)["input_ids"]) == model.config.max_position_embeddings, name


def test_same_as_the_reference(model, tokenizer):
    reference = transformers.BertForPreTraining.from_pretrained(SHIPPED / NAME, dtype=torch.float32).eval()
    inputs = tokenizer("Return a new list.", "The list is sorted.", return_tensors="pt")
    with torch.no_grad():
        ours, theirs = model(**inputs), reference(**inputs)
    assert torch.equal(ours.prediction_logits, theirs.prediction_logits)
    assert torch.equal(ours.seq_relationship_logits, theirs.seq_relationship_logits)


@pytest.mark.parametrize("class_name", golden.LABELS)
def test_the_stored_values_are_the_references(class_name):
    """If the checkpoint was replaced on purpose: `python tests/golden.py`."""
    golden.assert_close(golden.measure(golden.reference(class_name), class_name), golden.stored()[class_name], 1e-9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Return [MASK] if the two objects are equal.", "true"),
        ("The file is opened for [MASK].", "reading"),
    ],
)
def test_fills_masks_of_python_documentation(model, tokenizer, text, expected):
    candidates = FillMaskPipeline(model, tokenizer)(text, top_k=3)
    assert expected in [candidate["token_str"] for candidate in candidates]

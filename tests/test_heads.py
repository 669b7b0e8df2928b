"""The heads, against the reference's and alone."""

import pytest
import torch
from reference import ODD_CONFIGS, assert_same, model_pair

from minibert.model.config import BertConfig
from minibert.model.heads import MLMHead, NSPHead, classifier_dropout

CONFIG = BertConfig(hidden_size=12, num_attention_heads=3, vocab_size=20, hidden_dropout_prob=0.5)


@pytest.mark.parametrize("changes", ODD_CONFIGS.values(), ids=ODD_CONFIGS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@torch.no_grad()
def test_pretraining_heads_are_the_reference_s(changes, dtype):
    theirs, ours = model_pair("BertForPreTraining", dtype, **changes)
    x = torch.randn(4, 11, theirs.config.hidden_size, dtype=dtype)
    assert_same(ours.mlm_head(x.flatten(0, 1)).view(4, 11, -1), theirs.cls.predictions(x), "MLM")
    assert_same(ours.nsp_head(x[:, 0]), theirs.cls.seq_relationship(x[:, 0]), "NSP")


def test_the_decoder_bias_counts_and_the_second_one_does_not():
    _, tied = model_pair("BertForMaskedLM")
    _, untied = model_pair("BertForMaskedLM", tie_word_embeddings=False)
    x = torch.randn(3, 32)
    for head, moves in ((tied.mlm_head, True), (untied.mlm_head, False)):
        before = head(x)
        with torch.no_grad():
            head.bias += 1.0
        assert torch.allclose(head(x), before + float(moves), atol=1e-5)


def test_tying_shares_the_matrix_and_the_bias():
    head, words = MLMHead(CONFIG), torch.nn.Embedding(20, 12)
    head.tie(words)
    assert head.decoder.weight is words.weight and head.decoder.bias is head.bias


def test_no_dropout_in_the_pretraining_heads():
    x = torch.randn(5, 12)
    for head in (MLMHead(CONFIG).train(), NSPHead(CONFIG).train()):
        assert torch.equal(head(x), head(x))


@pytest.mark.parametrize(("own", "expected"), [(None, 0.5), (0.2, 0.2), (0.0, 0.0)])
def test_a_classifier_drops_its_input(own, expected):
    dropout = classifier_dropout(BertConfig(**{**vars(CONFIG), "classifier_dropout": own})).train()
    x = 1.0 + torch.rand(2000, 12)
    out = dropout(x)
    dropped = out == 0
    assert abs(dropped.float().mean() - expected) < 0.02  # 24,000 draws: a standard error of 0.003
    torch.testing.assert_close(out[~dropped], x[~dropped] / (1 - expected))
    assert torch.equal(dropout.eval()(x), x)

"""The heads that turn the encoder's output into predictions (Devlin et al. 2019, section 3.1 and figure 1)."""

import torch
from torch import Tensor, nn

from minibert.model.config import BertConfig
from minibert.model.encoder import ACTIVATION_FUNCTIONS


class MLMHead(nn.Module):
    """Masked language modelling: a transform, then a score for every token of the vocabulary."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = ACTIVATION_FUNCTIONS[config.hidden_act]
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)
        # Files call the decoder's bias `bias`. An untied model's file has a second one, which the reference never
        # uses; we carry it, so that what was loaded is saved again.
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def tie(self, word_embeddings: nn.Embedding) -> None:
        """Make the decoder's weight the word-embedding matrix itself, and its bias the one named `bias`."""
        self.decoder.weight = word_embeddings.weight
        self.decoder.bias = self.bias

    def forward(self, x: Tensor) -> Tensor:
        """(N, D) -> (N, V)"""
        return self.decoder(self.norm(self.activation(self.dense(x))))


class NSPHead(nn.Module):
    """Next sentence prediction: does B follow A (class 0) or is it random (class 1)?"""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.linear = nn.Linear(config.hidden_size, 2)

    def forward(self, pooled: Tensor) -> Tensor:
        """(B, D) -> (B, 2)"""
        return self.linear(pooled)


def classifier_dropout(config: BertConfig) -> nn.Dropout:
    """The dropout before a classifier, of a sequence (from the pooler) or of every token."""
    own = config.classifier_dropout
    return nn.Dropout(config.hidden_dropout_prob if own is None else own)

"""Scaled dot-product attention and multi-head self-attention (Vaswani et al. 2017, section 3.2)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minibert.model.config import BertConfig
from minibert.model.packing import Packing, attend, fused_attention


def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None = None, dropout: float = 0.0
) -> tuple[Tensor, Tensor]:
    """softmax(Q K^T / sqrt(K)) V (Vaswani et al. 2017, equation 1), written out.

    Args:
        query, key, value: (B, H, S, K)
        key_mask: (B, S) bool, False where a key must not be attended to; (B, S, S) where that depends on the query.
            A query without any key gives zeros.
        dropout: probability with which an attention weight is dropped.

    Returns: the context (B, H, S, K) and the attention weights (B, H, S, S).
    """
    scores = query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5  # (B, H, S, S)
    if key_mask is None:
        weights = scores.softmax(dim=-1)
    else:
        visible = key_mask[:, None, None] if key_mask.ndim == 2 else key_mask[:, None]  # (B, 1, 1 or S, S)
        # The lowest number, not -inf: the softmax of a row of -inf is NaN. The product then clears such a row.
        weights = scores.masked_fill(~visible, torch.finfo(scores.dtype).min).softmax(dim=-1) * visible
    weights = F.dropout(weights, dropout)
    return weights @ value, weights


class MultiHeadSelfAttention(nn.Module):
    """H heads that attend side by side, each in its own K = D / H dimensions, then mixed by one projection."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        hidden = config.hidden_size
        self.config = config  # attn_implementation is read at every call, so that it can be changed
        self.num_heads = config.num_attention_heads
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)  # holds the probability; `attend` applies it
        self.query = nn.Linear(hidden, hidden)
        self.key = nn.Linear(hidden, hidden)
        self.value = nn.Linear(hidden, hidden)
        self.mix = nn.Linear(hidden, hidden)

    def forward(self, x: Tensor, packing: Packing, output_attentions: bool = False) -> tuple[Tensor, Tensor | None]:
        """x (T, D) -> (T, D), and the attention weights (B, H, S, S) if asked for.

        `packing` says which of the T tokens belong to the same sequence; `attend` lets only those see each other.
        """
        explicit = output_attentions or self.config.attn_implementation == "eager"
        attention = scaled_dot_product_attention if explicit else fused_attention
        dropout = self.dropout.p if self.training else 0.0
        query, key, value = (split_heads(f(x), self.num_heads) for f in (self.query, self.key, self.value))  # (T, H, K)
        context, weights = attend(attention, query, key, value, packing, dropout, output_attentions)
        return self.mix(merge_heads(context)), weights


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """(T, D) -> (T, H, K)"""
    return x.unflatten(-1, (num_heads, x.shape[-1] // num_heads))


def merge_heads(context: Tensor) -> Tensor:
    """(T, H, K) -> (T, D)"""
    return context.flatten(-2)

"""Scaled dot-product attention and multi-head self-attention (Vaswani et al. 2017, section 3.2)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minibert.model.config import BertConfig
from minibert.model.packing import Packing


def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None = None, dropout: float = 0.0
) -> tuple[Tensor, Tensor]:
    """softmax(Q K^T / sqrt(K)) V (Vaswani et al. 2017, equation 1), written out.

    Args:
        query, key, value: (B, H, S, K)
        key_mask: (B, S) bool, False where a key must not be attended to. A row without any key gives zeros.
        dropout: probability with which an attention weight is dropped.

    Returns: the context (B, H, S, K) and the attention weights (B, H, S, S).
    """
    scores = query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5  # (B, H, S, S)
    if key_mask is None:
        weights = scores.softmax(dim=-1)
    else:
        visible = key_mask[:, None, None, :]  # (B, 1, 1, S)
        # The lowest number rather than -inf: a row without keys then has a softmax, which the product clears.
        weights = scores.masked_fill(~visible, torch.finfo(scores.dtype).min).softmax(dim=-1) * visible
    weights = F.dropout(weights, dropout)
    return weights @ value, weights


def fused_attention(
    query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None = None, dropout: float = 0.0
) -> tuple[Tensor, None]:
    """The same as `scaled_dot_product_attention` in PyTorch's one kernel, which never forms the weights."""
    scale = query.shape[-1] ** -0.5
    if key_mask is None:
        return F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, scale=scale), None
    # A row without keys is undefined in some kernels: let it see everything, then clear what it saw.
    any_key = key_mask.any(dim=1)[:, None]  # (B, 1)
    visible = (key_mask | ~any_key)[:, None, None, :]  # (B, 1, 1, S)
    context = F.scaled_dot_product_attention(query, key, value, visible, dropout_p=dropout, scale=scale)
    return context * any_key[:, :, None, None], None


class MultiHeadSelfAttention(nn.Module):
    """H heads that attend side by side, each in its own K = D / H dimensions, then mixed by one projection."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        hidden = config.hidden_size
        self.config = config  # attn_implementation is read at every call, so that it can be changed
        self.num_heads = config.num_attention_heads
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)  # its probability; `attend` applies it
        self.query = nn.Linear(hidden, hidden)
        self.key = nn.Linear(hidden, hidden)
        self.value = nn.Linear(hidden, hidden)
        self.output = nn.Linear(hidden, hidden)

    def forward(self, x: Tensor, layout: Packing, output_attentions: bool = False) -> tuple[Tensor, Tensor | None]:
        """x (T, D) -> (T, D), and the attention weights (B, H, S, S) if asked for."""
        explicit = output_attentions or self.config.attn_implementation == "eager"
        attend = scaled_dot_product_attention if explicit else fused_attention
        dropout = self.dropout.p if self.training else 0.0
        projected = [layout.split(projection(x)) for projection in (self.query, self.key, self.value)]
        contexts, weights = [], []
        for sequences in zip(*projected, strict=True):  # those of equal length together: (sequences, n, D)
            query, key, value = map(self.split_heads, sequences)
            context, group_weights = attend(query, key, value, layout.key_mask, dropout)
            contexts.append(merge_heads(context))
            weights.append(group_weights)
        x = self.output(layout.join(contexts, x.shape[0]))
        return x, layout.pad_attention(weights) if output_attentions else None

    def split_heads(self, x: Tensor) -> Tensor:
        """(sequences, n, D) -> (sequences, H, n, K)"""
        return x.unflatten(-1, (self.num_heads, x.shape[-1] // self.num_heads)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """(sequences, H, n, K) -> (sequences, n, D)"""
    return x.transpose(1, 2).flatten(2)

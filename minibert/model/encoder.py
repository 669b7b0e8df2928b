"""The encoder: L layers of self-attention and feed-forward (Vaswani et al. 2017, section 3.1 and figure 1)."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from minibert.model.attention import MultiHeadSelfAttention
from minibert.model.config import BertConfig
from minibert.model.packing import Packing


def gelu_new(x: Tensor) -> Tensor:
    """GELU by its tanh formula, written out (Hendrycks & Gimpel 2016, section 2).

    `gelu_pytorch_tanh` is the same formula in one kernel; the two differ in the last bits.
    """
    return 0.5 * x * (1.0 + torch.tanh((2.0 / torch.pi) ** 0.5 * (x + 0.044715 * x.pow(3.0))))


def gelu_pytorch_tanh(x: Tensor) -> Tensor:
    """GELU by its tanh formula, in PyTorch's kernel."""
    return F.gelu(x, approximate="tanh")


ACTIVATION_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,  # the exact form, with erf
    "gelu_new": gelu_new,
    "gelu_pytorch_tanh": gelu_pytorch_tanh,
    "relu": F.relu,
    "silu": F.silu,
    "swish": F.silu,
    "tanh": torch.tanh,
}


class FeedForward(nn.Module):
    """Two projections with an activation between them (Vaswani et al. 2017, section 3.3)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.up = nn.Linear(config.hidden_size, config.intermediate_size)
        self.down = nn.Linear(config.intermediate_size, config.hidden_size)
        self.activation = ACTIVATION_FUNCTIONS[config.hidden_act]

    def forward(self, x: Tensor) -> Tensor:
        """(T, D) -> (T, D), through (T, F)"""
        return self.down(self.activation(self.up(x)))


class EncoderLayer(nn.Module):
    """Attention, then feed-forward; after each: dropout, the residual sum, LayerNorm (post-norm)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = MultiHeadSelfAttention(config)
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.feed_forward = FeedForward(config)
        self.feed_forward_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x: Tensor, packing: Packing, output_attentions: bool = False) -> tuple[Tensor, Tensor | None]:
        """x (T, D) -> (T, D), and the attention weights (B, H, S, S) if asked for."""
        attended, weights = self.attention(x, packing, output_attentions)
        x = self.attention_norm(x + self.dropout(attended))
        x = self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))
        return x, weights


class Encoder(nn.Module):
    """A stack of L layers."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(EncoderLayer(config) for _ in range(config.num_hidden_layers))
        self.gradient_checkpointing = getattr(config, "gradient_checkpointing", False)

    def forward(
        self, x: Tensor, packing: Packing, output_attentions: bool = False, output_hidden_states: bool = False
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """x (T, D) -> (T, D); L + 1 hidden states (B, S, D), L attention weights (B, H, S, S).

        Both lists are empty unless asked for.
        """
        hidden_states, attentions = [], []
        for layer in self.layer:
            if output_hidden_states:
                state, x = packing.padded_view(x)  # a part of the graph, so that it gets a gradient
                hidden_states.append(state)
            if self.gradient_checkpointing and self.training:
                # Activations are not kept for the backward pass but computed again: less memory, more time.
                x, weights = checkpoint(layer, x, packing, output_attentions, use_reentrant=False)
            else:
                x, weights = layer(x, packing, output_attentions)
            if output_attentions:
                attentions.append(weights)
        if output_hidden_states:
            state, x = packing.padded_view(x)
            hidden_states.append(state)
        return x, hidden_states, attentions

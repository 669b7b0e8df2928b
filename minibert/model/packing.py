"""`Packing`: a padded batch as a flat matrix without padding, and attention over it.

Texts differ in length, so a batch of them is a rectangle with holes, and a model that computes the whole rectangle
may spend most of its time on the holes. But only attention needs to know which tokens belong together; everything
else in BERT acts on each token alone. So the model works on the T real tokens in one flat (T, D) matrix, and this
object knows the way there and back:

      the batch (B, S, D)              packed (T, D)             what attention sees

    row 0   the  cat  sat               hello     ─ row 1        (1, 1, D)   hello
    row 1   hello  ·    ·       ──▶     the       ┐              (2, 3, D)   the cat sat
    row 2   it   is   so                cat       ├ row 0                    it  is  so
                                        sat       ┘
                                        it  ...   ─ row 2

On a CPU, sequences lie in it in the order of their lengths, so that those of equal length are a plain view, and
attention takes them together. On a GPU, where each of those calls would cost more than it computes, one kernel reads
the flat matrix and the offsets at which its sequences begin; where there is no such kernel, attention alone gets the
padded batch back. The gain: no work is done on padding, anywhere else. The price: on a CPU attention runs once for
each length that occurs, and if you look inside the model (with hooks, for example), you find tokens, not sequences;
`unflatten` brings anything (T, ...) back into the shape of the batch. On a CPU, the batch above is

    groups = [(1, 1), (2, 3)]               one sequence of one token, then two of three
    token_index = [3, 0, 1, 2, 6, 7, 8]     where the seven tokens stand in the batch, read row by row
"""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor

# query, key, value (B, H, S, K), key_mask (B, S), dropout -> the context (B, H, S, K), and perhaps the weights
Attention = Callable[..., tuple[Tensor, Tensor | None]]


@dataclass(frozen=True)
class Packing:
    """The flat order of the T real tokens of a (B, S) batch.

    A batch without padding is the simple case: T = B * S, one group, nothing is moved.
    """

    batch_size: int  # B
    seq_len: int  # S
    mask: Tensor | None = None  # (B, S) bool, True at real tokens; None: everywhere
    token_index: Tensor | None = None  # (T,) each token's place in the batch read row by row; None: all, in order
    groups: tuple[tuple[int, int], ...] = ()  # (how many sequences, of how many tokens each), in flat order; on a CPU
    offsets: Tensor | None = None  # (B + 1,) where each sequence begins in flat order, and T; on a GPU
    round_up: bool = False  # see `fill_up`

    @classmethod
    def from_mask(
        cls,
        attention_mask: Tensor | None,
        batch_size: int,
        seq_len: int,
        round_up: bool = False,
        in_groups: bool = True,
    ) -> Self:
        """The packing of a batch in which `attention_mask` (B, S) is nonzero at real tokens; None: everywhere.

        Args:
            round_up: see `fill_up`.
            in_groups: on a CPU, let attention take sequences of equal length together, once for each length; else
                it takes the padded batch at once.
        """
        rectangle = cls(batch_size, seq_len, round_up=round_up)
        if attention_mask is None:
            return rectangle
        real = attention_mask != 0
        if torch.compiler.is_compiling():
            # Ragged shapes depend on data, which torch.export and torch.compile cannot trace: keep the padding.
            return cls(batch_size, seq_len, real)
        if is_on_gpu(real) or not in_groups:
            # Rows stay in their order, and the processor waits for the GPU once: to know how many tokens there are.
            token_index = real.flatten().nonzero()[:, 0]
            if len(token_index) == batch_size * seq_len:
                return rectangle
            offsets = F.pad(real.sum(1).cumsum(0), (1, 0)).int() if is_on_gpu(real) else None
            return cls(batch_size, seq_len, real, token_index, offsets=offsets)
        lengths, row_index = real.sum(1).sort(stable=True)
        sizes, counts = lengths.unique_consecutive(return_counts=True)
        groups = tuple((c, n) for c, n in zip(counts.tolist(), sizes.tolist(), strict=True) if n > 0)
        if groups == ((batch_size, seq_len),):
            return rectangle
        row, column = real[row_index].nonzero(as_tuple=True)
        token_index = row_index[row] * seq_len + column
        return cls(batch_size, seq_len, real, token_index, groups, round_up=round_up)

    def warn_where_padding_comes_first(self) -> None:
        """In place of [CLS], which the pooler reads. On a CPU, where looking at the mask costs nothing."""
        if self.mask is None or not self.groups:
            return
        sequences = self.mask[self.mask.any(1)]  # a row without any token is no sequence
        if not sequences[:, 0].all():
            warnings.warn(  # always in the same words, so that Python says it once
                "attention_mask: a sequence begins with padding, where the pooler expects [CLS], so its output says"
                " nothing about it; pad on the right (padding_side='right')",
                stacklevel=3,
            )

    @property
    def num_tokens(self) -> int:
        """T; where padding stays in, all B * S."""
        return self.batch_size * self.seq_len if self.token_index is None else len(self.token_index)

    def flatten(self, padded: Tensor, fill: float = 0.0) -> Tensor:
        """(B, S, ...) -> (T, ...): drop the padding. Rows that `fill_up` adds get `fill`."""
        flat = padded.flatten(0, 1)
        return self.fill_up(flat if self.token_index is None else flat[self.token_index], fill)

    def unflatten(self, flat: Tensor, fill: float = 0.0) -> Tensor:
        """(T, ...) -> (B, S, ...): put every token back in its place; padding gets `fill`."""
        shape = (self.batch_size, self.seq_len, *flat.shape[1:])
        flat = flat[: self.num_tokens]
        if self.token_index is not None:
            padded = flat.new_full((self.batch_size * self.seq_len, *flat.shape[1:]), fill)
            return padded.index_copy(0, self.token_index, flat).view(shape)
        if self.mask is not None:
            padding = ~self.mask.view(self.batch_size, self.seq_len, *(1 for _ in flat.shape[1:]))
            return flat.view(shape).masked_fill(padding, fill)
        return flat.view(shape)

    def padded_view(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        """(T, D) -> the same in the shape of the batch, (B, S, D), and (T, D) taken from there.

        Whoever goes on with the latter makes the former a part of the graph: it gets a gradient, and can be changed
        by a hook.
        """
        padded = self.unflatten(flat)
        return padded, self.flatten(padded)

    def fill_up(self, rows: Tensor, fill: float = 0.0) -> Tensor:
        """(N, ...) -> `rows` and, if `round_up`, at most N / 32 rows of `fill` below them, which belong to nothing.

        In bfloat16 on a CPU, oneDNN compiles a product for each new number of rows. With six significant binary
        digits there are few such numbers, and ragged batches soon meet only old ones.
        """
        unit = 1 << max(0, len(rows).bit_length() - 6) if self.round_up else 1
        missing = -len(rows) % unit
        return F.pad(rows, (*[0, 0] * (rows.ndim - 1), 0, missing), value=fill) if missing else rows

    def split(self, flat: Tensor) -> list[Tensor]:
        """(T, ...) -> for each group of sequences of equal length n, a view (sequences, n, ...)."""
        parts = flat[: self.num_tokens].split([count * length for count, length in self.groups])
        return [part.unflatten(0, group) for part, group in zip(parts, self.groups, strict=True)]

    def join(self, parts: list[Tensor]) -> Tensor:
        """The inverse of `split`: (sequences, n, ...) of each group -> (T, ...)."""
        return self.fill_up(torch.cat([part.flatten(0, 1) for part in parts]))


def attend(
    attention: Attention,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    packing: Packing,
    dropout: float,
    output_attentions: bool,
) -> tuple[Tensor, Tensor | None]:
    """`attention` within every sequence, head by head.

    Args:
        query, key, value: (T, H, K)

    Returns: the context (T, H, K) and, if asked for, the weights (B, H, S, S), zero where there is padding.
    """

    def each_head(sequences: Iterable[Tensor], key_mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        heads = (x.transpose(1, 2) for x in sequences)  # (sequences, n, H, K) -> (sequences, H, n, K)
        context, weights = attention(*heads, key_mask, dropout)
        return context.transpose(1, 2), weights

    projected = (query, key, value)
    plain = attention is fused_attention and not (output_attentions or dropout)
    if packing.offsets is not None and plain and (varlen_attn := flash_attention_for(query.dtype)):
        ends = (packing.offsets, packing.offsets, packing.seq_len, packing.seq_len)
        return varlen_attn(query, key, value, *ends), None
    if packing.groups and not output_attentions:
        groups = zip(*map(packing.split, projected), strict=True)  # of sequences of equal length
        return packing.join([each_head(group, None)[0] for group in groups]), None
    # As a padded batch: where there is no other form, or where the weights are to be seen.
    real = packing.mask
    both_real = real[:, :, None] & real[:, None] if real is not None and output_attentions else real
    context, weights = each_head(map(packing.unflatten, projected), both_real)
    return packing.flatten(context), weights if output_attentions else None


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


def is_on_gpu(x: Tensor) -> bool:
    """Whether reading a value of `x` means waiting for the device that computes it."""
    return x.is_cuda


def flash_attention_for(dtype: torch.dtype) -> Callable[..., Any] | None:
    """PyTorch's attention over flat tokens and offsets, which is for GPUs and half precision; None where there is none.

    Source: Dao 2023, "FlashAttention-2"; `torch.nn.attention.varlen`.
    """
    if dtype not in (torch.float16, torch.bfloat16):
        return None
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:  # before PyTorch 2.10
        return None
    return varlen_attn


def form_for(encoder: Any) -> dict[str, bool]:
    """How a packing for `encoder` is made: the last arguments of `from_mask`.

    Compiled layers are one program for all batches, in which no loop may depend on the lengths of one of them.
    """
    weight = next(encoder.parameters())
    in_bf16 = weight.dtype == torch.bfloat16 or torch.is_autocast_enabled("cpu")
    compiled = torch.compiler.is_compiling() or is_compiled(encoder)
    return {"round_up": in_bf16 and weight.device.type == "cpu" and not compiled, "in_groups": not compiled}


def is_compiled(encoder: Any) -> bool:
    """Whether the encoder's layers were compiled in place, which PyTorch has no public way to ask.

    An encoder that was converted for inference hides its layers, and is not compiled.
    """
    layers = getattr(encoder, "layer", ())
    return any(getattr(layer, "_compiled_call_impl", None) is not None for layer in layers)

"""`Packing`: where each sequence of a padded batch lies in a flat matrix without padding.

Only attention needs to know which tokens belong together; everything else in BERT acts on each token alone.
So the model works on a flat (T, D) matrix of real tokens, and this object knows the way there and back.
Sequences lie in it in the order of their lengths, so that attention can take those of equal length together
as a plain view. The mask [[1, 1, 1], [1, 0, 0]], for example, says that the second row has one token only; it comes
first, and the layout is

    groups = [(1, 1), (1, 3)]      one sequence of one token, then one of three
    row_index = [1, 0]             in flat order: the second row of the batch, then the first
    token_index = [3, 0, 1, 2]     where the four tokens stand in the batch, read row by row

At a first reading, `pad_attention` and `round_up_rows` can wait.
"""

from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Packing:
    """The flat order of the T real tokens of a (B, S) batch.

    A batch without padding is the simple case: T = B * S, one group, nothing is moved.
    """

    batch_size: int  # B
    seq_len: int  # S
    groups: list[tuple[int, int]]  # (how many sequences, of how many tokens each), in flat order
    token_index: Tensor | None = None  # (T,) each token's place in the batch read row by row; None: all, in order
    row_index: Tensor | None = None  # (N,) the row of each sequence, in flat order; empty sequences are left out
    key_mask: Tensor | None = None  # (B, S) bool, only where padding must stay in (see `from_mask`)

    @classmethod
    def from_mask(cls, attention_mask: Tensor | None, batch_size: int, seq_len: int) -> Self:
        """The layout of a batch in which `attention_mask` (B, S) is nonzero at real tokens; None: everywhere."""
        everything = [(batch_size, seq_len)]
        if attention_mask is None:
            return cls(batch_size, seq_len, everything)
        real = attention_mask != 0
        if torch.compiler.is_compiling():
            # Ragged shapes depend on data, which torch.export and torch.compile cannot trace: keep the rectangle.
            return cls(batch_size, seq_len, everything, key_mask=real)
        lengths, row_index = real.sum(1).sort(stable=True)
        sizes, counts = lengths.unique_consecutive(return_counts=True)
        groups = [(c, n) for c, n in zip(counts.tolist(), sizes.tolist(), strict=True) if n > 0]
        groups = groups or [(0, seq_len)]  # a batch without any token still has one group, of nothing
        if groups == everything:
            return cls(batch_size, seq_len, everything)
        row, column = real[row_index].nonzero(as_tuple=True)
        return cls(batch_size, seq_len, groups, row_index[row] * seq_len + column, row_index[lengths > 0])

    def flatten(self, padded: Tensor) -> Tensor:
        """(B, S, ...) -> (T, ...): drop the padding."""
        flat = padded.flatten(0, 1)
        return flat if self.token_index is None else flat[self.token_index]

    def unflatten(self, flat: Tensor, fill: float = 0.0) -> Tensor:
        """(T, ...) -> (B, S, ...): put every token back in its place; padding gets `fill`."""
        shape = (self.batch_size, self.seq_len, *flat.shape[1:])
        if self.token_index is not None:
            padded = flat.new_full((self.batch_size * self.seq_len, *flat.shape[1:]), fill)
            return padded.index_copy(0, self.token_index, flat).view(shape)
        if self.key_mask is not None:
            padding = ~self.key_mask.view(self.batch_size, self.seq_len, *(1 for _ in flat.shape[1:]))
            return flat.view(shape).masked_fill(padding, fill)
        return flat.view(shape)

    def split(self, flat: Tensor) -> list[Tensor]:
        """(T, D) -> for each group of sequences of equal length n, a view (sequences, n, D).

        Rows beyond the T tokens, which `round_up_rows` appends, are in no group.
        """
        sizes = [count * length for count, length in self.groups]
        parts = flat[: sum(sizes)].split(sizes)
        return [
            part.view(count, length, flat.shape[1]) for part, (count, length) in zip(parts, self.groups, strict=True)
        ]

    def join(self, parts: list[Tensor], num_rows: int) -> Tensor:
        """The inverse of `split`: (sequences, n, D) of each group -> (num_rows, D), zeros beyond the T tokens."""
        flat = [part.flatten(0, 1) for part in parts]
        missing = num_rows - sum(part.shape[0] for part in flat)
        if missing:
            flat.append(flat[0].new_zeros(missing, flat[0].shape[1]))
        return flat[0] if len(flat) == 1 else torch.cat(flat)

    def pad_attention(self, parts: list[Tensor]) -> Tensor:
        """Attention weights (sequences, H, n, n) of each group -> (B, H, S, S), zeros where there is padding."""
        if self.token_index is None:
            (weights,) = parts
            return weights if self.key_mask is None else weights * self.key_mask[:, None, :, None]
        heads = parts[0].shape[1]
        padded = parts[0].new_zeros(self.batch_size, heads, self.seq_len, self.seq_len)
        rows = self.row_index.split([count for count, _ in self.groups])
        columns = self.split((self.token_index % self.seq_len)[:, None])
        for weights, row, column in zip(parts, rows, columns, strict=True):
            column = column.squeeze(-1)  # (sequences, n)
            # Index (sequences, n, n) of every weight in the batch, for all heads at once.
            index = (row[:, None, None], slice(None), column[:, :, None], column[:, None, :])
            padded[index] = weights.permute(0, 2, 3, 1)
        return padded


def round_up_rows(x: Tensor) -> Tensor:
    """(N, D) -> x with zero rows below it, at most N / 32 of them, where bfloat16 is computed on a CPU; else x.

    There, oneDNN compiles a product for each new number of rows. With six significant binary digits there are few
    such numbers, and ragged batches soon meet only old ones.
    """
    in_bf16 = x.dtype == torch.bfloat16 or torch.is_autocast_enabled("cpu")
    if x.device.type != "cpu" or not in_bf16 or torch.compiler.is_compiling():
        return x
    unit = 1 << max(0, len(x).bit_length() - 6)
    missing = -len(x) % unit
    return F.pad(x, (0, 0, 0, missing)) if missing else x

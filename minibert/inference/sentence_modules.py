"""How token vectors become the vector of a sentence: pooling, and what may follow it (Reimers & Gurevych 2019).

`sentence_folder` reads it from the files of sentence-transformers.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from tokenizers import normalizers
from torch import Tensor, nn

from minibert.text.tokenizer import BertTokenizer

# How hidden states (B, S, D), zero in the padding, of sequences of n (B, 1) tokens become vectors (B, D).
POOLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cls": lambda x, n: x[:, 0],
    "max": lambda x, n: x.masked_fill((_numbers(x) > n)[..., None], -torch.inf).amax(1),
    "mean": lambda x, n: x.sum(1) / n,
    "mean_sqrt_len_tokens": lambda x, n: x.sum(1) / n.sqrt(),
    "weightedmean": lambda x, n: (x * _numbers(x)[:, None]).sum(1) / (n * (n + 1) / 2),  # later tokens count more
    "lasttoken": lambda x, n: x[torch.arange(len(x), device=x.device), n[:, 0].long() - 1],
}

# How similar a vector (D,) is to others (N, D).
SIMILARITIES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cosine": lambda a, b: F.normalize(b, dim=1) @ F.normalize(a, dim=0),
    "dot": lambda a, b: b @ a,
    "euclidean": lambda a, b: -(b - a).norm(dim=1),
    "manhattan": lambda a, b: -(b - a).abs().sum(1),
}


class Normalize(nn.Module):
    """Scale vectors to length 1."""

    def forward(self, vectors: Tensor) -> Tensor:
        """(N, D) -> (N, D)"""
        return F.normalize(vectors, dim=1)


@dataclass(frozen=True)
class SentenceModules:
    """The way from a sentence to its vector; by default, where no file says it, the mean over the tokens, of length 1.

    Args:
        folder: of the encoder, inside the checkpoint.
        max_length: how many tokens of a sentence are read; None: as the tokenizer says.
        do_lower_case: whether sentences are lowercased before the tokenizer does what it does.
        prompt: stands before every sentence.
        pooling: names of `POOLINGS`; the vectors of several are concatenated.
        steps: what becomes of the pooled vectors.
        truncate_dim: how many numbers of a vector are kept; None: all.
        similarity: a name of `SIMILARITIES`.
    """

    folder: str = "."
    max_length: int | None = None
    do_lower_case: bool = False
    prompt: str = ""
    pooling: tuple[str, ...] = ("mean",)
    steps: nn.Sequential = field(default_factory=lambda: nn.Sequential(Normalize()))
    truncate_dim: int | None = None
    similarity: str = "cosine"

    def pool(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Hidden states (B, S, D) and the mask (B, S) of real tokens, which come first -> (B, D times poolings)."""
        n = mask.sum(1, keepdim=True).to(hidden.dtype)
        return torch.cat([POOLINGS[name](hidden, n) for name in self.pooling], dim=1)

    def finish(self, pooled: Tensor) -> Tensor:
        """The vectors of N sentences, from their pooled ones."""
        return self.steps(pooled)[:, : self.truncate_dim]

    def tokenizer(self, given: BertTokenizer, longest: int) -> BertTokenizer:
        """A tokenizer that reads as the encoder was trained; `given` stays as it is.

        longest: how many tokens the model can read.
        """
        tokenizer = copy.deepcopy(given) if self.do_lower_case else copy.copy(given)
        limit = given.model_max_length if self.max_length is None else self.max_length
        tokenizer.model_max_length = min(limit, longest)
        if self.do_lower_case:
            backend = tokenizer.backend_tokenizer
            usual = [] if backend.normalizer is None else [backend.normalizer]
            backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *usual])
        return tokenizer


def _numbers(x: Tensor) -> Tensor:
    """1, 2, ..., S for (B, S, D)."""
    return torch.arange(1, x.shape[1] + 1, device=x.device, dtype=x.dtype)

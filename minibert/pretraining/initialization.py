"""Initial weights that spare a small BERT its first minutes: what can be counted need not be learned.

A BERT with random weights first learns how frequent each word is, then sits on a plateau until attention finds the
neighbours of a token and the embeddings know which words keep company. All three can be had at once from counts and
a little trigonometry, and the result is a plain BERT: no parameter is added, none is frozen. `docs/recipe.md` has
what each of them buys.
"""

import math
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from minibert.model.config import BertConfig
from minibert.model.encoder import EncoderLayer
from minibert.model.tasks import BertForPreTraining
from minibert.text.packed import PackedCorpus

POSITION_DIMS = 32  # of the hidden dimensions: the first ones hold positions, the others words
SHORTEST_PERIOD, LONGEST_PERIOD = 2.5, 256.0  # of the sinusoids, in positions
NEIGHBOUR_SCORE = 8.0  # how much higher than a far token the neighbour that a head looks at scores
WINDOW = 3  # tokens on either side that count as company
MOST_COUNTED_TOKENS = 2_000_000  # so many tell the counts of a larger corpus well enough


@torch.no_grad()
def initialise_from_corpus(model: BertForPreTraining, corpus: PackedCorpus) -> None:
    """Start `model` from the counts of `corpus`, and its first layer from looking at neighbours."""
    ids = leading_tokens(corpus, MOST_COUNTED_TOKENS)
    model.mlm_head.bias.copy_(log_frequencies(ids, model.config.vocab_size))
    look_at_neighbours(model)
    words = model.get_input_embeddings().weight
    vectors = company_vectors(ids, model.config.vocab_size, model.config.hidden_size - POSITION_DIMS)
    words[:, :POSITION_DIMS] = 0
    words[:, POSITION_DIMS:] = vectors * model.config.initializer_range
    if model.config.pad_token_id is not None:
        words[model.config.pad_token_id] = 0


def leading_tokens(corpus: PackedCorpus, enough: int) -> Tensor:
    """The token ids (N,) of the first documents, as many as it takes to have `enough`, or of all.

    A half of a split corpus shares its arrays with the other half, so `corpus.ids` may hold held-out text, too.
    """
    spans = corpus.sentence_starts[corpus.documents]  # (documents, 2)
    needed = int(np.searchsorted((spans[:, 1] - spans[:, 0]).cumsum(), enough)) + 1
    return torch.from_numpy(np.concatenate([corpus.ids[start:end] for start, end in spans[:needed]]).astype(np.int64))


def log_frequencies(ids: Tensor, vocab_size: int) -> Tensor:
    """log p of every token of the vocabulary, (V,): as the MLM decoder's bias, the best guess without context."""
    counts = torch.bincount(ids, minlength=vocab_size) + 0.5  # what never occurs is rare, not impossible
    return (counts / counts.sum()).log()


def company_vectors(ids: Tensor, vocab_size: int, dims: int) -> Tensor:
    """Word vectors (V, dims) of mean square 1 in which words that keep the same company are close.

    Those of words without company are nearly zero; with fewer words than dimensions, so are the last dimensions.

    They are the largest singular vectors of the positive pointwise mutual information between words within
    `WINDOW` tokens of each other (Levy & Goldberg 2014, which is what skip-gram approximates).
    """
    left = torch.cat([ids[:-offset] for offset in range(1, WINDOW + 1)])
    right = torch.cat([ids[offset:] for offset in range(1, WINDOW + 1)])
    weight = torch.cat([torch.full((len(ids[offset:]),), 1 / offset) for offset in range(1, WINDOW + 1)])
    pairs = torch.stack([torch.cat([left, right]), torch.cat([right, left])])
    counts = _sparse_square(pairs, weight.repeat(2), vocab_size).coalesce()
    company = torch.sparse.sum(counts, 1).to_dense()  # (V,)
    smoothed = company**0.75  # rare words would otherwise dominate (Levy, Goldberg & Dagan 2015, section 3.2)
    row, column = counts.indices()
    pmi = (counts.values() / (company[row] * (smoothed / smoothed.sum())[column])).log().clamp(min=0)
    u, s, _ = torch.svd_lowrank(_sparse_square(counts.indices(), pmi, vocab_size), min(dims, vocab_size), niter=3)
    vectors = F.pad(u * s.sqrt(), (0, dims - len(s)))
    # All of one length, because how frequent a word is, the decoder's bias knows already. Words without company have
    # the rounding errors of zero, which `eps` keeps from becoming a direction.
    return F.normalize(vectors, eps=1e-3) * math.sqrt(dims)


def _sparse_square(indices: Tensor, values: Tensor, size: int) -> Tensor:
    return torch.sparse_coo_tensor(indices, values, (size, size), check_invariants=False)  # unsaid, PyTorch warns


@torch.no_grad()
def look_at_neighbours(model: BertForPreTraining) -> None:
    """Let each head of the first layer look at one near token: one left, one right, two left, two right, ...

    Positions become points on circles, (cos wj, sin wj) for several frequencies w. A head's query turns its own
    point by w * offset, and its key leaves the point as it is, so that their product, a sum of
    cos w(i + offset - j), is largest where j = i + offset.
    """
    config = model.config
    points, frequencies = position_points(config.max_position_embeddings)
    scale = config.initializer_range
    positions = model.bert.embeddings.position.weight
    positions.zero_()
    positions[:, :POSITION_DIMS] = scale * math.sqrt(2) * points  # the same mean square as the word vectors
    model.bert.embeddings.segment.weight.zero_()
    attention = cast(EncoderLayer, model.bert.encoder.layer[0]).attention  # PyTorch's list knows only modules
    head_size = config.hidden_size // config.num_attention_heads
    for head in range(config.num_attention_heads):
        offset = (head // 2 + 1) * (-1 if head % 2 == 0 else 1)
        query, key = _rotation_heads(config, frequencies, offset, head_size)
        rows = slice(head * head_size, (head + 1) * head_size)
        attention.query.weight[rows] = query
        attention.key.weight[rows] = key


def position_points(num_positions: int) -> tuple[Tensor, Tensor]:
    """The points (num_positions, POSITION_DIMS), cosines then sines, and their frequencies (POSITION_DIMS / 2,)."""
    steps = torch.linspace(0, 1, POSITION_DIMS // 2)
    frequencies = 2 * math.pi / (SHORTEST_PERIOD * (LONGEST_PERIOD / SHORTEST_PERIOD) ** steps)
    angles = torch.arange(num_positions)[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1), frequencies


def _rotation_heads(config: BertConfig, frequencies: Tensor, offset: int, head_size: int) -> tuple[Tensor, Tensor]:
    """The query and key weights (K, D) of a head that looks `offset` tokens to the right of its own."""
    circles = min(len(frequencies), head_size // 2)
    chosen = torch.linspace(0, len(frequencies) - 1, circles).round().long()
    cos, sin = chosen, len(frequencies) + chosen  # the columns of x that hold them
    # After LayerNorm a point's coordinates have amplitude sqrt 2; `gain` makes the best score NEIGHBOUR_SCORE.
    gain = math.sqrt(NEIGHBOUR_SCORE * math.sqrt(head_size) / (2 * circles))
    turn = frequencies[chosen] * offset
    query, key = torch.zeros(2, head_size, config.hidden_size)
    row = torch.arange(circles)
    query[row, cos], query[row, sin] = gain * turn.cos(), -gain * turn.sin()
    query[row + circles, cos], query[row + circles, sin] = gain * turn.sin(), gain * turn.cos()
    key[row, cos] = gain
    key[row + circles, sin] = gain
    return query, key

"""How fast an encoder could be if its matrix products were all there is to compute."""

import statistics
import time
from collections import Counter

import torch
import torch.nn.functional as F

from benchmarks.flops import synchronize
from minibert.inference.batching import BATCH_TOKENS, token_batches
from minibert.model.config import BertConfig


@torch.inference_mode()
def matmul_seconds(config: BertConfig, lengths: list[int], device: str, rounds: int = 3) -> float:
    """The seconds that the products of one pass over texts of so many tokens take in fp32, in our own batches.

    Each of them alone: inputs are there, nothing is added, normalised, copied or tokenized. The median of `rounds`.
    """
    batches = [[lengths[row] for row in rows] for rows in token_batches(lengths, BATCH_TOKENS[device])]
    hidden, feed_forward = config.hidden_size, config.intermediate_size
    shapes = [(hidden, hidden)] * 4 + [(feed_forward, hidden), (hidden, feed_forward)]
    weights = [torch.randn(shape, device=device) for shape in shapes]
    seconds = []
    for _ in range(rounds + 1):
        synchronize(torch.device(device))
        start = time.perf_counter()
        for batch in batches:
            _products_of_a_layer(config, batch, weights)
        synchronize(torch.device(device))
        seconds.append(config.num_hidden_layers * (time.perf_counter() - start))
    return statistics.median(seconds[1:])


def _products_of_a_layer(config: BertConfig, lengths: list[int], weights: list[torch.Tensor]) -> None:
    device = weights[0].device
    x, wide = (torch.ones(sum(lengths), size, device=device) for size in (config.hidden_size, config.intermediate_size))
    for weight in weights:
        F.linear(x if weight.shape[1] == config.hidden_size else wide, weight)
    heads, head_size = config.num_attention_heads, config.hidden_size // config.num_attention_heads
    for length, count in Counter(lengths).items():
        queries = torch.ones(count * heads, length, head_size, device=device)
        torch.bmm(torch.bmm(queries, queries.mT), queries)

"""Many texts through a model: in batches of about as many tokens each, of similar lengths, results in order."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

# Real tokens in one forward pass: on a processor enough for its cores, and so few that a layer's activations stay in
# its cache; on a GPU, of any make, as many as keep it busy.
BATCH_TOKENS = {"cpu": 2048, "cuda": 16384}


@torch.inference_mode()
def run_in_batches(
    texts: Mapping[str, Sequence[Sequence[int]]],
    compute: Callable[[dict[str, Tensor]], Sequence[Any] | Tensor],
    device: torch.device | str = "cpu",
    max_tokens: int | None = None,
    max_rows: int | None = None,
) -> list[Any]:
    """What `compute` makes of each text, in the order of the texts.

    Args:
        texts: the columns of a tokenizer that was called without padding: `input_ids`, `token_type_ids`.
        compute: takes a padded batch (B, S), with its `attention_mask`, and returns one result for each of the B
            rows. Results are kept until the last batch is done: they should be small, and no views of large tensors.
        max_tokens: of a batch, default: the device's `BATCH_TOKENS`; a longer text is a batch of its own.
        max_rows: how many texts a batch may have, however short they are; default: any number.
    """
    max_tokens = max_tokens or BATCH_TOKENS["cpu" if torch.device(device).type == "cpu" else "cuda"]
    lengths = [len(ids) for ids in texts["input_ids"]]
    results: list[Any] = [None] * len(lengths)
    with tqdm(total=sum(lengths), desc="running", unit=" tokens", unit_scale=True, delay=2, leave=False) as bar:
        for rows in token_batches(lengths, max_tokens, max_rows):
            outputs = compute(padded_batch(texts, rows, device))
            for row, output in zip(rows, outputs, strict=True):
                results[row] = output
            bar.update(sum(lengths[row] for row in rows))
    return results


def token_batches(lengths: Sequence[int], max_tokens: int, max_rows: int | None = None) -> list[list[int]]:
    """The numbers of the texts in each batch, longest texts first: what is too long for the memory fails at once."""
    batches: list[list[int]] = []
    room = 0
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if not batches or lengths[row] > room or len(batches[-1]) == max_rows:
            batches.append([])
            room = max_tokens
        batches[-1].append(row)
        room -= lengths[row]
    return batches


def padded_batch(texts: Mapping[str, Sequence], rows: list[int], device: torch.device | str) -> dict[str, Tensor]:
    """The `rows` of each column as a (B, S) tensor; what stands in the padding is never computed."""
    length = max(len(texts["input_ids"][row]) for row in rows)
    columns = {name: [texts[name][row] for row in rows] for name in ("input_ids", "token_type_ids") if name in texts}
    columns["attention_mask"] = [[1] * len(ids) for ids in columns["input_ids"]]
    return {
        name: torch.tensor([[*values, *[0] * (length - len(values))] for values in column], device=device)
        for name, column in columns.items()
    }

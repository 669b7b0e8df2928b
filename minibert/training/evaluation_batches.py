"""The batches of an evaluation: every example once, with as little padding as can be."""

from collections.abc import Callable, Iterator, Mapping

import torch
from torch.utils.data import DataLoader

from minibert.training.batch import Batch, Examples
from minibert.training.ctrl_c import ignore_ctrl_c

# Batches are made of neighbours in length among so many batches' worth of examples.
LENGTH_POOL = 50


class EvaluationBatches:
    """Every example once, in batches of neighbours in length; `order` says which they were.

    Args:
        collate: makes a batch from a list of examples.
    """

    def __init__(
        self, dataset: Examples, batch_size: int, collate: Callable[[list], Batch], num_workers: int = 0
    ) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.collate = collate
        self.num_workers = num_workers
        self.order: list[int] = []  # the numbers of the examples of all batches so far

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        self.order = []
        for indices, examples in batches_by_length(self.dataset, self.batch_size, self.num_workers):
            self.order += indices
            yield self.collate(examples)


def batches_by_length(dataset: Examples, batch_size: int, num_workers: int = 0) -> Iterator[tuple[list[int], list]]:
    """Every example once, as batches (indices, examples) of neighbours in length; without `input_ids`, in order.

    Each is fetched once, by so many workers, and few are held at a time.
    """
    size, pool = len(dataset), LENGTH_POOL * batch_size
    pools = [list(range(start, min(start + pool, size))) for start in range(0, size, pool)]
    fetched = DataLoader(
        dataset,
        batch_sampler=pools,
        collate_fn=list,
        num_workers=num_workers,
        worker_init_fn=ignore_ctrl_c,
        generator=torch.Generator(),  # what it draws for itself is nobody's business
    )
    for indices, examples in zip(pools, fetched, strict=True):
        if all(isinstance(example, Mapping) and "input_ids" in example for example in examples):
            lengths = [len(example["input_ids"]) for example in examples]
        else:
            lengths = [0] * len(examples)
        order = sorted(range(len(examples)), key=lengths.__getitem__)
        for chosen in (order[i : i + batch_size] for i in range(0, len(order), batch_size)):
            yield [indices[i] for i in chosen], [examples[i] for i in chosen]

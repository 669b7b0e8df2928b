"""In which order a run sees its examples: a function of seed and epoch alone, for any number of processes."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch.utils.data import Dataset

from minibert.training.arguments import TrainingArguments
from minibert.training.distributed import Processes

Batch = dict[str, Any]

# Batches are made of neighbours in length among so many batches' worth of shuffled examples.
LENGTH_POOL = 50


class MicroBatch(NamedTuple):
    """A part of a step's examples, small enough to compute at once."""

    batch: Batch
    weight: float  # how many examples it has, in units of the mean over the step's micro-batches


class StepBatches:
    """For each step, the micro-batches of this process.

    A step's examples are the same for any number of processes and micro-batches that multiply to the same size;
    only who computes which differs.
    """

    def __init__(
        self, dataset: Dataset, collate: Callable[[list], Batch], args: TrainingArguments, processes: Processes
    ) -> None:
        self.dataset = dataset
        self.collate = collate
        self.args = args
        self.processes = processes
        self.examples_per_step = args.per_device_train_batch_size * args.gradient_accumulation_steps * processes.count
        self.lengths: list[int] | None = None
        self._start_epoch(0)

    @property
    def steps_per_epoch(self) -> int:
        """Of the present epoch; the last step may be on fewer examples."""
        return max(1, -(-len(self.dataset) // self.examples_per_step))

    def from_position(self, epoch: int, step: int) -> Iterator[tuple[list[MicroBatch], tuple[int, int]]]:
        """Without end: the micro-batches of each step, and the position (epoch, step in it) after the step."""
        while True:
            self._start_epoch(epoch)
            order = self._order(epoch)
            while step < self.steps_per_epoch:
                examples = order[step * self.examples_per_step : (step + 1) * self.examples_per_step]
                step += 1
                after = (epoch, step) if step < self.steps_per_epoch else (epoch + 1, 0)
                yield self._micro_batches(examples), after
            epoch, step = epoch + 1, 0

    def _start_epoch(self, epoch: int) -> None:
        if hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(epoch)
            self.lengths = None  # the examples are new ones

    def _order(self, epoch: int) -> list[int]:
        generator = torch.Generator().manual_seed(self.args.seed + epoch)
        order = torch.randperm(len(self.dataset), generator=generator).tolist()
        if not self.args.group_by_length:
            return order
        if self.lengths is None:
            self.lengths = self._measure()
        pool = LENGTH_POOL * self.examples_per_step
        pools = [sorted(order[i : i + pool], key=self.lengths.__getitem__) for i in range(0, len(order), pool)]
        steps = [p[i : i + self.examples_per_step] for p in pools for i in range(0, len(p), self.examples_per_step)]
        shuffled = torch.randperm(len(steps), generator=generator).tolist()
        # A step that is not full can only be the last one.
        shuffled.sort(key=lambda i: len(steps[i]) < self.examples_per_step)
        return [example for i in shuffled for example in steps[i]]

    def _micro_batches(self, examples: list[int]) -> list["MicroBatch"]:
        """This process's shares: each takes every n-th example, so that none is much smaller than the others."""
        shares = self.processes.count * self.args.gradient_accumulation_steps
        micro_batches = []
        for share in range(self.processes.rank, shares, self.processes.count):
            chosen = examples[share::shares]
            weight = len(chosen) * shares / len(examples)
            # Every process takes part in every step: one for whom nothing is left computes what counts for nothing.
            batch = self.collate(fetch_examples(self.dataset, chosen or examples[:1]))
            micro_batches.append(MicroBatch(batch, weight))
        return micro_batches

    def _measure(self) -> list[int]:
        """The examples' lengths, some at a time: all of them may not fit into memory."""
        every = range(len(self.dataset))
        parts = (every[i : i + self.examples_per_step] for i in range(0, len(every), self.examples_per_step))
        return [len(example["input_ids"]) for part in parts for example in fetch_examples(self.dataset, list(part))]


def batches_by_length(dataset: Dataset, batch_size: int) -> Iterator[tuple[list[int], list]]:
    """Every example once, as batches (indices, examples) of neighbours in length; without `input_ids`, in order.

    Each is fetched once, and few are held at a time.
    """
    pool = LENGTH_POOL * batch_size
    for start in range(0, len(dataset), pool):
        indices = list(range(start, min(start + pool, len(dataset))))
        examples = fetch_examples(dataset, indices)
        if all(isinstance(example, Mapping) and "input_ids" in example for example in examples):
            lengths = [len(example["input_ids"]) for example in examples]
        else:
            lengths = [0] * len(examples)
        order = sorted(range(len(examples)), key=lengths.__getitem__)
        for chosen in (order[i : i + batch_size] for i in range(0, len(order), batch_size)):
            yield [indices[i] for i in chosen], [examples[i] for i in chosen]


def fetch_examples(dataset: Dataset, indices: list[int]) -> list:
    """The examples at `indices`, all at once where the data set can."""
    if hasattr(dataset, "__getitems__"):
        return dataset.__getitems__(indices)
    return [dataset[i] for i in indices]

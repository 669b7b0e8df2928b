"""In which order a run sees its examples: a function of seed and epoch alone, for any number of processes."""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Sampler

from minibert.training.arguments import TrainingArguments
from minibert.training.batch import Batch, Examples, fetch_examples, label_count
from minibert.training.distributed import Processes
from minibert.training.evaluation_batches import LENGTH_POOL
from minibert.training.own_loader import OwnLoader
from minibert.training.seeding import drawing, drawn


class MicroBatch(NamedTuple):
    """A part of a step's examples, small enough to compute at once."""

    batch: Batch
    weight: float  # how many examples it has, in units of the mean over the step's micro-batches


class StepSampler(Sampler[list[int]]):
    """Which examples each of this process's micro-batches has, in the order of an epoch.

    A step's examples are the same for any number of processes and micro-batches that multiply to the same size;
    only who computes which differs.
    """

    def __init__(self, dataset: Examples, args: TrainingArguments, processes: Processes) -> None:
        self.dataset = dataset
        self.args = args
        self.processes = processes
        self.accumulation = args.gradient_accumulation_steps  # of each process's micro-batches in a step
        self.examples_per_step = args.per_device_train_batch_size * self.shares
        self.lengths: np.ndarray | None = None
        self.epoch, self.first_step = 0, 0

    def divide_anew(self, examples_per_step: int) -> None:
        """Let a step have so many examples, in as few micro-batches as these processes can divide them into."""
        self.examples_per_step = examples_per_step
        self.accumulation = -(-examples_per_step // (self.args.per_device_train_batch_size * self.processes.count))

    @property
    def shares(self) -> int:
        """Into how many micro-batches a step is divided, those of all processes."""
        return self.accumulation * self.processes.count

    @property
    def steps_per_epoch(self) -> int:
        """Of the present epoch; the last step may be on fewer examples."""
        return max(1, -(-len(self.dataset) // self.examples_per_step))

    def __len__(self) -> int:
        return self.steps_per_epoch * self.accumulation

    def __iter__(self) -> Iterator[list[int]]:
        order = self._order()
        for start in range(self.first_step * self.examples_per_step, len(order), self.examples_per_step):
            examples = order[start : start + self.examples_per_step]
            # Each takes every n-th example, so that none has much less than the others. Every process takes part in
            # every step: one for whom nothing is left computes what counts for nothing.
            for share in self._own_shares:
                yield (examples[share :: self.shares] if share < len(examples) else examples[:1]).tolist()

    def weights(self, step: int, batches: list[Batch]) -> list[float]:
        """How many examples each of a step's micro-batches has, in units of the mean over all processes."""
        size = min(self.examples_per_step, len(self.dataset) - step * self.examples_per_step)
        return [len(range(share, size, self.shares)) * self.shares / size for share in self._own_shares]

    @property
    def facts(self) -> dict[str, Any]:
        """All that decides which examples the steps of an epoch have."""
        return {
            "examples in a step": self.examples_per_step,
            "examples in train_dataset": len(self.dataset),
            "seed of the data": self.args.order_seed,
            "group_by_length": self.args.group_by_length,
        }

    def share_of_epoch(self, steps: int) -> float:
        """How much of the present epoch so many steps are."""
        return min(1.0, steps * self.examples_per_step / len(self.dataset))

    def set_epoch(self, epoch: int) -> None:
        """What the next iteration is about."""
        self.epoch, self.first_step = epoch, 0
        if hasattr(self.dataset, "set_epoch"):
            self.lengths = None  # the examples are new ones

    def begin_at(self, step: int) -> int:
        """Begin the next iteration there, if that is the same; returns the number of its first micro-batch.

        Workers draw their random numbers from the start of an epoch on: they have to make what is passed over, too.
        """
        self.first_step = 0 if self.args.dataloader_num_workers else step
        return self.first_step * self.accumulation

    @property
    def _own_shares(self) -> range:
        return range(self.processes.rank, self.shares, self.processes.count)

    def _order(self) -> np.ndarray:
        """The numbers of all examples, (n,), in the order of this epoch."""
        generator = torch.Generator().manual_seed(self.args.order_seed + self.epoch)
        order = torch.randperm(len(self.dataset), generator=generator).numpy()
        if not self.args.group_by_length:
            return order
        if self.lengths is None:
            self.lengths = self._measure()
        size = self.examples_per_step
        for start in range(0, len(order), LENGTH_POOL * size):
            pool = order[start : start + LENGTH_POOL * size]
            pool[:] = pool[np.argsort(self.lengths[pool], kind="stable")]
        shuffled = torch.randperm(self.steps_per_epoch, generator=generator).numpy()
        n_full = len(order) // size  # a step that is not full can only be the last one
        steps = order[: n_full * size].reshape(n_full, size)[shuffled[shuffled < n_full]]
        return np.concatenate([steps.ravel(), order[n_full * size :]])

    def _measure(self) -> np.ndarray:
        """The examples' lengths, (n,): from the data set, if it has `lengths`, which is quick.

        Else they are made, some at a time: all of them may not fit into memory.
        """
        if (known := getattr(self.dataset, "lengths", None)) is not None:
            return np.asarray(known)
        every = range(len(self.dataset))
        parts = (every[i : i + self.examples_per_step] for i in range(0, len(every), self.examples_per_step))
        fetched = (fetch_examples(self.dataset, list(part)) for part in parts)
        return np.fromiter((len(example["input_ids"]) for part in fetched for example in part), np.int64, len(every))


class StepBatches:
    """For each step, the micro-batches of this process.

    Args:
        loader: a `DataLoader` with a `StepSampler`, or one's own: see `OwnLoader`.
    """

    def __init__(self, loader: Any, args: TrainingArguments, processes: Processes) -> None:
        self.loader = loader
        self.args = args
        self.processes = processes
        sampler: Any = getattr(loader, "batch_sampler", None)
        is_ours = isinstance(sampler, StepSampler)
        self.plan: StepSampler | OwnLoader = sampler if is_ours else OwnLoader(loader, args, processes)
        self._start_epoch(0)
        self.facts = self.plan.facts  # the length of the data may change with the epoch
        if is_ours and args.dataloader_num_workers:
            # One is made here first, so that what there is to say is said once, and an error is no worker's.
            with drawing(args.order_seed, epoch=0, batch=0):
                loader.collate_fn(fetch_examples(loader.dataset, [0]))

    def divide_as(self, facts: dict[str, Any]) -> None:
        """Make steps as large as those of a run on another number of processes, whose `facts` these are."""
        if isinstance(self.plan, StepSampler) and "examples in a step" in facts:
            self.plan.divide_anew(facts["examples in a step"])
            self.facts = self.plan.facts

    @property
    def steps_per_epoch(self) -> int:
        """Of the present epoch; the last step may be on fewer examples."""
        return self.plan.steps_per_epoch

    def rest_of_epoch(self, epoch: int, step: int) -> Iterator[tuple[list[MicroBatch], tuple[int, int]]]:
        """From `step` on: the micro-batches of each step, and the position (epoch, step in it) after the step."""
        self._start_epoch(epoch)
        batches = self._from_step(epoch, step)
        while step < self.steps_per_epoch:
            taken = list(itertools.islice(batches, self.plan.accumulation))
            weights = self.plan.weights(step, taken)
            step += 1
            after = (epoch, step) if step < self.steps_per_epoch else (epoch + 1, 0)
            yield [MicroBatch(batch, weight) for batch, weight in zip(taken, weights, strict=True)], after

    def _start_epoch(self, epoch: int) -> None:
        dataset: Any = getattr(self.loader, "dataset", None)
        if hasattr(dataset, "set_epoch"):
            dataset.set_epoch(epoch)
        self.plan.set_epoch(epoch)

    def _from_step(self, epoch: int, step: int) -> Iterator[Batch]:
        """The epoch's batches without those of the steps before `step`."""
        first = self.plan.begin_at(step)
        batches = drawn(self.loader, self.args.order_seed, epoch, first, self.processes.rank, self.processes.count)
        return itertools.islice(batches, step * self.plan.accumulation - first, None)


def share_label_counts(micro_batches: list[MicroBatch], processes: Processes) -> list[float | None]:
    """For every micro-batch of a step, over how many labels its loss should be a mean.

    That is its part of the mean count over all micro-batches and processes: then the mean of their losses, by
    weight, is the mean over all labels of the step. None where there is nothing to count.
    """
    counts = [label_count(batch) for batch, _ in micro_batches]
    if None in counts:
        return [None] * len(counts)
    counted = sum(count or 0 for count, (_, weight) in zip(counts, micro_batches, strict=True) if weight > 0)
    mean = counted / len(counts)
    if processes.count > 1:
        mean = processes.mean(mean).item()
    # Where there is no label, the sum of the losses is zero, whatever it is divided by.
    return [mean * weight or 1.0 for _, weight in micro_batches]

"""In which order a run sees its examples: a function of seed and epoch alone, for any number of processes."""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch.utils.data import Sampler

from minibert.training.arguments import TrainingArguments
from minibert.training.batch import Batch, Examples, examples_in, fetch_examples, label_count
from minibert.training.distributed import Processes
from minibert.training.evaluation_batches import LENGTH_POOL
from minibert.training.seeding import drawing, drawn, seed_of_batch


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
        self.shares = args.gradient_accumulation_steps * processes.count  # of a step, of all processes
        self.examples_per_step = args.per_device_train_batch_size * self.shares
        self.lengths: list[int] | None = None
        self.epoch, self.first_step = 0, 0

    @property
    def steps_per_epoch(self) -> int:
        """Of the present epoch; the last step may be on fewer examples."""
        return max(1, -(-len(self.dataset) // self.examples_per_step))

    def __len__(self) -> int:
        return self.steps_per_epoch * self.args.gradient_accumulation_steps

    def __iter__(self) -> Iterator[list[int]]:
        order = self._order()
        for start in range(self.first_step * self.examples_per_step, len(order), self.examples_per_step):
            examples = order[start : start + self.examples_per_step]
            # Each takes every n-th example, so that none has much less than the others. Every process takes part in
            # every step: one for whom nothing is left computes what counts for nothing.
            for share in self._own_shares:
                yield examples[share :: self.shares] or examples[:1]

    def weights(self, step: int) -> list[float]:
        """Those of a step's micro-batches in this process."""
        size = min(self.examples_per_step, len(self.dataset) - step * self.examples_per_step)
        return [len(range(share, size, self.shares)) * self.shares / size for share in self._own_shares]

    def set_epoch(self, epoch: int) -> None:
        """What the next iteration is about."""
        self.epoch, self.first_step = epoch, 0
        if hasattr(self.dataset, "set_epoch"):
            self.lengths = None  # the examples are new ones

    @property
    def _own_shares(self) -> range:
        return range(self.processes.rank, self.shares, self.processes.count)

    def _order(self) -> list[int]:
        generator = torch.Generator().manual_seed(self.args.order_seed + self.epoch)
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

    def _measure(self) -> list[int]:
        """The examples' lengths, some at a time: all of them may not fit into memory."""
        every = range(len(self.dataset))
        parts = (every[i : i + self.examples_per_step] for i in range(0, len(every), self.examples_per_step))
        return [len(example["input_ids"]) for part in parts for example in fetch_examples(self.dataset, list(part))]


class StepBatches:
    """For each step, the micro-batches of this process.

    Args:
        loader: a `DataLoader` with a `StepSampler`; or one's own loader, which has a length: then a step is made of
            `gradient_accumulation_steps` of its batches.

    Raises: `ValueError` for a loader of one's own where `args` ask for what only a `StepSampler` can do.
    """

    def __init__(self, loader: Any, args: TrainingArguments, processes: Processes) -> None:
        self.loader = loader
        self.args = args
        self.processes = processes
        sampler = getattr(loader, "batch_sampler", None)
        self.sampler = sampler if isinstance(sampler, StepSampler) else None
        if self.sampler is None:
            _check_own_loader(loader, args, processes)
        self._start_epoch(0)
        self.first_length = self._length
        if self.sampler is not None and args.dataloader_num_workers:
            # One is made here first, so that what there is to say is said once, and an error is no worker's.
            with drawing(args.order_seed, epoch=0, batch=0):
                loader.collate_fn(fetch_examples(loader.dataset, [0]))

    @property
    def steps_per_epoch(self) -> int:
        """Of the present epoch; the last step may be on fewer examples."""
        if self.sampler is not None:
            return self.sampler.steps_per_epoch
        return max(1, -(-len(self.loader) // self.args.gradient_accumulation_steps))

    def share_of_epoch(self, steps: int) -> float:
        """How much of the present epoch so many steps are."""
        per_step = self.args.gradient_accumulation_steps if self.sampler is None else self.sampler.examples_per_step
        return min(1.0, steps * per_step / self._length)

    @property
    def facts(self) -> dict[str, Any]:
        """All that decides which examples the steps of an epoch have."""
        if self.sampler is None:
            return {
                "batches in a step": self.args.gradient_accumulation_steps,
                "batches of the train loader": self.first_length,
                "seed of the data": self.args.order_seed,
            }
        return {
            "examples in a step": self.sampler.examples_per_step,
            "examples in train_dataset": self.first_length,
            "seed of the data": self.args.order_seed,
            "group_by_length": self.args.group_by_length,
        }

    def rest_of_epoch(self, epoch: int, step: int) -> Iterator[tuple[list[MicroBatch], tuple[int, int]]]:
        """From `step` on: the micro-batches of each step, and the position (epoch, step in it) after the step."""
        self._start_epoch(epoch)
        batches = self._from_step(epoch, step)
        while step < self.steps_per_epoch:
            taken = list(itertools.islice(batches, self.args.gradient_accumulation_steps))
            weights = _weights(taken) if self.sampler is None else self.sampler.weights(step)
            step += 1
            after = (epoch, step) if step < self.steps_per_epoch else (epoch + 1, 0)
            yield [MicroBatch(batch, weight) for batch, weight in zip(taken, weights, strict=True)], after

    @property
    def _length(self) -> int:
        return len(self.loader) if self.sampler is None else len(self.sampler.dataset)

    def _start_epoch(self, epoch: int) -> None:
        sampler = getattr(self.loader, "sampler", None)
        parts: list[Any] = [getattr(self.loader, "dataset", None), sampler, self.sampler]
        for part in parts:
            if hasattr(part, "set_epoch"):
                part.set_epoch(epoch)
        if self.sampler is None:  # generators of one's own go on from epoch to epoch, but a resumed run cannot
            generators: list[Any] = [self.loader, sampler]
            for part in generators:
                if getattr(part, "generator", None) is not None:
                    part.generator.manual_seed(seed_of_batch(self.args.order_seed, epoch, 0))

    def _from_step(self, epoch: int, step: int) -> Iterator[Batch]:
        """The epoch's batches without those of the steps before `step`."""
        passed = step * self.args.gradient_accumulation_steps
        first = 0
        if self.sampler is not None and self.args.dataloader_num_workers == 0:
            self.sampler.first_step, first = step, passed
        # Others make what is passed over, too: a worker draws its numbers from the start of the epoch on.
        share = (self.processes.rank, self.processes.count)
        return itertools.islice(drawn(self.loader, self.args.order_seed, epoch, first, *share), passed - first, None)


def _weights(batches: list[Batch]) -> list[float]:
    if not batches:
        raise ValueError("get_train_dataloader: the loader gave fewer batches than its length says")
    sizes = [examples_in(batch) for batch in batches]
    return [size * len(sizes) / sum(sizes) for size in sizes]


def _check_own_loader(loader: Any, args: TrainingArguments, processes: Processes) -> None:
    if not hasattr(loader, "__len__"):
        raise ValueError("get_train_dataloader: expected a loader with a length (len), found none; a run needs its end")
    if processes.count > 1:
        raise ValueError(
            f"get_train_dataloader: a loader of one's own feeds one process, found {processes.count}, which would all"
            " train on the same batches"
        )
    if args.group_by_length:
        raise ValueError("get_train_dataloader: group_by_length has no effect on a loader of one's own; leave it out")


def share_label_counts(micro_batches: list[MicroBatch], processes: Processes) -> list[float | None]:
    """For every micro-batch of a step, over how many labels its loss should be a mean.

    That is its part of the mean count over all micro-batches and processes: then the mean of their losses, by
    weight, is the mean over all labels of the step. None where there is nothing to count.
    """
    counts = [label_count(batch) for batch, _ in micro_batches]
    if None in counts:
        return [None] * len(counts)
    counted = sum(count or 0 for count, (_, weight) in zip(counts, micro_batches, strict=True) if weight > 0)
    mean = processes.mean(counted / len(counts)).item()
    # Where there is no label, the sum of the losses is zero, whatever it is divided by.
    return [mean * weight or 1.0 for _, weight in micro_batches]

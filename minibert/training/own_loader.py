"""A loader of one's own to train on: how steps are made of its batches, and made again after an interruption."""

from typing import Any

from minibert.training.arguments import TrainingArguments
from minibert.training.batch import Batch, examples_in
from minibert.training.distributed import Processes
from minibert.training.seeding import seed_of_batch


class OwnLoader:
    """What `StepBatches` asks of a `StepSampler`, for a loader that has none.

    A step is made of `gradient_accumulation_steps` of its batches. Its generators are seeded for every epoch: on their
    own they would go on from one to the next, which a resumed run cannot do.

    Raises: `ValueError` for a loader without a length, or where `args` ask for what only a `StepSampler` can do.
    """

    def __init__(self, loader: Any, args: TrainingArguments, processes: Processes) -> None:
        if not hasattr(loader, "__len__"):
            raise ValueError("get_train_dataloader: expected a loader with a length (len), found none")
        if processes.count > 1:
            raise ValueError(
                f"get_train_dataloader: a loader of one's own feeds one process, found {processes.count}, which would"
                " all train on the same batches"
            )
        if args.group_by_length:
            raise ValueError("get_train_dataloader: group_by_length has no effect on a loader of one's own")
        self.loader = loader
        self.args = args
        self.accumulation = args.gradient_accumulation_steps  # batches in a step

    @property
    def steps_per_epoch(self) -> int:
        """The last one may be on fewer batches."""
        return max(1, -(-len(self.loader) // self.accumulation))

    @property
    def facts(self) -> dict[str, Any]:
        """All that decides which examples the steps of an epoch have."""
        return {
            "batches in a step": self.accumulation,
            "batches of the train loader": len(self.loader),
            "seed of the data": self.args.order_seed,
        }

    def share_of_epoch(self, steps: int) -> float:
        """How much of an epoch so many steps are."""
        return min(1.0, steps * self.accumulation / len(self.loader))

    def weights(self, step: int, batches: list[Batch]) -> list[float]:
        """How many examples each of a step's batches has, in units of their mean."""
        if not batches:
            raise ValueError("get_train_dataloader: the loader gave fewer batches than its length says")
        sizes = [examples_in(batch) for batch in batches]
        return [size * len(sizes) / sum(sizes) for size in sizes]

    def set_epoch(self, epoch: int) -> None:
        """What the next iteration is about."""
        sampler: Any = getattr(self.loader, "sampler", None)
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(epoch)
        for part in (self.loader, sampler):
            if getattr(part, "generator", None) is not None:
                part.generator.manual_seed(seed_of_batch(self.args.order_seed, epoch, 0))

    def begin_at(self, step: int) -> int:
        """No loader can begin in the middle: 0, the first batch that comes."""
        return 0

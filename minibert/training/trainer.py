"""`Trainer`: the loop. Batches in, losses out; what the model computes is none of its business."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from minibert.training.arguments import TrainingArguments
from minibert.training.metrics_log import MetricsLog
from minibert.training.optimization import build_optimizer, learning_rate_factor

Batch = dict[str, Any]


class TrainingError(ValueError):
    """A run that cannot go on; the message says at which step, and what to do."""


class Trainer:
    """Trains `model` on `train_dataset`.

    Args:
        model: called with a batch as keyword arguments; returns an object with a `.loss`.
        args: the numbers of the run.
        data_collator: makes a batch, a dict, from a list of the dataset's items.
        train_dataset: its items; if it has `set_epoch`, that is called with the epoch's number before each.
    """

    def __init__(
        self, model: nn.Module, args: TrainingArguments, data_collator: Callable[[list], Batch], train_dataset: Dataset
    ) -> None:
        self.model = model
        self.args = args
        self.data_collator = data_collator
        self.train_dataset = train_dataset
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.optimizer = build_optimizer(
            model.to(self.device).named_parameters(),
            args.learning_rate,
            args.weight_decay,
            (args.adam_beta1, args.adam_beta2),
            args.adam_epsilon,
        )

    def train(self) -> None:
        """Run from the first step to the last, logging to `metrics.jsonl`."""
        args = self.args
        torch.manual_seed(args.seed)  # dropout alone uses it
        self.model.train()
        clock = _Clock(args, steps_per_epoch=-(-len(self.train_dataset) // args.per_device_train_batch_size))
        with MetricsLog(args.logging_dir) as log, _progress_bar(clock, args.disable_tqdm) as bar:
            for batch in self._batches():
                factor = learning_rate_factor(args.lr_scheduler_type, clock.progress(), clock.warmup())
                outputs = self._step(batch, args.learning_rate * factor)
                clock.count(batch)
                if clock.step % args.logging_steps == 0 or clock.step == 1 or clock.is_over():
                    log.write(self._metrics(outputs, clock, args.learning_rate * factor))
                    bar.set_postfix_str(f"loss {outputs.loss.item():.3f}, {clock.tokens_per_second():,.0f} tokens/s")
                bar.update(clock.position() - bar.n)
                if clock.is_over():
                    break
        self.model.eval()

    def _step(self, batch: Batch, learning_rate: float) -> Any:
        """One step of gradient descent."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.args.bf16):
            outputs = self.model(**batch)
        outputs.loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.args.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return outputs

    def _batches(self) -> Iterator[Batch]:
        """Batches without end: epoch after epoch, each in an order of its own that the seed decides."""
        epoch = 0
        while True:
            if hasattr(self.train_dataset, "set_epoch"):
                self.train_dataset.set_epoch(epoch)
            generator = torch.Generator().manual_seed(self.args.seed + epoch)
            loader = DataLoader(
                self.train_dataset,
                batch_size=self.args.per_device_train_batch_size,
                shuffle=True,
                generator=generator,
                collate_fn=self.data_collator,
            )
            for batch in loader:
                yield {name: x.to(self.device) if isinstance(x, Tensor) else x for name, x in batch.items()}
            epoch += 1

    def _metrics(self, outputs: Any, clock: "_Clock", learning_rate: float) -> dict[str, float]:
        loss = outputs.loss.item()
        if not loss - loss == 0:
            raise TrainingError(f"the loss is {loss} at step {clock.step}; try a lower learning rate or fp32")
        return {
            "step": clock.step,
            "seconds": round(clock.seconds(), 2),
            "loss": loss,
            **{name: term.item() for name, term in (getattr(outputs, "loss_terms", None) or {}).items()},
            "learning_rate": learning_rate,
            "tokens_per_second": round(clock.tokens_per_second()),
        }


class _Clock:
    """Where in the run we are. A run has a fixed number of steps, or of minutes."""

    def __init__(self, args: TrainingArguments, steps_per_epoch: int) -> None:
        self.args = args
        self.start = time.monotonic()
        self.step = 0
        self.tokens = 0
        self.total_steps = args.max_steps if args.max_steps > 0 else round(args.num_train_epochs * steps_per_epoch)
        self.total_steps = max(1, self.total_steps)

    def count(self, batch: Batch) -> None:
        """One more step is done, on this batch."""
        self.step += 1
        self.tokens += int(batch["attention_mask"].sum()) if "attention_mask" in batch else 0

    def seconds(self) -> float:
        return time.monotonic() - self.start

    def position(self) -> float:
        """In the unit of `total`: seconds or steps."""
        return min(self.seconds(), self.total()) if self.args.max_minutes else self.step

    def total(self) -> float:
        return 60 * self.args.max_minutes if self.args.max_minutes else self.total_steps

    def progress(self) -> float:
        """The share of the run that is over (0 to 1)."""
        return self.position() / self.total()

    def warmup(self) -> float:
        """The share of the run that is warm-up."""
        steps = self.args.warmup_steps
        if 0 < steps < 1 or steps == 0:
            return steps or self.args.warmup_ratio
        return min(1.0, steps / self.total_steps)

    def is_over(self) -> bool:
        return self.position() >= self.total()

    def tokens_per_second(self) -> float:
        return self.tokens / max(self.seconds(), 1e-9)


def _progress_bar(clock: _Clock, disable: bool) -> tqdm:
    layout = "{desc} {percentage:3.0f}%|{bar}| {remaining} left{postfix}"
    return tqdm(desc="training", total=clock.total(), disable=disable, bar_format=layout)

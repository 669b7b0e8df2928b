"""Where in a run we are, whether it is measured in steps, in tokens or in minutes of wall-clock time."""

import math
import time
import warnings

import torch
from tqdm import tqdm

from minibert.training.arguments import TrainingArguments
from minibert.training.distributed import Processes
from minibert.training.optimization import learning_rate_factor


class RunClock:
    """Counts steps, tokens and seconds; knows the length of the run, and with it the learning rate.

    A run that goes on after an interruption starts with the steps, tokens and seconds already spent.
    """

    def __init__(self, args: TrainingArguments, steps_per_epoch: int, processes: Processes) -> None:
        self.args = args
        self.processes = processes
        by_epochs = math.ceil(args.num_train_epochs * steps_per_epoch)
        self.total_steps = args.max_steps if args.max_steps > 0 else by_epochs
        self.max_seconds = 60 * args.max_minutes if args.max_minutes else None
        if self.warmup > 1:
            message = f"warmup_steps is {args.warmup_steps}, but the run has only {self.total_steps} steps"
            warnings.warn(f"{message}: the learning rate will never reach its peak", stacklevel=5)
        self.step = 0
        self.tokens = 0
        self.seconds = 0.0
        self._last = time.monotonic()  # which no change of the system's clock can disturb

    def tick(self, tokens: int) -> None:
        """One more step is done, on so many tokens in this process."""
        now = time.monotonic()
        seconds, self._last = now - self._last, now
        if self.processes.count > 1:  # they must agree on where the run is, or one would end and the others wait for it
            tokens, seconds = self.processes.mean(torch.tensor([tokens, seconds], dtype=torch.float64)).tolist()
        self.step += 1
        self.tokens += round(tokens * self.processes.count)
        self.seconds += seconds

    @property
    def progress(self) -> float:
        """The share of the run that is done, at most 1.

        Of tokens and minutes the one that is further on: the run ends with the first that is used up, and the learning
        rate must have decayed by then.
        """
        shares = []
        if self.args.max_tokens:
            shares.append(self.tokens / self.args.max_tokens)
        if self.max_seconds:
            shares.append(self.seconds / self.max_seconds)
        return min(1.0, max(shares or [self.step / self.total_steps]))

    @property
    def is_over(self) -> bool:
        return self.progress >= 1

    @property
    def learning_rate_factor(self) -> float:
        """The share of the peak learning rate for the step that comes next."""
        return learning_rate_factor(self.args.lr_scheduler_type, self.progress, self.warmup)

    @property
    def warmup(self) -> float:
        """The share of the run that is warm-up; above 1, the run is over before the warm-up is."""
        steps = self.args.warmup_steps
        ratio = steps or self.args.warmup_ratio
        if not self.args.counts_steps:
            return ratio
        # A ratio means whole steps, rounded up, as in the reference.
        return (int(steps) if steps >= 1 else math.ceil(self.total_steps * ratio)) / self.total_steps

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / max(self.seconds, 1e-9)

    def bar(self) -> tqdm:
        """A progress bar over the run, shown by the first process alone."""
        layout = "{desc} {percentage:3.0f}%|{bar}| {remaining} left{postfix}"
        hidden = self.args.disable_tqdm or not self.processes.is_first
        return tqdm(desc="training", total=1, initial=self.progress, disable=hidden, bar_format=layout)

    def state(self) -> dict[str, float]:
        """What a resumed run needs to know."""
        return {"step": self.step, "tokens": self.tokens, "seconds": self.seconds}

    def restore(self, state: dict[str, float]) -> None:
        """Go on from `state()` of the interrupted run.

        Minutes that limit a budget of tokens are those of one call: who goes on wants the rest of the tokens.
        """
        self.step, self.tokens, self.seconds = int(state["step"]), int(state["tokens"]), state["seconds"]
        if self.max_seconds and self.args.max_tokens:
            self.max_seconds += self.seconds
        self._last = time.monotonic()

"""Where in a run we are, whether it is measured in steps or in minutes of wall-clock time."""

import time

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
        by_epochs = max(1, round(args.num_train_epochs * steps_per_epoch))
        self.total_steps = args.max_steps if args.max_steps > 0 else by_epochs
        self.total = 60 * args.max_minutes if args.max_minutes else self.total_steps
        self.step = 0
        self.tokens = 0
        self.seconds = 0.0
        self._last = time.monotonic()  # which no change of the system's clock can disturb

    def tick(self, tokens: int) -> None:
        """One more step is done, on so many tokens in this process."""
        self.step += 1
        self.tokens += tokens * self.processes.count
        now = time.monotonic()
        self.seconds = self.processes.of_first(self.seconds + now - self._last)
        self._last = now

    @property
    def position(self) -> float:
        """In the unit of `total`: seconds or steps."""
        return min(self.seconds, self.total) if self.args.max_minutes else self.step

    @property
    def is_over(self) -> bool:
        return self.position >= self.total

    @property
    def learning_rate(self) -> float:
        """For the step that comes next."""
        args = self.args
        if 0 < args.warmup_steps < 1 or args.warmup_steps == 0:
            warmup = args.warmup_steps or args.warmup_ratio
        else:
            warmup = args.warmup_steps / self.total_steps
        return args.learning_rate * learning_rate_factor(args.lr_scheduler_type, self.position / self.total, warmup)

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / max(self.seconds, 1e-9)

    def state(self) -> dict[str, float]:
        """What a resumed run needs to know."""
        return {"step": self.step, "tokens": self.tokens, "seconds": self.seconds}

    def restore(self, state: dict[str, float]) -> None:
        """Go on from `state()` of the interrupted run."""
        self.step, self.tokens, self.seconds = state["step"], state["tokens"], state["seconds"]
        self._last = time.monotonic()

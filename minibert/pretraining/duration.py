"""How long a run will take, said once its speed is known; and how far it came, if its time was up before."""

from typing import Any

from tqdm import tqdm

from minibert.pretraining.options import PretrainingOptions
from minibert.report import counted, say
from minibert.training.arguments import TrainingArguments
from minibert.training.callbacks import TrainerCallback, TrainerControl, TrainerState
from minibert.training.clock import RunClock
from minibert.training.distributed import Processes

MEASURED_SECONDS = 5.0  # of steps after the first one, which sets up what the others find ready


class SayDuration(TrainerCallback):
    """Prints where a run goes on, and after the first steps their speed and when the run will be over."""

    def __init__(self) -> None:
        self.first: tuple[float, int, float] | None = None  # seconds, tokens and epochs after the first step
        self.is_said = False
        self.began = 0.0  # in seconds of the whole run
        self.began_at = 0  # step

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> None:
        """Tell what is behind a run that goes on."""
        self.began, self.began_at = state.seconds, state.global_step
        if state.global_step:
            with tqdm.external_write_mode():
                say("resuming", f"from checkpoint-{state.global_step}, after {state.num_input_tokens_seen:,} tokens")

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any) -> None:
        """Measure, and speak once."""
        now = (state.seconds, state.num_input_tokens_seen, state.epoch)
        if self.first is None:
            self.first = now
            return
        seconds, tokens, epochs = (after - before for after, before in zip(now, self.first, strict=True))
        if seconds < MEASURED_SECONDS or self.is_said:
            return
        self.is_said = True
        with tqdm.external_write_mode():
            say("speed", forecast(args, state, tokens / seconds, epochs / seconds, self.began))


def forecast(
    args: TrainingArguments,
    state: TrainerState,
    tokens_per_second: float,
    epochs_per_second: float,
    began: float = 0.0,
) -> str:
    """What comes of a run at such a speed: how long it takes, or what it sees until its time is up.

    Args:
        began: after how many seconds of the run this part of it, which a limit in minutes is for, began.
    """
    speed = f"{tokens_per_second:,.0f} tokens/s"
    if args.max_tokens:
        needed = max(0, args.max_tokens - state.num_input_tokens_seen) / tokens_per_second
        what = f"the {args.max_tokens:,} tokens"
    elif args.max_minutes:
        rest = 60 * args.max_minutes - state.seconds
        tokens = state.num_input_tokens_seen + rest * tokens_per_second
        epochs = state.epoch + rest * epochs_per_second
        return f"{speed}: {args.max_minutes:g} minutes are {tokens:,.0f} tokens, {epochs:.1f} epochs"
    else:
        needed = max(0, args.num_train_epochs - state.epoch) / epochs_per_second
        what = f"the {args.num_train_epochs:g} epochs"
    if not (args.max_tokens and args.max_minutes):
        return f"{speed}: {what} will be done in {_minutes(needed)}"
    left = 60 * args.max_minutes - (state.seconds - began)
    if needed <= left:
        return f"{speed}: {what} will be done in {_minutes(needed)}"
    share = (state.num_input_tokens_seen + left * tokens_per_second) / args.max_tokens
    return (
        f"{speed}: {what} would take {_minutes(needed)}, but the run ends after {args.max_minutes:g}, at about"
        f" {share:.0%} of them; --tokens {args.max_tokens} waits for all"
    )


def _minutes(seconds: float) -> str:
    if seconds < 60:
        return counted(round(seconds), "second")
    minutes = seconds / 60
    return f"{minutes:.1f} minutes" if minutes < 100 else f"{minutes / 60:.1f} hours"


def say_if_stopped(clock: RunClock, options: PretrainingOptions, steps_taken: int) -> None:
    """Where there was nothing to train any more, or the time was up before the tokens, print that and how to go on.

    Args:
        steps_taken: since the run began, or went on.
    """
    if not steps_taken:
        say("finished", "the run has its whole length, so nothing was trained; give a greater one to go on")
    if not clock.args.max_tokens or clock.tokens >= clock.args.max_tokens:
        return
    limit, tokens = clock.args.max_minutes, clock.args.max_tokens
    came = f"{clock.tokens:,} of {tokens:,} tokens ({clock.tokens / tokens:.0%}) in {counted(clock.step, 'step')}"
    say("stopped", f"after the limit of {limit:g} minutes, {came}")
    if options.is_default:
        say("expect", what_to_expect(clock.tokens))
    go_on = options.command(resume=True, output_dir=clock.args.output_dir)
    if Processes.join().count > 1:
        go_on = f"the same command, with --resume and --output-dir {clock.args.output_dir}"
    say("go on", go_on)


# Fewer are so few steps that a new model knows no more than how frequent each word is.
FEW_TOKENS = 150_000


def what_to_expect(tokens: int) -> str:
    """What a new model of the default size knows after so many tokens of Python's documentation, as was measured."""
    if tokens < FEW_TOKENS:
        return 'most guesses will be the most frequent words, such as "the"'
    return (
        "something between a new model and a whole run: of Python's documentation, a held-out MLM loss between 6.6 and"
        " 4.0, and an accuracy between 4% and 35%"
    )

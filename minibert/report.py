"""What a job prints: one topic a line, once for all processes."""

import os


def say(topic: str, text: str) -> None:
    """Print one line of a report; of the processes that `torchrun` starts, the first one prints it."""
    if os.environ.get("RANK", "0") == "0":
        print(f"{topic:<11} {text}", flush=True)


def counted(count: int, noun: str) -> str:
    """The count with its noun, in the plural where it is one."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"

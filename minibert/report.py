"""What a job prints: one topic a line, once for all processes."""

import os

MOST_UNKNOWN = 0.05  # of the tokens; above, the vocabulary is that of another language, or has lost its accents


def say(topic: str, text: str) -> None:
    """Print one line of a report; of the processes that `torchrun` starts, the first one prints it."""
    if os.environ.get("RANK", "0") == "0":
        print(f"{topic:<11} {text}", flush=True)


def counted(count: int, noun: str) -> str:
    """The count with its noun, in the plural where it is one."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


NEEDS_ANOTHER_VOCABULARY = "take one that was made for its language and script, or train one on it"


def say_unknown(tokens: str, share: float, unk_token: str, advice: str = NEEDS_ANOTHER_VOCABULARY) -> None:
    """Print the `tokens` of a text, and the share of them that the vocabulary does not know, with a warning if many."""
    say("tokens", f"{tokens}; {share:.2%} are {unk_token}")
    warn_of_unknown(share, advice)


def warn_of_unknown(share: float, advice: str = NEEDS_ANOTHER_VOCABULARY) -> None:
    """Print a warning if the vocabulary does not know a large share of a text."""
    if share > MOST_UNKNOWN:
        say("warning", f"{share:.0%} of the text is unknown to the vocabulary, so nothing is learnt of it: {advice}")

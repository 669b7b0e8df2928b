"""How much a service takes on, and how it says that something is too much."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What a request may ask for, and what may wait.

    Args:
        body_bytes: of a request's body; also of all bodies together whose texts are being worked on.
        texts: in one request.
        waiting_tokens: of all requests that have not been computed yet. So this is also the most that one may have.
        seconds: from the arrival of a request to its answer; also for its headers and body to arrive, each.
        requests: being tokenized, computed or written at the same time; each of these holds a thread.
        candidates: of one request for fill-mask, masks times `top_k`. Each is written with its whole text.
        looks: of the explorer, at the same time.
    """

    body_bytes: int = 2_000_000
    texts: int = 512
    waiting_tokens: int = 65_536
    seconds: float = 60.0
    requests: int = 256
    candidates: int = 10_240
    looks: int = 16


class Refused(Exception):
    """A request that gets no answer, for a reason that its sender is told.

    Args:
        status: the HTTP status that says it.
        message: in plain words, what is wrong and what to do.
        retry_after: after how many seconds it may be tried again; None: never, as it stands.
    """

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after


def too_late() -> Refused:
    """For a request whose `Limits.seconds` are over."""
    return Refused(504, "the time that a request may take is over; send fewer texts, or try again later")

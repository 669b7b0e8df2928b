"""`Threads`: where requests are tokenized, wait for the model and are written, while others are being received."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from fastapi import Request
from pydantic_core import to_json
from starlette.responses import Response

from minibert.serving.limits import Refused, too_late


class Threads:
    """A thread for each request, up to a limit.

    limit: how many requests there may be at the same time; one more is refused. One whose time is over counts until
        its thread has really ended: else those that nobody waits for any more could be without number.
    body_bytes: how many all those have together that are in work; one more waits until there is room for its body. To
        tokenize a text takes hundreds of times its size, so what a body may have is what may be tokenized at once.
    """

    def __init__(self, limit: int, body_bytes: int) -> None:
        self.limit = limit
        self._free = threading.Semaphore(limit)
        self._room = body_bytes
        self._changed = threading.Condition()

    async def answer(self, request: Request, make: Callable[[], Any]) -> Response:
        """What `make` returns, as JSON. `request.state` has what the `Gate` knows: `until` when, and `body_bytes`.

        Raises: `Refused` if there are too many, or if time is over, whatever `make` does then; and what `make` raises.
        """
        if not self._free.acquire(blocking=False):
            raise Refused(429, f"{self.limit} other requests are being answered; try again later", retry_after=1)
        until, size = request.state.until, request.state.body_bytes
        found: Future[bytes] = Future()
        found.set_running_or_notify_cancel()  # from here on it cannot be cancelled

        def work() -> None:
            try:
                with self._in_work(size, until):
                    found.set_result(to_json(make()))
            except BaseException as error:
                found.set_exception(error)
            finally:
                self._free.release()

        try:
            # No pool: the end of the process waits for a pool's threads, and one that was given up may take long.
            threading.Thread(target=work, name="minibert-request", daemon=True).start()
        except RuntimeError as error:
            self._free.release()
            raise Refused(429, f"no thread for this request: {error}; try again later", retry_after=1) from error
        try:
            async with asyncio.timeout(until - time.monotonic()):
                content = await asyncio.wrap_future(found)
        except TimeoutError:
            raise too_late() from None
        return Response(content, media_type="application/json")

    @contextmanager
    def _in_work(self, size: int, until: float) -> Iterator[None]:
        """Wait until there is room for a body of this size, and keep it. Raises: `Refused` if time is over."""
        with self._changed:
            if not self._changed.wait_for(lambda: size <= self._room, until - time.monotonic()):
                raise too_late()
            self._room -= size
        try:
            yield
        finally:
            with self._changed:
                self._room += size
                self._changed.notify_all()

"""`Threads`: where requests are tokenized, wait for the model and are written, while others are being received."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from fastapi import Request
from pydantic_core import to_json
from starlette.responses import Response

from minibert.serving.limits import Refused, too_late


class Threads:
    """A thread for each request, up to a limit.

    limit: how many requests there may be at the same time; one more is refused. One whose time is over counts until
        its thread has really ended: else those that nobody waits for any more could be without number.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._free = threading.Semaphore(limit)

    async def answer(self, request: Request, make: Callable[[], Any]) -> Response:
        """What `make` returns, as JSON; `request.state.until` says when to give up, as the `Gate` has set it.

        Raises: `Refused` if there are too many, or if time is over, whatever `make` does then; and what `make` raises.
        """
        if not self._free.acquire(blocking=False):
            raise Refused(429, f"{self.limit} other requests are being answered; try again later", retry_after=1)
        found: Future[bytes] = Future()
        found.set_running_or_notify_cancel()  # from here on it cannot be cancelled

        def work() -> None:
            try:
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
            async with asyncio.timeout(request.state.until - time.monotonic()):
                content = await asyncio.wrap_future(found)
        except TimeoutError:
            raise too_late() from None
        return Response(content, media_type="application/json")

"""`Gate`: what every request has to pass before anything reads it: the key, the size of its body, and the clock."""

import asyncio
import hmac
import time
from collections.abc import Collection

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from minibert.serving.errors import problem
from minibert.serving.limits import Limits, Refused
from minibert.serving.metrics import Metrics

OPEN = ("/health",)  # needs no key: whoever watches the service has none

# Of a body that is too large, so many times the limit is still read and dropped: a client that hears "no" in the middle
# of its sending often sees only a broken connection.
PATIENCE = 16


class Gate:
    """An ASGI middleware.

    Args:
        api_key: which requests must bring, as `Authorization: Bearer KEY`; None: they need none.
        paths: those that are counted by name.
    """

    def __init__(
        self, app: ASGIApp, limits: Limits, metrics: Metrics, paths: Collection[str], api_key: str | None = None
    ) -> None:
        self.app = app
        self.limits = limits
        self.metrics = metrics
        self.paths = paths
        self.api_key = api_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.monotonic(), 499  # what nginx calls a client that went away
        scope.setdefault("state", {})["until"] = start + self.limits.seconds

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            async with asyncio.timeout(self.limits.seconds):  # of a client that does not read its answer
                await send(message)

        try:
            await self._pass(scope, receive, answer)
        finally:
            path = scope["path"] if scope["path"] in self.paths else "other"
            self.metrics.request(path, status, time.monotonic() - start)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._check_key(scope)
            body = await self._read(scope, receive)
        except Refused as refused:
            response = problem(scope["path"], refused)
            response.headers["Connection"] = "close"  # what is left of the body is nobody's next request
            await response(scope, receive, send)
            return
        if body is not None:
            await self.app(scope, _once(body, receive), send)

    def _check_key(self, scope: Scope) -> None:
        if self.api_key is None or scope["path"] in OPEN:
            return
        given = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(given, f"Bearer {self.api_key}".encode()):
            raise Refused(401, "expected the header Authorization: Bearer KEY, with the key of this service")

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """The body; None if the client went away while it was sending."""
        limit = self.limits.body_bytes
        too_large = Refused(413, f"the body has more than {limit:,} bytes; send fewer texts at once")
        announced = Request(scope).headers.get("content-length", "0")
        if announced.isdecimal() and int(announced) > PATIENCE * limit:
            raise too_large
        parts, size = [], 0
        try:
            async with asyncio.timeout(self.limits.seconds):
                more = True
                while more and size <= PATIENCE * limit:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    part, more = message.get("body", b""), message.get("more_body", False)
                    size += len(part)
                    if size <= limit:
                        parts.append(part)
        except TimeoutError:
            raise Refused(408, f"the body took longer than {self.limits.seconds:g} seconds to arrive") from None
        if size > limit:
            raise too_large
        return b"".join(parts)


def _once(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the whole body, and then what the other one has: that the client is gone."""
    is_given = False

    async def given() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return given

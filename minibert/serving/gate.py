"""`Gate`: what every request has to pass before anything reads it: host, key, size of the body, and the clock."""

import asyncio
import hmac
import re
import time
from collections.abc import Collection

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from minibert.serving.errors import problem
from minibert.serving.limits import Limits, Refused
from minibert.serving.metrics import Metrics

PORT = re.compile(r":\d*$", re.ASCII)
OPEN = ("/health",)  # needs no key: whoever watches the service has none

# Of a body that is too large, so many times the limit is still read and dropped: a client that hears "no" in the middle
# of its sending often sees only a broken connection.
PATIENCE = 16


class Gate:
    """An ASGI middleware.

    Args:
        api_key: which requests must bring, as `Authorization: Bearer KEY`; None: they need none.
        paths: those that are counted by name.
        hosts: the names, without a port, by which the service may be called (the header Host); None: any. A page in a
            browser can have its own name point to this machine, and then read what a service here answers, unless the
            service refuses that name.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits,
        metrics: Metrics,
        paths: Collection[str],
        api_key: str | None = None,
        hosts: Collection[str] | None = None,
    ) -> None:
        self.app = app
        self.limits = limits
        self.metrics = metrics
        self.paths = paths
        self.api_key = api_key
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.monotonic(), 499  # what nginx calls a client that went away
        scope.setdefault("state", {})["until"] = start + self.limits.seconds
        is_head = scope["method"] == "HEAD"
        if is_head:  # as GET, without the body
            scope = {**scope, "method": "GET"}

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif is_head:
                message = {**message, "body": b""}
            async with asyncio.timeout(self.limits.seconds):  # of a client that does not read its answer
                await send(message)

        try:
            await self._pass(scope, receive, answer)
        finally:
            path = scope["path"] if scope["path"] in self.paths else "other"
            self.metrics.request(path, status, time.monotonic() - start)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._check_host(scope)
            self._check_key(scope)
            _check_encoding(scope)
            body = await self._read(scope, receive)
        except Refused as refused:
            response = problem(scope["path"], refused)
            response.headers["Connection"] = "close"  # what is left of the body is nobody's next request
            await response(scope, receive, send)
            return
        if body is not None:
            scope["state"]["body_bytes"] = len(body)
            await self.app(scope, _once(body, receive), send)

    def _check_host(self, scope: Scope) -> None:
        if self.hosts is None:
            return
        given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(given) != 1 or PORT.sub("", given[0]).lower() not in self.hosts:
            found = " and ".join(f"{host!r:.80}" for host in given) or "none"
            raise Refused(
                421,
                f"the header Host: expected {' or '.join(sorted(self.hosts))}, as this service is for this machine"
                f" only, found {found}; let a proxy send one of them, or start the service with another --host",
            )

    def _check_key(self, scope: Scope) -> None:
        if self.api_key is None or scope["path"] in OPEN:
            return
        scheme, _, key = dict(scope["headers"]).get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(key.strip(b" "), self.api_key.encode()):
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


def _check_encoding(scope: Scope) -> None:
    """Raise `Refused` for a body that is compressed: how large it becomes is seen only when it is unpacked."""
    encoding = Request(scope).headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise Refused(
            415, f"the header Content-Encoding: expected none, found {encoding!r:.80}; send the body as it is"
        )


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

"""An application on a port: uvicorn, with limits on how slowly a request may begin, and a stop that loses nothing."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from minibert.serving.limits import Limits

HEADER_BYTES = 65_536  # a request line with its headers; whatever comes between or after two parts of a body


def listen(host: str, port: int) -> socket.socket:
    """A socket to which clients can connect from now on; port 0 takes one that is free.

    Raises: `OSError` naming the address if nobody can listen there.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        raise OSError(
            f"cannot listen on {host}, port {port}: {error.strerror}; choose another --host or --port"
        ) from error


def address_of(listening: socket.socket) -> str:
    """The URL at which a socket can be reached."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def serve(app: FastAPI, listening: socket.socket, limits: Limits, announce: Callable[[], None]) -> None:
    """Answer requests until SIGTERM or Ctrl-C; then take no new ones, finish those that were accepted, and end.

    announce: called when requests are answered, and a stop is heard: a Ctrl-C before can hit a place where Python
        drops it, such as the removal of a weak reference.
    """
    config = uvicorn.Config(
        app,
        http=limited_protocol(limits),
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        # Whatever was accepted has ended by then: read, computed, and written.
        timeout_graceful_shutdown=int(3 * limits.seconds) + 1,
    )
    try:
        _Server(config, announce).run([listening])
    except KeyboardInterrupt:
        _end_process()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit and sig == signal.SIGINT:  # the second Ctrl-C: do not wait for those that get answers
            _end_process()
        super().handle_exit(sig, frame)


def _end_process() -> NoReturn:
    """End this process as Ctrl-C does, and as fast as SIGTERM does.

    The interpreter would take seconds to tear down, and threads that were given up and still compute would abort it.
    """
    print("interrupted", file=sys.stderr, flush=True)
    os._exit(130)


def limited_protocol(limits: Limits) -> type[asyncio.Protocol]:
    """uvicorn's HTTP, which closes the connection of a client that sends too slowly or does not read its answer."""

    class LimitedProtocol(HttpToolsProtocol):
        _timer: asyncio.TimerHandle | None = None  # to the end of the headers
        _unread: asyncio.TimerHandle | None = None  # to the time when all of an answer has been taken
        _header_bytes = 0  # that came since the request began, or since its body went on
        _in_headers = True
        _running: RequestResponseCycle | None = None  # the request that is being answered

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.set_write_buffer_limits(0)  # `pause_writing` for whatever the client has not taken at once
            self._begin()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._begin()

        def on_headers_complete(self) -> None:
            self._end()
            super().on_headers_complete()

        def data_received(self, data: bytes) -> None:
            # Between two requests uvicorn's own timer runs. It ends here, though what comes may be no request yet: an
            # empty line.
            if self.cycle is not None and self.cycle.response_complete and not self._in_headers:
                self._begin()
            self._header_bytes += len(data)
            super().data_received(data)
            if self._header_bytes > HEADER_BYTES:
                self.transport.close()

        def on_body(self, body: bytes) -> None:
            # Headers may follow a body in chunks, too (RFC 9112, section 7.1.2), and uvicorn keeps them all.
            self._header_bytes = 0
            super().on_body(body)

        def connection_lost(self, exc: Exception | None) -> None:
            self._end()
            # With requests that came before the answer to another, the last is all that uvicorn tells.
            for cycle in (self._running, *(cycle for cycle, _ in self.pipeline)):
                if cycle is not None:
                    cycle.disconnected = True
            self.resume_writing()
            super().connection_lost(exc)

        def shutdown(self) -> None:
            # The same here: those that came before the answer to another have not been begun, and shall not be.
            if self.pipeline and self._running is not None:
                self._running.keep_alive = False
            super().shutdown()

        def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
            self._running = cycle
            super()._start_asgi_task(cycle, app)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._unread = self.loop.call_later(limits.seconds, self.transport.abort)  # `close` would wait for it

        def resume_writing(self) -> None:
            super().resume_writing()
            if self._unread is not None:
                self._unread.cancel()

        def _unsupported_upgrade_warning(self) -> None:
            # Nobody has to take up an offer to upgrade (RFC 9110, section 7.8): the request is answered as it stands.
            # But the parser reads nothing more after it.
            self.cycle.keep_alive = False

        def _begin(self) -> None:
            self._end()
            self._in_headers = True
            self._timer = self.loop.call_later(limits.seconds, self.transport.close)

        def _end(self) -> None:
            self._in_headers, self._header_bytes = False, 0
            if self._timer is not None:
                self._timer.cancel()

    return LimitedProtocol

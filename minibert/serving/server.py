"""An application on a port: uvicorn, with limits on how slowly a request may begin, and a stop that loses nothing."""

import asyncio
import socket
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from minibert.serving.limits import Limits

HEADER_BYTES = 65_536  # a request line with its headers


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


def serve(app: FastAPI, listening: socket.socket, limits: Limits) -> None:
    """Answer requests until SIGTERM or Ctrl-C; then take no new ones, and finish those that were accepted."""
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
    uvicorn.Server(config).run([listening])


def limited_protocol(limits: Limits) -> type[asyncio.Protocol]:
    """uvicorn's HTTP, which closes the connection of a client whose headers are too long, or come too slowly."""

    class LimitedProtocol(HttpToolsProtocol):
        _timer: asyncio.TimerHandle | None = None
        _header_bytes = 0
        _in_headers = True

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._begin()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._begin()

        def on_headers_complete(self) -> None:
            self._end()
            super().on_headers_complete()

        def data_received(self, data: bytes) -> None:
            if self._in_headers:
                self._header_bytes += len(data)
            super().data_received(data)
            if self._in_headers and self._header_bytes > HEADER_BYTES:
                self.transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            self._end()
            super().connection_lost(exc)

        def _begin(self) -> None:
            self._end()
            self._in_headers, self._header_bytes = True, 0
            self._timer = self.loop.call_later(limits.seconds, self.transport.close)

        def _end(self) -> None:
            self._in_headers = False
            if self._timer is not None:
                self._timer.cancel()

    return LimitedProtocol

"""Connections: none is held for longer than a client may take, whatever it sends or leaves unread."""

import os
import socket
import time
from pathlib import Path

import pytest
import serving_runs


@pytest.fixture(scope="module")
def server():
    with serving_runs.server("embeddings", "--max-seconds", "2") as made:
        yield made
        assert not made.stop(), "nothing is written for what clients do"


def connect(server):
    host, port = server.address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def answer(connection):
    """One answer, with its body."""
    found = b""
    while b"\r\n\r\n" not in found:
        found += connection.recv(65536)
    head, _, body = found.partition(b"\r\n\r\n")
    size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < size:
        body += connection.recv(65536)
    return head, body


def seconds_to_the_end(connection):
    start = time.monotonic()
    while connection.recv(65536):
        pass
    return time.monotonic() - start


def sockets(server):
    folder = Path(f"/proc/{server.process.pid}/fd")
    return sum(os.readlink(path).startswith("socket:") for path in folder.iterdir())


GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"


def test_empty_lines_after_an_answer(server):
    with connect(server) as connection:
        for _ in range(2):
            connection.sendall(GET + b"\r\n")
            assert answer(connection)[1] == b'{"status":"ok"}'
            connection.sendall(b"\r\n")
        assert 1 < seconds_to_the_end(connection) < 15


def test_an_offer_to_upgrade_is_not_taken_up(server):
    with connect(server) as connection:
        connection.sendall(GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        head, body = answer(connection)
        assert head.startswith(b"HTTP/1.1 200 ") and b"connection: close" in head.lower()
        assert seconds_to_the_end(connection) < 1


def test_an_answer_that_is_not_read(server):
    """It does not stay in memory."""
    texts = ",".join(['"a b"'] * 512)
    body = f'{{"inputs": [{texts}]}}'.encode()
    asked = b"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    before = sockets(server)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        host, port = server.address.removeprefix("http://").split(":")
        connection.connect((host, int(port)))
        for _ in range(40):  # more than the buffers of the kernel hold
            connection.sendall(asked % len(body) + body)
        assert sockets(server) == before + 1
        for _ in range(200):
            if sockets(server) == before:
                break
            time.sleep(0.1)
        assert sockets(server) == before

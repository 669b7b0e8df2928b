"""Connections: none is held for longer than a client may take, whatever it sends or leaves unread."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import serving_runs
from script_runs import ROOT


@pytest.fixture(scope="module")
def server():
    with serving_runs.server("embeddings", "--max-seconds", "2") as made:
        with connect(made) as connection:
            connection.sendall(GET + b"Connection: close\r\n\r\n")
            seconds_to_the_end(connection)
        made.idle = sockets(made)  # without a connection
        yield made
        assert not made.stop(), "nothing is written for what clients do"


ANNOUNCED = """
import os, signal
from fastapi import FastAPI
from minibert.serving.limits import Limits
from minibert.serving.server import listen, serve

def announce():
    assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    os.kill(os.getpid(), signal.SIGINT)

serve(FastAPI(), listen("127.0.0.1", 0), Limits(), announce)
"""


def test_a_stop_is_heard_as_soon_as_the_address_is_told():
    ended = subprocess.run([sys.executable, "-c", ANNOUNCED], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (130, "interrupted\n")


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


def wait_for(server, connections):
    for _ in range(200):
        if sockets(server) == server.idle + connections:
            return
        time.sleep(0.1)
    raise AssertionError(f"{sockets(server) - server.idle} connections, not {connections}")


GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"


def test_empty_lines_after_an_answer(server):
    with connect(server) as connection:
        for _ in range(2):
            connection.sendall(GET + b"\r\n")
            assert answer(connection)[1] == b'{"status":"ok"}'
            connection.sendall(b"\r\n")
        assert 1 < seconds_to_the_end(connection) < 15


CHUNKED = b"POST /embed HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"


@pytest.mark.parametrize(
    ("start", "more"),
    [(GET, b"X: y\r\n"), (CHUNKED + b"0\r\n", b"X: y\r\n"), (CHUNKED + b"0\r\nX: ", b"y"), (CHUNKED + b"2;", b"x")],
    ids=["headers", "trailers", "one trailer", "the extension of a chunk"],
)
def test_headers_without_end(server, start, more):
    """They do not stay in memory, wherever they stand."""
    sent = 0
    with connect(server) as connection:
        connection.sendall(start)
        with pytest.raises(ConnectionError):
            while sent < 100e6:
                sent += connection.send(more * 5_000)
    assert sent < 10e6, "more than the buffers of the kernel hold"


def test_a_body_in_many_chunks(server):
    parts = [b"1\r\n%c\r\n" % byte for byte in b'{"inputs": "q"}' + b" " * 30_000]
    with connect(server) as connection:
        connection.sendall(CHUNKED.partition(b"2\r\n")[0].replace(b"\r\nT", b"\r\nContent-Type: application/json\r\nT"))
        connection.sendall(b"".join(parts) + b"0\r\n\r\n")
        assert answer(connection)[0].startswith(b"HTTP/1.1 200 ")


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
    wait_for(server, connections=0)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        host, port = server.address.removeprefix("http://").split(":")
        connection.connect((host, int(port)))
        for _ in range(40):  # more than the buffers of the kernel hold
            connection.sendall(asked % len(body) + body)
        wait_for(server, connections=1)
        wait_for(server, connections=0)


def test_a_stop_between_many_requests_of_one_connection():
    """The one that is being answered is finished; those behind it are not begun."""
    body = b'{"inputs": ["ab cde f", "q"]}'
    asked = b"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    with serving_runs.server("embeddings", "--max-seconds", "2") as made, connect(made) as connection:
        connection.sendall((asked % len(body) + body) * 1000)
        found = connection.recv(65536)
        made.process.terminate()
        while part := connection.recv(65536):
            found += part
        assert 1 <= found.count(b"HTTP/1.1 200 ") < 1000 and found.endswith(b"]]")
        assert not made.stop()


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_while_a_body_is_sent(times):
    """The first waits for it, as long as it may take; the second does not. Neither leaves a traceback."""
    with serving_runs.server("embeddings", "--max-seconds", "5") as made, connect(made) as connection:
        connection.sendall(CHUNKED)
        start = time.monotonic()
        for _ in range(times):
            time.sleep(1)
            made.process.send_signal(signal.SIGINT)
        assert made.process.communicate(timeout=60)[1] == "interrupted\n" and made.process.returncode == 130
        assert (time.monotonic() - start > 4.5) == (times == 1)
        assert (b"HTTP/1.1 408 " in connection.recv(65536)) == (times == 1)

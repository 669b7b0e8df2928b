"""Requests in threads: refused beyond a limit, and given up by the clock, whatever they are doing."""

import asyncio
import functools
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from script_runs import ROOT

from minibert.serving.limits import Refused
from minibert.serving.threads import Threads


def request(seconds=60.0, body_bytes=1):
    return SimpleNamespace(state=SimpleNamespace(until=time.monotonic() + seconds, body_bytes=body_bytes))


def test_an_answer_and_an_error():
    async def ask():
        threads = Threads(1, 9)
        assert (await threads.answer(request(), lambda: {"a": [1.5]})).body == b'{"a":[1.5]}'
        with pytest.raises(KeyError, match="wrong"):
            await threads.answer(request(), lambda: {}["wrong"])
        assert (await threads.answer(request(), lambda: 1)).body == b"1", "its place is free again"

    asyncio.run(ask())


def test_time_is_over_while_it_works_and_its_place_is_free_when_it_has_ended():
    go = threading.Event()

    async def ask():
        threads, start = Threads(1, 9), time.monotonic()
        with pytest.raises(Refused, match="time that a request may take") as refused:
            await threads.answer(request(0.1), go.wait)
        assert refused.value.status == 504 and time.monotonic() - start < 5
        with pytest.raises(Refused, match="1 other requests") as refused:
            await threads.answer(request(), lambda: 1)
        assert refused.value.status == 429 and refused.value.retry_after == 1
        go.set()
        while not threads._free.acquire(timeout=0.01):
            pass

    asyncio.run(ask())


def test_bodies_wait_until_there_is_room_for_them():
    """Texts of one body take a gigabyte while they are tokenized; those of many at once would take all there is."""
    go, begun = threading.Event(), []

    def work(name):
        begun.append(name)
        go.wait()
        return name

    async def ask():
        threads = Threads(9, 9)
        sizes = {"large": 6, "second": 4, "small": 3}
        asked = {}
        for name, size in sizes.items():
            asked[name] = asyncio.create_task(threads.answer(request(body_bytes=size), functools.partial(work, name)))
            while name != "second" and name not in begun:
                await asyncio.sleep(0.01)
        assert begun == ["large", "small"]
        with pytest.raises(Refused, match="time that a request may take"):
            await threads.answer(request(0.1, body_bytes=9), functools.partial(work, "too late"))
        go.set()
        assert [(await task).body for task in asked.values()] == [b'"large"', b'"second"', b'"small"']
        assert (await threads.answer(request(body_bytes=9), lambda: 1)).body == b"1", "all of the room is free again"
        assert begun == ["large", "small", "second"], "what is too late is not begun"

    asyncio.run(ask())


def test_what_was_given_up_does_not_hold_up_the_end_of_the_process():
    program = """
import asyncio, time, types
from minibert.serving.limits import Refused
from minibert.serving.threads import Threads
asked = types.SimpleNamespace(state=types.SimpleNamespace(until=time.monotonic() + 0.1, body_bytes=1))
try:
    asyncio.run(Threads(1, 9).answer(asked, lambda: time.sleep(600)))
except Refused:
    print("given up")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=100, check=True
    )
    assert done.stdout == "given up\n"

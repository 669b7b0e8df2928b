"""The explorer's addresses, behind a real server: what they hold, and what they refuse."""

import json
import re
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from pathlib import Path

import pytest
from explorer_server import app_of, served
from fastapi import FastAPI

import minibert
from minibert.explorer.insight import Explorer
from minibert.explorer.loading import open_model
from minibert.explorer.routes import PAGE, explorer_routes
from minibert.explorer.view import View
from minibert.serving.limits import Limits

TEXT = "The file is opened for reading."


@pytest.fixture(scope="module")
def address():
    with served(app_of("minibert-tiny")) as address:
        yield address


def get(url: str) -> tuple[str, Message]:
    with urllib.request.urlopen(url) as answer:
        return answer.read().decode(), answer.headers


def post(url: str, body: object) -> tuple[int, dict]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_the_page_and_all_that_it_names(address):
    page, headers = get(address)
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    loaded = re.findall(r'(?:href|src)="(/[^"]+)"', page)
    assert len(loaded) == 2
    for path in sorted(PAGE.iterdir()):
        text, headers = get(f"{address}/explorer/page/{path.name}")
        assert text == path.read_text(encoding="utf-8") and headers["X-Content-Type-Options"] == "nosniff"
        for imported in re.findall(r'from "\./([^"]+)"', text):
            assert (PAGE / imported).is_file()


def test_nothing_is_loaded_from_elsewhere():
    for path in PAGE.iterdir():
        found = set(re.findall(r"(?:https?:)?//[\w.]+\.\w+[^\s\"'`)]*", path.read_text(encoding="utf-8")))
        assert found <= {"http://www.w3.org/2000/svg"}, path.name


def test_the_numbers_are_those_of_insight(address):
    explorer, view = Explorer(*open_model("minibert-tiny"), "minibert-tiny"), {"text": TEXT, "masked": [6]}
    assert post(f"{address}/explorer/api", {"view": view}) == (200, as_json(explorer.look(View(**view))))
    off = {"view": {**view, "heads_off": [[1, 0]]}, "before": {"text": "A [MASK]."}}
    expected = explorer.look(View(**view, heads_off=[(1, 0)]), View("A [MASK]."))
    assert post(f"{address}/explorer/api", off) == (200, as_json(expected))
    near = {"view": view, "layer": 1, "head": 2}
    assert post(f"{address}/explorer/api/head", near) == (200, as_json(explorer.head(View(**view), 1, 2)))
    about = json.loads(get(f"{address}/explorer/about")[0])
    assert about["model"] == as_json(explorer.about())


def as_json(x: object) -> object:
    return json.loads(json.dumps(x))


@pytest.mark.parametrize(
    "path, body, words",
    [
        ("api", {"view": {"text": TEXT, "masked": [99]}}, r"masked must lie in \[0, 9\), got 99"),
        ("api", {"view": {"text": ""}}, "at least one word"),
        ("api", {"view": {"text": "\ud800"}}, "cannot tokenize|JSON decode error|surrogate"),
        ("api", {"view": {"text": TEXT, "maksed": [1]}}, "maksed"),
        ("api", {"view": {"text": TEXT, "masked": "x"}}, "masked"),
        ("api", {"view": {"text": TEXT, "heads_off": [[1]]}}, "heads_off"),
        ("api", {"view": {"text": TEXT}, "before": {"text": ""}}, "at least one word"),
        ("api", {"view": {"text": TEXT, "masked": ["1"]}}, "masked.*valid integer"),
        ("api", {"view": {"text": TEXT, "masked": [True]}}, "masked.*valid integer"),
        ("api", {"view": {"text": TEXT, "masked": [1.0]}}, "masked.*valid integer"),
        ("api", {"view": {"text": TEXT, "masked": [10**100]}}, "masked.*less than or equal"),
        ("api", {"view": {"text": TEXT, "masked": [1] * 65}}, "masked.*at most 64"),
        ("api", {"view": {"text": TEXT, "heads_off": [[0, 0]] * 1025}}, "heads_off.*at most 1024"),
        ("api", {"view": {"text": TEXT, "position": "6"}}, "position.*valid integer"),
        ("api", {"view": {"text": 7}}, "text.*valid string"),
        ("api", {}, "view"),
        ("api", b"{", "JSON"),
        ("api/head", {"view": {"text": TEXT}, "layer": 9, "head": 0}, r"layer must lie in \[0, 2\), got 9"),
        ("api/head", {"view": {"text": TEXT}}, "layer"),
        ("api/head", {"view": {"text": TEXT}, "layer": True, "head": 0}, "layer.*valid integer"),
    ],
)
def test_a_wrong_request_is_refused_with_a_reason(address, path, body, words):
    status, answer = post(f"{address}/explorer/{path}", body)
    assert status == 422 and re.search(words, json.dumps(answer))


@pytest.mark.parametrize(
    "path", ["page/__init__.py", "page/..%2Froutes.py", "page/", "course/nothing.py", "course/..%2FREADME.md"]
)
def test_no_other_file_is_to_be_had(address, path):
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(f"{address}/explorer/{path}")


@pytest.mark.parametrize("file", ["2_attention.py", "zh/2_attention.py"])
def test_a_chapter_of_the_course(address, file):
    chapter = Path(minibert.__file__).parent.parent / "notebooks" / file
    assert get(f"{address}/explorer/course/{file}")[0] == chapter.read_text(encoding="utf-8")


def test_a_look_has_limits_of_time_and_number(monkeypatch):
    """Those that hang are given up by the clock, and the page's files come meanwhile."""
    go, begun = threading.Event(), threading.Event()

    def hang(*arguments):
        begun.set()
        go.wait()

    monkeypatch.setattr(Explorer, "look", hang)
    with served(app_of("minibert-tiny", Limits(seconds=2, looks=1))) as address, ThreadPoolExecutor(1) as pool:
        slow = pool.submit(post, f"{address}/explorer/api", {"view": {"text": TEXT}})
        begun.wait()
        status, answer = post(f"{address}/explorer/api/head", {"view": {"text": TEXT}, "layer": 0, "head": 0})
        assert status == 429 and "try again later" in answer["error"]
        assert "<title>" in get(address)[0]
        status, answer = slow.result()
        assert status == 504 and "time that a request may take is over" in answer["error"]
        go.set()


def test_in_an_application_without_limits():
    app = FastAPI()
    app.include_router(explorer_routes(*open_model("minibert-tiny"), "minibert-tiny"))
    with served(app) as address:
        assert post(f"{address}/explorer/api", {"view": {"text": TEXT}})[1]["pieces"]

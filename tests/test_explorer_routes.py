"""The explorer's addresses, behind a real server: what they hold, and what they refuse."""

import json
import re
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path

import pytest
from explorer_server import app_of, served

import minibert
from minibert.explorer.insight import Explorer
from minibert.explorer.loading import open_model
from minibert.explorer.routes import PAGE
from minibert.explorer.view import View

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
        ("api", {}, "view"),
        ("api", b"{", "JSON"),
        ("api/head", {"view": {"text": TEXT}, "layer": 9, "head": 0}, r"layer must lie in \[0, 2\), got 9"),
        ("api/head", {"view": {"text": TEXT}}, "layer"),
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

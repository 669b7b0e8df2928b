"""The source that stands under the stations of the explorer is the source that runs, and the chapters are there."""

import ast
import json
import re

import pytest

from minibert.explorer.routes import PAGE
from minibert.explorer.source import COURSE, PACKAGE, STATIONS, station_sources


@pytest.mark.parametrize("name", STATIONS)
def test_the_lines_are_those_of_the_files(name):
    found = station_sources()[name]
    assert len(found["snippets"]) == len(STATIONS[name].functions)
    for snippet in found["snippets"]:
        lines = (PACKAGE.parent / snippet["file"]).read_text(encoding="utf-8").splitlines()
        first, shown = snippet["first_line"] - 1, [text for text, _ in snippet["lines"]]
        assert [line.strip() for line in lines[first : first + len(shown)]] == [line.strip() for line in shown]
        (function,) = ast.parse("\n".join(shown)).body
        assert function.name == snippet["name"].split(".")[-1]


@pytest.mark.parametrize("name", STATIONS)
def test_the_lines_that_matter_are_there(name):
    texts = [text for snippet in station_sources()[name]["snippets"] for text, matters in snippet["lines"] if matters]
    for mark in STATIONS[name].marks:
        assert any(mark in text for text in texts), f"no line has {mark!r}"


@pytest.mark.parametrize("language, folder", [("en", "."), ("zh", "zh")])
@pytest.mark.parametrize("name", STATIONS)
def test_the_chapter_has_the_heading(name, language, folder):
    words = json.loads((PACKAGE / "explorer" / "page" / f"strings.{language}.json").read_text(encoding="utf-8"))
    chapter = (COURSE / folder / STATIONS[name].chapter).read_text(encoding="utf-8")
    heading = words[f"course.{name}"]
    assert re.search(rf"^# #+ {re.escape(heading)}", chapter, flags=re.MULTILINE)
    assert station_sources()[name]["has_course"]


def test_an_installed_package_says_that_the_course_is_elsewhere(monkeypatch, tmp_path):
    monkeypatch.setattr("minibert.explorer.source.COURSE", tmp_path)
    assert not any(station["has_course"] for station in station_sources().values())


def test_every_station_has_an_equation():
    names = re.findall(r"^  (\w+): \[", (PAGE / "equations.js").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(names) == sorted(STATIONS)


def test_both_languages_have_the_same_texts_with_the_same_gaps():
    english, chinese = (
        json.loads((PAGE / f"strings.{name}.json").read_text(encoding="utf-8")) for name in ("en", "zh")
    )
    assert english.keys() == chinese.keys()
    for key, text in english.items():
        assert sorted(re.findall(r"{\w+}", text)) == sorted(re.findall(r"{\w+}", chinese[key])), key


def test_the_page_has_all_the_texts_that_it_asks_for():
    known = json.loads((PAGE / "strings.en.json").read_text(encoding="utf-8")).keys()
    used = set()
    for path in [*PAGE.glob("*.js"), PAGE / "index.html"]:
        text = path.read_text(encoding="utf-8")
        used |= set(re.findall(r'\bt\("([^"]+)"', text)) | set(re.findall(r'data-text="([^"]+)"', text))
    assert len(used) > 50 and used <= known

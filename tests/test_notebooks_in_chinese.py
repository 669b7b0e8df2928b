"""The Chinese course is in step with the English one, has its outputs, and is set as Chinese is."""

import json
import os
import re
import sys
from itertools import pairwise
from pathlib import Path

import jupytext
import nbformat
import pytest
from markdown_it import MarkdownIt
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "notebooks"
sys.path.append(str(FOLDER))

from in_step import LINK, OTHER_LANGUAGE, differences, in_chinese  # noqa: E402

ENGLISH = {path.stem: path for path in sorted(FOLDER.glob("[0-9A-Z]_*.py"))}
CHINESE = {path.stem: path for path in sorted((FOLDER / "zh").glob("*.py"))}
LABELS = ["**问题**：", "**需要**：", "**学完以后**：", "**时间**："]

HAN, MARK = r"[\u4e00-\u9fff]", r"[\u4e00-\u9fff，。；：！？、）」》]"
NOT_SET_SO = {
    "no blank between Chinese and Latin": re.compile(rf"{HAN}\*{{0,2}}[A-Za-z0-9␣]|[A-Za-z0-9%␣]\*{{0,2}}{HAN}"),
    "a Latin mark in Chinese": re.compile(rf"{HAN}[,;:?!()]|[,;:?!()]{HAN}|{HAN}\.(?!\w)"),
    "a line break, which shows as a blank": re.compile(rf"{MARK}\n>? *{HAN}"),
}


def saved(name: str, folder: str = "zh") -> NotebookNode:
    return nbformat.read(FOLDER / folder / f"{name}.ipynb", as_version=4)


def prose(text: str) -> str:
    """Markdown without code, formulas, comments and the targets of links."""
    text = re.sub(r"^```.*?^```|<!--.*?-->|\$\$.*?\$\$", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"`[^`\n]+`|\$[^$]+\$", "␣", text)
    return re.sub(r"\]\([^)]*\)", "]", text)


def test_the_course_is_complete():
    assert list(CHINESE) == list(ENGLISH)


@pytest.mark.parametrize("name", CHINESE)
def test_in_step_with_the_english_notebook(name):
    found = differences(jupytext.read(ENGLISH[name]), jupytext.read(CHINESE[name]))
    assert not found, "\n".join([f"notebooks/zh/{name}.py:", *found])


@pytest.mark.parametrize("name", CHINESE)
def test_source_and_notebook_are_the_same_and_have_the_outputs_of_the_english_one(name):
    source, notebook, english = jupytext.read(CHINESE[name]), saved(name), saved(name, ".")
    cells = [[(cell.cell_type, cell.source) for cell in both.cells] for both in (source, notebook)]
    outputs = [[cell.get("outputs", []) for cell in both.cells] for both in (notebook, english)]
    expected = [[in_chinese(output) for output in some] for some in outputs[1]]
    assert cells[0] == cells[1] and outputs[0] == expected, "run notebooks/execute.py notebooks/zh/*.py"
    assert "：还没有写\n" in (printed := json.dumps(outputs[0], ensure_ascii=False)).replace("\\n", "\n")
    assert "not written yet" not in printed


@pytest.mark.parametrize("name", CHINESE)
def test_the_title_says_what_is_asked_needed_and_learned(name):
    first, english = (saved(name, folder).cells[0].source for folder in ("zh", "."))
    assert first.startswith(f"# {name[0]} · ")
    assert re.findall(r"^(?:> |- )(\*\*\w+\*\*：)", first, re.MULTILINE) == LABELS
    in_chinese = re.search(r"\*\*时间\*\*：(\d+) 分钟，习题另需 (\d+) 分钟", first)
    in_english = re.search(r"\*\*Time:\*\* (\d+) minutes, and (\d+) for the exercises", english)
    assert in_chinese.groups() == in_english.groups()


def pages() -> list[tuple[str, str]]:
    """(where, Markdown) of all that is written in Chinese."""
    cells = [
        (f"{name}, cell {number}", cell.source)
        for name, path in CHINESE.items()
        for number, cell in enumerate(jupytext.read(path).cells)
        if cell.cell_type == "markdown"
    ]
    written = [*(FOLDER / "zh").glob("*.md"), *(ROOT / "docs" / "zh").glob("*.md")]
    return cells + [(path.name, path.read_text(encoding="utf-8")) for path in written]


@pytest.mark.parametrize("where, text", pages(), ids=[where for where, _ in pages()])
def test_set_as_chinese_is(where, text):
    """A blank between Chinese and Latin, Chinese marks, paragraphs on one line, and bold that is bold."""
    words = prose(text)
    for what, pattern in NOT_SET_SO.items():
        assert not (found := [match[0] for match in pattern.finditer(words)]), (what, found)
    parts = [part for token in MarkdownIt("commonmark").parse(words) for part in token.children or []]
    assert not [part.content for part in parts if part.type == "text" and "*" in part.content]
    slanted = [text.content for em, text in pairwise(parts) if em.type == "em_open" and re.search(HAN, text.content)]
    assert not slanted, "Chinese is not slanted: make it bold"


@pytest.mark.parametrize("where, text", pages(), ids=[where for where, _ in pages()])
def test_links_lead_to_what_is_in_chinese(where, text):
    """Where there is a Chinese page, notebook or diagram, except for the link to the other language."""
    targets = [link.partition("#")[0] for link in LINK.findall(OTHER_LANGUAGE.sub("", text)) if ":" not in link]
    for target in [os.path.normpath(FOLDER / "zh" / target) for target in targets]:  # docs/zh is as deep
        folder, name = os.path.split(target)
        others = [
            f"{folder}/zh/{name}",
            target.replace(".svg", ".zh.svg"),
            target.replace("README.md", "README.zh-CN.md"),
        ]
        assert not [other for other in others if other != target and Path(other).exists()], target


def test_the_readme_is_in_step():
    english, chinese = ((FOLDER / folder / "README.md").read_text(encoding="utf-8") for folder in (".", "zh"))
    cells = [new_markdown_cell(english), new_markdown_cell(chinese.partition("## 术语")[0])]
    assert differences(*(new_notebook(cells=[cell]) for cell in cells)) == []


def notebook(*cells: str) -> NotebookNode:
    kinds = {True: new_code_cell, False: new_markdown_cell}
    return new_notebook(cells=[kinds[cell.startswith("x")](cell) for cell in cells])


def test_comments_docstrings_words_and_the_edition_that_a_link_leads_to_may_differ():
    function = 'x = 1  # {}\ndef f():\n    """{}"""'
    english = notebook("# A\n\n[中文](zh/a.ipynb)\n\n![d](../docs/images/d.svg)", function.format("one", "It."))
    chinese = notebook(
        "# 甲\n\n[English](../a.ipynb)\n\n![图](../../docs/images/d.zh.svg)", function.format("一", "它")
    )
    assert differences(english, chinese) == []


def test_the_exercises_of_a_chinese_notebook_are_the_chinese_ones():
    english = notebook("x = 1\nfrom minibert.course import check")
    assert differences(english, notebook("x = 1\nfrom minibert.course.zh import check")) == []
    assert differences(english, english) == [
        "cell 0 (code, “x = 1”): code: expected from minibert.course.zh import check, found "
        "from minibert.course import check"
    ]


def test_what_is_out_of_step_is_named():
    english = notebook("## A\n\n$$ a = b $$", "x = 1", "xs = [2]", "[b](b.ipynb)\n\n1. c")
    chinese = notebook("### 甲\n\n$$ a = c $$", "x = 3", "[乙](../b.ipynb)")
    assert differences(english, chinese) == [
        "cell 0 (markdown, “## A”): levels of headings: expected ##, found ###",
        "cell 0 (markdown, “## A”): formulas: expected $$a=b$$, found $$a=c$$",
        "cell 1 (code, “x = 1”): code: expected x = 1, found x = 3",
        "cell 2 (code, “xs = [2]”): kind: expected code, found markdown",
        "cell 2 (code, “xs = [2]”): code: expected xs = [2], found nothing",
        "cell 3 (markdown, “[b](b.ipynb)”) is missing in Chinese",
    ]

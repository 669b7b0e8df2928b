"""The pages in docs/zh are in step with the English ones: the same parts, code, formulas, links and numbers."""

import re
import sys
from pathlib import Path

import pytest
from nbformat.v4 import new_markdown_cell, new_notebook

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "notebooks"))

from in_step import differences  # noqa: E402

PAGES = sorted(path.name for path in (ROOT / "docs").glob("*.md"))
CODE_BLOCK = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:[.,]\d+)*(?:e-?\d+)?")


def out_of_step(english: str, chinese: str) -> dict[str, tuple]:
    """What the two pages must share and do not: (in English, in Chinese)."""
    found = {what: both for what, both in aspects(english, chinese).items() if both[0] != both[1]}
    # Links are read as those of a notebook: both folders are as deep as docs and docs/zh.
    cells = [new_notebook(cells=[new_markdown_cell(text)]) for text in (english, chinese)]
    return found | {what: () for what in differences(*cells)}


def aspects(*texts: str) -> dict[str, tuple]:
    parts = [CODE_BLOCK.sub("", text) for text in texts]
    rows = [[line for line in text.splitlines() if line.lstrip().startswith("|")] for text in parts]
    return {
        "blocks of code": tuple(CODE_BLOCK.findall(text) for text in texts),
        "names in code": tuple(sorted(set(CODE.findall(text))) for text in parts),
        "numbers in tables": tuple([sorted(NUMBER.findall(row)) for row in table] for table in rows),
        "columns of tables": tuple([row.count("|") for row in table] for table in rows),
        "items of lists": tuple(len(re.findall(r"^ *- ", text, re.MULTILINE)) for text in parts),
        "paragraphs": tuple(len(re.findall(r"\n\n+(?=\S)", text)) for text in map(without_switch, parts)),
    }


def without_switch(text: str) -> str:
    """The page without its link to the other language."""
    return re.sub(r"^\[(?:中文|English)\]\(\S+\)\n\n", "", text, flags=re.MULTILINE)


def read(*folders: str, name: str) -> str:
    return ROOT.joinpath(*folders, name).read_text(encoding="utf-8")


def test_every_page_has_its_chinese_one():
    assert sorted(path.name for path in (ROOT / "docs" / "zh").glob("*.md")) == PAGES


@pytest.mark.parametrize("name", PAGES)
def test_in_step_with_the_english_page(name):
    assert not out_of_step(read("docs", name=name), read("docs", "zh", name=name))


@pytest.mark.parametrize("name", PAGES)
def test_a_reader_can_switch_the_language(name):
    assert f"\n[English](../{name})\n" in read("docs", "zh", name=name)
    assert f"\n[中文](zh/{name})\n" in read("docs", name=name)


def test_what_is_out_of_step_is_named():
    page = "# A\n\nSee [b](b.md): `f`.\n\n```\n1\n```\n\n| 1.5 |\n| --- |\n"
    assert not out_of_step(page, "# 甲\n\n见[乙](b.md)：`f`。\n\n```\n1\n```\n\n| 一共 1.5 |\n| --- |\n")
    other = "# 甲\n\n见[乙](c.md)：`g`。\n\n另一段。\n\n```\n2\n```\n\n| 一共 1.6 |\n| --- |\n"
    found = " ".join(out_of_step(page, other))
    for what in ("blocks of code", "names in code", "numbers in tables", "paragraphs", "links"):
        assert what in found

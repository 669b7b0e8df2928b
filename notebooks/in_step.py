"""Whether a notebook in Chinese says what the English one says: the same cells in the same order.

Words may differ, and comments and docstrings in the code; all else may not, so that the outputs of one run are right in
both. One line must differ: the exercises come from `minibert.course.zh`, not from `minibert.course`, and so `check`
answers in Chinese.
"""

import ast
import os.path
import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import zip_longest

from nbformat import NotebookNode

from minibert.course.phrases import Phrase, say
from minibert.course.verdict import OPEN

OTHER_LANGUAGE = re.compile(r"^\[(?:中文|English)\]\(\S+\)$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
UNWRITTEN = re.compile(rf"^(\w+): {OPEN}$", re.MULTILINE)
FORMULA = re.compile(r"\$\$.*?\$\$", re.DOTALL)


def differences(english: NotebookNode, chinese: NotebookNode) -> list[str]:
    """What has to be changed in the Chinese notebook, cell by cell; nothing if it is in step."""
    expected = [aspects_of(cell, "notebooks") for cell in english.cells]
    given = [aspects_of(cell, "notebooks/zh") for cell in chinese.cells]
    alike = SequenceMatcher(None, *([repr(aspects) for aspects in both] for both in (expected, given)), autojunk=False)
    found = []
    for tag, a, b, c, d in alike.get_opcodes():
        for i, j in zip_longest(range(a, b), range(c, d)) if tag != "equal" else ():
            if j is None:
                found.append(f"{name(english.cells, i)} is missing in Chinese")
            elif i is None:
                found.append(f"{name(chinese.cells, j)} of the Chinese notebook is not in the English one")
            else:
                found += [f"{name(english.cells, i)}: {what}" for what in unlike(expected[i], given[j])]
    return found


def aspects_of(cell: NotebookNode, folder: str) -> dict[str, list[str]]:
    """All that must be the same in both languages, by what it is."""
    kind = {"kind": [cell.cell_type], "metadata": [repr(sorted(cell.metadata.items()))]}
    if cell.cell_type == "code":
        return kind | {"code": [meaning(cell.source, folder)]}
    text = OTHER_LANGUAGE.sub("", cell.source)
    prose = re.sub(r"^```.*?^```|`[^`\n]+`", "", text, flags=re.MULTILINE | re.DOTALL)
    return kind | {
        "levels of headings": re.findall(r"^(#+) ", prose, re.MULTILINE),
        "links": [in_english(os.path.normpath(f"{folder}/{link}")) for link in LINK.findall(prose) if ":" not in link],
        "links to elsewhere": [link for link in LINK.findall(prose) if ":" in link],
        "formulas": [re.sub(r"\\text\{[^}]*\}|\s+", "", formula) for formula in FORMULA.findall(text)],
        "blocks of code": [
            meaning(code, folder) if language == "python" else code for language, code in BLOCK.findall(text)
        ],
        "rows of tables, counted": [str(len(re.findall(r"^\|", prose, re.MULTILINE)))],
        "numbered items": re.findall(r"^(\d+)\. ", prose, re.MULTILINE),
    }


def meaning(code: str, folder: str) -> str:
    """The code without its comments and docstrings; of an English notebook, with the exercises of the Chinese one."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            node.body[0] = ast.Pass()
        if isinstance(node, ast.ImportFrom) and (folder, node.module) == ("notebooks", "minibert.course"):
            node.module = "minibert.course.zh"
    return ast.unparse(tree)


def in_chinese(output: NotebookNode) -> NotebookNode:
    """What a cell printed, with what `check` said of an exercise that is not written yet in Chinese."""

    def said(match: re.Match) -> str:
        return say(Phrase("{name}: {verdict}", name=match[1], verdict=OPEN), "zh")

    return NotebookNode(output, text=UNWRITTEN.sub(said, output.text)) if "text" in output else output


def in_english(path: str) -> str:
    """For a page, notebook or diagram in Chinese, the English one; headings have other names there."""
    path = path.partition("#")[0].replace("README.zh-CN.md", "README.md").removesuffix(".zh.svg")
    return re.sub(r"^(notebooks|docs)/zh\b", r"\1", path).removesuffix(".svg")


def unlike(english: dict[str, list[str]], chinese: dict[str, list[str]]) -> Iterator[str]:
    for aspect, expected in english.items():
        found = chinese.get(aspect, [])
        if found != expected:
            lines = [[line for text in both for line in text.splitlines()] for both in (expected, found)]
            pairs = zip_longest(*lines, fillvalue="nothing")
            yield next(f"{aspect}: expected {a}, found {b}" for a, b in pairs if a != b)


def name(cells: list[NotebookNode], number: int) -> str:
    first = cells[number].source.partition("\n")[0]
    return f"cell {number} ({cells[number].cell_type}, “{first[:60]}”)"

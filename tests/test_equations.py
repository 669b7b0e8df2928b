"""docs/equations.md points at functions and tests that exist, and leaves out no function that computes."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "equations.md").read_text(encoding="utf-8")
REFERENCES = re.findall(r"`([\w/]+\.py)::([\w.]+)`", PAGE)

# What has an equation: every forward pass, and every function of these files.
COMPUTING = ("embeddings", "attention", "encoder", "bert", "heads", "losses")


def names_in(path: Path) -> set[str]:
    """The functions, classes, methods ("Class.method") and constants that a file defines."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.AnnAssign | ast.Assign):
            targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
            members = node.body if isinstance(node, ast.ClassDef) else []
            names |= {f"{node.name}.{member.name}" for member in members if isinstance(member, ast.FunctionDef)}
    return names


@pytest.mark.parametrize("file", sorted({file for file, _ in REFERENCES}))
def test_all_names_exist(file):
    missing = {name for other, name in REFERENCES if other == file} - names_in(ROOT / file)
    assert not missing, f"docs/equations.md names what {file} does not have"


@pytest.mark.parametrize("module", COMPUTING)
def test_nothing_that_computes_is_left_out(module):
    file = f"minibert/model/{module}.py"
    public = {name for name in names_in(ROOT / file) if not re.search(r"(^|\.)_", name)}
    computing = {name for name in public if name.endswith(".forward") or name.islower() and "." not in name}
    named = {name for other, name in REFERENCES if other == file}
    assert not computing - named, "give them an equation, a function and a test in docs/equations.md"


def test_every_row_has_a_proof():
    rows = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| ")]
    rows = [row for row in rows if row[0] not in ("what", "---")]
    assert len(rows) > 30 and all(len(row) == 3 and "`tests/" in row[2] for row in rows)


def test_formulas_are_closed():
    assert PAGE.count("$$") % 2 == 0
    for formula in PAGE.split("$$")[1::2]:
        assert formula.count("{") == formula.count("}") and formula.count(r"\begin") == formula.count(r"\end"), formula

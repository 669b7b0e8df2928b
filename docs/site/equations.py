"""docs/equations.md as data: which formulas belong to which function."""

import re
from dataclasses import dataclass, field
from pathlib import Path

REFERENCE = re.compile(r"`(minibert/[\w/]+\.py)(?:::([\w.]+))?`")


@dataclass
class Group:
    """Formulas that stand together above one table, and the functions in that table that compute them."""

    section: int  # of the page, from 0
    title: str
    formulas: list[str] = field(default_factory=list)
    computed_by: set[tuple[str, str]] = field(default_factory=set)  # (file, name)


def groups(page: Path) -> list[Group]:
    """All groups of the page, in order."""
    found = []
    for number, section in enumerate(re.split(r"^## ", page.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]):
        title, _, body = section.partition("\n")
        for words, table in re.findall(r"(.*?)((?:^\|.*\n?)+)", body, re.MULTILINE | re.DOTALL):
            formulas = re.findall(r"^\$\$.*?\$\$$", words, re.MULTILINE | re.DOTALL)
            rows = [row.split(" | ")[1] for row in table.splitlines() if row.count(" | ") == 2]
            found.append(
                Group(number, title.strip(), formulas, {pair for row in rows for pair in REFERENCE.findall(row)})
            )
    return found


def of_file(all_groups: list[Group], file: str) -> list[Group]:
    """Those with a function in `file`, as docs/equations.md names it."""
    return [group for group in all_groups if any(other == file for other, _ in group.computed_by)]

"""Every link within the repository leads somewhere: the file is there, and the heading that it names is in it."""

import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "notebooks/**/*.md", "notebooks/**/*.ipynb")
    for path in ROOT.glob(pattern)
    if not path.relative_to(ROOT).parts[0].startswith(".")
)
LINK = re.compile(r"\]\(([^)\s]+)\)|<(?:img|a)\b[^>]*\b(?:src|href)=\"([^\"]+)\"")


def text_of(path: Path) -> str:
    """Markdown without its blocks of code; of a notebook, that of its cells."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = nbformat.reads(text, as_version=4).cells
        text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def links(text: str) -> list[str]:
    """The targets of all links and pictures that stay within the repository."""
    targets = [a or b for a, b in LINK.findall(re.sub(r"`[^`\n]*`", "", text))]
    return [target for target in targets if not re.match(r"\w+:", target)]


def anchors(text: str) -> set[str]:
    """What the headings can be linked by, as GitHub makes it of them."""
    headings = re.findall(r"^#{1,6} +(.*?) *$", text, flags=re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


def broken(page: Path) -> list[str]:
    """The links of a page that lead nowhere, with the reason."""
    found = []
    for link in links(text_of(page)):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists():
            found.append(f"{link}: no such file")
            continue
        target = target / "README.md" if target.is_dir() else target
        if anchor and (target.suffix not in (".md", ".ipynb") or anchor not in anchors(text_of(target))):
            found.append(f"{link}: no such heading")
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    assert broken(page) == []


def test_there_are_links_to_check():
    assert sum(len(links(text_of(page))) for page in PAGES) > 100


def test_what_leads_nowhere_is_found(tmp_path):
    (tmp_path / "there.md").write_text("# A `title`, and more\n\n```\n# no heading\n```\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](there.md#a-title-and-more) [b](there.md#no-heading) ![c](gone.png) [d](https://x.org) [e](#no) `[f](f)`"
    )
    reasons = ["there.md#no-heading: no such heading", "gone.png: no such file", "#no: no such heading"]
    assert broken(page) == reasons

"""Links between the files of the repository, and where they lead on the site."""

import os
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from annotated import target_of
from equations import REFERENCE
from settings import BRANCH, PAPERS, REPOSITORY

LINK = re.compile(r"(!?)\[((?:[^\[\]`]|`[^`]*`|\[[^\]]*\])*)\]\(([^)\s]+)\)")
CODE = re.compile(r"(^```.*?^```\s*?$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
PAPER = re.compile("|".join(map(re.escape, PAPERS)).replace(r"\ ", r"\s+"))


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """`text` with everything changed but its blocks of code."""
    blocks = re.split(r"(^```.*?^```\s*?$)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if i % 2 else change(part) for i, part in enumerate(blocks))


def relinked(text: str, here: str, place_of: Callable[[str], str | None]) -> str:
    """A page's Markdown with links that are right on the site.

    Args:
        here: the path of the page in the repository.
        place_of: for a path in the repository, its page on the site; None if it has none.
    """

    def link(match: re.Match[str]) -> str:
        is_image, words, target = match.groups()
        path, _, anchor = target.partition("#")
        if "://" in target or not path:
            return match[0]
        full = os.path.normpath(PurePosixPath(here).parent / path)
        place = place_of(full)
        start = PurePosixPath(place_of(here) or here).parent
        if is_image:
            return f"![{words}]({os.path.relpath(full, start)})"
        if place is None:
            return f"[{words}]({REPOSITORY}/blob/{BRANCH}/{full})" if REPOSITORY else words
        return f"[{words}]({os.path.relpath(place, start)}{'#' + anchor if anchor else ''})"

    return outside_code(text, lambda part: LINK.sub(link, part))


def with_papers(text: str) -> str:
    """With a link wherever a paper is cited, outside of code and links."""

    def cite(match: re.Match[str]) -> str:
        return f"[{match[0]}]({PAPERS[' '.join(match[0].split())]})"

    parts = CODE.split(text)
    return "".join(part if i % 2 else PAPER.sub(cite, part) for i, part in enumerate(parts))


def with_functions(text: str, root: Path) -> str:
    """docs/equations.md, with a link from every function to its place in the annotated source."""

    def link(match: re.Match[str]) -> str:
        file, name = match.groups()
        defined = name and re.search(rf"(def|class) {name.split('.')[-1]}\b", (root / file).read_text(encoding="utf-8"))
        return f"[{match[0]}](#{target_of(file, name if defined else '')})"

    return REFERENCE.sub(link, text)

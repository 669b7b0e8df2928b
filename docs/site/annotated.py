"""A Python file as a page to read: what its comments and docstrings say on the left, the code on the right.

Each definition has a heading, the equation that it computes, and links to where that is explained.
"""

import ast
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from equations import Group

ENTRY = re.compile(r"^ {4}(\S[^:]*): (.*)$")
NOTHING = "<!-- -->"  # a container wants some content
PART = re.compile(r"^(Args|Attributes|Returns|Raises):\s*(.*)$")


@dataclass
class Piece:
    """Some lines of the file, and what is said about them."""

    name: str  # "Class.method"; empty for what has no name
    words: str
    code: str


def pieces(source: str) -> list[Piece]:
    """A file cut at its definitions, in order; every line of code is in exactly one piece."""
    tree, lines = ast.parse(source), source.splitlines()
    cuts = list(cuts_of(tree))
    starts = [first_line(node, lines) for _, node in cuts]
    head = tree.body[0].end_lineno if ast.get_docstring(tree) else 0
    imports = lines[head : starts[0] if starts else len(lines)]
    found = [Piece("", ast.get_docstring(tree) or "", "\n".join(imports))]
    for (name, node), start, end in zip(cuts, starts, [*starts, len(lines)][1:], strict=True):
        comment, code_start = comment_above(lines, start)
        documented = isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node)
        kept = lines[code_start:end]
        if documented:
            docstring = node.body[0]
            kept = lines[code_start : docstring.lineno - 1] + lines[docstring.end_lineno : end]
        said = "\n\n".join(filter(None, (comment, documented)))
        found.append(Piece(name, said, textwrap.dedent("\n".join(kept))))
    return [piece for piece in found if piece.words or piece.code.strip()]


def cuts_of(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    """The statements at which a page is cut: functions, classes, the methods in these, and what follows any of them."""
    definition = False
    for node in tree.body:
        after, definition = definition, isinstance(node, ast.ClassDef | ast.FunctionDef)
        if definition:
            yield node.name, node
        elif after:
            yield "", node
        if isinstance(node, ast.ClassDef):
            yield from ((f"{node.name}.{m.name}", m) for m in node.body if isinstance(m, ast.FunctionDef))


def first_line(node: ast.stmt, lines: list[str]) -> int:
    """The index of the line where a statement begins, with its decorators and the comment above it."""
    decorators = getattr(node, "decorator_list", [])
    line = min([node.lineno, *(decorator.lineno for decorator in decorators)]) - 1
    while is_comment(lines[line - 1]) or (not lines[line - 1].strip() and is_comment(lines[line - 2], "# ---")):
        line -= 1
    return line


def is_comment(line: str, mark: str = "#") -> bool:
    return line.lstrip().startswith(mark)


def comment_above(lines: list[str], start: int) -> tuple[str, int]:
    """The comment that begins at a line, without its marks, and the line after it."""
    end = start
    while is_comment(lines[end]) or not lines[end].strip():
        end += 1
    return "\n".join(line.strip().lstrip("#").strip() for line in lines[start:end]).strip("-\n "), end


def as_markdown(docstring: str) -> str:
    """A docstring in Markdown: its parts ("Args:") become lists; what is no code is taken literally."""
    written, in_part = [], False
    for line in docstring.splitlines():
        if part := PART.match(line):
            in_part = True
            written += ["", f"**{part[1]}**: {literal(part[2])}"] if part[2] else ["", f"**{part[1]}**", ""]
        elif in_part and (entry := ENTRY.match(line)):
            written.append(f"- `{entry[1]}`: {literal(entry[2])}")
        elif in_part and line.startswith("    "):
            written.append("  " + literal(line.strip()))
        elif line.startswith("    "):
            written.append(line)  # a drawing or a table, which four spaces make one in Markdown
        else:
            in_part = in_part and bool(line.strip())
            written.append(literal(line))
    return "\n".join(written).strip()


def literal(line: str) -> str:
    """With every mark escaped that would mean something in Markdown, except for backticks."""
    parts = line.split("`")
    return "`".join(part if i % 2 else re.sub(r"([*_<>$\[\]#|~])", r"\\\1", part) for i, part in enumerate(parts))


def target_of(file: str, name: str = "") -> str:
    """The label of a file's page, or of a definition on it."""
    return file.removesuffix(".py").replace("/", ".") + (f".{name}" if name else "")


def page(file: str, source: str, equations: list[Group], top: str, say: Callable[[str], str]) -> str:
    """The page of a file in MyST Markdown.

    Args:
        file: its path in the repository.
        equations: all groups of docs/equations.md.
        top: what stands under the title, in Markdown.
        say: the site's own words in the page's language.
    """
    written = ["---", "hide-toc: true", "---", f"({target_of(file)})=", f"# `{file}`", "", top, ""]
    shown: list[Group] = []
    targets: set[str] = set()
    for piece in pieces(source):
        if piece.name:
            target = target_of(file, piece.name)
            written += [f"({target})="] * (target not in targets) + [f"## `{piece.name}`", ""]
            targets.add(target)  # of an overloaded function, the first
        words = [as_markdown(piece.words)]
        for group in equations:
            if piece.name and (file, piece.name) in group.computed_by:
                words += [] if group in shown else map(narrow, group.formulas)
                words.append(f"[{say('equations')}: {group.title}](#equations-{group.section})")
                shown.append(group)
        written += row("\n\n".join(filter(None, words)), piece)
    return "\n".join(written) + "\n"


def narrow(formula: str) -> str:
    """A formula with everything that stands side by side in it one below the other, for a column."""
    parts = [part.strip() for part in formula.strip("$").split(r"\qquad")]
    return "\n\n".join(f"$$\n{part}\n$$" for part in parts)


def row(words: str, piece: Piece) -> list[str]:
    """Words beside code, in two columns."""
    left = ["::::{container} words", words or NOTHING, "::::"]
    code = ["```{code-block} python", piece.code.strip("\n"), "```"] if piece.code.strip() else [NOTHING]
    return [":::::{container} beside", *left, "::::{container} code", *code, "::::", ":::::", ""]

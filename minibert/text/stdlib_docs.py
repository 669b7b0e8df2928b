"""Python's own documentation as a corpus: real English that every machine with Python already has.

Two sources: the language reference that `help()` shows (`pydoc_data.topics`), and the docstrings of the
standard library. The docstrings are read with `ast`, never by importing: importing a module runs it, and one
of them opens a browser (`antigravity`). What is not English (signatures, grammar, examples, tables) is left
out, and so is the markup: this is the text that a newcomer's first BERT learns from.
"""

import ast
import re
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

from tqdm import tqdm

from minibert.text.sentences import split_sentences

# Tests, other people's packages, and generated tables.
_SKIPPED_FOLDERS = {"site-packages", "dist-packages", "test", "tests", "idle_test", "encodings", "turtledemo"}


def python_documentation(modules: Iterable[tuple[Path, list[str]]] | None = None) -> Iterator[list[str]]:
    """Python's documentation, a list of sentences per document: each topic of `help()`, then each module.

    A module's document is its docstrings in the order of the source. The order of everything is the same on
    every run, and a paragraph that stands in several places is kept once. The texts are those of the Python
    that runs this, so the words differ a little from version to version (about 275,000 under 3.11).

    Args:
        modules: what `module_docstrings` has found; None: look for them now, which takes seconds.
    """
    seen: set[str] = set()
    modules = module_docstrings() if modules is None else modules
    for text in [*_topics(), *("\n\n".join(docstrings) for _, docstrings in modules)]:
        paragraphs = [p for p in dict.fromkeys(prose_paragraphs(text)) if p not in seen]
        seen.update(paragraphs)
        document = [sentence for paragraph in paragraphs for sentence in split_sentences(paragraph)]
        if document:
            yield document


def _topics() -> Iterator[str]:
    try:
        from pydoc_data.topics import topics  # a dict of texts, and nothing else
    except ImportError:  # some Linux distributions put it into another package
        return
    for name in sorted(topics):
        yield topics[name]


def module_docstrings() -> Iterator[tuple[Path, list[str]]]:
    """Each module of the standard library, as a path in it, with its docstrings; what is no valid Python is skipped."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    for file in tqdm(sorted(stdlib.rglob("*.py")), desc="reading docstrings", unit=" files", delay=2, leave=False):
        path = file.relative_to(stdlib)
        if _SKIPPED_FOLDERS.isdisjoint(path.parts):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # old modules hold invalid escapes
                    tree = ast.parse(file.read_bytes())
            except (OSError, SyntaxError, ValueError):
                continue
            yield path, list(_docstrings(tree))


def _docstrings(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        yield ast.get_docstring(node) or ""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.excepthandler):  # definitions do not hide inside expressions
            yield from _docstrings(child)


# --- from markup to prose -----------------------------------------------------------------------------------

_RULE = re.compile(r"\s*([=*~^\-#_+.:])\1{2,}[\s=*~^\-#_+.|]*")  # an underline, or the border of a table
_TITLE = re.compile(r"^.*\n\s*([=*~^\-])\1{2,}$", re.MULTILINE)
_BULLET = re.compile(r"\s*(?:[-*+•o]|\(?\d{1,2}[.)]|\(\w\))\s+(?=\S)")
_MARKUP = [
    (re.compile(r":[a-z]+(?::[a-z]+)?:`~?([^`<]*)[^`]*`"), r"\1"),  # :class:`Name`
    (re.compile(r"(?<![\w*])(\*{1,2})(?=[^\s*])([^*]+?)\1(?![\w*])"), r"\2"),  # *emphasis*, **strong**
    (re.compile(r"[`\"]| ?\[\d+\]_?"), ""),  # quotes around code, citations
    (re.compile(r"(?<=\s)'([\w.()]+)'"), r"\1"),
    (re.compile(r"::(?=\s|$)"), ":"),
    (re.compile(r"\s+"), " "),
]

_CODE = re.compile(
    r""">>> | ::= | ^\s*(?: def\ \w+\( | class\ \w+[(:] | print\( | try: | else: | async\ with | [\w.]+\ =\s
    | with\ \w+\( | for\ [\w,\ ]+\ in\ .*:$ | if\ \w+:$ )""",
    re.MULTILINE | re.VERBOSE,
)
_WORD = re.compile(r"[\"'(]*[A-Za-z][A-Za-z'’/-]*[\"')]*[.,;:!?)]*")
# English holds these at every step; signatures, grammar and code hardly do.
_FUNCTION_WORD = re.compile(
    r"\b(?:the|an?|of|to|is|are|be|in|and|or|if|that|this|it|for|with|as|by|on|not|when|from|can|may|will|has)\b",
    re.IGNORECASE,
)


def prose_paragraphs(text: str) -> list[str]:
    """The English paragraphs of a docstring or a help page, each on one line and without markup."""
    paragraphs = []
    for block in re.split(r"\n\s*\n", _TITLE.sub("", text)):
        if _CODE.search(block):
            continue
        for lines in _items(block):
            paragraph = " ".join(lines)
            for pattern, replacement in _MARKUP:
                paragraph = pattern.sub(replacement, paragraph)
            if _is_english(paragraph.strip()):
                paragraphs.append(paragraph.strip())
    return paragraphs


def _items(block: str) -> list[list[str]]:
    """The lines of each item of a list, or of a block that is none; without bullets and rules."""
    items: list[list[str]] = [[]]
    for line in block.splitlines():
        bullet = _BULLET.match(line)
        if bullet:
            items.append([])
        if not _RULE.fullmatch(line):
            items[-1].append(line[bullet.end() :] if bullet else line)
    return items


def _is_english(paragraph: str) -> bool:
    """Whether these are at least four words, most of them plain, and some of them the glue of English."""
    words = paragraph.split()
    plain = sum(_WORD.fullmatch(word) is not None for word in words)
    glue = len(_FUNCTION_WORD.findall(paragraph))
    return len(words) >= 4 and plain >= 0.7 * len(words) and glue >= 0.05 * len(words)

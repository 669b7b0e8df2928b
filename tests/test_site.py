"""The site: what its pages are made of, and, where the extra `site` is installed, a build that needs no network."""

import ast
import importlib.util
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "docs" / "site"))

import annotated  # noqa: E402
import equations  # noqa: E402
import interface  # noqa: E402
import links  # noqa: E402
import pages  # noqa: E402
import settings  # noqa: E402

EQUATIONS = equations.groups(ROOT / "docs" / "equations.md")
CODE = pages.code_files()


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


# --- annotated source


@pytest.mark.parametrize("file", CODE)
def test_every_line_of_code_is_on_the_page_once_and_in_order(file):
    source = (ROOT / file).read_text(encoding="utf-8")
    shown = [line.strip() for piece in annotated.pieces(source) for line in piece.code.splitlines() if line.strip()]
    said = "\n".join(piece.words for piece in annotated.pieces(source)) + source
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    remaining = iter(lines)
    assert all(line in remaining for line in shown), "in order"
    left_out = [line for line in lines if line not in shown and not line.startswith("#")]
    assert all(line.strip('"') in said for line in left_out)
    statements = [line for line in code_lines(source) if line not in shown]
    assert statements == []


def code_lines(source: str) -> list[str]:
    """The first line of every statement that is no docstring."""
    lines = source.splitlines()
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt)]
    constants = (node for node in nodes if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    docstrings = {id(node) for node in constants}
    return [lines[node.lineno - 1].strip() for node in nodes if id(node) not in docstrings]


def test_comments_and_docstrings_stand_beside_the_code():
    source = (
        '"""About it."""\n\nimport math\n\n\n# Why it is so.\ndef f(x):\n    """Says `x*y`, and x*y.\n\n    Args:\n'
    )
    source += '        x: a number\n            of any size\n    """\n    return x  # here\n'
    head, function = annotated.pieces(source)
    assert (head.words, head.code.strip()) == ("About it.", "import math")
    assert function.code.strip() == "def f(x):\n    return x  # here"
    assert function.words.startswith("Why it is so.\n\nSays")
    written = annotated.as_markdown(function.words)
    assert "`x*y`, and x\\*y." in written and "**Args**\n\n- `x`: a number\n  of any size" in written


def test_equations_stand_beside_the_functions_that_compute_them():
    file = "minibert/model/attention.py"
    page = annotated.page(file, (ROOT / file).read_text(encoding="utf-8"), EQUATIONS, "", lambda key: key)
    function = page.partition("## `scaled_dot_product_attention`")[2].partition("\n## ")[0]
    assert r"\sqrt K" in function and "(#equations-1)" in function
    assert page.count(r"\sqrt K") == 1, "once on a page"
    assert r"\qquad" not in page, "what stands side by side is too wide for a column"


def test_every_function_with_an_equation_has_its_formula_or_a_link():
    for group in EQUATIONS:
        for file, name in group.computed_by:
            page = annotated.page(file, (ROOT / file).read_text(encoding="utf-8"), [group], "", lambda key: key)
            headed = f"## `{name}`\n" in page
            assert not headed or f"(#equations-{group.section})" in page


# --- what is taken from where


def test_the_book_is_in_the_readme_s_order_and_complete():
    book = pages.book()
    assert book[:3] == ["embeddings.py", "attention.py", "encoder.py"]
    assert sorted(book) == sorted(path.name for path in (ROOT / "minibert/model").glob("[!_]*.py"))


def test_every_notebook_of_the_course_has_a_page_and_source_beside_it():
    read = set().union(*pages.readers().values())
    assert read <= set(pages.notebooks()) and len(read) > 5
    assert all(pages.place_of(file) for file in pages.readers())


def test_links_between_files_become_links_between_pages():
    text = (
        "[a](../minibert/model/attention.py) [`b`](../tests/test_site.py) [c](../README.md#using-it) ![d](images/e.png)"
    )
    changed = links.relinked(text, "docs/equations.md", pages.place_of)
    expected = "[a](../source/minibert/model/attention.md) `b` [c](../index.md#using-it) ![d](images/e.png)"
    assert changed == expected


def test_papers_are_linked_but_not_in_code():
    changed = links.with_papers("Vaswani et al. 2017, section 3; `Vaswani et al. 2017`")
    assert changed == "[Vaswani et al. 2017](https://arxiv.org/abs/1706.03762), section 3; `Vaswani et al. 2017`"


def test_the_interface_has_every_public_name():
    import minibert

    page = interface.page(ROOT / "minibert" / "__init__.py")
    shown = set(re.findall(r"^:+\{py:\w+\} (\w+)", page, re.MULTILINE))
    assert {name for name in minibert.__all__ if not (name.startswith("Auto") and name != "AutoTokenizer")} <= shown


# --- the site


class Page(HTMLParser):
    """The targets of a page's links, the places in it that can be linked, and all that it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.loads: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.ids.add(values.get("id") or "")
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        loaded = values.get("src") or (values.get("href") if tag == "link" else None)
        if loaded:
            self.loads.append(loaded)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    if importlib.util.find_spec("myst_nb") is None or importlib.util.find_spec("furo") is None:
        pytest.skip("the site is NOT BUILT: install the extra `site`")
    out = tmp_path_factory.mktemp("site") / "out"
    command = [sys.executable, str(ROOT / "docs" / "site" / "build.py"), str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.soak  # building it takes a minute: CI does
def test_the_site_holds_together_without_a_network(site):
    found = {path: Page(path) for path in site.rglob("*.html")}
    broken = []
    for path, page in found.items():
        for target in [*page.links, *page.loads]:
            if re.match(r"(mailto|data):", target) or (target in page.links and "://" in target):
                continue
            file, _, anchor = unquote(target).partition("#")
            to = (path.parent / file.partition("?")[0]).resolve() if file else path
            known = to in found and (not anchor or anchor in found[to].ids)
            if not (known or (to not in found and to.is_file())):
                broken.append(f"{path.relative_to(site)}: {target}")
    assert not broken


@pytest.mark.soak  # building it takes a minute: CI does
def test_both_languages_have_the_same_pages_and_a_search(site):
    folders = (site / "en", site / "zh")
    english, chinese = ({str(path.relative_to(folder)) for path in folder.rglob("*.html")} for folder in folders)
    assert english == chinese and len(english) > len(CODE)
    for folder, word in zip(folders, ("attent", "注意力"), strict=True):
        assert json.dumps(word) in read(folder / "searchindex.js")
        script = read(folder / "_static" / "language_data.js")
        (stemmer,) = re.findall(r"window\.Stemmer = (\w+);", script)
        assert f"{stemmer}=function" in script, "the search calls what is not there"


def test_an_existing_folder_is_not_overwritten(tmp_path):
    command = [sys.executable, str(ROOT / "docs" / "site" / "build.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "exists and is no earlier site" in done.stderr and "Traceback" not in done.stderr


def test_every_diagram_has_a_page():
    drawn = {path.stem for path in (ROOT / "docs/images/diagrams").glob("*.svg") if not path.stem.endswith(".zh")}
    assert set(settings.DIAGRAMS.values()) == drawn and set(settings.DIAGRAMS) <= set(CODE)


def test_the_address_of_the_repository_gives_every_notebook_a_link_to_colab(tmp_path, monkeypatch):
    for module in (pages, links):
        monkeypatch.setattr(module, "REPOSITORY", "https://github.com/somebody/minibert")
    notebook = pages.notebooks()[0]
    pages.Stage(tmp_path, "en").write_notebook(notebook)
    written = read(tmp_path / notebook)
    assert f"https://colab.research.google.com/github/somebody/minibert/blob/main/{notebook}" in written
    assert r"repository = \"https://github.com/somebody/minibert\"" in written

"""Slides: what is on them, in which order, how they are divided, and that a file needs nothing else."""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

FOLDER = Path(__file__).parent.parent / "notebooks"
sys.path.append(str(FOLDER))

import slides  # noqa: E402

NOTEBOOKS = [*sorted(FOLDER.glob("[0-9A-Z]_*.ipynb")), *sorted((FOLDER / "zh").glob("*.ipynb"))]
PICTURE = new_output("display_data", data={"image/png": "AAAA\n", "text/plain": "<Figure>"})


def printing(code: str, text: str):
    return new_code_cell(code, outputs=[new_output("stream", name="stdout", text=text)])


def made_of(*cells) -> list[slides.Slide]:
    return slides.sections(new_notebook(cells=[*cells]), FOLDER)


def words(slide: slides.Slide) -> str:
    return re.sub(r"<[^>]+>|\s+", " ", "".join(block.html for block in slide.blocks))


class Addresses(HTMLParser):
    """All that a browser would fetch."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.found += [given[key] for key in ("src", "data", "srcset", "poster") if key in given]
        self.found += [given["href"]] if tag == "link" else []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_deck_is_whole_and_fetches_nothing(path):
    notebook, language = nbformat.read(path, as_version=4), "zh" if path.parent.name == "zh" else "en"
    found = slides.sections(notebook, path.parent)
    page = slides.deck(notebook, path.parent, language)
    own = page.replace(slides.mathjax(), "")
    assert f'<html lang="{language}">' in own and not re.search(r"\$[a-z]+", own)
    assert all(address.startswith("data:image/") for address in Addresses(page).found)
    assert "@import" not in own and "url(" not in own
    pictures = sum(
        "image/png" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])
    )
    diagrams = sum(len(re.findall(r"!\[", cell.source)) for cell in notebook.cells if cell.cell_type == "markdown")
    assert page.count("<img ") == pictures + diagrams
    equations = sum(cell.source.count("$$") // 2 for cell in notebook.cells if cell.cell_type == "markdown")
    assert (
        sum(block.html.count(r"\[") for slide in found for block in slide.blocks if "<pre" not in block.html)
        >= equations
    )
    titles = [slide.title for slide in found]
    assert sum(title[:2] in ("1.", "2.", "3.") for title in titles) == 3, "the exercises"
    assert "<details" not in own and "<pre" in own


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_slides_are_about_full_and_none_is_overfull(path):
    divided = slides.divided(slides.sections(nbformat.read(path, as_version=4), path.parent))
    assert 12 <= len(divided) <= 40
    assert all(slide.lines <= slides.LINES for slide in divided if len(slide.blocks) > 1)
    assert all(slide.lines <= 1.2 * slides.LINES for slide in divided)


def test_which_paragraphs_are_on_slides():
    text = (
        "# A\n\n[中文](zh/a.ipynb)\n\nFirst.\n\nTold by the teacher.\n\nA **term**.\n\nLook:\n\n> Quoted.\n\n- An item"
    )
    (slide,) = made_of(new_markdown_cell(text))
    assert " ".join(words(slide).split()) == "First. A term . Look: Quoted. An item"


def test_hints_solutions_checks_and_imports_are_not_on_slides():
    exercise = "## E\n\nWrite it.\n\n<details><summary>Hint</summary>\n\nThe hint.\n</details>\n"
    exercise += "<details><summary>Solution</summary>\n\n```python\nf = 1\n```\n</details>"
    cells = [new_markdown_cell("# A\n\nOne."), new_code_cell("import math"), new_markdown_cell(exercise)]
    check = new_code_cell('f = None\ncheck("f", f)')
    assert [words(slide).strip() for slide in made_of(*cells, check)] == ["One.", "Write it."]


def test_code_is_with_what_it_printed_and_a_figure_without_its_code():
    figure = new_code_cell("plot()", outputs=[PICTURE])
    (slide,) = made_of(new_markdown_cell("# A"), printing("x = 1", "12\n"), figure)
    code, printed, picture = (block.html for block in slide.blocks)
    assert "x" in code and "12" in printed and "plot" not in picture and "base64,AAAA" in picture
    assert slide.blocks[0].leads_on and not slide.blocks[1].leads_on


def test_long_output_says_how_much_is_left_out():
    (slide,) = made_of(new_markdown_cell("# A"), printing("x", "".join(f"<{n}>\n" for n in range(20))))
    assert "&lt;13&gt;\n… 6 more</pre>" in slide.blocks[1].html


def test_formulas_are_left_to_mathjax_and_code_to_itself():
    (slide,) = made_of(new_markdown_cell("# $D$\n\nThe $a_b < c$ and `$x$`.\n\n$$ a*b*c $$"))
    assert r">\(D\)<" in slide.title and r"\(a_b &lt; c\)" in slide.blocks[0].html and "$x$" in slide.blocks[0].html
    assert "a*b*c" in slide.blocks[1].html
    plain = new_notebook(cells=[new_markdown_cell("# A\n\nB.")])
    assert (
        "<script></script>" not in slides.deck(plain, FOLDER, "en") and len(slides.deck(plain, FOLDER, "en")) < 20_000
    )


def test_only_links_to_the_web_are_links():
    (slide,) = made_of(new_markdown_cell("# A\n\nOf [b](b.md) and [c](https://e.org)."))
    assert slide.blocks[0].html == '<p>Of b and <a href="https://e.org">c</a>.</p>\n'


def test_what_leads_on_stays_with_what_it_leads_to():
    block = slides.Block
    blocks = [block("a", 9), block("b", 3, leads_on=True), block("c", 9), block("d", 14, leads_on=True), block("e", 9)]
    divided = slides.divided([slides.Slide("A", blocks)])
    assert ["".join(block.html for block in slide.blocks) for slide in divided] == ["a", "bc", "d", "e"]

"""A notebook as slides: one HTML file that needs no network, with the arrow keys, and a page for each slide in print.

nbconvert has an export for reveal.js, too. It was not taken: it fetches reveal.js and MathJax from the network, puts
whole cells on slides only where their metadata says so, and adds a dozen packages for what `slides.html` does here.

On the slides are headings, quotes, lists, tables, equations, figures, and code with what it printed. Of the paragraphs
there are those that open a section, bring a term in bold, or lead up to code; the rest is left to the teacher.
Exercises are there without hints and solutions.
"""

import base64
import html
import mimetypes
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import files
from pathlib import Path
from string import Template

from in_step import OTHER_LANGUAGE
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin
from nbformat import NotebookNode
from pygments import highlight
from pygments.formatters.html import HtmlFormatter
from pygments.lexers.python import PythonLexer

TEMPLATE = Path(__file__).with_name("slides.html")
COLOURS = HtmlFormatter(cssclass="code", style="friendly")
LINES, COLUMNS = 15.0, 94  # of text on a slide; a Chinese character takes two columns
CODE, FIGURE = 0.64, 8.0  # lines of text that a line of code and a figure take
PRINTED = 14  # lines of output that are shown
TAGS = re.compile(r"<[^>]+>")
# A link to a file of the repository, which is not where the slides are.
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!\w+:)[^)]*\)")


@dataclass
class Block:
    """A piece of a slide that is not divided: its HTML, and how many lines of text it takes."""

    html: str
    lines: float
    leads_on: bool = False  # to the block after it, which must not be on another slide


@dataclass
class Slide:
    title: str
    blocks: list[Block] = field(default_factory=list)

    @property
    def lines(self) -> float:
        return sum(block.lines for block in self.blocks)


def deck(notebook: NotebookNode, folder: Path, language: str) -> str:
    """The HTML of all slides.

    folder: of the notebook, from which the paths of its figures count.
    language: of the words, as HTML names it.
    """
    slides = divided(sections(notebook, folder))
    shown = "\n".join(
        f'<section class="slide{" first" if number == 0 else ""}"><h1>{slide.title}</h1><div class="body">'
        f"{''.join(block.html for block in slide.blocks)}</div></section>"
        for number, slide in enumerate(slides)
    )
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        language=language,
        title=html.escape(TAGS.sub("", slides[0].title)),
        colours=COLOURS.get_style_defs(),
        mathjax=f"<script>{mathjax()}</script>" if r"\(" in shown or r"\[" in shown else "",
        slides=shown,
    )


def sections(notebook: NotebookNode, folder: Path) -> list[Slide]:
    """One slide, of any length, for each heading."""
    found: list[Slide] = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            read_markdown(cell.source, folder, found)
        elif not is_setting_up(cell.source, found):
            found[-1].blocks += code_blocks(cell)
    return [slide for slide in found if slide.blocks]


def read_markdown(text: str, folder: Path, slides: list[Slide]) -> None:
    """Add what is worth a slide to `slides`; a heading begins a new one."""
    markdown, folded = parser(), 0
    tokens = markdown.parse(LINK.sub(r"\1", OTHER_LANGUAGE.sub("", text)))
    for start, stop in top_level(tokens):
        part, first = tokens[start:stop], tokens[start]
        if first.type == "html_block":
            folded += first.content.count("<details") - first.content.count("</details")
        elif first.type == "heading_open":
            slides.append(Slide(rendered(markdown, part[1:2], folder)))
        elif not folded and is_key(part, is_first=not slides[-1].blocks):
            shown = rendered(markdown, part, folder)
            is_leading = first.type == "paragraph_open" and part[1].content.rstrip().endswith((":", "："))
            slides[-1].blocks.append(Block(shown, lines_of(part), is_leading))


def parser() -> MarkdownIt:
    """Of Markdown with tables, whose formulas are left to MathJax."""

    def formula(content: str, options: dict) -> str:
        return html.escape(rf"\[{content}\]" if options["display_mode"] else rf"\({content}\)")

    return MarkdownIt("commonmark").enable("table").use(dollarmath_plugin, renderer=formula, allow_digits=False)


def top_level(tokens: list[Token]) -> Iterator[tuple[int, int]]:
    """Where each paragraph, list, table and so on begins and ends."""
    depth = start = 0
    for place, token in enumerate(tokens):
        if depth == 0:
            start = place
        depth += token.nesting
        if depth == 0:
            yield start, place + 1


def is_key(part: list[Token], is_first: bool) -> bool:
    """Does a piece of text belong on a slide?"""
    if part[0].type != "paragraph_open":
        return part[0].type != "hr"
    inside, text = part[1].children or [], part[1].content
    is_notable = any(token.type in ("strong_open", "image") for token in inside)
    return is_first or is_notable or text.rstrip().endswith((":", "："))


def rendered(markdown: MarkdownIt, part: list[Token], folder: Path) -> str:
    """HTML that carries its pictures."""
    for child in (child for token in part for child in token.children or [] if child.type == "image"):
        child.attrs["src"] = data_address(folder / str(child.attrs["src"]))
    return str(markdown.renderer.render(part, markdown.options, {}))


def data_address(path: Path) -> str:
    kind = mimetypes.guess_type(path.name)[0]
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def lines_of(part: list[Token]) -> float:
    """How many lines a piece of text takes, about."""
    lines = 0.0
    for token in part:
        if token.type == "inline":
            pictures = sum(child.type == "image" for child in token.children or [])
            lines += FIGURE * pictures or -(-width(token.content) // COLUMNS)
        elif token.type in ("math_block", "math_block_label"):
            lines += 1.6 * (token.content.count(r"\\") + 1)
        elif token.type == "fence":
            lines += CODE * token.content.count("\n") + 0.5
    if part[0].type == "table_open":  # what stands in one row is beside each other
        return 1.25 * sum(token.type == "tr_open" for token in part)
    return lines + 0.5


def width(text: str) -> int:
    return sum(1 + (character > "\u2e80") for character in text)


def is_setting_up(code: str, slides: list[Slide]) -> bool:
    """What a notebook needs and a lecture does not: to install, to import, and to check an exercise."""
    is_import = code.startswith(("import ", "from ")) and len(slides) == 1
    return is_import or 'find_spec("minibert")' in code or re.search(r"^check\(", code, re.MULTILINE) is not None


def code_blocks(cell: NotebookNode) -> list[Block]:
    """The figures that a cell draws, without the code that draws them; or else its code, and what it printed."""
    pictures = [output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {})]
    printed = "".join(output.text for output in cell.outputs if output.output_type == "stream").rstrip("\n")
    blocks = [Block(f'<p><img src="data:image/png;base64,{"".join(x.split())}" alt=""></p>', FIGURE) for x in pictures]
    if not pictures:
        lines = CODE * (cell.source.count("\n") + 1) + 0.5
        blocks.append(Block(highlight(cell.source, PythonLexer(), COLOURS), lines, leads_on=bool(printed)))
    if printed:
        lines = printed.split("\n")
        rest = [f"… {len(lines) - PRINTED} more"] if len(lines) > PRINTED else []
        shown = [*lines[:PRINTED], *rest]
        blocks.append(Block(f'<pre class="printed">{html.escape(chr(10).join(shown))}</pre>', CODE * len(shown) + 0.5))
    return blocks


def divided(slides: list[Slide]) -> list[Slide]:
    """The same on as many slides as it needs, under the same titles."""
    found = []
    for slide in slides:
        found.append(Slide(slide.title))
        for unit in units(slide.blocks):
            if found[-1].blocks and found[-1].lines + sum(block.lines for block in unit) > LINES:
                found.append(Slide(slide.title))
            found[-1].blocks += unit
    return found


def units(blocks: list[Block]) -> Iterator[list[Block]]:
    """Blocks that lead on, with what they lead up to, as long as this fits on one slide."""
    unit: list[Block] = []
    for block in blocks:
        if unit and (not unit[-1].leads_on or sum(b.lines for b in unit) + block.lines > LINES):
            yield unit
            unit = []
        unit.append(block)
    if unit:
        yield unit


@cache
def mathjax() -> str:
    """MathJax as one file, from the package that carries it."""
    found = [path for path in files("sphinx-mathjax-offline") or [] if path.name == "tex-svg.js"]
    return Path(str(found[0].locate())).read_text(encoding="utf-8").replace("</script", r"<\/script")

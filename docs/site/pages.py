"""The pages of the site, as files for Sphinx: what lies in the repository, in one language, with links that hold."""

import re
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path, PurePosixPath

import annotated
import equations
import interface
import links
import nbformat
from settings import DIAGRAMS, REPOSITORY, WORDS

ROOT = Path(__file__).parent.parent.parent
EQUATIONS = "docs/equations.md"
CODE = ("minibert", "scripts")  # folders whose files have a page
LANGUAGES = {"en": "English", "zh": "中文"}
# The rows of README's first table are the book.
BOOK = re.compile(r"\(minibert/model/(\w+\.py)\)")

Say = Callable[[str], str]


class Stage:
    """A folder in which the sources of one language's site are put together."""

    def __init__(self, folder: Path, language: str) -> None:
        self.folder, self.language = folder, language
        self.equations = equations.groups(self.original(EQUATIONS)[0])
        self.readers = readers()

    def say(self, key: str) -> str:
        """The site's own words."""
        return WORDS[key][list(LANGUAGES).index(self.language)]

    def build(self) -> None:
        """Write all pages, and what they show."""
        shutil.copytree(ROOT / "docs" / "images", self.folder / "docs" / "images")
        for page in written_pages():
            self.write_page(page)
        for notebook in notebooks():
            self.write_notebook(notebook)
        for file in code_files():
            self.write_source(file)
        self.write_interface()
        self.write_start()

    def original(self, page: str) -> tuple[Path, str]:
        """The file in this language, or else the English one, and a remark that says so."""
        path = ROOT / page
        if self.language == "en":
            return path, ""
        own = ROOT / in_chinese(page)
        return (own, "") if own.exists() else (path, f"```{{note}}\n{self.say('not translated')}\n```\n\n")

    def write(self, place: str, text: str) -> None:
        path = self.folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def relink(self, text: str, path: Path) -> str:
        """Links to the other language are left to the switch that every page has."""
        text = re.sub(r"^\[(中文|English)\]\([^)]*\)\n", "", text, flags=re.MULTILINE)
        return links.with_papers(links.relinked(text, str(path.relative_to(ROOT)), place_of))

    def write_page(self, page: str) -> None:
        path, remark = self.original(page)
        text = self.relink(path.read_text(encoding="utf-8"), path)
        if page == EQUATIONS:
            text = links.with_functions(text, ROOT)
            sections = iter(range(len(self.equations)))
            text = re.sub(r"^## ", lambda _: f"(equations-{next(sections)})=\n## ", text, flags=re.MULTILINE)
        title, _, rest = text.partition("\n")
        self.write(place_of(page), f"{title}\n\n{remark}{rest}")

    def write_notebook(self, page: str) -> None:
        """With what is to be read beside it under its title, and told where Colab gets the package from."""
        path, remark = self.original(page)
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = self.relink(cell.source, path)
            elif REPOSITORY:
                cell.source = cell.source.replace('repository = ""', f'repository = "{REPOSITORY}"')
        notebook.cells.insert(1, nbformat.v4.new_markdown_cell(remark + self.beside(page, path)))
        (self.folder / page).parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, self.folder / page)

    def beside(self, page: str, path: Path) -> str:
        """A box of links: the source that a notebook explains, its equations, the papers it cites."""
        text = " ".join(path.read_text(encoding="utf-8").split())
        files = [file for file, pages in self.readers.items() if page in pages]
        groups = {g.section: g.title for file in files for g in equations.of_file(self.equations, file)}
        papers = {cited: links.PAPERS[cited] for cited in links.PAPERS if cited in text}
        lines = {
            "source": [f"[`{file}`](#{annotated.target_of(file)})" for file in files],
            "equations": [f"[{title}](#equations-{section})" for section, title in groups.items()],
            "papers": [f"[{cited}]({address})" for cited, address in papers.items()],
        }
        if REPOSITORY:
            colab = REPOSITORY.replace("https://github.com/", "https://colab.research.google.com/github/")
            lines["run"] = [f"[Colab]({colab}/blob/{links.BRANCH}/{path.relative_to(ROOT)})"]
        shown = [f"**{self.say(key)}** {' · '.join(found)}" for key, found in lines.items() if found]
        return "```{seealso}\n" + "\\\n".join(shown) + "\n```\n" if shown else ""

    def write_source(self, file: str) -> None:
        """A page of code, under its diagram and the notebooks that it is read with."""
        top = [self.say("comments")] if self.say("comments") else []
        if reading := self.readers.get(file):
            titles = [f"[](/{page})" for page in sorted(reading)]  # a link without words has its page's title
            top.append(f"**{self.say('notebooks')}** {' · '.join(titles)}")
        if REPOSITORY:
            top.append(f"[{self.say('source')}]({REPOSITORY}/blob/{links.BRANCH}/{file})")
        if file in DIAGRAMS:
            suffix = ".svg" if self.language == "en" else ".zh.svg"
            top.append(f"![{DIAGRAMS[file]}](/docs/images/diagrams/{DIAGRAMS[file]}{suffix})")
        source = (ROOT / file).read_text(encoding="utf-8")
        text = links.with_papers(annotated.page(file, source, self.equations, "\n\n".join(top), self.say))
        if file.endswith("/__init__.py") and file != "minibert/model/__init__.py":
            room = [other for other in code_files() if PurePosixPath(other).parent == PurePosixPath(file).parent]
            text += toctree("", [in_margin(other) for other in room if other != file])
        self.write(place_of(file), text)

    def write_interface(self) -> None:
        text = interface.page(ROOT / "minibert" / "__init__.py")
        remark = f"{self.say('docstrings')}\n"
        self.write("interface.md", "\n".join([f"# {self.say('The Python interface')}", "", remark, text]))

    def write_start(self) -> None:
        """README with the table of contents."""
        self.write_page("README.md")
        model = ["minibert/model/__init__.py", *(f"minibert/model/{file}" for file in book())]
        rooms = [file for file in code_files() if file.endswith("/__init__.py") and file.count("/") > 1]
        alone = [file for file in code_files() if file.count("/") == 1]
        others = [file for file in (*rooms, *alone) if file not in model]
        texts = [f"/{page}" for page in written_pages() if page not in ("README.md", "notebooks/README.md", EQUATIONS)]
        contents = {
            "Read along": ["/notebooks/README.md", *(f"/{page}" for page in notebooks())],
            "The book: BERT in its source": [f"/{EQUATIONS}", *map(in_margin, model)],
            "The other rooms": [*map(in_margin, others)],
            "Reference": ["/interface.md", *texts],
        }
        path = self.folder / "index.md"
        trees = [toctree(self.say(caption), places) for caption, places in contents.items()]
        path.write_text(path.read_text(encoding="utf-8") + "\n".join(trees), encoding="utf-8")


def toctree(caption: str, places: list[str]) -> str:
    """A part of the table of contents, shown in the margin only."""
    options = [":hidden:", f":caption: {caption}"] if caption else [":hidden:"]
    return "\n".join(["", "```{toctree}", *options, "", *places, "```", ""])


def in_margin(file: str) -> str:
    """A page of code under a short name: that of the file, or of the folder that an `__init__.py` stands for."""
    path = PurePosixPath(file)
    is_room = path.name == "__init__.py"
    return f"{f'{path.parent.name}/' if is_room else path.name} </{place_of(file)}>"


@cache
def written_pages() -> list[str]:
    """All pages of text, README first."""
    docs = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))
    return ["README.md", "notebooks/README.md", *docs, "CONTRIBUTING.md", "CHANGELOG.md"]


@cache
def notebooks() -> list[str]:
    """The course in its order: numbers, then letters."""
    return sorted(str(path.relative_to(ROOT)) for path in (ROOT / "notebooks").glob("*.ipynb"))


def in_chinese(page: str) -> str:
    """Where the Chinese form of a page or a notebook lies."""
    folder, _, name = page.rpartition("/")
    return f"{folder}/zh/{name}" if folder else f"{PurePosixPath(page).stem}.zh-CN{PurePosixPath(page).suffix}"


@cache
def code_files() -> list[str]:
    """Every file of code that has a page."""
    return sorted(str(path.relative_to(ROOT)) for folder in CODE for path in (ROOT / folder).rglob("*.py"))


def book() -> list[str]:
    """The files of the model in README's reading order, and then those that it does not name."""
    named = BOOK.findall((ROOT / "README.md").read_text(encoding="utf-8").partition("## Reading it")[2])
    named = [file for file in dict.fromkeys(named) if file != "__init__.py"]
    return named + sorted({path.name for path in (ROOT / "minibert" / "model").glob("*.py")} - {*named, "__init__.py"})


@cache
def place_of(path: str) -> str | None:
    """The page of a file or folder of the repository; None if it has none."""
    if (ROOT / path).is_dir():
        inside = ("README.md", "__init__.py")
        return next((place_of(f"{path}/{name}") for name in inside if (ROOT / path / name).exists()), None)
    path = {in_chinese(page): page for page in (*written_pages(), *notebooks())}.get(path, path)
    if path == "README.md":
        return "index.md"
    if path in code_files():
        return f"source/{path.removesuffix('.py')}.md"
    return path if path in (*written_pages(), *notebooks()) else None


def readers() -> dict[str, set[str]]:
    """For every file of code, the notebooks beside which the course says to read it."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8").splitlines():
        targets = re.findall(r"\]\(([^)]+)\)", line)
        if line.startswith("| [") and targets[0].endswith(".ipynb"):
            for target in targets[1:]:
                file = target.removeprefix("../") + ("" if target.endswith(".py") else "/__init__.py")
                found.setdefault(file, set()).add(f"notebooks/{targets[0]}")
    return found

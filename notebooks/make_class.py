"""Write all that a class needs into a new folder: `python notebooks/make_class.py OUT`.

    OUT/student/      the notebooks without solutions, and my_exercises.py to hand in; in Chinese in zh/
    OUT/teacher/      the same with solutions, and solutions.py, which has full points
    OUT/slides/       the notebooks as slides, each a file that opens in any browser and needs no network
    OUT/objectives.md and objectives.zh.md    what each notebook asks, needs and teaches, and its points
    OUT/project.md and project.zh.md          the project with its rubric

It needs the extras `notebooks` and `site`, and no network. The outputs in the notebooks are those in the repository,
which `notebooks/execute.py` makes.
"""

import argparse
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jupytext
import nbformat
from execute import copy_outputs, notebook_of
from nbformat import NotebookNode
from objectives import LANGUAGES, objectives
from slides import deck
from tqdm import tqdm
from write_exercises import CHINESE, ENGLISH, FOLDER, with_section

from minibert.checkpoint.files import write_text
from minibert.commands.run import run
from minibert.course.all_exercises import EXERCISES
from minibert.course.sheet import sheet, solutions

DOCS = FOLDER.parent / "docs"
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT", help="a folder that does not exist")
    options = parser.parse_args()
    if options.out.exists():
        raise ValueError(f"{options.out}: exists; name a new folder, or remove it")
    write_beside(options.out, find_sources())
    print(f"written     {options.out}: student, teacher, slides, objectives and project, in {len(LANGUAGES)} languages")


def find_sources() -> list[Path]:
    """The notebooks in English; those in Chinese have the same names."""
    return sorted(FOLDER.glob("[0-9A-Z]_*.py"))


def write_beside(out: Path, sources: list[Path]) -> None:
    """Write to a folder beside `out`, and rename it at the end: a class that was interrupted is not there."""
    out.resolve().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.resolve().parent, prefix=f".{out.name}.") as beside:
        folder = Path(beside, "class")
        write_class(folder, sources)
        os.rename(folder, out)


def write_class(out: Path, sources: list[Path]) -> None:
    for language, words in (("en", ENGLISH), ("zh", CHINESE)):
        place = "" if language == "en" else language
        notebooks = {}
        for source in tqdm(sources, desc=language, unit=" notebooks"):
            own = FOLDER / place / source.name
            notebooks[source.stem] = saved = nbformat.read(own.with_suffix(".ipynb"), as_version=4)
            for_students = replace(words, with_solutions=False)
            without = notebook_of(with_section(own.read_text(encoding="utf-8"), source.name[0], for_students))
            copy_outputs(saved, without)
            write_text(out / "slides" / f"{source.stem}.{language}.html", deck(without, own.parent, language))
            for edition, notebook in (("student", without), ("teacher", saved)):
                write_notebook(notebook, own, out / edition, place)
        suffix = ".md" if language == "en" else f".{language}.md"
        write_text(out / f"objectives{suffix}", objectives(notebooks, language))
        project = (DOCS / place / "project.md").read_text(encoding="utf-8")
        write_text(out / f"project{suffix}", alone(project))
    names = list(EXERCISES)
    for language, place in (("en", ""), ("zh", "zh")):
        write_text(out / "student" / place / "my_exercises.py", sheet(names, "my_exercises.py", language))
    write_text(out / "teacher" / "solutions.py", solutions(names))


def write_notebook(notebook: NotebookNode, source: Path, edition: Path, place: str) -> None:
    """With its diagrams, which lie in `images`."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for picture in pictures(cell.source):
                (edition / "images").mkdir(parents=True, exist_ok=True)
                shutil.copy(source.parent / picture, edition / "images")
            cell.source = alone(cell.source, "../images" if place else "images")
    write_text(edition / place / f"{source.stem}.ipynb", jupytext.writes(notebook, fmt="ipynb"))


def pictures(text: str) -> Iterator[str]:
    return (target for mark, _, target in LINK.findall(text) if mark)


def alone(text: str, images: str = "images") -> str:
    """Markdown that leaves the repository: its pictures lie in `images`, and links to other files become words.

    A link from a notebook to another, or to the same in the other language, stays.
    """

    def relinked(match: re.Match) -> str:
        mark, words, target = match.groups()
        if mark:
            return f"![{words}]({images}/{Path(target).name})"
        return match[0] if ":" in target or target.endswith(".ipynb") or target.startswith("#") else words

    return LINK.sub(relinked, text)


if __name__ == "__main__":
    run(main)

"""Run notebooks from top to bottom and keep their outputs: every `N_name.py` becomes `N_name.ipynb`.

The `.py` files are the sources: change those, then run this. It needs the extra `notebooks`. The outputs go into the
Chinese notebook in `zh/`, too, whose code is the same: a source from there is not run, but takes the outputs that its
English notebook has. Only what `check` says there is Chinese.
"""

import argparse
import hashlib
from pathlib import Path

import jupytext
import nbformat
from in_step import differences, in_chinese
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from tqdm import tqdm

from minibert.checkpoint.files import write_text
from minibert.commands.run import run

FOLDER = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="*", type=Path, metavar="FILE", help="sources (default: all of the course)")
    options = parser.parse_args()
    for source in (bar := tqdm(options.sources or sorted(FOLDER.glob("[0-9A-Z]_*.py")), unit=" notebooks")):
        bar.set_postfix_str(source.stem)
        if source.resolve().parent == FOLDER / "zh":
            write(source, with_outputs(source))
            continue
        write(source, execute(source))
        if (chinese := FOLDER / "zh" / source.name).exists():
            write(chinese, with_outputs(chinese))


def write(source: Path, notebook: NotebookNode) -> None:
    write_text(source.with_suffix(".ipynb"), jupytext.writes(notebook, fmt="ipynb"))


def execute(source: Path) -> NotebookNode:
    """The notebook of a source, with the outputs of a kernel of its own. Raises `ValueError` where a cell fails."""
    notebook = read(source)
    try:
        NotebookClient(notebook, record_timing=False, coalesce_streams=True).execute()
    except CellExecutionError as error:
        raise ValueError(f"{source}: {error}") from error
    for cell in notebook.cells:
        if cell.cell_type == "code":  # standard error has warnings about the machine, not about BERT
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    del notebook.metadata["language_info"]  # the version of the Python that ran it
    return notebook


def with_outputs(source: Path) -> NotebookNode:
    """The notebook of a Chinese source, with the outputs of the English one. Raises `ValueError` if they differ."""
    english, notebook = nbformat.read(FOLDER / f"{source.stem}.ipynb", as_version=4), read(source)
    if found := differences(english, notebook):
        raise ValueError(f"{source} is not in step with {FOLDER / source.stem}.ipynb: " + "; ".join(found))
    copy_outputs(english, notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [in_chinese(output) for output in cell.outputs]
    return notebook


def copy_outputs(original: NotebookNode, notebook: NotebookNode) -> None:
    """Into a notebook that has the same cells, in other words."""
    for cell, source in zip(notebook.cells, original.cells, strict=True):
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = source.outputs, source.execution_count


def read(source: Path) -> NotebookNode:
    """The notebook of a source."""
    return notebook_of(source.read_text(encoding="utf-8"))


def notebook_of(text: str) -> NotebookNode:
    """A source as a notebook, whose cells have the same names at every run, so that it diffs well."""
    notebook = jupytext.reads(text, fmt="py:percent")
    for cell in notebook.cells:
        cell.id = hashlib.sha1(cell.source.encode()).hexdigest()[:12]
    return notebook


if __name__ == "__main__":
    run(main)

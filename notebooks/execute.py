"""Run notebooks from top to bottom and keep their outputs: every `N_name.py` becomes `N_name.ipynb`.

The `.py` files are the sources: change those, then run this. It needs the extra `notebooks`.
"""

import argparse
import hashlib
from pathlib import Path

import jupytext
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from tqdm import tqdm

from minibert.checkpoint.files import write_text
from minibert.commands.run import run

FOLDER = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="*", type=Path, metavar="FILE", help="sources (default: all of the course)")
    options = parser.parse_args()
    for source in (bar := tqdm(options.sources or sorted(FOLDER.glob("[0-9A-Z]_*.py")), unit=" notebooks")):
        bar.set_postfix_str(source.stem)
        write_text(source.with_suffix(".ipynb"), jupytext.writes(execute(source), fmt="ipynb"))


def execute(source: Path) -> NotebookNode:
    """The notebook of a source, with the outputs of a kernel of its own. Raises `ValueError` where a cell fails."""
    notebook = jupytext.read(source)
    for cell in notebook.cells:
        cell.id = hashlib.sha1(cell.source.encode()).hexdigest()[:12]  # the same at every run, so that it diffs well
    try:
        NotebookClient(notebook, record_timing=False, coalesce_streams=True).execute()
    except CellExecutionError as error:
        raise ValueError(f"{source}: {error}") from error
    for cell in notebook.cells:
        if cell.cell_type == "code":  # standard error has warnings about the machine, not about BERT
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    del notebook.metadata["language_info"]  # the version of the Python that ran it
    return notebook


if __name__ == "__main__":
    run(main)

"""Imports point one way: a reader who goes from the top of the list down never meets a name not yet explained."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import minibert

PACKAGE = Path(minibert.__file__).parent

# The model, from the ground up: a module may import only those before it.
ORDER = (
    "labels",
    "checkpoint",
    "model.precision",
    "model.outputs",
    "model.config_checks",
    "model.config",
    "model.packing",
    "model.inputs",
    "model.embeddings",
    "model.attention",
    "model.encoder",
    "model.heads",
    "model.skeleton",
    "model.reference_names",
    "model.changes",
    "model.weights",
    "model.pretrained",
    "model.bert",
    "model.losses",
    "model.tasks",
    "model.auto",
)

# The rooms beside the model, and all that each may import (and itself). No job imports another job.
FILES_OF_CHECKPOINTS = {"checkpoint.opened", "checkpoint.files"}
BESIDE = {
    "report": set(),
    "text": {"labels", *FILES_OF_CHECKPOINTS},
    "training": {"labels", "text", *FILES_OF_CHECKPOINTS},
    "inference": {*ORDER, "text"},
    "serving": {*ORDER, "text", "inference"},
    "pretraining": {*ORDER, "report", "text", "training", "inference"},
    "finetuning": {*ORDER, "report", "text", "training", "inference"},
    "explorer": {*ORDER, "text", "inference"},
    "course": {*ORDER, "text"},
}
BESIDE["commands"] = {*ORDER, *BESIDE}


def module_name(path: Path) -> str:
    """`minibert/text/pairs.py` -> "text.pairs"; of a package's `__init__.py`, the package."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(path: Path, *, at_import_time: bool = False) -> set[str]:
    """The full names of all modules that a file imports; `at_import_time`: leaving out those inside functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    names = set()
    for node in ast.walk(tree):
        if at_import_time and id(node) in inside:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports in full"
            # `from minibert.text import pairs` imports a module of that name, if there is one.
            both = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            names |= {full if full.removeprefix("minibert.") in FILES else node.module for full in both.values()}
    return names


def own_imports(name: str) -> set[str]:
    """The modules of this package that the module `name` imports: "text.pairs" for `minibert.text.pairs`."""
    return {full.removeprefix("minibert.") for full in imports(FILES[name]) if full.startswith("minibert.")}


def within(name: str, rooms: set[str]) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def place_of(name: str) -> str:
    """The entry of ORDER or BESIDE that a module belongs to: itself, or its room."""
    return name if name in ORDER else name.split(".")[0]


def test_every_module_has_its_place():
    places = {place_of(name) for name in FILES} - {"__init__", "__main__", "model"}
    assert places <= {*ORDER, *BESIDE}, "give the new module a place in ORDER or BESIDE"


def test_the_first_screen():
    beside_the_rooms = {name for name in FILES if "." not in name and FILES[name].name != "__init__.py"}
    assert beside_the_rooms <= {"__main__", "labels", "report"}, "a new file belongs into a room"
    for path in PACKAGE.iterdir():
        if (path / "__init__.py").is_file():
            assert ast.get_docstring(ast.parse((path / "__init__.py").read_text())), f"{path}: say what it is for"


@pytest.mark.parametrize("name", [name for name in FILES if name not in ("__init__", "__main__", "model")])
def test_imports_point_one_way(name):
    place = place_of(name)
    allowed = BESIDE[place] if place in BESIDE else set(ORDER[: ORDER.index(place)])
    wrong = {other for other in own_imports(name) if not within(other, allowed | {place})}
    assert not wrong, f"{name} may import {sorted(allowed)}, not {sorted(wrong)}"


def test_nobody_imports_the_package_itself():
    """But what stands above it: the commands use the public names, as a program of somebody else would."""
    above = {name for name in FILES if within(name, {"commands", "__main__"})}
    assert not [name for name in FILES.keys() - above if "minibert" in imports(FILES[name])]


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("commands.")])
def test_a_command_starts_without_the_others(name):
    assert not {other for other in own_imports(name) if within(other, {"commands"})}


def test_no_circles():
    graph = {name: own_imports(name) for name in FILES if name != "__init__"}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("room", ["text", "training"])
def test_data_and_training_know_no_model(room):
    assert not {other for other in BESIDE[room] if within(other, {"model"})}


@pytest.mark.parametrize("name", FILES)
def test_what_the_package_never_imports(name):
    roots = {full.split(".")[0] for full in imports(FILES[name])}
    at_import_time = {full.split(".")[0] for full in imports(FILES[name], at_import_time=True)}
    if name == "commands.parity":  # what it is for; whoever does not compare need not have it
        assert "transformers" in roots - at_import_time
        roots -= {"transformers"}
    assert not roots & {"transformers", "sentence_transformers", "scripts", "tests", "pytest"}


@pytest.mark.parametrize("name", FILES)
def test_plots_are_imported_where_a_picture_is_drawn(name):
    assert "matplotlib" not in {full.split(".")[0] for full in imports(FILES[name], at_import_time=True)}

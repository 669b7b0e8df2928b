"""Grade a file with the exercises: for each function, whether it is right, and if not, where it goes wrong.

Exit code: 0 all are right, 1 some are not, 2 the file cannot be read.
"""

import argparse
import importlib.util
import json
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from minibert.commands.run import run

FOLDER = Path(__file__).parent
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5, "equal_nan": True}  # right values have no NaN, those of mistakes may

# The names of what a function returns, where that is more than one thing.
PARTS = {
    "scaled_dot_product_attention": ("context", "weights"),
    "mask_tokens": ("inputs", "labels"),
    "adamw_step": ("parameter", "m", "v"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="your copy of notebooks/exercises/exercises.py")
    module = load(parser.parse_args().file)
    values = json.loads((FOLDER / "reference_values.json").read_text(encoding="utf-8"))
    verdicts = {name: grade(module, name, cases) for name, cases in values.items()}
    for name, verdict in verdicts.items():
        print(f"{name:30}", verdict.replace("\n", f"\n{'':31}"))
    right = list(verdicts.values()).count("right")
    print(f"\n{right} of {len(verdicts)} right")
    return 0 if right == len(verdicts) else 1


def load(path: Path) -> ModuleType:
    """Import the learner's file. Raises `ValueError` for one that is not there, or not Python."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file; copy {FOLDER / 'exercises.py'} and write your answers into it")
    spec = importlib.util.spec_from_loader(path.stem, importlib.machinery.SourceFileLoader(path.stem, str(path)))
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever a learner's file may do
        raise ValueError(f"{path}: cannot be imported: {type(error).__name__}: {error}") from error
    return module


def grade(module: ModuleType, name: str, cases: list[dict]) -> str:
    """ "right", or what is wrong in the first case in which the module's function of this name goes wrong."""
    function = getattr(module, name, None)
    if function is None:
        return "not there; the file has no function of this name"
    for case in cases:
        try:
            found = function(**{key: as_argument(value) for key, value in case["arguments"].items()})
        except NotImplementedError:
            return "not written yet"
        except (Exception, SystemExit) as error:  # whatever a learner's function may do
            return f"{case['name']}: raises {type(error).__name__}{line_of(error, module.__file__)}: {error}"
        expected = [as_argument(value) for value in case["expected"]]
        fault = find_fault(found, expected, PARTS.get(name, ("",)))
        if fault:
            return "\n".join([f"{case['name']}: {fault}", *recognise(found, case["mistakes"])])
    return "right"


def line_of(error: BaseException, file: str) -> str:
    """Where in the learner's file it happened; the last lines of a traceback may be PyTorch's."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f" in line {lines[-1]}" if lines else ""


def as_argument(value: Any) -> Any:
    """What stands in the JSON file as a function's argument: lists are tensors, a "mix" is an attention."""
    if isinstance(value, list):
        return torch.tensor(value)
    if isinstance(value, dict) and "mix" in value:
        mix, projection = torch.tensor(value["mix"]), torch.tensor(value["projection"])
        return lambda x: mix @ x @ projection
    if isinstance(value, dict):
        return {key: as_argument(part) for key, part in value.items()}
    return value


def find_fault(found: Any, expected: list[Tensor], parts: tuple[str, ...]) -> str | None:
    """The first thing that is wrong with what a function returned, or None."""
    if found is None:
        return "returns None: is `return` missing?"
    several = (tuple, list) if len(expected) > 1 else tuple
    found = list(found) if isinstance(found, several) else [found]
    if len(found) != len(expected):
        named = f": {', '.join(parts)}" if len(expected) > 1 else ""
        return f"returns {len(found)} value{'s' * (len(found) != 1)}, expected {len(expected)}{named}"
    for part, ours, theirs in zip(parts, found, expected, strict=True):
        of_part = f" of {part}" if part else ""
        if not isinstance(ours, Tensor):
            return f"wrong type{of_part}: expected a tensor, found {type(ours).__name__}"
        if ours.shape != theirs.shape:
            return f"wrong shape{of_part}: expected {tuple(theirs.shape)}, found {tuple(ours.shape)}"
        wrong = ~torch.isclose(ours.to(theirs.dtype), theirs, **TOLERANCE)
        if wrong.any():
            place = tuple(wrong.nonzero()[0].tolist())
            numbers = f"expected {theirs[place].item():.5g}, found {ours[place].item():.5g}"
            share = f"{int(wrong.sum())} of {wrong.numel()}"
            return f"wrong values{of_part}, {share}, the first at {list(place)}: {numbers}"
    return None


def recognise(found: Any, mistakes: list[tuple[str, list]]) -> list[str]:
    """The typical mistake, if any, that gives just these values."""
    for description, values in mistakes:
        if find_fault(found, [as_argument(value) for value in values], ("",) * len(values)) is None:
            return [f"hint: {description}"]
    return []


if __name__ == "__main__":
    run(main)

"""Finished layers: does an answer compute what it should, or ask PyTorch to?

The code of the answer is read, not run. Every name in it, such as `F.layer_norm`, is looked up where the function would
find it, so that an import under another name changes nothing; functions and classes of the learner's own are followed.
"""

import ast
import functools
import importlib
import inspect
import textwrap
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

# Whole packages that have the answers ready.
OTHERS_WORK = ("minibert", "transformers", "sentence_transformers")


def find_finished(answer: Callable, names: tuple[str, ...]) -> list[str] | None:
    """What an answer uses though it should not, as it is written there; None: its code cannot be read.

    names: full names of functions and classes ("torch.nn.functional.gelu"), or of modules for all that is in them.
    """
    answer = answer.func if isinstance(answer, functools.partial) else answer
    if is_finished(answer, names):
        return [getattr(answer, "__qualname__", repr(answer))]
    seen: dict[int, Any] = {}
    try:
        return sorted(set(used_by(answer, names, seen)))
    except (
        OSError,
        TypeError,
        ValueError,
        SyntaxError,
    ):  # no source; nothing that has one; a lambda in the middle of a line
        return None


def used_by(answer: Any, names: tuple[str, ...], seen: dict[int, Any]) -> Iterator[str]:
    """What the code of a function or class, and all of the learner's own that it calls, has of `names`."""
    if id(answer) in seen:
        return
    seen[id(answer)] = answer
    tree = ast.parse(textwrap.dedent(inspect.getsource(answer)))
    scope = names_around(answer) | imported_inside(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Name | ast.Attribute):
            continue
        value = resolve(node, scope)
        if is_finished(value, names):
            yield ast.unparse(node)
        elif is_own(value, answer):
            yield from used_by(value, names, seen)


def names_around(answer: Any) -> dict[str, Any]:
    """The names that the code of a function or class finds outside of itself."""
    function = inspect.unwrap(answer)
    if isinstance(function, type):
        return dict(vars(importlib.import_module(function.__module__)))
    closure = dict(inspect.getclosurevars(function).nonlocals) if inspect.isfunction(function) else {}
    return {**getattr(function, "__globals__", {}), **closure}


def imported_inside(tree: ast.AST) -> dict[str, Any]:
    """The names that `import` makes in a function; only of PyTorch and of OTHERS_WORK, as an import runs code."""
    scope: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if is_known(alias.name) and (module := imported(alias.name)):
                    root = alias.name.split(".")[0]
                    scope[alias.asname or root] = module if alias.asname else imported(root)
        elif isinstance(node, ast.ImportFrom) and is_known(node.module or ""):
            module = imported(node.module or "")
            for alias in node.names:
                value = getattr(module, alias.name, None) or imported(f"{node.module}.{alias.name}")
                scope[alias.asname or alias.name] = value
    return scope


def is_known(module: str) -> bool:
    return module.split(".")[0] in ("torch", *OTHERS_WORK)


def imported(module: str) -> ModuleType | None:
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


def resolve(node: ast.expr, scope: dict[str, Any]) -> Any:
    """What `F.layer_norm` is: the object, or None if it is only known when the code runs (a method of a tensor)."""
    if isinstance(node, ast.Name):
        return scope.get(node.id)
    if isinstance(node, ast.Attribute):
        of = resolve(node.value, scope)
        return getattr(of, node.attr, None) if isinstance(of, ModuleType | type) else None
    return None


def is_finished(value: Any, names: tuple[str, ...]) -> bool:
    if not (inspect.isroutine(value) or inspect.isclass(value)):
        return False
    home = getattr(value, "__module__", None) or ""
    if home.split(".")[0] in OTHERS_WORK:
        return True
    for name in names:
        if home == name or home.startswith(f"{name}."):
            return True
        module, _, last = name.rpartition(".")
        if module and getattr(imported(module), last, None) is value:
            return True
    return False


def is_own(value: Any, answer: Any) -> bool:
    """A function or class that the learner wrote beside the answer."""
    return (inspect.isfunction(value) or inspect.isclass(value)) and value.__module__ == answer.__module__

"""The page of what `import minibert` offers: every name with its arguments and its docstring."""

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from annotated import as_markdown, target_of


def page(init: Path) -> str:
    """Markdown, with a section for each module of the package that something comes from."""
    written = []
    for node in ast.parse(init.read_text(encoding="utf-8")).body:
        # Of the "Auto" names each is another one's.
        if isinstance(node, ast.ImportFrom) and node.module and node.module != "minibert.model.auto":
            file = node.module.replace(".", "/") + ".py"
            written += [f"## [`{node.module}`](#{target_of(file)})", ""]
            for alias in node.names:
                written += entry(alias.name, getattr(importlib.import_module(node.module), alias.name))
    return "\n".join(written)


def entry(name: str, thing: Any) -> list[str]:
    """A class with its methods, or a function."""
    if not inspect.isclass(thing):
        return block("py:function", name, thing, [])
    if thing.__name__ != name:
        return block("py:data", name, None, [f"The same as `{thing.__name__}`."])
    inner = [line for member, function in methods(thing) for line in block("py:method", member, function, [])]
    return block("py:class", name, thing, inner, colons=4)


def methods(cls: type) -> Iterator[tuple[str, Any]]:
    """What a class itself defines, says something about, and does not keep to itself; `forward` is how it is called."""
    for name, member in vars(cls).items():
        function = inspect.unwrap(getattr(member, "__func__", member))
        if inspect.isfunction(function) and not name.startswith("_") and function.__doc__:
            yield name, function


def block(directive: str, name: str, thing: Any, inner: list[str], colons: int = 3) -> list[str]:
    fence = ":" * colons
    documented = [as_markdown(inspect.getdoc(thing) or "")] if thing is not None else []
    return [f"{fence}{{{directive}}} {name}{arguments(thing)}", "", *documented, "", *inner, fence, ""]


def arguments(thing: Any) -> str:
    """The names of the arguments and their defaults; the docstring tells what they are."""
    if thing is None:
        return ""
    signature = inspect.signature(thing)
    plain = [p.replace(annotation=p.empty) for p in signature.parameters.values() if p.name not in ("self", "cls")]
    return str(inspect.Signature(plain))

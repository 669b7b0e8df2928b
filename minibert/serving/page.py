"""The page at `/docs`: what the service can be asked, made from its OpenAPI description, without any script."""

import json
from html import escape
from typing import Any

# For each path that takes a body, one that it understands.
EXAMPLES: dict[str, dict] = {
    "/v1/embeddings": {"input": ["A list is mutable.", "A tuple is not."]},
    "/embed": {"inputs": ["A list is mutable.", "A tuple is not."]},
    "/predict": {"inputs": "What a fine film!"},
    "/fill-mask": {"inputs": "A list is a mutable [MASK]."},
    "/token-classification": {"inputs": "Ada Lovelace lived in London."},
    "/question-answering": {"inputs": {"question": "What is mutable?", "context": "A list is a mutable sequence."}},
}

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
pre { overflow-x: auto; padding: .75rem; border: 1px solid; border-radius: .25rem; }
td, th { text-align: left; vertical-align: top; padding: .1rem 1rem .1rem 0; }
h2 { margin-top: 2.5rem; border-top: 1px solid; padding-top: 1rem; }
"""


def api_page(description: dict[str, Any], address: str) -> str:
    """The page in HTML.

    Args:
        description: in OpenAPI's form.
        address: of this service, for the examples.
    """
    paths = [
        _path(path, method, operation, description["components"]["schemas"], address)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]
    title = escape(description["info"]["title"])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        f"<style>{STYLE}</style></head><body><h1>{title}</h1>"
        "<p>In a form that programs read: <a href='openapi.json'>openapi.json</a>.</p>" + "".join(paths)
    )


def _path(path: str, method: str, operation: dict[str, Any], schemas: dict[str, Any], address: str) -> str:
    """One path: what it is for, how to ask, its fields, and what it may answer."""
    parts = [f"<h2>{method.upper()} {escape(path)}</h2><p>{escape(operation.get('description', ''))}</p>"]
    command = f"curl {address}{path}"
    if "requestBody" in operation:
        body = json.dumps(EXAMPLES[path])
        command += f" \\\n  -H 'Content-Type: application/json' \\\n  -d '{body}'"
    parts.append(f"<pre>{escape(command)}</pre>")
    if "requestBody" in operation:
        parts.append(_fields(operation["requestBody"]["content"]["application/json"]["schema"], schemas))
    refusals = {code: answer for code, answer in operation["responses"].items() if not code.startswith("2")}
    rows = "".join(f"<tr><td>{code}<td>{escape(answer['description'])}" for code, answer in refusals.items())
    return "".join([*parts, f"<details><summary>refusals</summary><table>{rows}</table></details>" if rows else ""])


def _fields(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    """The fields of a form, those of forms inside it included."""
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code><td>{escape(kind)}<td>{escape(what)}"
        for name, kind, what in _listed(schema, schemas, "")
    )
    return f"<table><tr><th>field<th>type<th>{rows}</table>"


def _listed(schema: dict[str, Any], schemas: dict[str, Any], prefix: str) -> list[tuple[str, str, str]]:
    form = schemas[schema["$ref"].rpartition("/")[2]]
    rows = []
    for name, field in form["properties"].items():
        what = field.get("description", "")
        if "default" in field and not isinstance(field["default"], dict):
            what += f" (default: {json.dumps(field['default'])})"
        rows.append((prefix + name, _kind(field, schemas), what))
        inner = [part for part in [field, *field.get("anyOf", ())] if "$ref" in part]
        for part in inner:
            rows += _listed(part, schemas, f"{prefix}{name}.")
    return rows


def _kind(field: dict[str, Any], schemas: dict[str, Any]) -> str:
    """A type, in words."""
    if "anyOf" in field:
        return " or ".join(_kind(part, schemas) for part in field["anyOf"])
    if "enum" in field or "const" in field:
        return " or ".join(map(json.dumps, field.get("enum", [field.get("const")])))
    if field.get("type") == "array":
        return f"list of {_kind(field['items'], schemas)}"
    return "object" if "$ref" in field else field.get("type", "anything")

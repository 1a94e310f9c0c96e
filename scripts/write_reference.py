"""Writes docs/kinds.md and docs/settings.md from the models that check documents and settings.

Separate from the models, which are the only place where a field is described. The invariant: the
same models give the same pages; a test fails when the pages in docs/ are others.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from reconciler.core.kinds import KINDS
from reconciler.core.kinds.common import Declaration
from reconciler.core.kinds.schemas import schema_of
from reconciler.core.manifests import JsonObject
from reconciler.settings import Settings
from reconciler.settings_loading import variables

DOCS = Path(__file__).parents[1] / "docs"

KINDS_INTRODUCTION = """\
# Kinds

Every document has `apiVersion: fairlead.dev/v1alpha1`, a `kind`, and `metadata` with a `name` and,
if you like, `labels` and `annotations`. Editors complete and check documents by the JSON Schemas
in `schemas/`. [example-repo/](../example-repo/) has every kind in use, and
[problems.md](problems.md) every message.

This page is generated: `make reference`.
"""

SETTINGS_INTRODUCTION = """\
# Settings of the daemon

`fairlead run --config FILE` reads a YAML file, as strictly as documents are read, and reports all
that is wrong with it at once. Relative paths start from the directory of the file. A variable of
the environment replaces the value in the file; an empty one counts as not set. Lists are in the
file only. A secret is never a setting: settings name the file that holds it.

This page is generated: `make reference`.
"""


def pages() -> Mapping[str, str]:
    """Content of every generated page by the name of its file."""
    return {"kinds.md": _kinds_page(), "settings.md": _settings_page()}


def _kinds_page() -> str:
    parts = [KINDS_INTRODUCTION]
    for name, kind in sorted(KINDS.items()):
        schema = schema_of(kind)
        parts.append(f"## {name}\n\n{_sentence(schema)}\n")
        spec = _resolved(_properties(schema)["spec"], schema)
        parts.append(_table("field", _rows(spec, schema, "spec"), {}))
    return "\n".join(parts)


def _settings_page() -> str:
    schema = schema_of(cast("type[Declaration]", Settings))
    names = {".".join(map(str, steps)): name for name, steps in variables().items()}
    return f"{SETTINGS_INTRODUCTION}\n{_table('setting', _rows(schema, schema, ''), names)}"


def _table(title: str, rows: Iterator[tuple[str, str, str]], names: Mapping[str, str]) -> str:
    lines = [f"| {title} | default | meaning |", "| --- | --- | --- |"]
    for path, default, meaning in rows:
        variable = f"<br>`{names[path]}`" if path in names else ""
        lines.append(f"| `{path}`{variable} | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def _rows(schema: JsonObject, root: JsonObject, path: str) -> Iterator[tuple[str, str, str]]:
    required = cast("list[str]", schema.get("required") or [])
    for name, given in _properties(schema).items():
        here = f"{path}.{name}" if path else name
        field = {**_resolved(given, root), **given}
        items = cast(JsonObject, field.get("items") or {})
        inner = _resolved(items, root) if items else field
        here += "[]" if items else ""
        yield here, _default(field, needed=name in required), _meaning(field, inner)
        yield from _rows(inner, root, here)


def _default(field: JsonObject, *, needed: bool) -> str:
    if needed:
        return "*required*"
    if "default" not in field or isinstance(field["default"], dict):
        return ""
    default = field["default"]
    if isinstance(default, list):  # an address, written as host:port
        default = ":".join(map(str, default))
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _meaning(field: JsonObject, inner: JsonObject) -> str:
    words = cast("list[str]", inner.get("enum") or [])
    choice = f" One of {', '.join(f'`{word}`' for word in words)}." if words else ""
    return _sentence(field) + choice


def _sentence(schema: JsonObject) -> str:
    text = " ".join(str(schema.get("description") or "").split())
    return text.replace("|", "\\|")


def _properties(schema: JsonObject) -> Mapping[str, JsonObject]:
    return cast("Mapping[str, JsonObject]", schema.get("properties") or {})


def _resolved(field: JsonObject, root: JsonObject) -> JsonObject:
    reference = field.get("$ref")
    if not isinstance(reference, str):
        return field
    definitions = cast("Mapping[str, JsonObject]", root["$defs"])
    return definitions[reference.rpartition("/")[2]]


if __name__ == "__main__":
    for page, content in pages().items():
        (DOCS / page).write_text(content, encoding="utf-8")
        print(f"docs/{page} written", file=sys.stderr)

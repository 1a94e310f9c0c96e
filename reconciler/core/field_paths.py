"""Field paths as the API server writes them, held against an object.

Separate because the notation has a trap: a key may itself contain dots, as in
`.metadata.annotations.example.com/owner`, so a path can only be read along a given object.

The notation is that of structured-merge-diff: `.name`, `[key="value",other=1]` for an item of an
associative list, `[="value"]` for an item of a set, `[0]` for an index.
https://github.com/kubernetes-sigs/structured-merge-diff/blob/master/fieldpath/element.go
"""

from __future__ import annotations

import re

import orjson

from reconciler.core.manifests import JsonValue

_ITEM = re.compile(r'\[((?:[^\]"]|"(?:[^"\\]|\\.)*")*)\]')
_PAIR = re.compile(r'([^=,\[\]"]*)=("(?:[^"\\]|\\.)*"|[^,\]]+),?')


def declares(value: JsonValue, path: str) -> bool:
    """Whether `value` has the field that `path` names."""
    if not path:
        return True
    if path.startswith("."):
        return isinstance(value, dict) and any(
            declares(value[key], path[len(key) + 1 :])
            for key in value
            if path.startswith(key, 1) and path[len(key) + 1 : len(key) + 2] in ("", ".", "[")
        )
    match = _ITEM.match(path)
    if not match or not isinstance(value, list):
        return False
    return any(declares(item, path[match.end() :]) for item in _selected(value, match[1]))


def _selected(items: list[JsonValue], selector: str) -> list[JsonValue]:
    if selector.isdigit():
        index = int(selector)
        return items[index : index + 1]
    wanted: dict[str, JsonValue] = {
        pair[1]: orjson.loads(pair[2]) for pair in _PAIR.finditer(selector)
    }
    if "" in wanted:
        return [item for item in items if item == wanted[""]]
    return [
        item
        for item in items
        if isinstance(item, dict) and all(_matches(item, key, wanted[key]) for key in wanted)
    ]


def _matches(item: dict[str, JsonValue], key: str, wanted: JsonValue) -> bool:
    # A key that the manifest leaves out has its default on the server: protocol "TCP".
    return key not in item or item[key] == wanted

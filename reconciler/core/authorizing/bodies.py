"""JSON as strictly as anybody may read it: one meaning, or none.

Separate because bodies and the header of agent runs are read by the same rules. The invariant: no
object with a repeated key, no value that is not JSON, and no text that is not UTF-8 comes through.
"""

from __future__ import annotations

import json
from typing import NoReturn

from reconciler.core.authorizing.refusals import Denied
from reconciler.core.manifests import JsonObject, JsonValue

LARGEST_RUN = 1024
"""Bytes of what an agent says of its run."""


def json_object(content: bytes) -> JsonObject:
    """Raises Denied."""
    try:
        text = content.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise Denied("body-too-deep", "the JSON is nested too deeply", status=400) from None
    except ValueError:
        raise Denied("body-not-json", "the body is no JSON in UTF-8", status=400) from None
    if not isinstance(value, dict):
        raise Denied("body-not-object", "the body is no JSON object", status=400)
    return value


def run_metadata(header: str | None) -> JsonObject:
    """What an agent says of its run: flat, and short enough for a record."""
    if not header:
        return {}
    if len(header) > LARGEST_RUN:
        raise Denied("run-too-large", "x-agent-run is longer than 1 kB", status=400)
    try:
        found = json_object(header.encode("utf-8", "strict"))
    except UnicodeEncodeError:
        raise Denied("body-not-json", "x-agent-run is no JSON in UTF-8", status=400) from None
    if any(isinstance(value, dict | list) for value in found.values()):
        raise Denied("run-nested", "x-agent-run has values within values", status=400)
    return found


def _unique(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Denied("key-repeated", "the JSON has a key twice", status=400)
    return found


def _no_constant(_name: str) -> NoReturn:
    raise ValueError

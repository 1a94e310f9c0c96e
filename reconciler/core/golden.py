"""Golden answers: whether an answer is the one that was expected.

Separate from asking, so that the rules can be read and tested in one place. The invariant: what is
expected must be there and equal; what else a server says beside it does not matter.
"""

from __future__ import annotations

import math

from reconciler.core.manifests import JsonValue

RELATIVE_TOLERANCE = 1e-6
"""Of numbers: the same model gives the same answer up to rounding, on whatever processor."""


def is_answer(given: JsonValue, expected: JsonValue) -> bool:
    """Whether an answer has all that is expected of it.

    Objects: every expected field, at any depth, and perhaps others. Arrays: the same length, each
    element in its place; where every expected element is an object with a `name`, as the outputs of
    the Open Inference Protocol are, they are found by it in any order, among others. Numbers: equal
    within a millionth; true is no number. Everything else: equal.
    """
    if isinstance(expected, dict):
        return isinstance(given, dict) and all(
            name in given and is_answer(given[name], value) for name, value in expected.items()
        )
    if isinstance(expected, list):
        return isinstance(given, list) and _is_list(given, expected)
    if isinstance(expected, bool) or isinstance(given, bool):
        return given is expected
    if isinstance(expected, int | float) and isinstance(given, int | float):
        return math.isclose(given, expected, rel_tol=RELATIVE_TOLERANCE, abs_tol=1e-12)
    return type(given) is type(expected) and given == expected


def _is_list(given: list[JsonValue], expected: list[JsonValue]) -> bool:
    names = [item.get("name") if isinstance(item, dict) else None for item in expected]
    if expected and all(isinstance(name, str) for name in names):
        found = {item.get("name"): item for item in given if isinstance(item, dict)}
        return all(
            name in found and is_answer(found[name], item)
            for name, item in zip(names, expected, strict=True)
        )
    return len(given) == len(expected) and all(map(is_answer, given, expected))

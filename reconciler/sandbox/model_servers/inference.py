"""The body of an inference request of the Open Inference Protocol, and of its answer.

Separate from HTTP, where anything may arrive: here a body is read whole or refused with a reason.
https://github.com/kserve/open-inference-protocol
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from reconciler.core.manifests import JsonObject
from reconciler.sandbox.model_servers.adapters import ServingRefusal
from reconciler.sandbox.model_servers.scoring import FEATURES, label_of

MOST_ROWS = 10_000


def rows_of(body: Mapping[str, object]) -> list[Sequence[float]]:
    """The features to be scored. Raises ServingRefusal."""
    inputs = body.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise _refused("`inputs` must have one tensor")
    numbers = _flat(inputs[0].get("data"))
    if not numbers or len(numbers) % FEATURES or len(numbers) > MOST_ROWS * FEATURES:
        raise _refused(f"`data` must have rows of {FEATURES} numbers")
    rows = len(numbers) // FEATURES
    if inputs[0].get("shape") not in ([rows, FEATURES], [FEATURES] if rows == 1 else None):
        raise _refused(f"`shape` must be [{rows}, {FEATURES}], as there is data for")
    return [numbers[start : start + FEATURES] for start in range(0, len(numbers), FEATURES)]


def answer(
    body: Mapping[str, object], *, model: str, version: str, scores: list[float], labels: list[int]
) -> JsonObject:
    count = len(scores)
    outputs: list[JsonObject] = [
        {"name": "label", "datatype": "INT64", "shape": [count], "data": [*labels]},
        {"name": "score", "datatype": "FP32", "shape": [count], "data": [*scores]},
    ]
    given = {"id": str(body["id"])} if "id" in body else {}
    return {**given, "model_name": model, "model_version": version, "outputs": [*outputs]}


def labels_of(scores: Sequence[float], *, flipped: Sequence[bool]) -> list[int]:
    return [label_of(score) ^ flip for score, flip in zip(scores, flipped, strict=True)]


def _flat(data: object) -> list[float]:
    """The protocol allows data in one list or in a list for each row."""
    if not isinstance(data, list):
        raise _refused("`data` must be a list")
    numbers: list[float] = []
    for item in data:
        for number in item if isinstance(item, list) else (item,):
            if not isinstance(number, int | float) or not math.isfinite(number):
                raise _refused("`data` must have finite numbers")
            numbers.append(number)
    return numbers


def _refused(message: str) -> ServingRefusal:
    return ServingRefusal(HTTPStatus.BAD_REQUEST, message)

"""Answers of Prometheus' HTTP API, read.

Separate from the asking (metrics_prometheus.py) because it is pure: bytes in, numbers or an error
out. The invariant: a number is what exactly one series has; no series is None, more than one is
an error, and nothing is ever guessed or added up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import orjson

from reconciler.core.errors import (
    FairleadError,
    Forbidden,
    Invalid,
    Misconfigured,
    Missing,
    Throttled,
    Unavailable,
)
from reconciler.core.problems import printable

_PROMQL_WARNINGS = ("PromQL warning", "PromQL info")
_ONE = "write an expression that gives one number, such as one with sum(…) around it"
_RETRY_SECONDS = 5.0


def value_in(content: bytes, *, doing: str) -> float | None:
    """The number that an instant query gives; it may be NaN or infinite."""
    with _understood(doing):
        kind, result = _data(content, doing=doing)
        if kind == "scalar":
            return float(result[1])
        if kind != "vector":
            raise Invalid(f"{doing}: it gives a {printable(str(kind))}, not a number", hint=_ONE)
        series = _the_one(result, doing=doing)
        return None if series is None else float(_required(series, "value", doing=doing)[1])


def values_in(content: bytes, *, doing: str) -> Mapping[int, float]:
    """The numbers of a range query by their times, in milliseconds since the epoch."""
    with _understood(doing):
        kind, result = _data(content, doing=doing)
        if kind != "matrix":
            raise Unavailable(f"{doing}: the answer is a {printable(str(kind))}, not a matrix")
        series = _the_one(result, doing=doing)
        pairs = () if series is None else _required(series, "values", doing=doing)
        return {round(float(at) * 1000): float(value) for at, value in pairs}


def error_in(
    status: int, content: bytes, *, doing: str, retry_after: str | None = None
) -> FairleadError:
    """What a status other than 200 means, with the words of the server."""
    said = _words(content)
    message = f"{doing}: {status}{f', {said}' if said else ''}"
    if status in (400, 422):
        return Invalid(message, hint="correct the expression")
    if status in (401, 403):
        return Forbidden(message, hint="renew the token of the metrics provider")
    if status == 404:
        return Missing(message, hint="set the URL without /api/v1, as Grafana has it")
    if status == 429:
        seconds = float(retry_after) if retry_after and retry_after.isdigit() else _RETRY_SECONDS
        return Throttled(message, retry_after=seconds)
    if status < 400:
        return Misconfigured(message, hint="set the URL to where this one leads")
    return Unavailable(message)


@contextmanager
def _understood(doing: str) -> Iterator[None]:
    """Whatever else may stand where numbers should: no answer, and no crash."""
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError):
        raise Unavailable(f"{doing}: the answer is not one of Prometheus") from None


def _data(content: bytes, *, doing: str) -> tuple[object, Any]:
    body = orjson.loads(content)
    if body["status"] != "success":
        raise Unavailable(f"{doing}: {_words(content)}")
    kind, result = body["data"]["resultType"], body["data"]["result"]
    if kind in ("vector", "matrix"):
        # First, because a server that was asked for two series at most warns of the others.
        _the_one(result, doing=doing)
    warnings = map(str, body.get("warnings") or ())
    partial = [text for text in warnings if not text.startswith(_PROMQL_WARNINGS)]
    if partial:
        raise Unavailable(f"{doing}: the answer is incomplete: {printable(partial[0])}")
    return kind, result


def _the_one(result: Any, *, doing: str) -> Mapping[str, Any] | None:
    if len(result) > 1:
        raise Invalid(f"{doing}: it gives more than one series", hint=_ONE)
    return cast("Mapping[str, Any]", result[0]) if result else None


def _required(series: Mapping[str, Any], name: str, *, doing: str) -> Any:
    if name not in series:
        raise Invalid(f"{doing}: it gives histograms, not numbers", hint=_ONE)
    return series[name]


def _words(content: bytes) -> str:
    """What a server says of an error; proxies in front of it say it in HTML, or not at all."""
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        return ""
    return printable(str(body.get("error", ""))) if isinstance(body, dict) else ""

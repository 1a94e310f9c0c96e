"""Answers of an API server that are not what was asked for, as errors of core/errors.py.

Separate because the request layer, the watch and the lease all meet the same answers. The
invariant: what an error says holds the server's reason and the fields it is about, never the
values of fields (which may be secret) and nothing that a terminal would obey.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import cast

import orjson

from reconciler.core.errors import (
    Cause,
    Conflict,
    Expired,
    FairleadError,
    Forbidden,
    Immutable,
    Invalid,
    Missing,
    Outdated,
    Refused,
    Throttled,
    Unavailable,
)
from reconciler.core.manifests import JsonObject
from reconciler.core.problems import printable

DEFAULT_RETRY_AFTER = 1.0
"""Seconds, when a 429 names none. client-go waits as long."""

_ABRIDGED = "…"

# k8s.io/apimachinery/pkg/util/validation/field/errors.go: these are followed by the value.
_VALUE = re.compile(r"(?P<what>Invalid value|Unsupported value|Duplicate value|Not found): ")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_DECODER = json.JSONDecoder()

# "The object cannot change this way" has no reason code of its own; these are all the wordings of
# k8s.io/kubernetes/pkg/apis/*/validation, and the one that CRD authors use in CEL rules.
_IMMUTABLE = re.compile(
    r"immutable|may not (change|be changed)|cannot (change|be changed)"
    r"|updates to .* (is|are) forbidden|may not change fields other than",
    re.IGNORECASE,
)

# Wrong types and unknown fields come as 500 without a reason from server-side apply
# (k8s.io/apimachinery/pkg/util/managedfields): the input is wrong, not the server.
_UNFIT_PATCH = re.compile(
    r"failed to (?:create typed patch object|convert new object)[^)]*\)(?: to proper version)?: "
)


def error_of(
    status: int, body: bytes, *, doing: str, retry_after: str | None = None
) -> FairleadError:
    """The error that an answer stands for. `doing` says what was asked, such as `apply X`."""
    answer = _status_object(body)
    reason = answer.get("reason")
    where = f"{doing}: " if doing else ""
    text = where + safe_message(str(answer.get("message") or f"HTTP {status}"))
    match status:
        case 401:
            # A token that lapsed says nothing about what was asked: it must not undo a commit.
            return Unavailable(
                f"{where}the API server does not accept our credentials; "
                "check the token or client certificate in the kubeconfig"
            )
        case 403:
            return Forbidden(text, causes=_causes(answer), hint=_hint_forbidden(answer))
        case 404:
            return _missing(answer, doing=doing)
        case 408:
            return Unavailable(text)
        case 409:
            return _conflict(answer, text=text)
        case 410:
            return Expired(text)
        case 429:
            return Throttled(text, retry_after=_retry_after(answer, retry_after))
        case 500 if not reason and _UNFIT_PATCH.match(str(answer.get("message"))):
            return _unfit(str(answer["message"]), doing=doing)
        case 400 | 413 | 422:
            return _invalid(answer, text=text)
        case _ if status >= 500:
            return Unavailable(text)
        case _:
            return Refused(text, causes=_causes(answer))


def safe_message(message: str) -> str:
    """`message` without values of fields, on one line, safe to print."""
    return printable(_without_values(message).replace("\n", " "))


def _status_object(body: bytes) -> JsonObject:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {"message": body[:300].decode("utf-8", "replace").strip()}
    return cast(JsonObject, parsed) if isinstance(parsed, dict) else {}


def _details(answer: JsonObject) -> JsonObject:
    return cast(JsonObject, answer.get("details") or {})


def _raw_causes(answer: JsonObject) -> Iterable[JsonObject]:
    return cast("list[JsonObject]", _details(answer).get("causes") or [])


def _causes(answer: JsonObject) -> tuple[Cause, ...]:
    """The server's causes, each once: some validations run twice and say everything twice."""
    return tuple(
        dict.fromkeys(
            Cause(
                field=printable(_path(str(cause.get("field") or ""))),
                message=safe_message(str(cause.get("message") or "")),
                manager=_manager(cause),
            )
            for cause in _raw_causes(answer)
        )
    )


def _path(field: str) -> str:
    """Conflicts say `.spec.replicas`, validation says `spec.replicas`; `<nil>` is the object."""
    if not field or field == "<nil>":
        return ""
    return field if field.startswith(".") else f".{field}"


def _manager(cause: JsonObject) -> str:
    if cause.get("reason") != "FieldManagerConflict":
        return ""
    quoted = _QUOTED.search(str(cause.get("message") or ""))
    return printable(str(json.loads(quoted.group()))) if quoted else ""


def _conflict(answer: JsonObject, *, text: str) -> FairleadError:
    if any(cause.get("reason") == "FieldManagerConflict" for cause in _raw_causes(answer)):
        return Conflict(
            text,
            causes=_causes(answer),
            hint="give the field up in Git, or take it from that manager with force",
        )
    if "precondition" in str(answer.get("message")):
        return Refused(text, hint="the object was replaced meanwhile; plan again")
    # Lost races for the same resource version or quota: the next attempt sees the new state.
    return Outdated(text)


def _missing(answer: JsonObject, *, doing: str) -> Missing:
    details = _details(answer)
    if details.get("kind") == "namespaces" and details.get("name"):
        return Missing(
            f"{doing}: namespace {printable(str(details['name']))} does not exist",
            hint="declare the namespace in Git or create it",
        )
    if not details.get("name"):
        return Missing(
            f"{doing}: the API server does not serve this kind",
            hint="install its CustomResourceDefinition, or correct apiVersion and kind",
        )
    return Missing(f"{doing}: {safe_message(str(answer.get('message')))}")


def _hint_forbidden(answer: JsonObject) -> str:
    message = str(answer.get("message"))
    if any(cause.get("reason") == "NamespaceTerminating" for cause in _raw_causes(answer)):
        return "wait until the namespace is gone, then declare it anew"
    if "exceeded quota" in message:
        return "raise the ResourceQuota or ask for less"
    return "grant the right to the identity that the settings give for this cluster"


def _retry_after(answer: JsonObject, header: str | None) -> float:
    for value in (header, _details(answer).get("retryAfterSeconds")):
        # The header may also hold a date; API servers send seconds only.
        if value is not None and re.fullmatch(r"\d+(\.\d+)?", str(value)):
            return float(str(value))
    return DEFAULT_RETRY_AFTER


def _invalid(answer: JsonObject, *, text: str) -> Invalid:
    causes = _causes(answer)
    if causes and all(_IMMUTABLE.search(cause.message) for cause in causes):
        return Immutable(
            text,
            causes=causes,
            hint="keep the field as it is, or opt in to replacing the object",
        )
    return Invalid(text, causes=causes, hint="correct the document")


def _unfit(message: str, *, doing: str) -> Invalid:
    """A patch that does not fit the schema: one cause a line, each `path: explanation`."""
    rest = _UNFIT_PATCH.sub("", message, count=1).removeprefix("errors:")
    causes = []
    for line in filter(None, (line.strip() for line in rest.split("\n"))):
        path, colon, explanation = line.partition(": ")
        fits = bool(colon) and path.startswith(".") and " " not in path
        causes.append(
            Cause(
                field=printable(path) if fits else "",
                message=_schema_message(explanation if fits else line),
            )
        )
    first = causes[0] if causes else Cause("", "the object does not fit its schema")
    more = f" (and {len(causes) - 1} more)" if len(causes) > 1 else ""
    place = f"{first.field}: " if first.field else ""
    return Invalid(
        f"{doing}: {place}{first.message}{more}", causes=tuple(causes), hint="correct the document"
    )


def _schema_message(explanation: str) -> str:
    """`expected string, got &value…{Value:2}` and `parsing time "…"` hold values; names do not."""
    expected, _, _ = explanation.partition(", got ")
    if expected.startswith("duplicate entries"):
        return printable(expected)
    return printable(_QUOTED.sub(f'"{_ABRIDGED}"', expected))


def _without_values(message: str) -> str:
    """Replace the value after `Invalid value: ` and its like, whatever syntax it is in."""
    kept: list[str] = []
    position = 0
    for found in _VALUE.finditer(message):
        if found.start() < position:
            continue
        kept.append(message[position : found.end()] + _ABRIDGED)
        position = _end_of_value(message, found.end())
    kept.append(message[position:])
    return "".join(kept)


def _end_of_value(message: str, start: int) -> int:
    """Where the value that begins at `start` ends: JSON, a Go string, or up to the next `: `."""
    try:
        end = _DECODER.raw_decode(message, start)[1]
    except ValueError:
        end = start  # not JSON: a Go string with other escapes, or a Go struct
    if end > start and message[end : end + 1] in {":", ",", "]", ""}:
        return end
    if quoted := _QUOTED.match(message, start):
        return quoted.end()
    # A Go struct may hold `: ` itself: keep only what follows the last one of this sentence.
    closing = max(message.rfind("}: ", start), message.rfind("]: ", start))
    end = closing + 1 if closing >= 0 else message.find(": ", start)
    return end if end >= 0 else len(message)

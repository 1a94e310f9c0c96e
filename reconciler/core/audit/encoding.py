"""AuditRecord ↔ the bytes of a leaf.

Separate from the records, because only the log and those who check it look at bytes. The
invariant: a leaf is RFC 8785 JSON of at most 65,535 bytes, the most that an entry bundle of C2SP
tlog-tiles can hold; what had to be left out of a record for that is said in it.
"""

from __future__ import annotations

import hashlib
from dataclasses import fields
from datetime import UTC, datetime
from typing import cast

from reconciler.core.audit.canonical import canonical, parsed
from reconciler.core.audit.records import AuditRecord, Phase, Reason, Verb
from reconciler.core.identifiers import ClusterName, CommitSha, Digest, ObjectKey, UnitName
from reconciler.core.manifests import JsonObject, JsonValue

MAX_LEAF = 65_535
VERSION = 1

TRUNCATED = "truncated"
"""Key in `detail` that says how large the record was, and the digest of what it was."""

_LIMITS = ((4096, 256), (1024, 64), (256, 16), (64, 4))
"""Longest text and list that stay in `detail`, tried in turn until the record fits."""

_FIELD_LIMIT = 1024
"""Longest text that stays in any other field then: more than keys and digests ever have."""

_KNOWN = frozenset({"v", *(field.name for field in fields(AuditRecord))})


def encode(record: AuditRecord) -> bytes:
    """The leaf that holds `record`.

    Raises:
        ValueError: the time has no zone, or a number in `detail` is infinite or not a number.
    """
    body = _body(record)
    content = canonical(body)
    if len(content) <= MAX_LEAF:
        return content
    mark: JsonObject = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    kept = {name: _shortened(value, text=_FIELD_LIMIT, items=0) for name, value in body.items()}
    for text, items in _LIMITS:
        detail = _shortened(record.detail, text=text, items=items)
        kept["detail"] = {**cast(JsonObject, detail), TRUNCATED: mark}
        content = canonical(kept)
        if len(content) <= MAX_LEAF:
            return content
    return canonical({**kept, "detail": {TRUNCATED: mark}})


def decode(content: bytes) -> AuditRecord:
    """The record that `content` holds.

    Raises:
        ValueError: `content` is not a record of a version known here.
    """
    body = parsed(content)
    if not isinstance(body, dict) or body.get("v") != VERSION:
        raise ValueError(f"not an audit record of version {VERSION}")
    unknown = body.keys() - _KNOWN
    if unknown:
        raise ValueError(f"audit record has unknown fields: {', '.join(sorted(unknown))}")
    try:
        return _record(body)
    except (KeyError, TypeError) as error:
        raise ValueError(f"audit record lacks or misuses {error}") from error


def _body(record: AuditRecord) -> JsonObject:
    if record.time.tzinfo is None:
        raise ValueError("the time of an audit record needs a zone")
    time = record.time.astimezone(UTC).replace(tzinfo=None)
    body: JsonObject = {
        "v": VERSION,
        "time": f"{time.isoformat(timespec='microseconds')}Z",
        "repository": record.repository,
        "commit": record.commit,
        "actor": record.actor,
        "verb": record.verb.value,
        "phase": record.phase.value,
        "reason": record.reason.value,
    }
    optional: JsonObject = {
        "cluster": record.cluster,
        "unit": record.unit,
        "object": str(record.object) if record.object else None,
        "before": record.before,
        "after": record.after,
        "plan": record.plan,
        "result": record.result or None,
        "intent": record.intent,
        "trace": record.trace or None,
        "detail": record.detail or None,
    }
    body.update((name, value) for name, value in optional.items() if value is not None)
    return body


def _record(body: JsonObject) -> AuditRecord:
    cluster, unit, key = _text(body, "cluster"), _text(body, "unit"), _text(body, "object")
    before, after, plan = _text(body, "before"), _text(body, "after"), _text(body, "plan")
    intent, detail = body.get("intent"), body.get("detail", {})
    if not isinstance(detail, dict) or not (intent is None or type(intent) is int):
        raise TypeError("detail or intent")
    return AuditRecord(
        time=datetime.fromisoformat(_required(body, "time")),
        repository=_required(body, "repository"),
        commit=CommitSha(_required(body, "commit")),
        actor=_required(body, "actor"),
        verb=Verb(_required(body, "verb")),
        phase=Phase(_required(body, "phase")),
        reason=Reason(_required(body, "reason")),
        cluster=None if cluster is None else ClusterName(cluster),
        unit=None if unit is None else UnitName(unit),
        object=None if key is None else ObjectKey.parse(key),
        before=None if before is None else Digest(before),
        after=None if after is None else Digest(after),
        plan=None if plan is None else Digest(plan),
        result=_text(body, "result") or "",
        intent=intent,
        trace=_text(body, "trace") or "",
        detail=detail,
    )


def _required(body: JsonObject, name: str) -> str:
    value = body[name]
    if not isinstance(value, str):
        raise TypeError(name)
    return value


def _text(body: JsonObject, name: str) -> str | None:
    return _required(body, name) if name in body else None


def _shortened(value: JsonValue, *, text: int, items: int) -> JsonValue:
    match value:
        case str() if len(value) > text:
            return f"{value[: text - 1]}…"
        case list():
            return [_shortened(item, text=text, items=items) for item in value[:items]]
        case dict():
            return {
                cast(str, _shortened(name, text=text, items=items)): _shortened(
                    item, text=text, items=items
                )
                for name, item in list(value.items())[:items]
            }
        case _:
            return value

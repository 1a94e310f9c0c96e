"""Ledger entries, unit states and the position ↔ rows.

Separate so that the store deals in transactions only. The invariant: what is read back equals
what was written; facts added later in a release must have defaults, so that older rows load.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from sys import intern
from typing import TypeAlias

import orjson
from pydantic import TypeAdapter

from reconciler.core.change_requests import ReviewRecord
from reconciler.core.errors import Corrupt
from reconciler.core.identifiers import (
    ClusterName,
    CommitSha,
    Digest,
    DocumentPath,
    GroupVersionKind,
    ObjectKey,
    UnitName,
)
from reconciler.core.ledger import Applied, Entry, Ledger, Position, Standing, UnitState
from reconciler.core.manifests import Manifest, Source
from reconciler.core.problems import Span

Row: TypeAlias = "dict[str, str | bytes | int | None]"

_FASTEST = 1
"""zlib level: on manifests of 1–4 kB the default level costs three times the time for a tenth."""


def entry_row(cluster: ClusterName, entry: Entry) -> Row:
    applied = entry.applied
    facts: list[object] = [entry.unit, entry.api_version, entry.created]
    content = None
    if applied is not None:
        manifest = applied.manifest
        span = manifest.source.span
        facts += [applied.commit, applied.observed, applied.uid, manifest.type.version]
        facts += [manifest.source.path, span.line, span.column, span.end_line, span.end_column]
        content = zlib.compress(manifest.content, _FASTEST)
    return {
        "cluster": cluster,
        "key": str(entry.key),
        "facts": orjson.dumps(facts),
        "content": content,
    }


def unit_row(cluster: ClusterName, state: UnitState) -> Row:
    return {"cluster": cluster, "unit": state.unit, "facts": orjson.dumps(state)}


_REVIEW = TypeAdapter(ReviewRecord)


def review_row(record: ReviewRecord) -> Row:
    return {"number": record.number, "facts": orjson.dumps(record)}


def read_review(facts: bytes) -> ReviewRecord:
    try:
        return _REVIEW.validate_json(bytes(facts))
    except ValueError as error:
        raise Corrupt(
            f"what is remembered of a pull request cannot be read: {type(error).__name__}",
            hint="run the release that wrote it, or restore the state database",
        ) from error


def position_row(position: Position) -> Row:
    return {"id": 1, "facts": orjson.dumps(position)}


def read_ledger(
    cluster: ClusterName,
    *,
    entries: Iterable[tuple[str, bytes, bytes | None]],
    units: Iterable[bytes],
) -> Ledger:
    """Raises Corrupt when a row is not what this release writes."""
    try:
        found = [_entry(key, facts, content) for key, facts, content in entries]
        states = [_unit(facts) for facts in units]
    except (TypeError, ValueError, KeyError, zlib.error) as error:
        raise Corrupt(
            f"the ledger of {cluster} cannot be read: {error}",
            hint="it was written by another release, or damaged; restore a backup",
        ) from error
    return Ledger(
        cluster,
        entries={entry.key: entry for entry in found},
        units={state.unit: state for state in states},
    )


def read_position(facts: bytes | None) -> Position:
    return Position() if facts is None else Position(**orjson.loads(facts))


def _entry(key_text: str, facts: bytes, content: bytes | None) -> Entry:
    """Strings that many entries share are interned: that halves the memory of a large ledger."""
    key = ObjectKey.parse(key_text)
    unit, api_version, created, *confirmed = orjson.loads(facts)
    applied = None
    if content is not None:
        commit, observed, uid, version, path, *span = confirmed
        manifest = Manifest(
            key=key,
            type=GroupVersionKind(intern(key.group), intern(version), intern(key.kind)),
            content=zlib.decompress(content),
            source=Source(DocumentPath(intern(path)), Span(*span)),
        )
        applied = Applied(
            manifest=manifest,
            commit=CommitSha(intern(commit)),
            observed=Digest(observed),
            uid=uid,
        )
    return Entry(
        key=key,
        unit=UnitName(intern(unit)),
        api_version=intern(api_version),
        applied=applied,
        created=created,
    )


def _unit(facts: bytes) -> UnitState:
    fields: Mapping[str, str] = orjson.loads(facts)
    return UnitState(**{**fields, "standing": Standing(fields["standing"])})  # type: ignore[arg-type]

"""Dry runs: asking the API server about each candidate before anything is written.

Separate from planning.py, which judges the answers, and from executing.py, which comes after a
person could have read them. The invariant: nothing here changes anything on the server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from reconciler.core.errors import Conflict, Immutable, Missing, Refused
from reconciler.core.field_paths import declares
from reconciler.core.identifiers import ClusterName, CommitSha, ObjectKey
from reconciler.core.ledger import Applied
from reconciler.core.manifests import (
    BACKENDS_ANNOTATION,
    COMMIT_ANNOTATION,
    ON_CONFLICT_ANNOTATION,
    SOURCE_ANNOTATION,
    JsonObject,
    Manifest,
)
from reconciler.core.outstanding import Candidate, Outstanding
from reconciler.core.ownership import PROVENANCE
from reconciler.core.planning import Accepted, Preview, Rejected
from reconciler.core.route_sharing import is_shared, last_applied, mark_of, shared
from reconciler.core.snapshots import live_object
from reconciler.engine.concurrency import bounded, together
from reconciler.ports import Cluster

CONCURRENCY = 16
"""Requests in flight per cluster. Measured with `make bench`: an API server on two cores answers
no more requests per second above this, and each of them later."""

_PROVENANCE_PATHS = frozenset(f".metadata.annotations.{name}" for name in PROVENANCE)
"""Written at every apply and part of no manifest: who edits one must not keep us from writing."""

MOST_CAUSES = 5
"""Causes that are told in words. A refused object may have hundreds."""


def object_to_apply(
    manifest: Manifest,
    commit: CommitSha,
    *,
    applied: Applied | None = None,
    live: JsonObject | None = None,
) -> JsonObject:
    """The manifest with the annotations that say where it comes from, and, where others may keep
    parts in the object, with those that they have in `live`. `applied` was the last of ours.
    """
    provenance = {COMMIT_ANNOTATION: commit, SOURCE_ANNOTATION: str(manifest.source)}
    if not is_shared(manifest):
        return manifest.with_provenance(provenance)
    ours = manifest.with_provenance({**provenance, BACKENDS_ANNOTATION: mark_of(manifest.body)})
    return shared(ours, last_applied(applied, live), live) if live else ours


async def preview(
    clusters: Mapping[ClusterName, Cluster],
    work: Sequence[Outstanding],
    *,
    head: CommitSha,
    limit: int = CONCURRENCY,
) -> dict[tuple[ClusterName, ObjectKey], Preview]:
    """Dry-run every candidate that is to be written, in all clusters at once, `limit` in each.

    Raises Transient when a server cannot be asked: then there is no plan, rather than half of one.
    """
    answers: dict[tuple[ClusterName, ObjectKey], Preview] = {}

    async def ask_all(item: Outstanding) -> None:
        async def ask(candidate: Candidate) -> None:
            cluster = clusters[item.cluster]
            answers[item.cluster, candidate.key] = await _ask(cluster, candidate, head)

        written = [candidate for candidate in item.candidates if candidate.desired is not None]
        await bounded(written, ask, limit=limit)

    await together(ask_all(item) for item in work)
    return answers


async def _ask(cluster: Cluster, candidate: Candidate, head: CommitSha) -> Preview:
    assert candidate.desired is not None
    body = object_to_apply(
        candidate.desired,
        candidate.commit(head),
        applied=candidate.entry.applied if candidate.entry else None,
        live=candidate.live.body if candidate.live else None,
    )
    forced = False
    try:
        try:
            stored = await cluster.apply(body, dry_run=True)
        except Conflict as conflict:
            if not _may_take(candidate, conflict):
                raise
            forced = True
            stored = await cluster.apply(body, dry_run=True, force=True)
    except Immutable as error:
        replaceable = await _passes_under_another_name(cluster, body)
        return Rejected(error.code, _why(error), error.causes, replaceable=replaceable)
    except Refused as error:
        return Rejected(error.code, _why(error), error.causes)
    except Missing as error:
        return Rejected(error.code, error.message)
    found = candidate.live
    if found is None and _exists(stored):
        # Somebody made it before us, without our label: no watch shows it.
        there = await cluster.get(candidate.key, candidate.desired.type.api_version)
        found = live_object(there) if there else None
    return Accepted(stored if found else None, forced=forced, found=found)


def _exists(stored: JsonObject) -> bool:
    """Whether a dry run was of a change: what it would create has no resource version yet."""
    return bool(cast(JsonObject, stored["metadata"]).get("resourceVersion"))


def _why(error: Refused) -> str:
    """The causes in one line; the server's own sentence where it gave none."""
    if not error.causes:
        return error.message
    shown = [
        f"{cause.field} is managed by {cause.manager}"
        if cause.manager
        else f"{cause.field}: {cause.message}".removeprefix(": ")
        for cause in error.causes
    ]
    more = f" (and {len(shown) - MOST_CAUSES} more)" if len(shown) > MOST_CAUSES else ""
    return "; ".join(shown[:MOST_CAUSES]) + more


def _may_take(candidate: Candidate, conflict: Conflict) -> bool:
    """Fields that we set the last time were taken from us: taking them back is undoing drift."""
    assert candidate.desired is not None
    metadata = cast(JsonObject, candidate.desired.body["metadata"])
    annotations = cast(JsonObject, metadata.get("annotations") or {})
    if annotations.get(ON_CONFLICT_ANNOTATION) == "take-over":
        return True
    return candidate.previous is not None and were_ours(candidate.previous, conflict)


def were_ours(applied: Manifest, conflict: Conflict) -> bool:
    """Whether we set all that others own now, with `applied`, or to say where it comes from."""
    return all(
        cause.field in _PROVENANCE_PATHS or declares(applied.body, cause.field)
        for cause in conflict.causes
    )


async def _passes_under_another_name(cluster: Cluster, body: JsonObject) -> bool:
    """Whether the server would take the object if it were new (it deletes nothing to find out)."""
    metadata = cast(JsonObject, body["metadata"])
    twin: JsonObject = {**body, "metadata": {**metadata, "name": f"{metadata['name']}-replaced"}}
    try:
        await cluster.apply(twin, dry_run=True)
    except (Refused, Missing):
        return False
    return True

"""Dry runs: asking the API server about each candidate before anything is written.

Separate from planning.py, which judges the answers, and from executing.py, which comes after a
person could have read them. The invariant: nothing here changes anything on the server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias, cast

from reconciler.core.authorship import NOBODY, Attribution, Author, Unattributed
from reconciler.core.errors import Conflict, Forbidden, Immutable, Missing, Refused
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
from reconciler.ports import Cluster, Delegate

Writer: TypeAlias = Cluster | Delegate
"""Whoever an object is written as."""

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
    authors: Attribution = NOBODY,
    limit: int = CONCURRENCY,
) -> dict[tuple[ClusterName, ObjectKey], Preview]:
    """Dry-run every candidate that is to be written, in all clusters at once, `limit` in each.

    What somebody is the author of is asked in their name, a removal as well. Raises Transient when
    a server cannot be asked: then there is no plan, rather than half of one.
    """
    answers: dict[tuple[ClusterName, ObjectKey], Preview] = {}

    async def ask_all(item: Outstanding) -> None:
        async def ask(candidate: Candidate) -> None:
            where = item.cluster, candidate.key
            answers[where] = await _ask_for(
                authors.get(where, ()), clusters[item.cluster], candidate, head
            )

        asked = [c for c in item.candidates if _is_asked(c, authors.get((item.cluster, c.key)))]
        await bounded(asked, ask, limit=limit)

    await together(ask_all(item) for item in work)
    return answers


def _is_asked(candidate: Candidate, found: object) -> bool:
    """The daemon may delete what it may write; somebody else may not."""
    return candidate.desired is not None or (bool(found) and candidate.live is not None)


async def _ask_for(
    found: tuple[Author, ...] | Unattributed,
    cluster: Cluster,
    candidate: Candidate,
    head: CommitSha,
) -> Preview:
    """What the server says to everybody who brought the object, or to the daemon itself."""
    if isinstance(found, Unattributed):
        return Rejected(code="unattributed", explanation=found.reason)
    if not found:
        return await _ask(cluster, cluster, candidate, head)
    for author in reversed(found):
        delegate = cluster.on_behalf_of(author)
        answer = (
            await _ask(cluster, delegate, candidate, head)
            if candidate.desired
            else await _may_delete(delegate, candidate)
        )
        if isinstance(answer, Rejected):
            return replace(answer, explanation=_told(author, answer))
    return answer


def _told(author: Author, answer: Rejected) -> str:
    if answer.code == Forbidden.code:
        return f"{author.signer} may not: {answer.explanation}"
    return f"asked as {author.user}: {answer.explanation}"


async def _may_delete(delegate: Delegate, candidate: Candidate) -> Preview:
    live = candidate.live
    assert live is not None, "what is gone is only forgotten"
    try:
        await delegate.delete(candidate.key, live.api_version, uid=live.uid, dry_run=True)
    except Refused as error:
        return Rejected(error.code, _why(error), error.causes)
    return Accepted()


async def _ask(cluster: Cluster, writer: Writer, candidate: Candidate, head: CommitSha) -> Preview:
    try:
        return await _try(cluster, writer, candidate, head)
    except Refused as error:
        return Rejected(error.code, _why(error), error.causes)
    except Missing as error:
        return Rejected(error.code, error.message)


async def _try(cluster: Cluster, writer: Writer, candidate: Candidate, head: CommitSha) -> Preview:
    desired = candidate.desired
    assert desired is not None
    body = object_to_apply(
        desired,
        candidate.commit(head),
        applied=candidate.entry.applied if candidate.entry else None,
        live=candidate.live.body if candidate.live else None,
    )
    forced = False
    try:
        try:
            stored = await writer.apply(body, dry_run=True)
        except Conflict as conflict:
            if not _may_take(candidate, conflict):
                raise
            forced = True
            stored = await writer.apply(body, dry_run=True, force=True)
    except Immutable as error:
        replaceable = await _passes_under_another_name(writer, body)
        return Rejected(error.code, _why(error), error.causes, replaceable=replaceable)
    found = candidate.live
    if found is None and _exists(stored):
        # Somebody made it before us, without our label: no watch shows it.
        there = await cluster.get(candidate.key, desired.type.api_version)
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


async def _passes_under_another_name(writer: Writer, body: JsonObject) -> bool:
    """Whether the server would take the object if it were new (it deletes nothing to find out)."""
    metadata = cast(JsonObject, body["metadata"])
    twin: JsonObject = {**body, "metadata": {**metadata, "name": f"{metadata['name']}-replaced"}}
    try:
        await writer.apply(twin, dry_run=True)
    except (Refused, Missing):
        return False
    return True

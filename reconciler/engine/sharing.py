"""Writing an object in which others keep parts of their own, and losing none of them.

Separate from performing.py, for which an object is ours whole. The invariant: what is sent was
merged with the very state that it replaces, so that nothing which somebody wrote in between is
lost.
"""

from __future__ import annotations

from reconciler.core.errors import Conflict, Outdated
from reconciler.core.manifests import JsonObject
from reconciler.core.plans import Change
from reconciler.engine.previewing import Writer, object_to_apply, were_ours
from reconciler.engine.sessions import ClusterSession

MERGES = 5
"""How often an object is read and merged anew when others write to it at the same time."""


async def apply_shared(session: ClusterSession, change: Change, writer: Writer) -> JsonObject:
    """Apply `change.desired` as `writer`; returns the object as stored.

    Asks no more than an apply does, as long as nobody else writes.

    Raises Outdated when others keep writing, and all that an apply may raise.
    """
    assert change.desired is not None
    entry = session.books.ledger(session.name).entries.get(change.key)
    applied = entry.applied if entry else None
    known = session.observer.get(change.key)
    live, force = known.body if known else None, change.force
    for merge in range(1, MERGES + 1):
        body = object_to_apply(change.desired, change.commit, applied=applied, live=live)
        try:
            return await writer.apply(
                _bound_to(live, body) if live else body, dry_run=False, force=force
            )
        except Outdated:
            if merge == MERGES:
                raise
            live = await session.cluster.get(change.key, change.api_version)
        except Conflict as conflict:
            ours = applied is not None and were_ours(applied.manifest, conflict)
            if force or merge == MERGES or not ours:
                raise
            force = True
    raise AssertionError("the last attempt either returned or raised")


def _bound_to(live: JsonObject, body: JsonObject) -> JsonObject:
    """The body, refused by the server unless the object is still this one."""
    found, metadata = live["metadata"], body["metadata"]
    assert isinstance(found, dict)
    assert isinstance(metadata, dict)
    bound: JsonObject = {**metadata, "resourceVersion": found["resourceVersion"]}
    return {**body, "metadata": bound}

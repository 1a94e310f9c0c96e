"""Admitting: waiting until an API server refuses what it was told to refuse.

Separate from performing.py, which writes: a policy that was accepted is not yet one that acts. The
invariant: a restriction counts as written only when the API server was seen to act by it, so that
nothing is given in the meantime; one that cannot be seen is a failure, not a success.
"""

from __future__ import annotations

from reconciler.core.errors import (
    FairleadError,
    Forbidden,
    Missing,
    Refused,
    Transient,
    Unavailable,
)
from reconciler.core.plans import Change
from reconciler.core.probes import PROBE_NAME, Probe, probes_of
from reconciler.engine.sessions import ClusterSession
from reconciler.ports import Clock

PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 0.5
PATIENCE_SECONDS = 10.0
"""An API server takes up to a second. The next pass waits again."""


async def await_force(session: ClusterSession, change: Change, clock: Clock) -> None:
    """Return when a change that was written has its effect; at once for most changes.

    Raises Unavailable when that takes too long, Forbidden when we may not look.
    """
    if change.desired is None:
        return
    until = clock.monotonic() + PATIENCE_SECONDS
    for probe in probes_of(change.desired, change.previous, session.observer):
        pause = PAUSE_SECONDS
        while not await _is_refused(session, probe):
            if clock.monotonic() >= until:
                raise Unavailable(
                    f"{change.key} is written, and after {PATIENCE_SECONDS:.0f} s the API server "
                    "does not act by it yet"
                )
            session.tenure.require()
            await clock.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


async def _is_refused(session: ClusterSession, probe: Probe) -> bool:
    """By the binding. A binding that governs no namespace that exists refuses all there is."""
    unseen: FairleadError | None = None
    for namespace in probe.namespaces:
        try:
            await session.cluster.apply(probe.body(namespace), dry_run=True)
        except Missing:
            continue
        except Refused as error:
            if probe.concerns(error.message):
                return probe.succeeded(error.message)
            unseen = error
        except Transient:
            return False
        else:
            return False
    if unseen is None:
        return True
    raise Forbidden(
        f"whether {probe.binding} is in force cannot be seen: {unseen.message}",
        hint="let the daemon create and patch ConfigMaps in the restricted namespaces, and other "
        f"policies pass the ConfigMap {PROBE_NAME}",
    )

"""What putting a unit back to its settled state takes, after it failed half-way.

Separate from planning.py: no dry run is asked here, for the state to return to was accepted and
healthy before. The invariant: only objects that the failed attempt created are deleted, so that
putting back never takes away what was there before us.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from reconciler.core.audit.records import Reason
from reconciler.core.desired import Unit, unit_digest
from reconciler.core.identifiers import CommitSha, UnitName
from reconciler.core.ledger import Entry, UnitState
from reconciler.core.ordering import Wave, wave_of
from reconciler.core.outstanding import Candidate, ClusterView, as_left
from reconciler.core.plans import Action, Change


def restoration(
    name: UnitName,
    settled: Unit | None,
    *,
    view: ClusterView,
    commit: CommitSha,
) -> tuple[Change, ...]:
    """Changes that lead from whatever is there now to `settled`, ordered by wave.

    `settled` is None for a unit that never settled. `commit` is that of the settled state.
    """
    changes = [
        _put_back(Candidate(name, settled.stage, key, manifest, entry, live), commit)
        for key, manifest in (settled.manifests if settled else {}).items()
        for entry, live in [(view.ledger.entries.get(key), view.snapshot.get(key))]
        if settled and not as_left(manifest, entry, live)
    ]
    kept = settled.manifests if settled else {}
    for entry in view.ledger.entries.values():
        if entry.unit == name and entry.created and entry.key not in kept:
            live = view.snapshot.get(entry.key)
            changes.append(_take_away(Candidate(name, 0, entry.key, None, entry, live), commit))
    return tuple(sorted(changes, key=lambda change: (change.wave, change.key)))


def is_as_settled(state: UnitState, entries: Sequence[Entry]) -> bool:
    """Whether the last writes to a unit left it as it last settled: then nothing is to be put back.

    `entries` are those of the unit.
    """
    if state.digest is None:
        return not any(entry.created for entry in entries)
    applied = [entry.applied.manifest.digest for entry in entries if entry.applied]
    return len(applied) == len(entries) and unit_digest(applied) == state.digest


def _put_back(candidate: Candidate, commit: CommitSha) -> Change:
    desired, live = candidate.desired, candidate.live
    assert desired is not None
    return Change(
        unit=candidate.unit,
        key=candidate.key,
        api_version=desired.type.api_version,
        action=Action.UPDATE if live else Action.CREATE,
        reason=Reason.COMPENSATION,
        wave=wave_of(before=candidate.previous, after=desired),
        stage=candidate.stage,
        commit=commit,
        desired=desired,
        previous=candidate.previous,
        # These fields were ours when the state was settled.
        force=True,
        uid=live.uid if live else "",
    )


def _take_away(candidate: Candidate, commit: CommitSha) -> Change:
    live, entry = candidate.live, candidate.entry
    assert entry is not None
    change = Change(
        unit=candidate.unit,
        key=candidate.key,
        api_version=live.api_version if live else entry.api_version,
        action=Action.DELETE,
        reason=Reason.COMPENSATION,
        wave=wave_of(before=entry.applied.manifest, after=None) if entry.applied else Wave.DELETION,
        stage=candidate.stage,
        commit=commit,
        previous=candidate.previous,
        uid=live.uid if live else "",
    )
    return change if live else replace(change, action=Action.FORGET)

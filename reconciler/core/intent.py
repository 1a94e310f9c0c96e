"""The effect of one commit upon another: what is declared otherwise, whatever the clusters hold.

Separate from planning.py, which asks clusters. This difference is the same for everybody and for
ever, and needs nothing but Git; it says nothing about drift, conflicts or quotas. The invariant:
it is made of the same Changes, so that it is shown, counted and ordered as a plan is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from reconciler.core.audit.records import Reason
from reconciler.core.budget import deletions_within
from reconciler.core.desired import DesiredState, Unit
from reconciler.core.diffing import intent_changes, restarts
from reconciler.core.identifiers import ClusterName, CommitSha, ObjectKey
from reconciler.core.manifests import Manifest
from reconciler.core.ordering import wave_of
from reconciler.core.plans import Action, Change, ClusterPlan, Plan


def intent_plan(before: DesiredState, after: DesiredState) -> Plan:
    """What `after` declares otherwise than `before`, judged by the policy of `before`."""
    clusters = sorted({cluster for cluster, _ in (*before.units, *after.units)})
    return Plan(
        repository=after.repository,
        base=before.commit,
        head=after.commit,
        clusters=tuple(_cluster_plan(name, before, after) for name in clusters),
        notices=after.notices,
    )


def _cluster_plan(cluster: ClusterName, before: DesiredState, after: DesiredState) -> ClusterPlan:
    old, new = _objects(cluster, before), _objects(cluster, after)
    changes = sorted(
        _changes(old, new, after.commit), key=lambda change: (change.stage, change.wave, change.key)
    )
    return ClusterPlan(
        cluster=cluster,
        changes=tuple(changes),
        deletions=deletions_within(
            before.policy,
            released=after.policy.release,
            cluster=cluster,
            changes=changes,
            of=len(old),
        ),
    )


@dataclass(frozen=True, slots=True)
class _Declared:
    """An object as a unit declares it."""

    unit: Unit
    manifest: Manifest


def _objects(cluster: ClusterName, state: DesiredState) -> Mapping[ObjectKey, _Declared]:
    return {
        key: _Declared(unit, manifest)
        for (where, _), unit in state.units.items()
        if where == cluster
        for key, manifest in unit.manifests.items()
    }


def _changes(
    old: Mapping[ObjectKey, _Declared], new: Mapping[ObjectKey, _Declared], head: CommitSha
) -> Iterator[Change]:
    for key, declared in new.items():
        before = old.get(key)
        if before is None or before.manifest.digest != declared.manifest.digest:
            yield _change(declared.unit, before, declared, head)
    for key, declared in old.items():
        if key not in new:
            yield _change(declared.unit, declared, None, head)


def _change(
    unit: Unit, before: _Declared | None, after: _Declared | None, head: CommitSha
) -> Change:
    found = after or before
    assert found is not None, "a change has a state before or after"
    previous = before.manifest if before else None
    desired = after.manifest if after else None
    fields = intent_changes(previous, desired) if previous and desired else ()
    action = Action.UPDATE if desired else Action.DELETE
    return Change(
        unit=unit.name,
        key=found.manifest.key,
        api_version=found.manifest.type.api_version,
        action=action if previous else Action.CREATE,
        reason=Reason.COMMIT,
        wave=wave_of(before=previous, after=desired),
        stage=unit.stage,
        commit=head,
        desired=desired,
        previous=previous,
        fields=fields,
        restarts=restarts(fields),
    )

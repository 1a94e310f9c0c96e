"""Finding versions of a rollout in a cluster of which nothing is recorded.

Separate from staging, which trusts the ledger: here is what to do without one. The invariant: an
object is ours only if its labels say so and we own fields of it, and what it was made of is what
the commit declares that it names; nothing is made up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from reconciler.core.desired import Unit
from reconciler.core.identifiers import CommitSha, Digest, ObjectKey
from reconciler.core.ledger import Applied, Entry
from reconciler.core.manifests import COMMIT_ANNOTATION, JsonObject
from reconciler.core.ownership import NOTHING_OWNED
from reconciler.core.rendering.release import ROLLOUT_LABEL, VERSION_LABEL
from reconciler.core.snapshots import ClusterSnapshot, LiveObject


@dataclass(frozen=True, slots=True)
class FoundObject:
    """An object of another version than the declared one, and the commit that it names.

    Of the Service that callers inside the cluster use, `version` is the one that it leads to.
    """

    live: LiveObject
    version: str
    commit: CommitSha


def other_versions(
    unit: Unit, rollout: str, version: str, snapshot: ClusterSnapshot
) -> tuple[FoundObject, ...]:
    """What a cluster has of a rollout in versions other than the one that a commit declares."""
    homes = {key.namespace for key in unit.manifests}
    found = tuple(_of_versions(homes, rollout, snapshot))
    own = [one for one in found if one.version != version and one.live.key not in unit.manifests]
    for home in sorted(homes):
        service = snapshot.get(ObjectKey("", "Service", home, rollout))
        led = _led_to(service) if service and service.owned != NOTHING_OWNED else ""
        # The Service was pointed elsewhere by later commits: its version names the one to ask.
        commit = next((one.commit for one in own if one.version == led), None)
        if service and commit:
            own.append(FoundObject(service, led, commit))
    return tuple(own)


def entries_of(found: Iterable[FoundObject], units: Mapping[CommitSha, Unit]) -> Iterator[Entry]:
    """The ledger's entries of what was found. `units` are as the commits declare them."""
    for one in found:
        unit = units.get(one.commit)
        manifest = unit.manifests.get(one.live.key) if unit else None
        if unit is not None and manifest is not None:
            # Nothing is known of the fields as they were stored, so they are compared anew.
            applied = Applied(manifest, one.commit, Digest(""), one.live.uid)
            yield Entry(one.live.key, unit.name, one.live.api_version, applied)


def _of_versions(
    homes: Iterable[str], rollout: str, snapshot: ClusterSnapshot
) -> Iterator[FoundObject]:
    for live in snapshot:
        if live.key.namespace not in homes or live.controlled or live.owned == NOTHING_OWNED:
            continue
        metadata = cast(JsonObject, live.body["metadata"])
        labels = cast(JsonObject, metadata.get("labels") or {})
        annotations = cast(JsonObject, metadata.get("annotations") or {})
        version, commit = labels.get(VERSION_LABEL), annotations.get(COMMIT_ANNOTATION)
        if labels.get(ROLLOUT_LABEL) == rollout and version and commit:
            yield FoundObject(live, str(version), CommitSha(str(commit)))


def _led_to(service: LiveObject) -> str:
    spec = cast(JsonObject, service.body.get("spec") or {})
    return str(cast(JsonObject, spec.get("selector") or {}).get(VERSION_LABEL) or "")

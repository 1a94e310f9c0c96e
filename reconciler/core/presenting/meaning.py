"""What the changes of a unit mean, in words.

Separate because it reads what renderers write into labels, and because words come before YAML
for whoever approves. The invariant: a headline says only what the changes say.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import cast

from reconciler.core.identifiers import ClusterName, UnitName
from reconciler.core.manifests import JsonObject, Manifest
from reconciler.core.outstanding import ORPHANS
from reconciler.core.plans import Change
from reconciler.core.rendering.release import MODEL_LABEL, VERSION_LABEL


def headline(unit: UnitName, changes: Sequence[tuple[ClusterName, Change]]) -> str:
    """Such as `fraud-detector: v2 → v3 in production, staging`; the unit's name if that is all."""
    if unit == ORPHANS:
        return "objects of ours that no record explains"
    by_cluster: dict[ClusterName, list[Change]] = defaultdict(list)
    for cluster, change in changes:
        by_cluster[cluster].append(change)
    steps: dict[str, list[ClusterName]] = defaultdict(list)
    for cluster, found in sorted(by_cluster.items()):
        steps[_step(found)].append(cluster)
    texts = [f"{step} in {_listed(clusters)}" for step, clusters in steps.items() if step]
    if not texts:
        return f"{unit} in {_listed(by_cluster)}"
    if others := steps.get(""):
        texts.append(f"other changes in {_listed(others)}")
    return "; ".join(texts)


def _step(changes: Iterable[Change]) -> str:
    """What becomes of the model's version in one cluster; empty when nothing does."""
    before: set[tuple[str, str]] = set()
    after: set[tuple[str, str]] = set()
    for change in changes:
        before |= _release(change.previous)
        after |= _release(change.desired)
    gone, come = before - after, after - before
    model = _listed({name for name, _ in gone | come})
    old, new = (_listed({version for _, version in found}) for found in (gone, come))
    if gone and come:
        return f"{model}: {old} → {new}"
    if gone:
        return f"{model}: {old} removed"
    return f"{model}: {new}, new" if come else ""


def _release(manifest: Manifest | None) -> set[tuple[str, str]]:
    """Model and version that an object belongs to, if it belongs to one."""
    if manifest is None:
        return set()
    metadata = cast(JsonObject, manifest.body.get("metadata") or {})
    labels = cast("dict[str, str]", metadata.get("labels") or {})
    version = labels.get(VERSION_LABEL)
    return {(labels.get(MODEL_LABEL, ""), version)} if version else set()


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))

"""Where the Service of a rollout points, which callers inside the cluster use without a route."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.identifiers import ClusterName, ObjectKey, UnitName
from reconciler.core.kinds.rollout import Cohort
from reconciler.core.ledger import Applied, Entry
from reconciler.core.manifests import digest_of
from reconciler.core.rendering.release import VERSION_LABEL
from reconciler.core.rollouts.placing import Placement
from reconciler.core.rollouts.runtimes import Found
from reconciler.core.rollouts.traffic import ALL_TRAFFIC, NO_TRAFFIC, Split
from reconciler.core.rollouts.version_objects import VersionObjects
from reconciler.core.samples import Traffic
from tests.desired.builders import MODEL, ROLLOUT, compiled, repository
from tests.rollouts.builders import commit, target

PLACE = ClusterName("production-1"), UnitName("rollout/fraud-detector")
SERVICE = ObjectKey("", "Service", "team-risk", "fraud-detector")
V3, V4 = target("v3"), target("v4")


def unit_of(version: str) -> Any:
    rollout = ROLLOUT.replace("version: v3", f"version: {version}")
    desired = compiled(repository(model=MODEL, rollout=rollout)).state
    return desired.units[PLACE]


def serving(split: Split) -> str:
    """The version behind the Service where v3 was applied and v4 is on its way."""
    entries = tuple(
        Entry(key, PLACE[1], "v1", Applied(manifest, commit("v3"), digest_of(b""), "uid"))
        for key, manifest in unit_of("v3").manifests.items()
    )
    where = Placement(V3, V4, split, (V3, V4))
    placed = VersionObjects().position(unit_of("v4"), where, Found(entries))
    service: Any = placed.unit.manifests[SERVICE].body
    return str(service["spec"]["selector"][VERSION_LABEL])


@pytest.mark.parametrize(
    "split",
    [
        NO_TRAFFIC,
        Split(Traffic.COHORT, cohort=Cohort(header="x-cohort", value="internal")),
        Split(Traffic.MIRROR, 0.1),
        Split(Traffic.MIRROR, 1.0),
        Split(Traffic.WEIGHT, 0.99),
    ],
    ids=lambda split: split.words,
)
def test_the_service_stays_with_the_version_before_until_the_other_has_everything(
    split: Split,
) -> None:
    assert serving(split) == "v3"


def test_the_service_follows_all_the_traffic() -> None:
    assert serving(ALL_TRAFFIC) == "v4"

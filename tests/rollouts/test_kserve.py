"""What a position means for KServe: a list of canaries beside the predictor."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.desired import DesiredState, Unit
from reconciler.core.identifiers import ClusterName, CommitSha, UnitName
from reconciler.core.ledger import Applied, Entry
from reconciler.core.manifests import digest_of
from reconciler.core.rendering.release import VERSION_LABEL
from reconciler.core.rollouts.kserve import InferenceServices, service_of
from reconciler.core.rollouts.placing import Placement
from reconciler.core.rollouts.runtimes import Found, Loaded, Positioned
from reconciler.core.rollouts.states import Target
from reconciler.core.rollouts.traffic import ALL_TRAFFIC, NO_TRAFFIC, Split
from reconciler.core.samples import Traffic
from tests.desired.builders import compiled, repository
from tests.desired.kserve import KSERVE_MODEL, KSERVE_ROLLOUT
from tests.rollouts.builders import target

PLACE = ClusterName("production-1"), UnitName("rollout/fraud-detector")
V3, V4, V5 = target("v3"), target("v4"), target("v5")
RUNTIME = InferenceServices()
COMMIT = CommitSha("1" * 40)


def desired(version: str, *, model: str = KSERVE_MODEL) -> DesiredState:
    rollout = KSERVE_ROLLOUT.replace("version: v3", f"version: {version}")
    return compiled(repository(model=model, rollout=rollout)).state


def applied(unit: Unit) -> tuple[Entry, ...]:
    return tuple(
        Entry(key, unit.name, m.type.api_version, Applied(m, COMMIT, digest_of(b""), "uid"))
        for key, m in unit.manifests.items()
    )


def placed(
    end: str,
    split: Split,
    *loaded: Target,
    before: Unit | None = None,
    candidate: bool = True,
    settled: bool = True,
) -> Unit:
    """Where the first of `loaded` is the base, and the second the candidate."""
    return positioned(end, split, *loaded, before=before, candidate=candidate, settled=settled).unit


def positioned(
    end: str,
    split: Split,
    *loaded: Target,
    before: Unit | None,
    candidate: bool,
    settled: bool,
) -> Positioned:
    where = Placement(loaded[0], loaded[1] if candidate else None, split, loaded)
    entries = applied(before or desired("v3").units[PLACE])
    found = Found(entries, settled=settled)
    return RUNTIME.position(desired(end).units[PLACE], where, found)


def spec(unit: Unit) -> Any:
    key = service_of(unit)
    assert key is not None
    return unit.manifests[key].body["spec"]


def weights(unit: Unit) -> dict[str, int]:
    """The predictor's first."""
    found = spec(unit)
    canaries = {one["predictor"]["name"]: one["trafficPercent"] for one in found["canary"]}
    return {found["predictor"]["name"]: 100 - sum(canaries.values()), **canaries}


def replicas(unit: Unit) -> list[int]:
    """As declared: the predictor's first."""
    found = spec(unit)
    predictors = [found["predictor"], *(one["predictor"] for one in found["canary"])]
    return [one["minReplicas"] for one in predictors]


def running(unit: Unit) -> dict[str, Any]:
    """What each version runs; how many replicas is no part."""
    found = spec(unit)
    predictors = [found["predictor"], *(one["predictor"] for one in found["canary"])]
    return {one["name"]: {**one, "minReplicas": None} for one in predictors}


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        (NO_TRAFFIC, [("v3", 100), ("v4", 0)]),
        (Split(Traffic.WEIGHT, 0.05), [("v3", 95), ("v4", 5)]),
        (Split(Traffic.WEIGHT, 0.29), [("v3", 71), ("v4", 29)]),
        (Split(Traffic.WEIGHT, 0.99), [("v3", 1), ("v4", 99)]),
        (ALL_TRAFFIC, [("v3", 0), ("v4", 100)]),
    ],
)
def test_a_version_that_comes_is_a_canary_with_whatever_share(
    split: Split, expected: list[tuple[str, int]]
) -> None:
    assert list(weights(placed("v4", split, V3, V4)).items()) == expected


def test_at_rest_the_object_is_as_declared() -> None:
    unit = desired("v3").units[PLACE]
    where = Placement(V3, None, NO_TRAFFIC, (V3,))
    assert RUNTIME.position(unit, where, Found()).unit.digest == unit.digest
    assert spec(unit)["canary"] == []


def test_a_version_runs_the_same_wherever_it_stands() -> None:
    started = placed("v4", NO_TRAFFIC, V3, V4)
    before = running(desired("v3").units[PLACE])["v3"]
    promoted = placed("v4", ALL_TRAFFIC, V3, V4, before=started)
    warm = placed("v4", NO_TRAFFIC, V4, V3, before=promoted, candidate=False)
    back = placed("v3", NO_TRAFFIC, V3, V4, before=warm, candidate=False)
    for unit in (started, promoted, warm, back):
        assert running(unit)["v3"] == before
        assert running(unit)["v4"] == running(started)["v4"]
    assert list(weights(warm).items()) == [("v3", 0), ("v4", 100)]
    assert list(weights(back).items()) == [("v3", 100), ("v4", 0)]


def test_the_new_version_is_the_predictor_when_the_one_before_goes() -> None:
    warm = placed("v4", ALL_TRAFFIC, V3, V4, before=placed("v4", NO_TRAFFIC, V3, V4))
    alone = placed("v4", NO_TRAFFIC, V4, before=warm, candidate=False)
    assert weights(alone) == {"v4": 100}
    assert running(alone)["v4"] == running(warm)["v4"]
    assert replicas(alone) == [3]
    assert alone.digest == desired("v4").units[PLACE].digest


def test_a_version_that_is_started_again_is_no_predictor_before_it_was_seen_up() -> None:
    before = desired("v4").units[PLACE]
    back = placed("v3", NO_TRAFFIC, V3, V4, before=before, candidate=False)
    assert list(weights(back).items()) == [("v4", 0), ("v3", 100)]
    # What drained need not be kept, and has the requests for as long as v3 is not up.
    held = positioned("v3", NO_TRAFFIC, V3, before=back, candidate=False, settled=False)
    assert held.unit.digest == back.digest
    assert held.missing == {Loaded("team-risk", "fraud-detector", "v3")}
    done = positioned("v3", NO_TRAFFIC, V3, before=back, candidate=False, settled=True)
    assert weights(done.unit) == {"v3": 100}
    assert not done.missing


def test_what_was_settled_before_the_version_came_does_not_count() -> None:
    before = desired("v4").units[PLACE]
    held = positioned("v3", NO_TRAFFIC, V3, before=before, candidate=False, settled=True)
    assert list(weights(held.unit).items()) == [("v4", 0), ("v3", 100)]
    assert held.missing


def test_the_stable_version_stays_as_it_was_applied_when_the_model_is_edited() -> None:
    edited = KSERVE_MODEL.replace("LOG_LEVEL: info", "LOG_LEVEL: debug").replace(
        "team: risk", "team: other"
    )
    end = desired("v4", model=edited).units[PLACE]
    before = desired("v3").units[PLACE]
    where = Placement(V3, V4, Split(Traffic.WEIGHT, 0.05), (V3, V4))
    unit = RUNTIME.position(end, where, Found(applied(before))).unit
    assert running(unit)["v3"] == running(before)["v3"]
    assert running(unit)["v4"] == running(end)["v4"]


def kserve_runs(unit: Unit, *ready: str) -> dict[str, int]:
    """Replicas by version after KServe took those of ready canaries off the predictor's."""
    found = spec(unit)
    canaries = {one["predictor"]["name"]: one["predictor"] for one in found["canary"]}
    taken = sum(one["minReplicas"] for name, one in canaries.items() if name in ready)
    own = found["predictor"]["minReplicas"]
    left = max(own - taken, 1) if taken else own
    return {
        found["predictor"]["name"]: left,
        **{name: one["minReplicas"] for name, one in canaries.items()},
    }


@pytest.mark.parametrize("split", [NO_TRAFFIC, Split(Traffic.WEIGHT, 0.25), ALL_TRAFFIC])
def test_every_version_keeps_all_its_replicas(split: Split) -> None:
    unit = placed("v4", split, V3, V4)
    assert kserve_runs(unit, "v3", "v4") == {"v3": 3, "v4": 3}
    assert all(count <= replicas(unit)[0] for count in replicas(unit)[1:])


def test_replicas_come_back_from_the_ledger_as_each_versions_own() -> None:
    unit = placed("v4", NO_TRAFFIC, V3, V4)
    for _ in range(3):
        unit = placed("v4", Split(Traffic.WEIGHT, 0.25), V3, V4, before=unit)
        assert replicas(unit) == [6, 3]
    assert replicas(placed("v3", NO_TRAFFIC, V3, before=unit, candidate=False)) == [3]


def test_a_third_version_comes_while_the_second_drains() -> None:
    before = placed("v4", Split(Traffic.WEIGHT, 0.25), V3, V4)
    unit = placed("v5", NO_TRAFFIC, V3, V5, V4, before=before)
    assert weights(unit) == {"v3": 100, "v5": 0, "v4": 0}
    assert replicas(unit) == [9, 3, 3]


def test_what_is_only_kept_is_not_made_anew_when_it_is_gone() -> None:
    unit = placed("v3", NO_TRAFFIC, V3, V4, candidate=False)
    assert weights(unit) == {"v3": 100}


def test_a_new_cluster_has_no_requests_of_the_version_before_to_protect() -> None:
    end = desired("v4").units[PLACE]
    on_its_way = Placement(V3, V4, Split(Traffic.WEIGHT, 0.05), (V3, V4))
    assert RUNTIME.position(end, on_its_way, Found()).unit == end
    waiting = Placement(V3, None, NO_TRAFFIC, (V3,))
    assert RUNTIME.position(end, waiting, Found()).unit.manifests == {}


def test_the_version_that_serves_is_the_one_that_gets_most() -> None:
    state = desired("v4")
    rollout = state.rollouts["fraud-detector"]
    first = desired("v3")
    build = RUNTIME.build(first, first.rollouts["fraud-detector"])
    for split, version in ((Split(Traffic.WEIGHT, 0.25), "v3"), (ALL_TRAFFIC, "v4")):
        entries = applied(placed("v4", split, V3, V4))
        found = RUNTIME.applied(state, rollout, entries)
        assert found is not None
        assert found.version == version
        assert found.build == (build if version == "v3" else RUNTIME.build(state, rollout))
    assert RUNTIME.applied(state, rollout, ()) is None


def test_the_number_of_replicas_makes_no_other_build() -> None:
    more = desired("v3", model=KSERVE_MODEL.replace("replicas: 3", "replicas: 4"))
    other = desired("v3", model=KSERVE_MODEL.replace("port: 8000", "port: 8001"))
    builds = [
        RUNTIME.build(state, state.rollouts["fraud-detector"])
        for state in (desired("v3"), more, other)
    ]
    assert builds[0] == builds[1] != builds[2]


def test_replicas_are_found_by_kserves_label_and_the_version() -> None:
    state = desired("v4")
    answering = RUNTIME.answering(state, state.rollouts["fraud-detector"], V3)
    assert answering.labels == {
        "serving.kserve.io/inferenceservice": "fraud-detector",
        VERSION_LABEL: "v3",
    }
    assert answering.port == 8000
    assert running(placed("v4", NO_TRAFFIC, V3, V4))["v3"]["labels"][VERSION_LABEL] == "v3"

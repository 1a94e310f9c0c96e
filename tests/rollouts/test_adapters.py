"""What the position of an adapter means: a route whose references differ by a header alone."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.adapters.replicas_memory import Asked, MemoryReplicas
from reconciler.core.desired import DesiredState, Unit
from reconciler.core.identifiers import ClusterName, CommitSha, Digest
from reconciler.core.kinds.rollout import Cohort
from reconciler.core.kinds.serving import Signals
from reconciler.core.ledger import Applied, Entry
from reconciler.core.manifests import Manifest
from reconciler.core.rendering.aliases import mark_of
from reconciler.core.rollouts.adapters import AdapterRoutes, shelf_of
from reconciler.core.rollouts.placing import Placement
from reconciler.core.rollouts.runtimes import Answering, Found, Loaded
from reconciler.core.rollouts.states import Target
from reconciler.core.rollouts.traffic import ALL_TRAFFIC, NO_TRAFFIC, Split
from reconciler.core.samples import Traffic
from reconciler.engine.scraping import Side, Subject, scrape
from reconciler.ports import Answer, Replica
from tests.desired.builders import (
    ADAPTER,
    ADAPTER_ROLLOUT,
    CLUSTERS,
    DIGEST,
    MODEL,
    ROLLOUT,
    compiled,
    repository,
)

COMMIT = CommitSha("1" * 40)
V1 = Target("v1", Digest(DIGEST), COMMIT)
V2 = Target("v2", Digest(DIGEST.replace("ab", "ef")), COMMIT)
ONE, TWO = "support@abababababab", "support@efefefefefef"
BOTH = frozenset(Loaded("team-risk", "fraud-detector", name) for name in (ONE, TWO))
COHORT = Split(Traffic.COHORT, cohort=Cohort(header="x-cohort", value="internal"))
FIVE = Split(Traffic.WEIGHT, 0.05)
ROUTES = AdapterRoutes()


@pytest.fixture(scope="module")
def desired() -> DesiredState:
    files = {"models": MODEL, "rollouts": ROLLOUT, "clusters": CLUSTERS}
    return compiled(repository(**files, adapter=ADAPTER, adapter_rollout=ADAPTER_ROLLOUT)).state


@pytest.fixture
def unit(desired: DesiredState) -> Unit:
    ((_, found),) = desired.places_of("support")
    return found


def at(split: Split, candidate: Target | None = V2) -> Placement:
    return Placement(V1, candidate, split, (V1, *((candidate,) if candidate else ())))


def rules(unit: Unit) -> Any:
    (route,) = unit.manifests.values()
    return route.body["spec"]["rules"]


def weights(rule: Any) -> dict[str, int]:
    assert {backend["name"] for backend in rule["backendRefs"]} == {"fraud-detector"}
    return {mark_of(backend): backend["weight"] for backend in rule["backendRefs"]}


def entry_of(manifest: Manifest) -> Entry:
    applied = Applied(manifest, COMMIT, manifest.digest, "uid")
    return Entry(manifest.key, "rollout/support", "gateway.networking.k8s.io/v1", applied)


def entries(unit: Unit) -> tuple[Entry, ...]:
    return tuple(map(entry_of, unit.manifests.values()))


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        (NO_TRAFFIC, {ONE: 100, TWO: 0}),
        (FIVE, {ONE: 95, TWO: 5}),
        (ALL_TRAFFIC, {ONE: 0, TWO: 100}),
    ],
)
def test_weights_divide_one_service_by_adapters(
    unit: Unit, split: Split, expected: dict[str, int]
) -> None:
    found = ROUTES.position(unit, at(split), Found(loaded=BOTH))
    assert not found.missing
    (rule,) = rules(found.unit)
    assert weights(rule) == expected
    assert rule["matches"][0]["headers"] == [
        {"type": "Exact", "name": "x-model", "value": "support"}
    ]


def test_a_cohort_is_led_to_the_new_adapter_by_a_rule_with_one_header_more(unit: Unit) -> None:
    first, second = rules(ROUTES.position(unit, at(COHORT), Found(loaded=BOTH)).unit)
    assert weights(first) == {TWO: 100}
    assert [header["name"] for header in first["matches"][0]["headers"]] == ["x-model", "x-cohort"]
    assert weights(second) == {ONE: 100, TWO: 0}


def test_what_is_not_loaded_gets_no_traffic_and_the_route_stays_as_it_was(unit: Unit) -> None:
    before = ROUTES.position(unit, at(NO_TRAFFIC), Found(loaded=BOTH)).unit
    found = Found(entries(before), loaded=frozenset())
    held = ROUTES.position(unit, at(FIVE), found)
    assert held.missing == {Loaded("team-risk", "fraud-detector", TWO)}
    assert held.unit.digest == before.digest


def test_the_way_back_waits_for_nothing_that_has_traffic_already(unit: Unit) -> None:
    now = ROUTES.position(unit, at(FIVE), Found(loaded=BOTH)).unit
    back = ROUTES.position(unit, at(NO_TRAFFIC, None), Found(entries(now), loaded=frozenset()))
    assert not back.missing
    assert weights(rules(back.unit)[0]) == {ONE: 100}


def test_a_route_that_was_never_applied_waits_for_its_first_adapter(unit: Unit) -> None:
    held = ROUTES.position(unit, at(NO_TRAFFIC, None), Found())
    assert held.unit.manifests == {}
    assert held.missing


def test_the_version_that_serves_is_read_from_the_route(desired: DesiredState, unit: Unit) -> None:
    now = ROUTES.position(unit, at(FIVE), Found(loaded=BOTH)).unit
    rollout = desired.rollouts["support"]
    assert ROUTES.applied(desired, rollout, entries(now)) == V1
    assert ROUTES.applied(desired, rollout, ()) is None


def test_only_what_is_ours_and_named_nowhere_is_surplus(desired: DesiredState, unit: Unit) -> None:
    now = ROUTES.position(unit, at(FIVE), Found(loaded=BOTH)).unit
    shelf = shelf_of(desired, desired.rollouts["support"], [V1], entries(now))
    assert shelf.digests == {ONE: V1.build}
    assert shelf.source(ONE) == f"/adapters/{DIGEST.removeprefix('sha256:')}"
    surplus = [TWO, "support@0123456789ab", "support", "supports@0123456789ab", "other@1"]
    assert list(filter(shelf.is_surplus, surplus)) == ["support@0123456789ab"]


async def test_two_adapters_on_one_replica_are_counted_apart() -> None:
    def metrics(asked: Asked) -> Answer:
        text = "".join(
            f"# TYPE {name} counter\n"
            + f'{name}{{model_name="{ONE}"}} {one}\n{name}{{model_name="{TWO}"}} {two}\n'
            for name, one, two in (("ok_total", 90, 7), ("bad_total", 1, 3))
        )
        return Answer(200, text.encode())

    replicas = MemoryReplicas(metrics)
    replicas.put(Replica("team-risk", "a", "uid-a", "10.0.0.1"), {"app": "base"})
    signals = Signals(succeeded="ok_total", failed="bad_total", label="model_name")
    stable, candidate = (
        Side(version, Answering({"app": "base"}, 8000, name))
        for version, name in (("v1", ONE), ("v2", TWO))
    )
    subject = Subject("support", "team-risk", signals, candidate, stable)
    readings = await scrape(ClusterName("one"), replicas, subject)
    assert readings.trouble == ""
    assert readings.stable.keys().isdisjoint(readings.candidate)
    assert [(s.requests, s.errors) for s in readings.stable.values()] == [(91, 1)]
    assert [(s.requests, s.errors) for s in readings.candidate.values()] == [(10, 3)]

"""Rules that others keep in the route of a rollout stay, while ours are moved and put back."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest

from reconciler.core.errors import Outdated
from reconciler.core.rollouts.states import Phase
from reconciler.engine.sharing import MERGES
from tests.engine.rollout_world import ROUTE, RolloutWorld

pytestmark = pytest.mark.looptime

THEIRS: Any = {
    "matches": [{"path": {"type": "PathPrefix", "value": "/docs"}}],
    "backendRefs": [{"name": "docs", "port": 80, "weight": 1}],
}
SHADOW: Any = {"name": "shadow", "port": 80, "weight": 3}


class SharedRoute(RolloutWorld):
    """Users of the model alone: what they go by are the rules and backends of the rollout."""

    def rules(self, cluster: str | None = None) -> list[dict[str, Any]]:
        return [
            {**rule, "backendRefs": [ref for ref in rule["backendRefs"] if ref != SHADOW]}
            for rule in super().rules(cluster)
            if rule != THEIRS
        ]

    def all_rules(self) -> list[dict[str, Any]]:
        return super().rules()


def visit(world: SharedRoute) -> None:
    """Somebody adds a rule in front, a backend to the rule of all requests, and a time limit."""

    def change(body: Any) -> None:
        rules = body["spec"]["rules"]
        rules[-1]["backendRefs"].append(copy.deepcopy(SHADOW))
        rules[-1]["timeouts"] = {"request": "9s"}
        rules.insert(0, copy.deepcopy(THEIRS))

    world.cluster.edit_as("kubectl-edit", ROUTE, change)


def is_kept(world: SharedRoute) -> bool:
    rules = world.all_rules()
    return (
        rules[0] == THEIRS
        and SHADOW in rules[-1]["backendRefs"]
        and rules[-1]["timeouts"] == {"request": "9s"}
    )


async def kept_until(world: SharedRoute, so: Any) -> None:
    """Until something is so; what others have is there at every look."""

    def look() -> bool:
        assert is_kept(world), world.all_rules()
        return bool(so())

    await world.until(look)


async def test_what_others_added_is_there_through_a_whole_rollout() -> None:
    world = SharedRoute()
    first = world.declare("v1")
    async with world.running() as engine:
        await world.until_applied(engine, first)
        visit(world)
        world.declare("v2")
        await kept_until(world, lambda: world.shares().get("v2") == 5)
        await kept_until(world, lambda: world.shares() == {"v2": 100})
        await kept_until(world, lambda: world.state(engine).phase is Phase.SETTLED)


async def test_what_others_added_is_there_after_an_abort() -> None:
    world = SharedRoute()
    first = world.declare("v1")
    async with world.running() as engine:
        await world.until_applied(engine, first)
        visit(world)
        world.errors["v2"] = 0.5
        world.declare("v2")
        await kept_until(world, lambda: len(world.rules()) == 2)
        await kept_until(world, lambda: world.state(engine).failure is not None)
        await kept_until(world, lambda: len(world.rules()) == 1)
        assert world.shares() == {"v1": 100}


async def test_adding_a_rule_costs_no_request_and_no_record() -> None:
    world = SharedRoute()
    first = world.declare("v1")
    async with world.running() as engine:
        await world.until_applied(engine, first)
        requests = len(world.cluster.requests)
        records = len(await world.store.records())
        visit(world)
        await world.until(lambda: observed_rules(engine) == 2)
        await asyncio.sleep(60)
        assert len(world.cluster.requests) == requests
        assert len(await world.store.records()) == records


def observed_rules(engine: Any) -> int:
    (session,) = engine.leader.sessions.values()
    return len(session.observer.get(ROUTE).body["spec"]["rules"])


async def test_a_weight_of_ours_is_put_back_beside_what_others_have() -> None:
    world = SharedRoute()
    first = world.declare("v1")
    async with world.running() as engine:
        await world.until_applied(engine, first)
        visit(world)

        def change(body: Any) -> None:
            body["spec"]["rules"][-1]["backendRefs"][0]["weight"] = 1

        world.cluster.edit_as("kubectl-edit", ROUTE, change)
        assert world.shares()["v1"] == 1
        await kept_until(world, lambda: world.shares() == {"v1": 100})


async def test_a_rule_that_comes_between_look_and_write_is_not_lost() -> None:
    world = SharedRoute()
    first = world.declare("v1")
    async with world.running() as engine:
        await world.until_applied(engine, first)
        visits = []

        def admission(body: Any) -> None:
            """Just before our write is stored, somebody writes."""
            if body["kind"] == "HTTPRoute" and "resourceVersion" in body["metadata"] and not visits:
                visits.append(body)
                visit(world)

        world.cluster.admission = admission
        world.declare("v2")
        await world.until(lambda: bool(visits))
        await kept_until(world, lambda: world.shares() == {"v2": 100})
        assert world.state(engine).failure is None


async def test_a_route_that_others_write_all_the_time_delays_and_fails_nothing() -> None:
    world = SharedRoute()
    first = world.declare("v1")
    async with world.running() as engine:
        await world.until_applied(engine, first)
        world.cluster.fail(Outdated("written"), verb="apply", key=ROUTE, times=2 * MERGES + 1)
        world.declare("v2")
        await world.until_serving(engine, "v2")
        assert world.state(engine).failure is None


async def test_a_rule_that_another_applier_owns_stays_its_own() -> None:
    world = SharedRoute()
    first = world.declare("v1")
    async with world.running() as engine:
        await world.until_applied(engine, first)
        live: Any = world.cluster.peek(ROUTE)
        spec = {"rules": [copy.deepcopy(THEIRS), *live["spec"]["rules"]]}
        body = {
            "apiVersion": live["apiVersion"],
            "kind": live["kind"],
            "metadata": {"name": ROUTE.name, "namespace": ROUTE.namespace},
            "spec": spec,
        }
        world.cluster.apply_as("docs-operator", body)
        second = world.declare("v2")
        await world.until_serving(engine, "v2")
        await world.until_applied(engine, second)
        assert world.all_rules()[0] == THEIRS


async def test_what_others_take_away_again_does_not_come_back() -> None:
    world = SharedRoute()
    first = world.declare("v1")
    async with world.running() as engine:
        await world.until_applied(engine, first)
        visit(world)
        world.declare("v2")
        await world.until(lambda: world.shares().get("v2") == 5)

        def change(body: Any) -> None:
            body["spec"]["rules"].remove(THEIRS)

        world.cluster.edit_as("kubectl-edit", ROUTE, change)
        await world.until(lambda: world.shares() == {"v2": 100})
        assert THEIRS not in world.all_rules()


async def test_a_mark_that_somebody_edits_does_not_keep_a_failing_version() -> None:
    world = RolloutWorld()
    first = world.declare("v1")
    async with world.running() as engine:
        await world.until_applied(engine, first)
        world.declare("v2")
        await world.until(lambda: world.shares() == {"v1": 75, "v2": 25})

        def change(body: Any) -> None:
            body["metadata"]["annotations"]["fairlead.dev/backends"] = "x"

        world.cluster.edit_as("kubectl-edit", ROUTE, change)
        world.errors["v2"] = 0.6
        await world.until(lambda: world.shares().get("v2", 0) == 0)

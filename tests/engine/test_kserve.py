"""Rollouts that KServe divides: weights come, a bad version goes, and nothing starts twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from reconciler.core.rollouts.states import Phase
from reconciler.engine.driving import Engine
from tests.engine.kserve_world import SERVICE, STEPS, WAYS, KServeWorld

pytestmark = pytest.mark.looptime


async def started(world: KServeWorld, engine: Engine, **said: Any) -> None:
    """v1 has all the requests, and a commit asks for v2."""
    await world.until_applied(engine, world.declare("v1", **said))
    world.declare("v2", **said)
    await world.until(lambda: world.state(engine).candidate is not None)


def versions(world: KServeWorld, cluster: str | None = None) -> list[str]:
    """Those in the object, the predictor's first."""
    found = world.spec(cluster)
    canaries = [canary["predictor"]["name"] for canary in found["canary"]]
    return [found["predictor"]["name"], *canaries]


async def test_a_good_version_takes_every_weight_and_nothing_is_started_twice() -> None:
    world = KServeWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until_serving(engine, "v2")
        await world.until(lambda: versions(world) == ["v1", "v2"])
        await world.until(lambda: world.state(engine).phase is Phase.SETTLED)
        await world.until(lambda: versions(world) == ["v2"])
        assert world.ways["one"] == WAYS
        assert world.starts == {("one", "v1"): 1, ("one", "v2"): 1}
        assert min(world.fewest.values()) == 2
        assert world.bad_answers("v1") == world.bad_answers("v2") == 0


async def test_a_bad_version_is_taken_back_at_its_first_weight() -> None:
    world = KServeWorld()
    world.errors["v2"] = 1.0
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.state(engine).failure is not None)
        await world.until_serving(engine, "v1")
        failure = world.state(engine).failure
        assert failure is not None
        assert (failure.gate, "5 %" in failure.step) == ("errors", True)
        assert world.bad_answers("v2") < 40
        await world.until(lambda: versions(world) == ["v1"])
        assert world.starts["one", "v1"] == 1


async def test_going_back_to_a_warm_version_takes_no_step_and_starts_nothing() -> None:
    world = KServeWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until_serving(engine, "v2")
        began = world.clock.monotonic()
        world.declare("v1")
        await world.until_serving(engine, "v1")
        assert world.clock.monotonic() - began < 3.0
        assert world.starts == {("one", "v1"): 1, ("one", "v2"): 1}


async def test_a_version_that_fails_with_all_requests_gives_them_back_to_the_warm_one() -> None:
    world = KServeWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until_serving(engine, "v2")
        await world.until(lambda: world.state(engine).phase is Phase.WATCHED)
        world.errors["v2"] = 0.5
        await world.until_serving(engine, "v1")
        assert world.starts["one", "v1"] == 1


async def test_what_is_no_longer_warm_gets_requests_when_it_is_up_and_takes_no_step() -> None:
    world = KServeWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until_serving(engine, "v2")
        await world.until(lambda: versions(world) == ["v2"])
        world.broken.add("v1")
        world.declare("v1")
        await world.until(lambda: world.state(engine).serving.version == "v1")
        await asyncio.sleep(120)
        assert versions(world) == ["v2", "v1"]
        assert world.shares() == {"v2": 100}
        world.come_up("v1")
        await world.until(lambda: versions(world) == ["v1"])
        assert world.ways["one"] == [*WAYS, "v1"]
        assert world.bad_answers("v1") == world.bad_answers("v2") == 0


async def test_a_version_that_does_not_come_up_gets_no_request() -> None:
    world = KServeWorld()
    world.broken.add("v2")
    async with world.running() as engine:
        await started(world, engine, extra="    deadline: 5m\n")
        await world.until(lambda: world.state(engine).failure is not None)
        await world.until(lambda: versions(world) == ["v1"])
        assert world.to("v2") == 0
        assert world.ways["one"] == ["v1"]


async def test_a_version_whose_replicas_go_is_taken_back() -> None:
    world = KServeWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.shares() == {"v1": 75, "v2": 25})
        at = world.clock.monotonic()
        world.break_down("v2")
        await world.until(lambda: world.state(engine).failure is not None)
        failure = world.state(engine).failure
        assert failure is not None
        assert "have not been up" in failure.reason
        assert world.clock.monotonic() - at < 20
        await world.until(lambda: versions(world) == ["v1"])


async def test_a_newer_version_takes_the_place_of_one_on_its_way() -> None:
    world = KServeWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.shares() == {"v1": 95, "v2": 5})
        world.declare("v3")
        await world.until(lambda: versions(world) == ["v1", "v3", "v2"])
        await world.until_serving(engine, "v3")
        assert world.starts["one", "v1"] == 1


async def test_waves_go_one_after_the_other() -> None:
    world = KServeWorld("staging", "production")
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.state(engine).wave == 1)
        assert world.shares("staging") == {"v2": 100}
        assert versions(world, "production")[0] == "v1"
        await world.until_serving(engine, "v2")
        assert world.ways["production"] == WAYS
        assert set(world.starts.values()) == {1}


async def test_a_restart_in_the_middle_goes_on_where_it_was() -> None:
    world = KServeWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.shares() == {"v1": 75, "v2": 25})
    async with world.running() as engine:
        await world.until_serving(engine, "v2")
        assert world.ways["one"] == WAYS
        assert world.starts == {("one", "v1"): 1, ("one", "v2"): 1}


async def test_weights_that_somebody_changes_are_put_back() -> None:
    world = KServeWorld()

    def change(body: Any) -> None:
        body["spec"]["canary"] = []

    async with world.running() as engine:
        steps = STEPS.replace("{weight: 5%, requests: 20}", "{weight: 5%, requests: 1000000}")
        await started(world, engine, strategy=steps)
        await world.until(lambda: world.shares() == {"v1": 95, "v2": 5})
        world.cluster.edit_as("kubectl", SERVICE, change)
        assert world.shares() == {"v1": 100}
        await world.until(lambda: world.shares() == {"v1": 95, "v2": 5})


async def test_a_cluster_without_kserve_refuses_the_commit_and_says_so() -> None:
    world = KServeWorld(served=False)
    async with world.running() as engine:
        commit = world.declare("v1")
        await world.until_refused(engine, commit)
        explanation = engine.books.position.explanation
        assert "does not serve InferenceService in serving.kserve.io/v1beta1" in explanation
        await asyncio.sleep(5)
        assert not any(verb == "apply" for verb, _ in world.writes())

"""Rollouts under traffic: a good version gets there, a bad one does not, whatever happens."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from reconciler.adapters.cluster_memory_status import never_becomes_ready
from reconciler.core.audit.records import Verb
from reconciler.core.identifiers import ObjectKey
from reconciler.core.presenting.lines import plain_text
from reconciler.core.presenting.rollout_text import explanation_lines
from reconciler.core.rollouts.evidence import decide, evidence_from_json
from reconciler.core.rollouts.history import move_of
from reconciler.core.rollouts.states import Phase, state_json
from reconciler.core.verdicts import verdict_json
from reconciler.engine.driving import Engine
from tests.engine.rollout_world import RolloutWorld

pytestmark = pytest.mark.looptime


async def test_the_first_version_of_all_gets_the_traffic_at_once() -> None:
    world = RolloutWorld()
    commit = world.declare("v1")
    async with world.running() as engine:
        await world.until_applied(engine, commit)
        assert world.shares() == {"v1": 100}


async def test_a_good_version_takes_every_step_and_then_all_the_traffic() -> None:
    world = RolloutWorld()
    first = world.declare("v1")
    async with world.running() as engine:
        await world.until_applied(engine, first)
        second = world.declare("v2")
        await world.until_serving(engine, "v2")
        await world.until_applied(engine, second)
        assert world.ways["one"] == ["v1", "v1 cohort", "v1 mirror", "v2 5", "v2 25", "v2 100"]
        assert world.bad_answers("v2") == 0


async def started(world: RolloutWorld, engine: Engine, **said: Any) -> None:
    """v1 has all the traffic, and a commit asks for v2."""
    first = world.declare("v1", **said)
    await world.until_applied(engine, first)
    world.declare("v2", **said)
    await world.until(lambda: world.state(engine).candidate is not None)


async def test_a_version_that_fails_is_stopped_on_the_cohort() -> None:
    world = RolloutWorld()
    world.errors["v2"] = 1.0
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.state(engine).failure is not None)
        await world.until_serving(engine, "v1")
        failure = world.state(engine).failure
        assert failure.gate == "errors"
        assert "cohort" in failure.step
        assert world.bad_answers("v2") < 40


async def test_a_version_that_fails_later_is_stopped_at_its_weight() -> None:
    world = RolloutWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.shares() == {"v1": 95, "v2": 5})
        world.errors["v2"] = 0.2
        await world.until_serving(engine, "v1")
        assert "5 %" in world.state(engine).failure.step
        assert world.to("v2") < 1000


async def test_a_version_that_fails_with_all_the_traffic_gives_it_back_to_the_warm_one() -> None:
    world = RolloutWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until_serving(engine, "v2")
        await world.until(lambda: world.state(engine).phase is Phase.WATCHED)
        world.errors["v2"] = 0.5
        await world.until_serving(engine, "v1")
        assert world.state(engine).failure.gate == "errors"


async def test_a_version_that_held_is_settled_and_the_warm_one_goes() -> None:
    world = RolloutWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until_serving(engine, "v2")
        await world.until(lambda: world.state(engine).phase is Phase.SETTLED)
        await world.until(lambda: not world.state(engine).active)
        await world.until(lambda: versions_loaded(world) == {"v2"})


async def test_a_failed_version_does_not_come_again_by_itself_not_even_after_a_restart() -> None:
    world = RolloutWorld()
    world.errors["v2"] = 1.0
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.state(engine).failure is not None)
        await world.until_serving(engine, "v1")
    world.errors.clear()
    async with world.running() as engine:
        await world.until(lambda: bool(engine.leader.sessions))
        await asyncio.sleep(900)
        assert world.shares() == {"v1": 100}
        assert world.state(engine).serving.version == "v1"


async def test_the_same_version_comes_again_when_a_commit_builds_it_anew() -> None:
    world = RolloutWorld()
    world.errors["v2"] = 1.0
    async with world.running() as engine:
        await started(world, engine)
        await world.until_serving(engine, "v1")
        await world.until(lambda: world.state(engine).failure is not None)
        world.errors.clear()
        world.declare("v2", digit="b")
        await world.until_serving(engine, "v2")


async def test_going_back_to_a_warm_version_takes_no_step() -> None:
    world = RolloutWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until_serving(engine, "v2")
        began = world.clock.monotonic()
        world.declare("v1")
        await world.until_serving(engine, "v1")
        assert world.clock.monotonic() - began < 3.0


@pytest.mark.parametrize("trouble", ["silent", "no-metrics", "no-traffic"])
async def test_without_evidence_the_traffic_goes_back_at_the_deadline(trouble: str) -> None:
    world = RolloutWorld()
    async with world.running() as engine:
        await started(world, engine, extra="    deadline: 5m\n")
        await world.until(lambda: world.shares() == {"v1": 95, "v2": 5})
        at = world.clock.monotonic()
        match trouble:
            case "silent":
                world.silent.add("v2")
            case "no-metrics":
                world.drop_metrics = True
            case "no-traffic":
                world.rate = 0.0
        await world.until_serving(engine, "v1")
        assert 290 < world.clock.monotonic() - at < 320
        assert "no evidence within 300 s" in world.state(engine).failure.reason


async def test_low_traffic_waits_and_gets_there() -> None:
    world = RolloutWorld(rate=2.0)
    world.cohort = 0.3
    async with world.running() as engine:
        await started(world, engine, extra="    deadline: 3h\n")
        await world.until(lambda: world.state(engine).phase is Phase.WATCHED, seconds=40_000)
        assert world.state(engine).serving.version == "v2"


async def test_a_provider_that_comes_and_goes_only_delays() -> None:
    world = RolloutWorld()
    async with world.running() as engine:
        await started(world, engine)

        async def flap() -> None:
            while True:
                world.silent ^= {"v2"}
                await asyncio.sleep(3.0)

        flapping = asyncio.create_task(flap())
        await world.until_serving(engine, "v2")
        flapping.cancel()


async def test_a_newer_version_takes_the_place_of_one_on_its_way() -> None:
    world = RolloutWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.shares() == {"v1": 95, "v2": 5})
        world.declare("v3")
        await world.until(lambda: world.state(engine).candidate.version == "v3")
        await world.until(lambda: world.shares() == {"v1": 100})
        await world.until_serving(engine, "v3")
        await world.until(lambda: versions_loaded(world) == {"v1", "v3"})


async def test_an_abort_in_one_wave_takes_all_clusters_back() -> None:
    world = RolloutWorld("staging", "production")
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.state(engine).wave == 1)
        assert world.shares("staging") == {"v2": 100}
        assert world.shares("production") == {"v1": 100}
        await world.until(lambda: world.shares("production") == {"v1": 95, "v2": 5})
        world.errors["v2"] = 0.3
        await world.until_serving(engine, "v1")
        assert world.state(engine).failure.step.startswith("wave 2")


async def test_a_wave_that_has_everything_is_judged_while_the_next_one_steps() -> None:
    world = RolloutWorld("staging", "production")
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.shares("production") == {"v1": 95, "v2": 5})
        world.failing_clusters["staging"] = 0.3
        await world.until_serving(engine, "v1")
        assert "with all traffic" in world.state(engine).failure.reason


async def test_a_version_whose_replicas_go_down_is_taken_back() -> None:
    world = RolloutWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.shares() == {"v1": 95, "v2": 5})
        key = deployment_of("v2")
        world.cluster.set_status(key, never_becomes_ready(world.cluster.peek(key)))
        await world.until_serving(engine, "v1")
        assert "replicas" in world.state(engine).failure.reason


async def test_every_decision_follows_again_from_its_record() -> None:
    world = RolloutWorld()
    world.errors["v3"] = 0.5
    async with world.running() as engine:
        await started(world, engine)
        await world.until_serving(engine, "v2")
        world.declare("v3")
        await world.until(lambda: world.state(engine).failure is not None)
    moves = [r for r in await world.records() if r.verb is Verb.ROLLOUT and "evidence" in r.detail]
    assert {"enter-step", "promote", "abort"} <= {record.result for record in moves}
    for record in moves:
        verdicts, decision = decide(evidence_from_json(record.detail["evidence"]))
        assert [verdict_json(verdict) for verdict in verdicts] == record.detail["verdicts"]
        assert state_json(decision.state) == record.detail["state"]
        assert (decision.move.value, decision.why) == (record.result, record.detail["why"])


def versions_loaded(world: RolloutWorld) -> set[str]:
    return {key.name.removeprefix("fraud-") for key in world.objects() if key.kind == "Deployment"}


def deployment_of(version: str) -> ObjectKey:
    return ObjectKey("apps", "Deployment", "team-a", f"fraud-{version}")


async def test_an_abort_is_explained_with_its_number_its_line_and_when_it_was_crossed() -> None:
    world = RolloutWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.shares() == {"v1": 95, "v2": 5})
        world.errors["v2"] = 0.3
        await world.until(lambda: world.state(engine).failure is not None)
    logged = await world.store.records(limit=10_000)
    found = (move_of(item.index, item.record) for item in logged)
    move = [one for one in found if one is not None][-1]
    told = plain_text(explanation_lines(move))
    assert move.replayed() == ()
    assert "fraud  abort of v2" in told
    assert "fail gate errors" in told
    assert "takes back when evidence" in told
    assert "crossed its line" in told


async def test_a_decision_that_was_tampered_with_comes_out_otherwise() -> None:
    world = RolloutWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until_serving(engine, "v2")
    logged = await world.store.records(limit=10_000)
    found = (move_of(item.index, item.record) for item in logged)
    move = next(one for one in found if one is not None and one.move == "enter-step")
    forged = replace(move, why="because somebody said so")
    assert [text.partition(":")[0] for text in forged.replayed()] == ["reason"]

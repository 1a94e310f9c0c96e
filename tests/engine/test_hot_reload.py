"""LoRA adapters are rolled out onto servers that run: loaded first, routed after, never renamed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from reconciler.core.audit.records import Verb
from reconciler.core.errors import Unavailable
from reconciler.core.rollouts.states import Phase
from reconciler.core.samples import EvaluationResult
from reconciler.engine.driving import Engine
from reconciler.ports import Comparison
from tests.engine.lora_world import (
    SERVER,
    SERVER_MODEL,
    WAYS,
    LoraWorld,
    adapters,
    digest,
    named,
)
from tests.engine.rollout_world import GATE

pytestmark = pytest.mark.looptime

OTHER = {
    "models/other.yaml": SERVER_MODEL.replace("base", "other"),
    "rollouts/other.yaml": SERVER.replace("base", "other").replace(
        "WAVES", "{clusters: {env: one}}"
    ),
}
"""A second server."""

GOLDEN = {
    "gates/answers.yaml": GATE.replace("name: errors", "name: answers").replace(
        "{errorRate: {atMost: 5%}}", "{evaluation: {name: golden}}"
    ),
    "evaluations/golden.yaml": """\
apiVersion: fairlead.dev/v1alpha1
kind: Evaluation
metadata: {name: golden}
spec: {owner: team-risk, golden: {items: [{name: one, request: {prompt: hello}, answer: 1}]}}
""",
}


async def started(world: LoraWorld, engine: Engine, **said: Any) -> None:
    """v1 has all the traffic, and a commit asks for v2."""
    await world.until_applied(engine, world.declare("v1", **said))
    world.declare("v2", **said)
    await world.until(lambda: world.state(engine).candidate is not None)


async def test_the_first_adapter_is_loaded_everywhere_before_its_alias_leads_to_it() -> None:
    world = LoraWorld()
    async with world.running() as engine:
        commit = world.declare("v1")
        await world.until_applied(engine, commit)
        assert world.has("v1") == [True, True]
        await world.until(lambda: world.to("v1") > 100)
        assert world.missed == []


async def test_a_good_adapter_takes_every_step_and_the_old_one_goes_after_it_was_kept_warm() -> (
    None
):
    world = LoraWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until_serving(engine, "v2")
        assert world.ways["one"] == WAYS
        assert world.has("v1") == [True, True]
        began = world.clock.monotonic()
        await world.until(lambda: world.has("v1") == [False, False])
        assert world.clock.monotonic() - began > 110
        assert world.has("v2") == [True, True]
        assert (world.missed, world.strays) == ([], [])
        assert world.bad_answers("v2") == 0


async def test_a_bad_adapter_is_taken_back_on_the_cohort() -> None:
    world = LoraWorld()
    world.errors["v2"] = 1.0
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.state(engine).failure is not None)
        await world.until_serving(engine, "v1")
        assert world.state(engine).failure.gate == "errors"
        assert "cohort" in world.state(engine).failure.step
        assert world.bad_answers("v2") < 40
        await world.until(lambda: world.has("v2") == [False, False])
        assert (world.missed, world.strays, world.bad_answers("v1")) == ([], [], 0)


async def test_an_adapter_that_fails_later_is_told_apart_on_the_same_replicas() -> None:
    world = LoraWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.shares() == {"v1": 95, "v2": 5})
        world.errors["v2"] = 0.2
        await world.until_serving(engine, "v1")
        failure = world.state(engine).failure
        assert failure.gate == "errors"
        assert "5 %" in failure.step
        assert world.to("v2") < 1000
        assert (world.missed, world.strays) == ([], [])


async def test_an_adapter_that_fails_with_all_the_traffic_gives_it_back_to_the_warm_one() -> None:
    world = LoraWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until_serving(engine, "v2")
        await world.until(lambda: world.state(engine).phase is Phase.WATCHED)
        world.errors["v2"] = 0.5
        await world.until_serving(engine, "v1")
        assert (world.missed, world.strays) == ([], [])


async def test_going_back_to_an_adapter_that_is_warm_takes_no_step() -> None:
    world = LoraWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until_serving(engine, "v2")
        began = world.clock.monotonic()
        world.declare("v1")
        await world.until_serving(engine, "v1")
        assert world.clock.monotonic() - began < 3.0
        assert world.missed == []


async def test_going_back_to_an_adapter_that_was_unloaded_loads_it_first() -> None:
    world = LoraWorld(rate=20.0)
    async with world.running() as engine:
        await started(world, engine)
        await world.until_serving(engine, "v2")
        await world.until(lambda: world.has("v1") == [False, False])
        world.declare("v1")
        await world.until_serving(engine, "v1")
        assert (world.missed, world.strays) == ([], [])
        assert world.served.count(("load", "v1")) == 4


async def test_a_name_never_comes_to_mean_another_artifact() -> None:
    world = LoraWorld()
    async with world.running() as engine:
        await world.until_applied(engine, world.declare("v1", versions=["v1"]))
        same_name = digest("v1")[:12] + digest("v2")[12:]
        world.declare("v2", versions=["v2"], digests={"v2": same_name})
        await world.until(lambda: world.state(engine).failure is not None)
        assert "is the name of another artifact" in world.state(engine).failure.reason
        assert world.ever[named("v1")] == {f"/adapters/{digest('v1')}"}
        assert world.ways["one"] == ["v1"]


async def test_adapters_of_others_are_left_alone() -> None:
    world = LoraWorld()
    async with world.running() as engine:
        await world.until_applied(engine, world.declare("v1"))
        for server in world.servers():
            world.loaded[server.uid] |= {"fraud": "/a", "frauds@1": "/b", "fraud@stale": "/c"}
        await world.until(
            lambda: all("fraud@stale" not in world.loaded[one.uid] for one in world.servers())
        )
        assert all({"fraud", "frauds@1"} <= world.loaded[one.uid].keys() for one in world.servers())


async def test_a_later_wave_loads_when_its_turn_comes() -> None:
    world = LoraWorld("staging", "production")
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.shares("staging") == {"v1": 75, "v2": 25})
        assert world.has("v2", "staging") == [True, True]
        assert world.has("v2", "production") == [False, False]
        await world.until_serving(engine, "v2")
        assert world.ways["production"] == WAYS
        assert (world.missed, world.strays) == ([], [])


async def test_an_alias_moves_to_another_server_after_that_has_its_adapters() -> None:
    world = LoraWorld()
    async with world.running() as engine:
        await world.until_applied(engine, world.declare("v1", files=OTHER))
        moved = adapters("v1", digests={}).replace("server: base", "server: other")
        commit = world.declare("v1", files={**OTHER, "models/fraud.yaml": moved})
        await world.until_applied(engine, commit)
        assert world.rules()[0]["backendRefs"][0]["name"] == "other"
        await world.until(lambda: world.to("v1") > 1000)
        assert (world.missed, world.strays) == ([], [])
        await world.until(lambda: world.has("v1") == [False, False])
        assert all(named("v1") in world.loaded[one.uid] for one in world.servers(name="other"))


async def test_no_step_is_taken_while_the_version_before_is_not_loaded_where_it_must_be() -> None:
    world = LoraWorld()
    async with world.running() as engine:
        await world.until_applied(engine, world.declare("v1", files=OTHER))
        world.refusals["v1"] = "no such file"
        moved = adapters("v1", "v2", digests={}).replace("server: base", "server: other")
        world.declare("v2", files={**OTHER, "models/fraud.yaml": moved})
        await world.until(
            lambda: all(named("v2") in world.loaded[s.uid] for s in world.servers(name="other"))
        )
        for _ in range(60):
            await asyncio.sleep(1.0)
            assert world.state(engine).phase is Phase.STARTING
        assert world.rules()[0]["backendRefs"][0]["name"] == "base"
        assert (world.missed, world.to("v2")) == ([], 0)


async def test_an_alias_that_is_renamed_leaves_nothing_behind() -> None:
    world = LoraWorld()
    async with world.running() as engine:
        await world.until_applied(engine, world.declare("v1"))
        renamed = adapters("v1", digests={}).replace("alias: fraud", "alias: risk")
        await world.until_applied(engine, world.declare("v1", files={"models/fraud.yaml": renamed}))
        risk = named("v1").replace("fraud", "risk")
        await world.until(
            lambda: all(world.loaded[s.uid].keys() == {risk} for s in world.servers())
        )


async def test_a_rollout_that_is_removed_takes_its_adapters_along() -> None:
    world = LoraWorld()
    async with world.running() as engine:
        await world.until_applied(engine, world.declare("v1"))
        world.push({"models/fraud.yaml": None, "rollouts/fraud.yaml": None})
        await world.until(lambda: world.has("v1") == [False, False])
        assert world.rules() == []


async def test_an_adapter_stays_loaded_for_as_long_as_a_route_leads_to_it() -> None:
    world = LoraWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.shares() == {"v1": 95, "v2": 5})
        for verb in ("apply", "dry-run"):
            world.cluster.fail(Unavailable("connection refused"), verb=verb, times=7)
        world.errors["v2"] = 0.5
        await world.until(lambda: world.state(engine).failure is not None)
        need_not_stay = False
        while "v2" in world.shares():
            assert world.has("v2") == [True, True]
            need_not_stay = need_not_stay or not world.state(engine).kept
            await asyncio.sleep(0.5)
        assert need_not_stay, "the API server was not away for long enough"
        await world.until(lambda: world.has("v2") == [False, False])
        assert world.missed == []


class AskingWorld(LoraWorld):
    """Its evaluations ask both versions."""

    async def evaluate(self, evaluation: Any, versions: Comparison) -> EvaluationResult:
        for ask in (versions.ask_stable, versions.ask_candidate):
            await ask({"prompt": "hello"})
        return await super().evaluate(evaluation, versions)


async def test_evaluations_ask_each_adapter_by_its_name() -> None:
    world = AskingWorld()
    async with world.running() as engine:
        await started(world, engine, gates="[errors, answers]", files=GOLDEN)
        await world.until_serving(engine, "v2")
    asked = [one.body for one in world.replicas["one"].asked if one.path == "/v1/completions"]
    assert asked == [{"prompt": "hello", "model": named(version)} for version in ("v1", "v2")]


async def test_loads_and_unloads_are_in_the_log_once() -> None:
    world = LoraWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until_serving(engine, "v2")
        await world.until(lambda: world.has("v1") == [False, False])
    both = ["base-v1-0", "base-v1-1"]
    assert await loads_told(world) == [
        ("load", named("v1"), both, "one"),
        ("load", named("v2"), both, "one"),
        ("unload", named("v1"), both, "one"),
    ]


async def loads_told(world: LoraWorld) -> list[tuple[object, ...]]:
    """Loads and unloads that are in the log."""
    return [
        (record.result, record.detail["adapter"], record.detail["replicas"], record.cluster)
        for record in await world.records()
        if record.verb is Verb.ROLLOUT and record.result in ("load", "unload")
    ]

"""Prompts are rolled out onto servers that run: given first, verified by digest, routed after."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
import structlog

from reconciler.core.audit.records import Verb
from reconciler.core.samples import EvaluationResult
from reconciler.engine.driving import Engine
from reconciler.ports import Comparison
from tests.engine.lora_world import WAYS
from tests.engine.prompt_world import SECRET, PromptWorld, sha256, text
from tests.engine.test_hot_reload import GOLDEN

pytestmark = pytest.mark.looptime


async def started(world: PromptWorld, engine: Engine, **said: Any) -> None:
    """v1 has all the traffic, and a commit asks for v2."""
    await world.until_applied(engine, world.declare("v1", **said))
    world.declare("v2", **said)
    await world.until(lambda: world.state(engine).candidate is not None)


async def test_the_first_prompt_is_given_to_all_before_its_alias_leads_to_it() -> None:
    world = PromptWorld()
    async with world.running() as engine:
        await world.until_applied(engine, world.declare("v1"))
        assert world.has("v1") == [True, True]
        (rule,) = world.rules()
        (header,) = rule["matches"][0]["headers"]
        assert (header["name"], header["value"]) == ("x-prompt", "fraud")
        (mark,) = rule["backendRefs"][0]["filters"][0]["requestHeaderModifier"]["set"]
        assert mark == {"name": "x-prompt-version", "value": world.named("v1")}
        await world.until(lambda: world.to("v1") > 100)
        assert world.missed == []


async def test_a_good_prompt_takes_every_step_and_the_old_one_goes_after_it_was_kept_warm() -> None:
    world = PromptWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until_serving(engine, "v2")
        assert world.ways["one"] == WAYS
        assert world.has("v1") == [True, True]
        await world.until(lambda: world.has("v1") == [False, False])
        assert world.has("v2") == [True, True]
        assert (world.missed, world.strays) == ([], [])


async def test_a_prompt_that_makes_answers_fail_is_told_apart_on_the_same_replicas() -> None:
    world = PromptWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.shares() == {"v1": 95, "v2": 5})
        world.errors["v2"] = 0.3
        await world.until_serving(engine, "v1")
        assert world.state(engine).failure.gate == "errors"
        await world.until(lambda: world.has("v2") == [False, False])
        assert (world.missed, world.strays, world.bad_answers("v1")) == ([], [], 0)


async def test_going_back_to_a_prompt_that_is_warm_takes_no_step() -> None:
    world = PromptWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until_serving(engine, "v2")
        began = world.clock.monotonic()
        world.declare("v1")
        await world.until_serving(engine, "v1")
        assert world.clock.monotonic() - began < 3.0
        assert world.missed == []


async def test_a_text_that_came_out_as_another_gets_no_request() -> None:
    world = PromptWorld()
    world.garbled.add("v2")
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.state(engine).failure is not None)
        assert f"has {world.named('v2')} from {sha256('something else')}" in (
            world.state(engine).failure.reason
        )
        assert (world.to("v2"), world.ways["one"]) == (0, ["v1"])


async def test_a_restarted_server_is_given_its_prompts_before_it_counts() -> None:
    world = PromptWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.shares() == {"v1": 75, "v2": 25})
        world.restart(unready=5.0)
        await world.until(lambda: world.has("v1") == world.has("v2") == [True, True])
        await world.until_serving(engine, "v2")
        assert (world.missed, world.strays) == ([], [])


async def test_the_text_of_the_version_that_serves_is_not_rewritten() -> None:
    world = PromptWorld()
    async with world.running() as engine:
        await world.until_applied(engine, world.declare("v1", versions=["v1"]))
        texts = {"v1": text("v2")}
        await world.until_refused(engine, world.declare("v1", versions=["v1"], texts=texts))
        assert "prompt-reworded" in {problem.code for problem in engine.reconciler.problems}
        assert world.ways["one"] == ["v1"]
        world.declare("v2")
        await world.until_serving(engine, "v2")


async def test_a_text_that_is_in_the_commit_no_more_is_given_while_it_is_needed() -> None:
    """The commit that brings v2 removes v1, which has most of the requests for a while."""
    world = PromptWorld()
    async with world.running() as engine:
        await world.until_applied(engine, world.declare("v1", versions=["v1"]))
        world.declare("v2", versions=["v2"])
        await world.until(lambda: world.shares() == {"v1": 75, "v2": 25})
        world.restart(unready=5.0)
        await world.until(lambda: world.has("v1") == world.has("v2") == [True, True])
        await world.until_serving(engine, "v2")
        assert (world.missed, world.strays) == ([], [])


async def test_a_rollout_that_is_removed_takes_its_prompts_along() -> None:
    world = PromptWorld()
    async with world.running() as engine:
        await world.until_applied(engine, world.declare("v1"))
        world.push({"models/fraud.yaml": None, "rollouts/fraud.yaml": None})
        await world.until(lambda: world.has("v1") == [False, False])
        assert world.rules() == []


class AskingWorld(PromptWorld):
    """Its evaluations ask both versions."""

    async def evaluate(self, evaluation: Any, versions: Comparison) -> EvaluationResult:
        for ask in (versions.ask_stable, versions.ask_candidate):
            await ask({"prompt": "hello"})
        return await super().evaluate(evaluation, versions)


async def test_evaluations_ask_after_each_prompt_by_its_name() -> None:
    world = AskingWorld()
    async with world.running() as engine:
        await started(world, engine, gates="[errors, answers]", files=GOLDEN)
        await world.until_serving(engine, "v2")
    asked = [one.body for one in world.replicas["one"].asked if one.path == "/v1/completions"]
    assert asked == [
        {"prompt": "hello", "prompt_version": world.named(version)} for version in ("v1", "v2")
    ]


async def test_the_log_names_version_and_digest_and_never_the_text() -> None:
    world = PromptWorld()
    world.refusals["v3"] = f"too long: {text('v3')}"
    with structlog.testing.capture_logs() as lines:
        async with world.running() as engine:
            await started(world, engine)
            await world.until_serving(engine, "v2")
            await world.until(lambda: world.has("v1") == [False, False])
            world.declare("v3")
            await world.until(lambda: world.state(engine).failure is not None)
            assert "answers 400" in world.state(engine).failure.reason
            await asyncio.sleep(5.0)
    records = await world.records()
    told = [one for one in records if one.verb is Verb.ROLLOUT and one.result in ("load", "unload")]
    assert [(one.result, one.detail["prompt"]) for one in told[:3]] == [
        ("load", world.named("v1")),
        ("load", world.named("v2")),
        ("unload", world.named("v1")),
    ]
    assert told[1].detail["version"] == "v2"
    assert told[1].detail["alias"] == "fraud"
    assert told[1].detail["digest"] == f"sha256:{sha256(text('v2'))}"
    everything = orjson.dumps([*(one.detail for one in records), lines], default=str).decode()
    assert SECRET not in everything
    assert SECRET not in engine.books.position.explanation

"""Strategies: blue and green, approvals, and what a commit may change on the way."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.core.rollouts.states import Phase
from tests.engine.rollout_world import GATE, RolloutWorld
from tests.engine.test_rollouts import started, versions_loaded

pytestmark = pytest.mark.looptime

BLUE_GREEN = "    blueGreen: {requests: 20}\n    keepWarm: 10m\n"
APPROVAL = """\
    canary:
      steps:
      - {weight: 10%, requests: 20}
      - approval: {by: [agent/one]}
      - weight: 100%
    keepWarm: 10m
    deadline: 5m
"""
SCOPE = """\
apiVersion: fairlead.dev/v1alpha1
kind: AgentScope
metadata: {name: one}
spec:
  purpose: evaluation
  models: [{model: fraud, versions: [v1], actions: [infer]}]
  token: {audience: gateway}
  expires: '2037-06-30'
"""
APPROVED = "  approved: [{version: v2, step: 2, by: agent/one}]\n"


async def test_green_is_tried_on_the_preview_and_then_has_everything_at_once() -> None:
    world = RolloutWorld()
    async with world.running() as engine:
        await started(world, engine, strategy=BLUE_GREEN)
        await world.until_serving(engine, "v2")
        assert world.ways["one"] == ["v1", "v1 cohort", "v2 100"]
        preview = [m for m in world.previews if m["name"] == "x-fairlead-preview"]
        assert preview


async def test_blue_is_gone_back_to_in_one_step_while_it_is_warm() -> None:
    world = RolloutWorld()
    async with world.running() as engine:
        await started(world, engine, strategy=BLUE_GREEN)
        await world.until_serving(engine, "v2")
        world.declare("v1", strategy=BLUE_GREEN)
        await world.until_serving(engine, "v1")
        await world.until(lambda: world.ways["one"] == ["v1", "v1 cohort", "v2 100", "v1"])


async def test_a_step_waits_for_its_approval_and_a_commit_gives_it() -> None:
    world = RolloutWorld()
    said = {"strategy": APPROVAL, "files": {"agents/one.yaml": SCOPE}}
    async with world.running() as engine:
        await started(world, engine, **said)
        await world.until(lambda: world.state(engine).step == 1)
        await asyncio.sleep(300)
        assert world.shares() == {"v1": 90, "v2": 10}
        assert "approval" in engine.rollouts.looks["fraud"].decision.why
        world.declare("v2", extra=APPROVED, **said)
        await world.until_serving(engine, "v2")


async def test_a_version_that_fails_while_it_waits_for_approval_is_taken_back() -> None:
    world = RolloutWorld()
    said = {"strategy": APPROVAL, "files": {"agents/one.yaml": SCOPE}}
    async with world.running() as engine:
        await started(world, engine, **said)
        await world.until(lambda: world.state(engine).step == 1)
        world.errors["v2"] = 0.5
        await world.until_serving(engine, "v1")


async def test_a_commit_that_goes_back_on_the_way_ends_the_rollout_without_a_failure() -> None:
    world = RolloutWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.shares() == {"v1": 95, "v2": 5})
        world.declare("v1")
        await world.until_serving(engine, "v1")
        await world.until(lambda: versions_loaded(world) == {"v1"})
        assert world.state(engine).failure is None


async def test_steps_that_a_commit_shortens_do_not_bring_all_the_traffic_at_once() -> None:
    world = RolloutWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.shares() == {"v1": 75, "v2": 25})
        world.rate = 0.0
        short = "    canary: {steps: [{weight: 10%}, {weight: 100%}]}\n"
        world.declare("v2", strategy=short)
        await world.until(lambda: world.shares() == {"v1": 90, "v2": 10})
        await asyncio.sleep(60)
        assert "v2 100" not in world.ways["one"]


async def test_other_commits_do_not_disturb_a_rollout() -> None:
    world = RolloutWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.shares() == {"v1": 95, "v2": 5})
        entered = world.state(engine).entered
        commit = world.push({"README.md": b"more words\n"})
        await world.until(lambda: engine.books.position.accepted == commit)
        assert world.state(engine).entered == entered
        await world.until_serving(engine, "v2")
        assert len(world.ways["one"]) == 6


async def test_a_stricter_gate_of_a_later_commit_judges_from_then_on() -> None:
    world = RolloutWorld()
    world.errors["v2"] = 0.02
    world.errors["v1"] = 0.02
    async with world.running() as engine:
        await started(world, engine)
        await world.until_serving(engine, "v2")
        strict = GATE.replace("5%", "0.1%")
        world.push({"gates/errors.yaml": strict.encode()})
        await world.until(lambda: world.state(engine).phase is Phase.SETTLED)
        assert world.state(engine).failure is not None

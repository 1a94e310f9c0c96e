"""Rollouts in trouble: each ends in a state that is safe, and says why."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.adapters.cluster_memory import MemoryCluster
from reconciler.adapters.cluster_memory_status import becomes_ready, never_becomes_ready
from reconciler.core.errors import Unavailable
from reconciler.core.identifiers import ClusterName
from reconciler.core.manifests import JsonObject
from reconciler.core.rollouts.states import Phase
from reconciler.core.samples import EvaluationResult, ItemResult
from tests.engine.rollout_world import GATE, ROUTE, RolloutWorld, model, rollout
from tests.engine.test_rollouts import deployment_of, started
from tests.engine.world import STUCK

pytestmark = pytest.mark.looptime

ONE = ClusterName("one")


def unaccepted(body: JsonObject) -> JsonObject | None:
    """No controller answers for routes."""
    return {"parents": []} if body.get("kind") == "HTTPRoute" else becomes_ready(body)


def replace_cluster(world: RolloutWorld, status: object = becomes_ready) -> None:
    world.clusters[ONE] = MemoryCluster(ONE, clock=world.clock, status=status)
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-a"}}
    world.cluster.apply_as("kubectl", body)


async def test_a_cluster_that_is_rebuilt_on_the_way_is_put_where_it_was() -> None:
    world = RolloutWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.shares() == {"v1": 75, "v2": 25})
    replace_cluster(world)
    async with world.running() as engine:
        await world.until(lambda: bool(world.rules()))
        assert world.shares() == {"v1": 75, "v2": 25}
        await world.until_serving(engine, "v2")


async def test_a_gateway_that_does_not_take_the_route_ends_at_the_deadline() -> None:
    world = RolloutWorld()
    async with world.running() as engine:
        await started(world, engine, extra="    deadline: 5m\n")
        await world.until(lambda: world.shares() == {"v1": 95, "v2": 5})
        world.cluster.status = unaccepted
        world.cluster.set_status(ROUTE, {"parents": []})
        await world.until(lambda: world.state(engine).failure is not None)
        assert "gateway" in world.state(engine).failure.reason
        assert world.shares() == {"v1": 100}


async def test_a_version_that_does_not_start_never_gets_traffic() -> None:
    world = RolloutWorld()
    async with world.running() as engine:
        first = world.declare("v1")
        await world.until_applied(engine, first)
        world.declare("v2", digit=STUCK)
        await world.until(lambda: world.state(engine).failure is not None, seconds=4000)
        assert world.ways["one"] == ["v1"]
        assert world.state(engine).serving.version == "v1"


async def test_a_wave_that_starts_hides_no_replicas_that_go_down_in_the_one_before() -> None:
    world = RolloutWorld("staging", "production")
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.shares("staging") == {"v1": 75, "v2": 25})
        world.clusters[ClusterName("production")].status = never_becomes_ready
        await world.until(lambda: world.state(engine).wave == 1)
        staging = world.clusters[ClusterName("staging")]
        staging.set_status(
            deployment_of("v2"), never_becomes_ready(staging.peek(deployment_of("v2")))
        )
        await world.until(lambda: world.state(engine).failure is not None, seconds=60)
        assert "replicas" in world.state(engine).failure.reason


async def test_an_api_server_that_is_away_at_the_abort_gets_the_traffic_back_when_it_answers() -> (
    None
):
    world = RolloutWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.shares() == {"v1": 95, "v2": 5})
        for verb in ("apply", "dry-run"):
            world.cluster.fail(Unavailable("connection refused"), verb=verb, times=20)
        world.errors["v2"] = 0.5
        await world.until_serving(engine, "v1")


async def test_two_rollouts_do_not_wait_for_each_other() -> None:
    world = RolloutWorld()

    def both(version: str) -> dict[str, str]:
        """The same under another name, which nobody asks anything."""
        texts = model("v1", "v2"), rollout(version)
        other = (text.replace("fraud", "other") for text in texts)
        return dict(zip(("models/other.yaml", "rollouts/other.yaml"), other, strict=True))

    async with world.running() as engine:
        await world.until_applied(engine, world.declare("v1", files=both("v1")))
        world.declare("v2", files=both("v2"))
        await world.until(lambda: world.state(engine).candidate is not None)
        await world.until_serving(engine, "v2")
        waiting = engine.rollouts.looks["other"]
        assert waiting.evidence.state.phase is Phase.STEPPING
        assert "0 of 20 requests answered in this step" in waiting.decision.why


@pytest.mark.parametrize(("right", "serving"), [(True, "v2"), (False, "v1")])
async def test_the_answers_decide(right: bool, serving: str) -> None:
    world = RolloutWorld()
    items = tuple(ItemResult(str(n), stable=True, candidate=right) for n in range(20))
    world.evaluations["v2"] = EvaluationResult(items)
    golden = (
        "apiVersion: fairlead.dev/v1alpha1\nkind: Evaluation\nmetadata: {name: golden}\n"
        "spec: {owner: team-risk, golden: {items: [{name: one, request: 1, answer: 1}]}}\n"
    )
    answers = GATE.replace("name: errors", "name: answers").replace(
        "{errorRate: {atMost: 5%}}", "{evaluation: {name: golden}}"
    )
    said = {"files": {"gates/answers.yaml": answers, "evaluations/golden.yaml": golden}}
    async with world.running() as engine:
        await started(world, engine, gates="[errors, answers]", **said)
        await world.until_serving(engine, serving)
        if not right:
            assert world.state(engine).failure.gate == "answers"
            assert world.bad_answers("v2") == 0


async def test_waves_that_change_places_on_the_way_give_no_cluster_everything_at_once() -> None:
    world = RolloutWorld("staging", "production")
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.state(engine).wave == 1)
        world.push({"rollouts/fraud.yaml": rollout("v2", waves=("production", "staging")).encode()})
        await world.until(lambda: world.state(engine).wave == 0)
        await world.until_serving(engine, "v2")
        assert "v2 5" in world.ways["production"]


async def test_a_version_that_failed_stays_out_when_another_fails_after_it() -> None:
    world = RolloutWorld()
    world.errors |= {"v2": 1.0, "v3": 1.0}
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.state(engine).failure is not None)
        world.declare("v3")
        await world.until(lambda: world.state(engine).failed != ())
        await world.until(lambda: world.state(engine).failure is not None)
        before = world.to("v2")
        world.declare("v2")
        await asyncio.sleep(120)
        assert world.to("v2") == before
        failure = world.state(engine).failure
        assert failure is not None
        assert failure.target.version == "v2"


async def test_a_remote_that_is_away_at_the_start_leaves_nothing_unjudged() -> None:
    world = RolloutWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.shares() == {"v1": 75, "v2": 25})
    world.errors["v2"] = 1.0
    away = AwayRepository(world.repository)
    async with world.running(repository=away) as engine:
        await world.until_serving(engine, "v1")


class AwayRepository:
    """A mirror whose remote does not answer."""

    def __init__(self, mirror: object) -> None:
        self._mirror = mirror

    async def fetch(self) -> str:
        raise Unavailable("connection refused")

    def __getattr__(self, name: str) -> object:
        return getattr(self._mirror, name)


async def test_an_evaluation_that_a_commit_changes_is_made_again() -> None:
    world = RolloutWorld()
    golden = (
        "apiVersion: fairlead.dev/v1alpha1\nkind: Evaluation\nmetadata: {name: golden}\n"
        "spec: {owner: team-risk, golden: {items: [{name: one, request: 1, answer: 1}]}}\n"
    )
    answers = GATE.replace("name: errors", "name: answers").replace(
        "{errorRate: {atMost: 5%}}", "{evaluation: {name: golden}}"
    )
    files = {"gates/answers.yaml": answers, "evaluations/golden.yaml": golden}
    async with world.running() as engine:
        await started(world, engine, gates="[errors, answers]", files=files)
        await world.until(lambda: world.shares() == {"v1": 95, "v2": 5})
        items = tuple(ItemResult(str(n), stable=True, candidate=False) for n in range(20))
        world.evaluations["v2"] = EvaluationResult(items)
        changed = golden.replace("answer: 1", "answer: 2")
        world.push({"evaluations/golden.yaml": changed.encode()})
        await world.until_serving(engine, "v1")
        failure = world.state(engine).failure
        assert failure is not None
        assert failure.gate == "answers"

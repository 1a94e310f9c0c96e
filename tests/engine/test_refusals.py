"""What the API server refuses is refused whole, with the reason, and keeps nobody else waiting."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.core.audit.records import Verb
from reconciler.core.errors import Invalid, Unavailable
from reconciler.core.ledger import Standing
from reconciler.core.manifests import JsonObject
from tests.engine.world import (
    STUCK,
    World,
    config_map,
    config_map_key,
    deployment,
    deployment_key,
)

pytestmark = pytest.mark.looptime


def refuse_value(value: str):
    """Admission that refuses ConfigMaps with one value."""

    def admission(body: JsonObject) -> None:
        if body.get("data") == {"value": value}:
            raise Invalid(f"{body['metadata']['name']}: the value {value} is not allowed")

    return admission


def allow(body: JsonObject) -> None:
    """Admission that lets everything pass."""


async def started(world: World, engine) -> None:
    first = world.start_repository(
        {"apps/web/a.yaml": config_map("a"), "apps/db/b.yaml": config_map("b")}
    )
    await world.until_applied(engine, first)


async def test_a_refusal_in_one_cluster_keeps_the_commit_from_all() -> None:
    world = World("one", "two")
    async with world.running() as engine:
        await started(world, engine)
        world.clusters["two"].admission = refuse_value("2")
        bad = world.push({"apps/web/a.yaml": config_map("a", "2")})
        await world.until_refused(engine, bad)
        await asyncio.sleep(60)
        assert (world.value("a", "one"), world.value("a", "two")) == ("1", "1")
        assert "a: the value 2 is not allowed" in engine.books.position.explanation


async def test_a_conflict_names_the_manager_and_the_field() -> None:
    world = World()
    body: JsonObject = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"value": "theirs"}}
    body["metadata"] = {"name": "c", "namespace": "team-a"}
    world.cluster.apply_as("helm", body)
    async with world.running() as engine:
        await started(world, engine)
        bad = world.push({"apps/web/c.yaml": config_map("c")})
        await world.until_refused(engine, bad)
        assert "helm" in engine.books.position.explanation
        assert ".data.value" in engine.books.position.explanation
        assert world.value("c") == "theirs"


async def test_a_conflict_is_overcome_where_the_object_says_take_over() -> None:
    world = World()
    body: JsonObject = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"value": "theirs"}}
    body["metadata"] = {"name": "c", "namespace": "team-a"}
    world.cluster.apply_as("helm", body)
    async with world.running() as engine:
        await started(world, engine)
        taking = annotated(config_map("c"), "fairlead.dev/on-conflict: take-over")
        await world.until_applied(engine, world.push({"apps/web/c.yaml": taking}))
        assert world.value("c") == "1"


def annotated(document: bytes, annotation: str) -> bytes:
    return document.replace(b"metadata: {", f"metadata: {{annotations: {{{annotation}}}, ".encode())


def selecting(digit: str) -> bytes:
    """A Deployment whose immutable selector differs by the digit."""
    return deployment("d").replace(b"app: d", f"app: d{digit}".encode())


async def test_a_change_of_an_immutable_field_is_refused() -> None:
    world = World()
    async with world.running() as engine:
        await started(world, engine)
        await world.until_applied(engine, world.push({"apps/web/d.yaml": selecting("1")}))
        bad = world.push({"apps/web/d.yaml": selecting("2")})
        await world.until_refused(engine, bad)
        assert "immutable" in engine.books.position.explanation
        assert world.cluster.count("delete") == 0


async def test_an_immutable_object_that_says_so_is_replaced() -> None:
    world = World()
    async with world.running() as engine:
        await started(world, engine)
        await world.until_applied(engine, world.push({"apps/web/d.yaml": selecting("1")}))
        uid = world.cluster.peek(deployment_key("d"))["metadata"]["uid"]
        replacing = annotated(selecting("2"), "fairlead.dev/on-immutable: replace")
        await world.until_applied(engine, world.push({"apps/web/d.yaml": replacing}))
        assert world.cluster.peek(deployment_key("d"))["metadata"]["uid"] != uid


async def test_an_object_is_not_replaced_by_one_that_the_server_would_refuse() -> None:
    world = World()
    async with world.running() as engine:
        await started(world, engine)
        await world.until_applied(engine, world.push({"apps/web/d.yaml": selecting("1")}))

        def no_new_ones(body: JsonObject) -> None:
            if body["metadata"]["name"] == "d-replaced":
                raise Invalid("no new Deployments today")

        world.cluster.admission = no_new_ones
        bad = world.push(
            {"apps/web/d.yaml": annotated(selecting("2"), "fairlead.dev/on-immutable: replace")}
        )
        await world.until_refused(engine, bad)
        assert world.cluster.count("delete") == 0


async def test_an_immutable_object_of_somebody_else_is_never_replaced() -> None:
    world = World()
    async with world.running() as engine:
        await started(world, engine)
        theirs: JsonObject = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "d", "namespace": "team-a"},
            "spec": {
                "selector": {"matchLabels": {"app": "theirs"}},
                "template": {
                    "metadata": {"labels": {"app": "theirs"}},
                    "spec": {"containers": [{"name": "main", "image": "x"}]},
                },
            },
        }
        world.cluster.apply_as("helm", theirs)
        asking = "fairlead.dev/on-immutable: replace, fairlead.dev/on-conflict: take-over"
        bad = world.push({"apps/web/d.yaml": annotated(selecting("2"), asking)})
        await world.until_refused(engine, bad)
        assert world.cluster.count("delete") == 0


async def test_a_refused_unit_does_not_keep_later_commits_from_other_units() -> None:
    world = World()
    async with world.running() as engine:
        await started(world, engine)
        world.cluster.admission = refuse_value("2")
        bad = world.push({"apps/web/a.yaml": config_map("a", "2")})
        await world.until_refused(engine, bad)
        world.push({"apps/db/b.yaml": config_map("b", "3")})
        await world.until(lambda: world.value("b") == "3")
        assert world.standing(engine, "web") is Standing.REFUSED
        assert world.value("a") == "1"


async def test_units_refused_together_wait_for_the_one_that_was_refused() -> None:
    world = World()
    async with world.running() as engine:
        await started(world, engine)
        world.cluster.admission = refuse_value("2")
        bad = world.push(
            {"apps/web/a.yaml": config_map("a", "2"), "apps/db/b.yaml": config_map("b", "5")}
        )
        await world.until_refused(engine, bad)
        world.push({"apps/new/c.yaml": config_map("c")})
        await world.until(lambda: world.value("c") == "1")
        assert world.value("b") == "1"
        mended = world.push({"apps/web/a.yaml": config_map("a", "3")})
        await world.until_applied(engine, mended)
        assert (world.value("a"), world.value("b")) == ("3", "5")


async def test_a_refused_commit_goes_through_when_the_server_changes_its_mind() -> None:
    world = World()
    async with world.running() as engine:
        await started(world, engine)
        world.cluster.admission = refuse_value("2")
        commit = world.push({"apps/web/a.yaml": config_map("a", "2")})
        await world.until_refused(engine, commit)
        world.cluster.admission = allow
        await world.until_applied(engine, commit)
        assert world.clock.monotonic() < 400
        assert engine.books.position.refused is None


async def test_a_commit_that_stays_refused_is_recorded_once() -> None:
    world = World()
    async with world.running() as engine:
        await started(world, engine)
        world.cluster.admission = refuse_value("2")
        commit = world.push({"apps/web/a.yaml": config_map("a", "2")})
        await world.until_refused(engine, commit)
        await asyncio.sleep(3600)
        refusals = [r for r in await world.records() if r.verb is Verb.REFUSE]
        assert [r.commit for r in refusals] == [commit]
        assert engine.books.position.refused == commit


async def test_a_refused_commit_is_still_refused_after_a_restart() -> None:
    world = World()
    async with world.running() as engine:
        await started(world, engine)
        first = engine.books.position.accepted
        world.cluster.admission = refuse_value("2")
        bad = world.push({"apps/web/a.yaml": config_map("a", "2")})
        await world.until_refused(engine, bad)
    async with world.running() as engine:
        await asyncio.sleep(60)
        assert engine.books.position.refused == bad
        assert engine.books.position.accepted == first


async def test_asking_again_about_a_refused_unit_does_not_refuse_what_is_in_force() -> None:
    world = World()
    async with world.running() as engine:
        await started(world, engine)
        world.cluster.admission = refuse_value("2")
        bad = world.push({"apps/web/a.yaml": config_map("a", "2")})
        await world.until_refused(engine, bad)
        good = world.push({"apps/db/b.yaml": config_map("b", "3")})
        await world.until(lambda: world.value("b") == "3")
        await asyncio.sleep(1000)
        assert engine.books.position.accepted == good
        assert engine.books.position.refused is None
        assert world.standing(engine, "web") is Standing.REFUSED


async def test_a_commit_that_comes_just_when_refused_units_are_asked_again_goes_through() -> None:
    world = World()
    async with world.running() as engine:
        await started(world, engine)
        world.cluster.admission = refuse_value("2")
        bad = world.push({"apps/web/a.yaml": config_map("a", "2")})
        await world.until_refused(engine, bad)
        engine._retry_refused = True
        world.push({"apps/db/b.yaml": config_map("b", "3")})
        engine.branch.hint()
        await world.until(lambda: world.value("b") == "3", seconds=5)
        assert world.standing(engine, "web") is Standing.REFUSED


async def test_a_refused_unit_is_freed_without_a_commit_while_a_later_one_is_in_force() -> None:
    world = World()
    async with world.running() as engine:
        await started(world, engine)
        world.cluster.admission = refuse_value("2")
        bad = world.push(
            {"apps/web/a.yaml": config_map("a", "2"), "apps/cache/c.yaml": config_map("c")}
        )
        await world.until_refused(engine, bad)
        good = world.push({"apps/db/b.yaml": config_map("b", "3")})
        await world.until(lambda: world.value("b") == "3")
        world.cluster.admission = allow
        await world.until_applied(engine, good)
        assert (world.value("a"), world.value("c")) == ("2", "1")


async def test_two_refused_commits_wait_apart() -> None:
    world = World()
    async with world.running() as engine:
        await started(world, engine)
        refuse_two, refuse_four = refuse_value("2"), refuse_value("4")

        def both(body: JsonObject) -> None:
            refuse_two(body)
            refuse_four(body)

        world.cluster.admission = both
        one = world.push({"apps/web/a.yaml": config_map("a", "2")})
        await world.until_refused(engine, one)
        two = world.push(
            {"apps/db/b.yaml": config_map("b", "4"), "apps/cache/c.yaml": config_map("c")}
        )
        await world.until_refused(engine, two)
        await asyncio.sleep(1000)
        world.cluster.admission = refuse_two
        await world.until(lambda: (world.value("b"), world.value("c")) == ("4", "1"))
        assert world.standing(engine, "web") is Standing.REFUSED


async def test_a_refused_commit_does_not_stop_the_one_before_it_half_way() -> None:
    world = World()
    async with world.running() as engine:
        await started(world, engine)
        good = world.push({"apps/db/d.yaml": deployment("d", STUCK)})
        await world.until(lambda: world.cluster.peek(deployment_key("d")) is not None)
        world.cluster.admission = refuse_value("2")
        bad = world.push({"apps/web/a.yaml": config_map("a", "2")})
        await world.until_refused(engine, bad)
        assert engine.books.position.accepted == good
        ready(world)
        await world.until_standing(engine, "db", Standing.SETTLED)


async def test_a_refused_change_to_a_unit_half_way_lets_it_arrive_where_it_was_going() -> None:
    world = World()
    async with world.running() as engine:
        await started(world, engine)
        world.push({"apps/db/d.yaml": deployment("d", STUCK)})
        await world.until(lambda: world.cluster.peek(deployment_key("d")) is not None)
        world.cluster.admission = refuse_value("2")
        bad = world.push({"apps/db/b.yaml": config_map("b", "2")})
        await world.until_refused(engine, bad)
        await asyncio.sleep(700)
        # Nobody made it healthy, so the commit before fails in its own time.
        assert world.cluster.peek(deployment_key("d")) is None


def ready(world: World) -> None:
    from reconciler.adapters.cluster_memory_status import becomes_ready

    status = becomes_ready(world.cluster.peek(deployment_key("d")))
    assert status is not None
    world.cluster.set_status(deployment_key("d"), status)


async def test_a_webhook_that_does_not_answer_refuses_nothing() -> None:
    world = World()
    async with world.running() as engine:
        await started(world, engine)
        failure = Unavailable("failed calling webhook: no endpoints")
        world.cluster.fail(failure, verb="dry-run", key=config_map_key("a"), times=5)
        commit = world.push({"apps/web/a.yaml": config_map("a", "2")})
        await world.until_applied(engine, commit)
        assert not [r for r in await world.records() if r.verb is Verb.REFUSE]


async def test_an_object_in_a_namespace_that_nobody_makes_is_refused() -> None:
    world = World()
    async with world.running() as engine:
        await started(world, engine)
        bad = world.push({"apps/web/c.yaml": config_map("c", namespace="team-nowhere")})
        await world.until_refused(engine, bad)
        assert "team-nowhere" in engine.books.position.explanation

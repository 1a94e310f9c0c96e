"""What somebody changed or deleted is put back, and nothing else is touched."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.core.audit.records import AuditRecord, Phase, Reason
from reconciler.core.errors import Forbidden
from reconciler.core.fights import ROUNDS, TRUCE_SECONDS
from reconciler.core.ledger import Standing
from reconciler.core.manifests import COMMIT_ANNOTATION, REPOSITORY_LABEL, JsonObject
from tests.engine.world import (
    STUCK,
    World,
    config_map,
    config_map_key,
    deployment,
    deployment_key,
    namespace,
)

pytestmark = pytest.mark.looptime

A = config_map_key("a")


def sets(value: str):
    def change(body: JsonObject) -> None:
        body["data"] = {**body["data"], "value": value}

    return change


async def until_corrected(world: World, since: int) -> None:
    """Until drift that was seen after `since` writes was put back and written down."""

    async def concluded() -> bool:
        return any(r.reason is Reason.DRIFT for r in await world.records(Phase.OUTCOME))

    await world.until(lambda: len(world.writes()) > since)
    await world.until_async(concluded)


async def drift_records(world: World, *phases: Phase) -> list[AuditRecord]:
    return [r for r in await world.records(*phases) if r.reason is Reason.DRIFT]


async def test_a_changed_field_is_put_back_with_one_request() -> None:
    world = World()
    first = world.start_repository({"apps/web/a.yaml": config_map("a")})
    async with world.running() as engine:
        await world.until_applied(engine, first)
        before = len(world.cluster.requests)
        world.cluster.edit_as("kubectl-edit", A, sets("2"))
        await world.until(lambda: world.value("a") == "1")
        await asyncio.sleep(60)
        assert [r.verb for r in world.cluster.requests[before:]] == ["apply"]


async def test_drift_is_seen_without_waiting_for_any_interval() -> None:
    world = World()
    first = world.start_repository({"apps/web/a.yaml": config_map("a")})
    async with world.running() as engine:
        await world.until_applied(engine, first)
        world.cluster.edit_as("kubectl-edit", A, sets("2"))
        before = world.clock.monotonic()
        await world.until(lambda: world.value("a") == "1")
        assert world.clock.monotonic() - before < 0.1


async def test_the_audit_names_who_drifted_and_the_commit_that_is_restored() -> None:
    world = World()
    first = world.start_repository({"apps/web/a.yaml": config_map("a")})
    async with world.running() as engine:
        await world.until_applied(engine, first)
        second = world.push({"apps/web/b.yaml": config_map("b")})
        await world.until_applied(engine, second)
        world.cluster.edit_as("kubectl-edit", A, sets("2"))
        await until_corrected(world, since=2)
        intent, outcome = await drift_records(world)
        assert (intent.phase, outcome.phase) == (Phase.INTENT, Phase.OUTCOME)
        assert "kubectl-edit" in intent.detail["explanation"]
        assert intent.commit == outcome.commit == first


async def test_a_restored_object_names_the_commit_that_declared_it() -> None:
    world = World()
    first = world.start_repository({"apps/web/a.yaml": config_map("a")})
    async with world.running() as engine:
        await world.until_applied(engine, first)
        second = world.push({"apps/web/b.yaml": config_map("b")})
        await world.until_applied(engine, second)
        world.cluster.delete_as_other(A)
        await world.until(lambda: world.value("a") == "1")
    assert world.cluster.peek(A)["metadata"]["annotations"][COMMIT_ANNOTATION] == first


async def test_a_deleted_object_comes_back_with_one_request() -> None:
    world = World()
    first = world.start_repository({"apps/web/a.yaml": config_map("a")})
    async with world.running() as engine:
        await world.until_applied(engine, first)
        before = len(world.cluster.requests)
        world.cluster.delete_as_other(A)
        await world.until(lambda: world.value("a") == "1")
        await asyncio.sleep(60)
        assert [r.verb for r in world.cluster.requests[before:]] == ["apply"]
        assert (await drift_records(world))[0].detail["explanation"] == "it was deleted"


async def test_an_object_that_lost_our_label_is_found_again() -> None:
    world = World()
    first = world.start_repository({"apps/web/a.yaml": config_map("a")})

    def strip(body: JsonObject) -> None:
        del body["metadata"]["labels"][REPOSITORY_LABEL]

    async with world.running() as engine:
        await world.until_applied(engine, first)
        uid = world.cluster.peek(A)["metadata"]["uid"]
        world.cluster.edit_as("kubectl-edit", A, strip)
        await world.until(lambda: REPOSITORY_LABEL in world.cluster.peek(A)["metadata"]["labels"])
        assert world.cluster.peek(A)["metadata"]["uid"] == uid


async def test_a_removed_field_is_put_back() -> None:
    world = World()
    first = world.start_repository({"apps/web/a.yaml": config_map("a")})
    async with world.running() as engine:
        await world.until_applied(engine, first)
        world.cluster.edit_as("kubectl-edit", A, lambda body: body.pop("data"))
        await world.until(lambda: "data" in world.cluster.peek(A))
    assert world.value("a") == "1"


async def test_fields_that_another_manager_took_by_force_are_taken_back() -> None:
    world = World()
    first = world.start_repository({"apps/web/a.yaml": config_map("a")})
    async with world.running() as engine:
        await world.until_applied(engine, first)
        body = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"value": "theirs"}}
        body["metadata"] = {"name": "a", "namespace": "team-a"}
        world.cluster.apply_as("helm", body)
        await world.until(lambda: world.value("a") == "1")
        assert "helm" in (await drift_records(world))[0].detail["explanation"]


async def test_fields_of_others_are_neither_undone_nor_asked_about() -> None:
    world = World()
    first = world.start_repository({"apps/web/a.yaml": config_map("a")})

    def add(body: JsonObject) -> None:
        body["data"] = {**body["data"], "theirs": "x"}
        body["metadata"]["annotations"]["theirs/note"] = "y"

    async with world.running() as engine:
        await world.until_applied(engine, first)
        before = len(world.cluster.requests)
        world.cluster.edit_as("other", A, add)
        await asyncio.sleep(60)
        assert len(world.cluster.requests) == before
        world.cluster.edit_as("kubectl-edit", A, sets("2"))
        await world.until(lambda: world.value("a") == "1")
    assert world.cluster.peek(A)["data"]["theirs"] == "x"
    assert world.cluster.peek(A)["metadata"]["annotations"]["theirs/note"] == "y"


async def test_drift_from_while_the_daemon_was_away_is_put_back_when_it_starts() -> None:
    world = World()
    first = world.start_repository({"apps/web/a.yaml": config_map("a")})
    async with world.running() as engine:
        await world.until_applied(engine, first)
    world.cluster.edit_as("kubectl-edit", A, sets("2"))
    async with world.running():
        await world.until(lambda: world.value("a") == "1")


async def test_drift_in_a_held_unit_is_put_back_to_what_it_was_put_back_to() -> None:
    world = World()
    first = world.start_repository(
        {"apps/web/a.yaml": config_map("a"), "apps/web/d.yaml": deployment("d")}
    )
    async with world.running() as engine:
        await world.until_applied(engine, first)
        world.push(
            {"apps/web/a.yaml": config_map("a", "2"), "apps/web/d.yaml": deployment("d", "f")}
        )
        await world.until_standing(engine, "web", Standing.HELD)
        await world.until(lambda: world.value("a") == "1")
        world.cluster.edit_as("kubectl-edit", A, sets("3"))
        await world.until(lambda: world.value("a") == "1")
        assert world.standing(engine, "web") is Standing.HELD


async def test_drift_while_a_plan_waits_for_health_is_put_back_to_the_new_state() -> None:
    world = World()
    first = world.start_repository(
        {"apps/web/a.yaml": config_map("a"), "apps/web/d.yaml": deployment("d")}
    )
    async with world.running() as engine:
        await world.until_applied(engine, first)
        second = world.push(
            {"apps/web/a.yaml": config_map("a", "2"), "apps/web/d.yaml": deployment("d", STUCK)}
        )
        await world.until(lambda: STUCK * 64 in str(world.cluster.peek(deployment_key("d"))))
        world.cluster.edit_as("kubectl-edit", A, sets("3"))
        world.cluster.set_status(
            deployment_key("d"), ready_status(world.cluster.peek(deployment_key("d")))
        )
        await world.until_applied(engine, second)
        await world.until(lambda: world.value("a") == "2")


def ready_status(body: JsonObject) -> JsonObject:
    from reconciler.adapters.cluster_memory_status import becomes_ready

    status = becomes_ready(body)
    assert status is not None
    return status


async def test_a_commit_that_comes_while_its_object_is_being_put_back_wins() -> None:
    for head_start in range(12):
        world = World()
        first = world.start_repository({"apps/web/a.yaml": config_map("a")})
        async with world.running() as engine:
            await world.until_applied(engine, first)
            second = world.push({"apps/web/a.yaml": config_map("a", "2")})
            engine.branch.hint()
            for _ in range(head_start):
                await asyncio.sleep(0)
            world.cluster.edit_as("kubectl-edit", A, sets("3"))
            await world.until_applied(engine, second)
            await asyncio.sleep(10)
            assert world.value("a") == "2", f"head start {head_start}"
            entry = engine.books.ledger(world.cluster.name).entries[A]
            assert entry.applied.commit == second


async def test_an_object_that_is_deleted_while_a_plan_adopts_it_is_there_in_the_end() -> None:
    for head_start in range(14):
        world = World()
        first = world.start_repository({"apps/web/a.yaml": config_map("a")})
        async with world.running() as engine:
            await world.until_applied(engine, first)
        world.store = type(world.store)()
        async with world.running() as engine:
            for _ in range(head_start * 2):
                await asyncio.sleep(0)
            world.cluster.delete_as_other(A)
            await world.until_applied(engine, first)
            await world.until(lambda: world.value("a") == "1")  # noqa: B023
            await asyncio.sleep(60)
            entry = engine.books.ledger(world.cluster.name).entries[A]
            assert entry.applied is not None, f"head start {head_start}"


async def test_an_object_remade_by_somebody_while_it_is_being_deleted_goes_in_the_end() -> None:
    for head_start in range(14):
        world = World()
        first = world.start_repository(
            {"apps/web/a.yaml": config_map("a"), "apps/web/b.yaml": config_map("b")}
        )
        async with world.running() as engine:
            await world.until_applied(engine, first)
            second = world.push({"apps/web/a.yaml": None})
            engine.branch.hint()
            for _ in range(head_start):
                await asyncio.sleep(0)
            if body := world.cluster.peek(A):
                body["metadata"] = {
                    name: body["metadata"][name] for name in ("name", "namespace", "labels")
                }
                world.cluster.delete_as_other(A)
                world.cluster.apply_as("other", body)
            await world.until_applied(engine, second)
            assert world.standing(engine, "web") is Standing.SETTLED, f"head start {head_start}"


async def test_an_emptied_cluster_is_built_up_again_in_the_order_of_waves() -> None:
    world = World()
    files: dict[str, bytes | None] = {
        "apps/web/ns.yaml": namespace("team-new"),
        "apps/web/d.yaml": deployment("d", namespace="team-new"),
    }
    for number in range(300):
        name = f"c{number}"
        files[f"apps/web/{name}.yaml"] = config_map(name, namespace="team-new")
    first = world.start_repository(files)
    async with world.running() as engine:
        await world.until_applied(engine, first)
        ours = [key for key in world.objects() if "team-new" in (key.namespace, key.name)]
        before = len(world.writes())
        for key in sorted(ours, key=lambda key: key.kind == "Namespace"):
            if world.cluster.peek(key):
                world.cluster.delete_as_other(key)
        await world.until(lambda: all(world.cluster.peek(key) for key in ours))
        kinds = [name.partition("/")[0] for _, name in world.writes()[before:]]
        assert kinds == ["Namespace", *["ConfigMap"] * 300, "Deployment"]


async def fight(world: World, seconds: float, value: str = "theirs") -> None:
    """Somebody insists, once a second."""
    for _ in range(int(seconds)):
        world.cluster.edit_as("autoscaler", A, sets(value))
        await asyncio.sleep(1)


async def test_what_the_server_will_not_take_back_is_tried_ever_less_often() -> None:
    world = World()
    first = world.start_repository({"apps/web/a.yaml": config_map("a")})
    async with world.running() as engine:
        await world.until_applied(engine, first)
        world.cluster.fail(Forbidden("the namespace is going"), verb="apply", key=A, times=20)
        world.cluster.delete_as_other(A)
        await asyncio.sleep(3600)
        assert 10 <= len(await drift_records(world, Phase.INTENT)) <= 20
        await world.until(lambda: world.value("a") == "1", seconds=7200)


async def test_an_object_that_somebody_keeps_changing_is_left_alone_after_some_rounds() -> None:
    world = World()
    first = world.start_repository({"apps/web/a.yaml": config_map("a")})
    async with world.running() as engine:
        await world.until_applied(engine, first)
        before = len(world.writes())
        await fight(world, 60)
        assert len(world.writes()) - before == ROUNDS
        assert world.value("a") == "theirs"


async def test_a_contested_object_is_put_back_again_after_the_truce() -> None:
    world = World()
    first = world.start_repository({"apps/web/a.yaml": config_map("a")})
    async with world.running() as engine:
        await world.until_applied(engine, first)
        await fight(world, 30)
        assert world.value("a") == "theirs"
        await asyncio.sleep(TRUCE_SECONDS)
        assert world.value("a") == "1"


async def test_a_contested_object_does_not_keep_others_from_being_put_back() -> None:
    world = World()
    first = world.start_repository(
        {"apps/web/a.yaml": config_map("a"), "apps/web/b.yaml": config_map("b")}
    )
    async with world.running() as engine:
        await world.until_applied(engine, first)
        await fight(world, 30)
        world.cluster.delete_as_other(config_map_key("b"))
        await world.until(lambda: world.value("b") == "1")
        assert world.value("a") == "theirs"


async def test_a_commit_that_changes_a_contested_object_begins_the_count_anew() -> None:
    world = World()
    first = world.start_repository({"apps/web/a.yaml": config_map("a")})
    async with world.running() as engine:
        await world.until_applied(engine, first)
        await fight(world, 30)
        second = world.push({"apps/web/a.yaml": config_map("a", "2")})
        await world.until_applied(engine, second)
        assert world.value("a") == "2"
        world.cluster.edit_as("autoscaler", A, sets("theirs"))
        await world.until(lambda: world.value("a") == "2", seconds=10)


async def test_a_contested_object_is_reported() -> None:
    world = World()
    first = world.start_repository({"apps/web/a.yaml": config_map("a")})
    async with world.running() as engine:
        await world.until_applied(engine, first)
        await fight(world, 30)
        session = engine.leader.sessions[world.cluster.name]
        assert session.view(world.clock.monotonic()).contested == {A}

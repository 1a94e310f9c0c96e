"""What does not become healthy is put back, whole, and stays put back until another commit."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.adapters.cluster_memory_status import becomes_ready
from reconciler.core.audit.records import Phase, Reason, Verb
from reconciler.core.ledger import Standing
from tests.engine.world import (
    BROKEN,
    STUCK,
    World,
    config_map,
    config_map_key,
    deployment,
    deployment_key,
    unit,
)

pytestmark = pytest.mark.looptime

D = deployment_key("d")


async def two_units(world: World, engine) -> None:
    """Unit web with a ConfigMap and a Deployment, unit db with a ConfigMap."""
    first = world.start_repository(
        {
            "apps/web/a.yaml": config_map("a"),
            "apps/web/d.yaml": deployment("d"),
            "apps/db/b.yaml": config_map("b"),
        }
    )
    await world.until_applied(engine, first)


def failing(digit: str = BROKEN) -> dict[str, bytes | None]:
    """A commit to both units of which one part fails."""
    return {
        "apps/web/a.yaml": config_map("a", "2"),
        "apps/web/d.yaml": deployment("d", digit),
        "apps/db/b.yaml": config_map("b", "2"),
    }


def image(world: World, cluster: str | None = None) -> str:
    where = world.clusters[cluster] if cluster else world.cluster
    body = where.peek(D)
    return body["spec"]["template"]["spec"]["containers"][0]["image"][-1]


@pytest.mark.parametrize("digit", [BROKEN, STUCK])
async def test_a_deployment_that_does_not_become_healthy_is_put_back(digit: str) -> None:
    world = World()
    async with world.running() as engine:
        await two_units(world, engine)
        world.push(failing(digit))
        await world.until_standing(engine, "web", Standing.HELD)
        await world.until(lambda: image(world) == "a")
        await world.until(lambda: (world.value("a"), world.value("b")) == ("1", "1"))


async def test_other_units_of_a_commit_that_failed_are_put_back_and_wait() -> None:
    world = World()
    async with world.running() as engine:
        await two_units(world, engine)
        world.push(failing())
        await world.until_standing(engine, "web", Standing.HELD)
        assert world.standing(engine, "db") is Standing.WAITING
        await asyncio.sleep(5)
        assert world.value("b") == "1"


async def test_what_gave_up_is_put_back_at_once_and_what_hangs_after_its_time() -> None:
    for digit, least, most in ((BROKEN, 0, 5), (STUCK, 600, 620)):
        world = World()
        async with world.running() as engine:
            await two_units(world, engine)
            began = world.clock.monotonic()
            world.push(failing(digit))
            await world.until_standing(engine, "web", Standing.HELD)
            assert least <= world.clock.monotonic() - began <= most


async def test_the_audit_says_why_a_unit_is_held_and_that_it_was_put_back() -> None:
    world = World()
    async with world.running() as engine:
        await two_units(world, engine)
        first = engine.books.position.accepted
        second = world.push(failing())
        await world.until_standing(engine, "web", Standing.HELD)
        await asyncio.sleep(5)
        (hold,) = [r for r in await world.records(Phase.DECISION) if r.verb is Verb.HOLD]
        assert hold.commit == second
        assert "Deployment" in hold.detail["explanation"]
        undone = [r for r in await world.records() if r.reason is Reason.COMPENSATION]
        assert {r.commit for r in undone} == {first}


async def test_what_failed_is_not_tried_again_by_itself() -> None:
    world = World()
    async with world.running() as engine:
        await two_units(world, engine)
        world.push(failing())
        await world.until_standing(engine, "web", Standing.HELD)
        await asyncio.sleep(5)
        writes = len(world.writes())
        await asyncio.sleep(3600)
        assert len(world.writes()) == writes


async def test_what_failed_is_not_tried_again_after_a_restart() -> None:
    world = World()
    async with world.running() as engine:
        await two_units(world, engine)
        world.push(failing())
        await world.until_standing(engine, "web", Standing.HELD)
        await asyncio.sleep(5)
    writes = len(world.writes())
    async with world.running() as engine:
        await asyncio.sleep(3600)
        assert world.standing(engine, "web") is Standing.HELD
        assert len(world.writes()) == writes


async def test_what_failed_does_not_keep_later_commits_from_other_units() -> None:
    world = World()
    async with world.running() as engine:
        await two_units(world, engine)
        world.push(failing())
        await world.until_standing(engine, "web", Standing.HELD)
        world.push({"apps/new/fresh.yaml": config_map("fresh")})
        await world.until(lambda: world.value("fresh") == "1")
        assert world.standing(engine, "web") is Standing.HELD
        assert world.value("b") == "1"


async def test_a_commit_that_mends_the_failed_unit_frees_the_others() -> None:
    world = World()
    async with world.running() as engine:
        await two_units(world, engine)
        world.push(failing())
        await world.until_standing(engine, "web", Standing.HELD)
        mended = world.push({"apps/web/d.yaml": deployment("d", "b")})
        await world.until_applied(engine, mended)
        assert (image(world), world.value("a"), world.value("b")) == ("b", "2", "2")


async def test_a_revert_of_the_commit_that_failed_frees_all_units_without_a_write() -> None:
    world = World()
    async with world.running() as engine:
        await two_units(world, engine)
        bad = world.push(failing())
        await world.until_standing(engine, "web", Standing.HELD)
        await asyncio.sleep(5)
        writes = len(world.writes())
        reverted = world.repository.revert(bad)
        await world.until_applied(engine, reverted)
        assert len(world.writes()) == writes
        assert world.standing(engine, "web") is Standing.SETTLED


async def test_objects_that_the_failed_commit_created_are_taken_away_again() -> None:
    world = World()
    async with world.running() as engine:
        await two_units(world, engine)
        world.push({**failing(), "apps/db/fresh.yaml": config_map("fresh")})
        await world.until_standing(engine, "web", Standing.HELD)
        await world.until(lambda: world.value("fresh") is None)
        await asyncio.sleep(1)
        assert config_map_key("fresh") not in engine.books.ledger(world.cluster.name).entries


async def test_an_object_that_moved_between_units_is_not_deleted_when_the_move_fails() -> None:
    world = World()
    async with world.running() as engine:
        first = world.start_repository(
            {"apps/from/moving.yaml": config_map("moving"), "apps/from/b.yaml": config_map("b")}
        )
        await world.until_applied(engine, first)
        # The unit that it moves to is put back before the one that it comes from.
        world.push(
            {
                "apps/from/moving.yaml": None,
                "apps/aim/moving.yaml": config_map("moving"),
                "apps/aim/d.yaml": deployment("d", BROKEN),
            }
        )
        await world.until_standing(engine, "aim", Standing.HELD)
        await world.until(lambda: world.cluster.peek(D) is None)
        await asyncio.sleep(5)
        assert ("delete", "ConfigMap/moving") not in world.writes()
        entry = engine.books.ledger(world.cluster.name).entries[config_map_key("moving")]
        assert entry.unit == unit("from")


async def test_an_object_that_was_there_before_us_survives_the_failure_that_adopted_it() -> None:
    world = World()
    async with world.running() as engine:
        await two_units(world, engine)
        world.cluster.apply_as("helm", body_of("theirs"))
        world.push({**failing(), "apps/db/theirs.yaml": config_map("theirs")})
        await world.until_standing(engine, "web", Standing.HELD)
        await asyncio.sleep(5)
        assert world.value("theirs") == "1"


def body_of(name: str, value: str = "1") -> dict:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "team-a"},
        "data": {"value": value},
    }


async def test_in_the_first_sync_only_what_failed_is_put_back() -> None:
    world = World()
    world.start_repository(
        {"apps/web/d.yaml": deployment("d", BROKEN), "apps/db/b.yaml": config_map("b")}
    )
    async with world.running() as engine:
        await world.until_standing(engine, "web", Standing.HELD)
        await world.until_standing(engine, "db", Standing.SETTLED)
        await world.until(lambda: world.cluster.peek(D) is None)
        assert world.value("b") == "1"


async def test_a_unit_does_not_settle_unhealthy_because_a_newer_commit_came() -> None:
    world = World()
    async with world.running() as engine:
        await two_units(world, engine)
        world.push({"apps/web/d.yaml": deployment("d", STUCK)})
        await world.until(lambda: image(world) == STUCK)
        world.push({"apps/db/b.yaml": config_map("b", "2")})
        await world.until(lambda: world.value("b") == "2")
        await asyncio.sleep(30)
        assert world.standing(engine, "web") is Standing.PROGRESSING
        await world.until_standing(engine, "web", Standing.HELD)
        await world.until(lambda: image(world) == "a")


async def test_a_unit_does_not_settle_unhealthy_because_the_daemon_restarted() -> None:
    world = World()
    async with world.running() as engine:
        await two_units(world, engine)
        world.push({"apps/web/d.yaml": deployment("d", STUCK)})
        await world.until(lambda: image(world) == STUCK)
    async with world.running() as engine:
        await asyncio.sleep(30)
        assert world.standing(engine, "web") is Standing.PROGRESSING
        await world.until_standing(engine, "web", Standing.HELD)
        await world.until(lambda: image(world) == "a")


async def test_a_unit_that_hangs_settles_when_it_becomes_healthy_after_a_restart() -> None:
    world = World()
    async with world.running() as engine:
        await two_units(world, engine)
        second = world.push({"apps/web/d.yaml": deployment("d", STUCK)})
        await world.until(lambda: image(world) == STUCK)
    async with world.running() as engine:
        await asyncio.sleep(30)
        status = becomes_ready(world.cluster.peek(D))
        assert status is not None
        world.cluster.set_status(D, status)
        await world.until_applied(engine, second)


async def test_what_an_interrupted_attempt_created_goes_when_a_later_pass_fails() -> None:
    world = World()
    async with world.running() as engine:
        await two_units(world, engine)
        world.push(
            {"apps/web/fresh.yaml": config_map("fresh"), "apps/web/d.yaml": deployment("d", STUCK)}
        )
        await world.until(lambda: image(world) == STUCK)
    async with world.running() as engine:
        await world.until_standing(engine, "web", Standing.HELD)
        await world.until(lambda: world.value("fresh") is None)
        assert image(world) == "a"


async def test_a_failure_after_half_a_commit_was_preempted_puts_both_commits_back() -> None:
    world = World()
    async with world.running() as engine:
        await two_units(world, engine)
        world.push({"apps/web/d.yaml": deployment("d", STUCK)})
        await world.until(lambda: image(world) == STUCK)
        world.push(
            {"apps/web/a.yaml": config_map("a", "2"), "apps/db/b.yaml": config_map("b", "2")}
        )
        await world.until_standing(engine, "web", Standing.HELD)
        await world.until(lambda: image(world) == "a")
        await world.until(lambda: (world.value("a"), world.value("b")) == ("1", "1"))


async def test_the_apply_of_a_server_that_refuses_after_its_dry_run_is_a_failure() -> None:
    from reconciler.core.errors import Invalid

    world = World()
    async with world.running() as engine:
        await two_units(world, engine)
        world.cluster.fail(Invalid("no more"), verb="apply", key=config_map_key("b"))
        world.push(
            {"apps/db/b.yaml": config_map("b", "2"), "apps/web/a.yaml": config_map("a", "2")}
        )
        await world.until_standing(engine, "db", Standing.HELD)
        await world.until(lambda: (world.value("a"), world.value("b")) == ("1", "1"))
        assert world.standing(engine, "web") is Standing.WAITING

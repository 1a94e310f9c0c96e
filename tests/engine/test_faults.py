"""Whatever fails outside, the engine ends where the repository says."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.core.audit.records import Phase
from reconciler.core.errors import (
    Conflict,
    Expired,
    FairleadError,
    Throttled,
    Unavailable,
)
from tests.engine.faults import FailingStore, SlowCluster
from tests.engine.world import World, config_map, config_map_key, deployment, deployment_key

pytestmark = pytest.mark.looptime

A = config_map_key("a")

FILES = {
    "apps/web/a.yaml": config_map("a"),
    "apps/web/b.yaml": config_map("b"),
    "apps/web/d.yaml": deployment("d"),
}

CHANGE = {
    "apps/web/a.yaml": config_map("a", "2"),
    "apps/web/b.yaml": None,
    "apps/web/c.yaml": config_map("c"),
}


def errors() -> list[FairleadError]:
    return [
        Unavailable("the server answered 503"),
        Throttled("too many requests", retry_after=2.0),
        Expired("too old"),
    ]


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("verb", ["dry-run", "apply", "delete", "get", "discover"])
@pytest.mark.parametrize("error", errors(), ids=lambda error: error.code)
async def test_an_error_that_passes_delays_a_commit_and_changes_nothing_else(
    error: FairleadError, verb: str, after_effect: bool
) -> None:
    for times in (1, 6):
        world = World()
        async with world.running() as engine:
            await world.until_applied(engine, world.start_repository(FILES))
            world.cluster.fail(error, verb=verb, after_effect=after_effect, times=times)
            second = world.push(CHANGE)
            await world.until_applied(engine, second)
            assert (world.value("a"), world.value("b"), world.value("c")) == ("2", None, "1")
            assert not await world.store.pending()


@pytest.mark.parametrize("error", errors(), ids=lambda error: error.code)
async def test_drift_is_put_back_when_the_error_has_passed(error: FairleadError) -> None:
    world = World()
    async with world.running() as engine:
        await world.until_applied(engine, world.start_repository(FILES))
        world.cluster.fail(error, verb="apply", times=9)
        world.cluster.delete_as_other(A)
        await world.until(lambda: world.value("a") == "1")


async def test_a_conflict_on_apply_that_the_dry_run_did_not_see_is_a_failure_not_a_loop() -> None:
    world = World()
    async with world.running() as engine:
        await world.until_applied(engine, world.start_repository(FILES))
        world.cluster.fail(Conflict("somebody was faster"), verb="apply", key=A)
        world.push(CHANGE)
        await asyncio.sleep(600)
        assert world.value("a") == "1"
        assert world.value("b") == "1"
        assert world.value("c") is None


@pytest.mark.parametrize("fault", ["drop", "repeat", "reverse"])
async def test_events_that_are_lost_repeated_or_reordered_do_not_mislead(fault: str) -> None:
    for count in (1, 2, 5, 11):
        world = World()
        async with world.running() as engine:
            await world.until_applied(engine, world.start_repository(FILES))
            getattr(world.cluster.events, fault)(count)
            second = world.push(CHANGE)
            await asyncio.sleep(5)
            world.cluster.interrupt_watches()
            await world.until_applied(engine, second)
            world.cluster.delete_as_other(A)
            world.cluster.interrupt_watches()
            await world.until(lambda: world.value("a") == "2")  # noqa: B023
            assert world.value("b") is None


async def test_drift_while_a_watch_is_interrupted_is_put_back() -> None:
    for change in ("edit", "delete"):
        world = World()
        async with world.running() as engine:
            await world.until_applied(engine, world.start_repository(FILES))
            world.cluster.events.drop(100)
            if change == "delete":
                world.cluster.delete_as_other(A)
            else:
                world.cluster.edit_as("x", A, lambda body: body["data"].update(value="9"))
            await asyncio.sleep(1)
            world.cluster.interrupt_watches()
            await world.until(lambda: world.value("a") == "1", seconds=10)  # noqa: B023


async def test_an_api_server_that_stops_in_the_middle_of_a_pass_gets_the_rest_later() -> None:
    world = World()
    files = {f"apps/web/{n}.yaml": config_map(f"c{n}") for n in range(600)}
    slow = {n: SlowCluster(c, seconds=0.02) for n, c in world.clusters.items()}
    async with world.running(clusters=slow) as engine:
        await world.until_applied(engine, world.start_repository(FILES))
        second = world.push(files)
        await world.until(lambda: world.cluster.count("apply") > 100)
        world.cluster.stop()
        await asyncio.sleep(120)
        world.cluster.start()
        await world.until_applied(engine, second)
        assert all(world.value(f"c{n}") == "1" for n in range(600))


async def test_compensation_that_an_outage_interrupts_goes_on_after_it() -> None:
    world = World()
    async with world.running() as engine:
        await world.until_applied(engine, world.start_repository(FILES))
        world.push(
            {"apps/web/a.yaml": config_map("a", "2"), "apps/web/d.yaml": deployment("d", "e")}
        )
        await world.until(lambda: "e" * 64 in str(world.cluster.peek(deployment_key("d"))))
        world.cluster.fail(Unavailable("away"), verb="apply", times=40)
        await asyncio.sleep(1200)
        assert world.value("a") == "1"
        assert "a" * 64 in str(world.cluster.peek(deployment_key("d")))


async def test_with_a_full_disk_nothing_is_written_to_the_cluster() -> None:
    world = World()
    store = FailingStore(world.store)
    async with world.running(store=store) as engine:
        await world.until_applied(engine, world.start_repository(FILES))
        writes = len(world.writes())
        store.error = Unavailable("the disk is full")
        second = world.push(CHANGE)
        world.cluster.delete_as_other(deployment_key("d"))
        await asyncio.sleep(300)
        assert len(world.writes()) == writes
        store.error = None
        await world.until_applied(engine, second)
        await world.until(lambda: world.cluster.peek(deployment_key("d")) is not None)


async def test_a_disk_that_fills_up_while_drift_is_put_back_leaves_the_intent_its_outcome() -> None:
    for appends in range(2):
        world = World()
        store = FailingStore(world.store)
        async with world.running(store=store) as engine:
            await world.until_applied(engine, world.start_repository(FILES))
            store.planned, store.appends_until_error = Unavailable("the disk is full"), appends
            world.cluster.delete_as_other(A)
            await asyncio.sleep(300)
            store.error = None
            await world.until(lambda: world.value("a") == "1")  # noqa: B023
            await asyncio.sleep(60)
            assert not await world.store.pending()


@pytest.mark.parametrize("appends", range(8))
async def test_a_disk_that_fills_up_at_any_write_leaves_every_intent_its_outcome(
    appends: int,
) -> None:
    world = World()
    store = FailingStore(world.store)
    async with world.running(store=store) as engine:
        await world.until_applied(engine, world.start_repository(FILES))
        store.planned, store.appends_until_error = Unavailable("the disk is full"), appends
        second = world.push(CHANGE)
        await asyncio.sleep(300)
        store.error = store.appends_until_error = None
        await world.until_applied(engine, second)
        assert (world.value("a"), world.value("b"), world.value("c")) == ("2", None, "1")
        assert not await world.store.pending()


async def test_a_remote_that_is_away_is_asked_again_and_what_was_applied_is_kept() -> None:
    world = World()
    async with world.running() as engine:
        await world.until_applied(engine, world.start_repository(FILES))
        world.repository.fail("fetch", *[Unavailable("no route to host")] * 5)
        second = world.push(CHANGE)
        await asyncio.sleep(2)
        assert "no route" in engine.branch.trouble
        world.cluster.delete_as_other(deployment_key("d"))
        await world.until(lambda: world.cluster.peek(deployment_key("d")) is not None)
        await world.until_applied(engine, second)
        assert engine.branch.trouble == ""


@pytest.mark.parametrize("method", ["range", "difference", "read"])
async def test_a_repository_that_fails_while_it_is_read_delays_the_commit(method: str) -> None:
    world = World()
    async with world.running() as engine:
        await world.until_applied(engine, world.start_repository(FILES))
        world.repository.fail(method, Unavailable("input/output error"))
        await world.until_applied(engine, world.push(CHANGE))


async def test_a_rewritten_branch_is_refused_and_the_last_commit_stays_in_force() -> None:
    world = World()
    async with world.running() as engine:
        first = world.start_repository(FILES)
        await world.until_applied(engine, first)
        second = world.push(CHANGE)
        await world.until_applied(engine, second)
        world.repository.rewrite(first)
        other = world.push({"apps/web/a.yaml": config_map("a", "9")})
        await world.until_refused(engine, other)
        assert "rewritten" in engine.books.position.explanation
        assert engine.books.position.accepted == second
        world.cluster.delete_as_other(A)
        await world.until(lambda: world.value("a") == "2")


async def test_a_rewritten_branch_is_refused_after_a_restart_too() -> None:
    world = World()
    first = world.start_repository(FILES)
    async with world.running() as engine:
        await world.until_applied(engine, first)
        second = world.push(CHANGE)
        await world.until_applied(engine, second)
    world.repository.rewrite(first)
    other = world.push({"apps/web/a.yaml": config_map("a", "9")})
    async with world.running() as engine:
        await world.until_refused(engine, other)
        assert world.value("a") == "2"


async def test_a_branch_that_contains_the_applied_commit_again_is_followed_again() -> None:
    world = World()
    async with world.running() as engine:
        first = world.start_repository(FILES)
        await world.until_applied(engine, first)
        second = world.push(CHANGE)
        await world.until_applied(engine, second)
        world.repository.rewrite(first)
        other = world.push({"apps/web/a.yaml": config_map("a", "9")})
        await world.until_refused(engine, other)
        world.repository.rewrite(second)
        third = world.push({"apps/web/a.yaml": config_map("a", "3")})
        await world.until_applied(engine, third)
        assert engine.books.position.refused is None


async def test_a_refusal_is_over_when_the_branch_is_back_at_the_commit_in_force() -> None:
    world = World()
    async with world.running() as engine:
        first = world.start_repository(FILES)
        await world.until_applied(engine, first)
        second = world.push(CHANGE)
        await world.until_applied(engine, second)
        world.repository.rewrite(first)
        await world.until_refused(engine, world.push({"apps/web/a.yaml": config_map("a", "9")}))
        world.repository.rewrite(second)
        await world.until(lambda: engine.books.position.refused is None)
        assert engine.books.position.explanation == ""


async def test_a_branch_forced_back_to_an_earlier_commit_is_refused() -> None:
    world = World()
    async with world.running() as engine:
        first = world.start_repository(FILES)
        await world.until_applied(engine, first)
        await world.until_applied(engine, world.push(CHANGE))
        world.repository.rewrite(first)
        await world.until_refused(engine, first)
        await asyncio.sleep(60)
        assert world.value("a") == "2"


async def test_an_intent_is_durable_before_each_write_and_an_outcome_follows() -> None:
    world = World()
    async with world.running() as engine:
        await world.until_applied(engine, world.start_repository(FILES))
        await world.until_applied(engine, world.push(CHANGE))
        intents = await world.records(Phase.INTENT)
        outcomes = await world.records(Phase.OUTCOME)
        assert len(intents) == len(outcomes) == len(world.writes())
        assert all(record.commit for record in intents + outcomes)

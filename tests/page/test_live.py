"""What changes while somebody looks reaches everybody, drawn once, and in bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import orjson
import pytest

from reconciler.core.sight import Sight
from reconciler.core.viewers import ANYBODY, Viewer
from reconciler.surfaces.page.drawing import Region
from reconciler.surfaces.page.live import LOOK_SECONDS, Channel, Crowded, Hub
from reconciler.surfaces.page.sheets import Ask, Sheet

from .page_world import MODEL, PageWorld

ASK = Ask("/", {}, {}, Sight(ANYBODY, None))


async def make() -> Sheet:
    raise AssertionError("nobody draws this")


def channel() -> Channel:
    return Channel(make)


def test_a_viewer_gets_only_what_became_otherwise_since_it_last_read() -> None:
    found = channel()
    found.update({"a": Region("1", "one"), "b": Region("1", "two")})
    read = found.revision
    found.update({"a": Region("1", "one"), "b": Region("2", "three")})
    body = orjson.loads(found.event(read).split(b"data: ")[1])
    assert body == {"b": {"digest": "2", "html": "three"}}


def test_a_viewer_that_missed_several_changes_gets_the_newest_of_each_once() -> None:
    found = channel()
    for number in range(50):
        found.update({"a": Region(str(number), f"text {number}")})
    assert found.event(0).count(b"text") == 1
    assert b"text 49" in found.event(0)


def test_nothing_is_sent_when_nothing_differs() -> None:
    found = channel()
    found.update({"a": Region("1", "one")})
    waiting = found.changed
    found.update({"a": Region("1", "one")})
    assert not waiting.is_set()


def test_a_viewer_that_comes_back_goes_on_where_it_was() -> None:
    found = channel()
    found.update({"a": Region("1", "one")})
    assert found.since(f"{found.epoch}-1") == 1
    assert found.since("another-1") == 0
    assert found.since(f"{found.epoch}-99") == 1
    assert found.since(f"{found.epoch}-x") == 0
    assert found.since("") == 0


class Stream:
    """One viewer of a page of a world."""

    def __init__(self, events: AsyncIterator[bytes]) -> None:
        self._events = events

    async def next(self) -> bytes:
        """The next thing that comes, beside heartbeats and the advice to retry."""
        async with asyncio.timeout(600):
            while True:
                found = await anext(self._events)
                if found.startswith(b"id:"):
                    return found


async def opened(world: PageWorld, path: str, *, last_id: str = "") -> Stream:
    page = world.page
    assert page is not None
    found = page._page_at(path, world.viewer)
    assert found is not None
    key, draw = found
    before = world.viewer

    async def allowed() -> bool:
        return world.viewer == before

    return Stream(await page._hub.watch(key, draw, last_id=last_id, allowed=allowed))


@pytest.mark.looptime
async def test_a_change_reaches_an_open_page_within_a_second() -> None:
    world = PageWorld()
    async with world.settled() as engine:
        assert world.page is not None
        running = asyncio.create_task(world.page.run())
        stream = await opened(world, "/")
        assert b"Everything is as declared" in await stream.next()
        bad = world.push({"apps/billing/one.yaml": b"kind: [oops\n"})
        await world.until_refused(engine, bad)
        refused = world.clock.monotonic()
        assert b"was refused" in await stream.next()
        assert world.clock.monotonic() - refused <= 2 * LOOK_SECONDS
        running.cancel()


@pytest.mark.looptime
async def test_a_page_that_is_slow_to_be_asked_for_its_events_gets_all_of_them() -> None:
    world = PageWorld()
    async with world.settled() as engine:
        assert world.page is not None
        running = asyncio.create_task(world.page.run())
        stream, other = await opened(world, "/"), await opened(world, "/rollouts")
        await other.next()
        bad = world.push({"apps/billing/one.yaml": b"kind: [oops\n"})
        await world.until_refused(engine, bad)
        await world.clock.sleep(3 * LOOK_SECONDS)  # nobody reads the first one yet
        assert b"was refused" in await stream.next()
        world.push({"apps/billing/one.yaml": None})
        assert b"Everything is as declared" in await stream.next()
        running.cancel()


@pytest.mark.looptime
async def test_a_page_is_drawn_once_however_many_look() -> None:
    world = PageWorld()
    async with world.settled() as engine:
        assert world.page is not None
        running = asyncio.create_task(world.page.run())
        streams = [await opened(world, "/") for _ in range(100)]
        first = {await stream.next() for stream in streams}
        bad = world.push({"apps/billing/one.yaml": b"kind: [oops\n"})
        await world.until_refused(engine, bad)
        second = [await stream.next() for stream in streams]
        assert (len(first), len(set(map(id, second)))) == (1, 1), "the same bytes, not equal ones"
        running.cancel()


@pytest.mark.looptime
async def test_a_stream_ends_with_the_right_to_see_it() -> None:
    world = PageWorld()
    async with world.settled():
        stream = await opened(world, "/")
        await stream.next()
        world.viewer = Viewer("somebody else", frozenset())
        with pytest.raises(StopAsyncIteration):
            await stream.next()


@pytest.mark.looptime
async def test_streams_end_when_the_daemon_stops() -> None:
    world = PageWorld()
    async with world.settled():
        assert world.page is not None
        running = asyncio.create_task(world.page.run())
        stream = await opened(world, "/")
        await stream.next()
        await asyncio.sleep(LOOK_SECONDS)
        running.cancel()
        with pytest.raises(StopAsyncIteration):
            await stream.next()


@pytest.mark.looptime
async def test_people_who_see_other_things_share_no_stream() -> None:
    world = PageWorld()
    async with world.settled():
        world.viewer = Viewer("ada", frozenset({"search"}))
        stream = await opened(world, "/")
        assert b"rollout/fraud" not in await stream.next()
        world.viewer = ANYBODY
        assert b"rollout/fraud" in await (await opened(world, "/")).next()


@pytest.mark.looptime
async def test_more_viewers_than_there_is_room_for_are_told_to_come_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("reconciler.surfaces.page.live.MOST_VIEWERS", 1)
    world = PageWorld()
    async with world.settled():
        stream = await opened(world, "/")
        await stream.next()
        with pytest.raises(Crowded):
            await opened(world, "/")
        assert (await world.get("/live?page=/")).status == 503


@pytest.mark.looptime
async def test_a_bug_in_a_page_ends_neither_the_stream_nor_the_daemon() -> None:
    world = PageWorld()
    async with world.settled() as engine:
        assert world.page is not None
        running = asyncio.create_task(world.page.run())
        stream = await opened(world, "/")
        await stream.next()
        [channel] = world.page._hub._channels.values()
        working, channel.make = channel.make, make
        await world.until_refused(engine, world.push({"apps/billing/one.yaml": b"kind: [oops\n"}))
        await asyncio.sleep(2)
        assert not running.done()
        channel.make = working
        assert b"was refused" in await stream.next()
        running.cancel()


async def test_only_live_pages_have_a_stream() -> None:
    world = PageWorld()
    await world.engine()
    for path in ("/audit", "/nowhere", "//evil.example/", "https://evil.example/x", "/live"):
        assert (await world.get(f"/live?page={path}")).status == 404, path


async def test_a_page_that_nobody_watches_any_more_is_forgotten() -> None:
    world = PageWorld()
    await world.engine()
    assert world.page is not None
    hub: Hub = world.page._hub
    stream = await opened(world, "/")
    await stream.next()
    assert len(hub._channels) == 1
    await stream._events.aclose()  # type: ignore[attr-defined]
    hub._forget_unwatched()
    assert not hub._channels


def test_an_ask_reads_numbers_only_where_there_are_some() -> None:
    for text in ("x", "-1", "١", "9" * 30, ""):
        assert replace(ASK, query={"page": text}).number("page", 1) == 1
    assert replace(ASK, query={"page": "12"}).number("page", 1) == 12


@pytest.mark.looptime
async def test_what_somebody_may_see_follows_the_commit_in_force_while_they_look() -> None:
    world = PageWorld()
    world.viewer = Viewer("ada", frozenset({"search"}))
    async with world.settled() as engine:
        assert world.page is not None
        running = asyncio.create_task(world.page.run())
        stream = await opened(world, "/")
        assert b"rollout/fraud" not in await stream.next()
        moved = MODEL.replace("team: risk", "team: search")
        commit = world.declare("v1", files={"models/fraud.yaml": moved})
        await world.until_applied(engine, commit)
        await asyncio.sleep(2)
        async with asyncio.timeout(60):
            while b"rollout/fraud" not in await stream.next():
                pass
        running.cancel()

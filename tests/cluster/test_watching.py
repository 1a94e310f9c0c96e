"""A watch loses nothing, whatever the connection does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from reconciler.adapters.cluster_connection import ApiConnection, Broken
from reconciler.adapters.cluster_credentials import Kubeconfig
from reconciler.adapters.cluster_watching import BACKOFF_SECONDS, lines_of
from reconciler.core.errors import Forbidden, Unavailable
from reconciler.ports import Gone, Listed, Seen, WatchEvent

from .scripted import (
    LeapingClock,
    ScriptedServer,
    change,
    failure,
    page,
    reflector_on,
    status,
    stream,
)


def shown(event: WatchEvent) -> str:
    match event:
        case Seen(body) | Gone(body):
            metadata = body["metadata"]
            assert isinstance(metadata, dict)
            return f"{type(event).__name__} {metadata['name']}"
        case Listed(version):
            return f"Listed {version}"
        case _:
            return "Interrupted"


async def told(server: ScriptedServer, folder: Path, clock: LeapingClock, count: int) -> list[str]:
    """The first `count` events, as text."""
    collected: list[str] = []
    async with (
        asyncio.timeout(20),
        reflector_on(server, folder, clock) as reflector,
        aclosing(reflector.events()) as events,
    ):
        async for event in events:
            collected.append(shown(event))
            if len(collected) == count:
                break
    return collected


async def test_a_listing_follows_every_page(
    server: ScriptedServer, tmp_path: Path, clock: LeapingClock
) -> None:
    server.will_answer(page("a", version="7", more="next"), page("b", version="7"))
    assert await told(server, tmp_path, clock, 3) == ["Seen a", "Seen b", "Listed 7"]
    assert server.asked[1].query["continue"] == "next"


async def test_a_stream_begins_where_the_listing_ended(
    server: ScriptedServer, tmp_path: Path, clock: LeapingClock
) -> None:
    server.will_answer(page(version="7"), stream(change("ADDED", "a", "8")))
    assert await told(server, tmp_path, clock, 2) == ["Listed 7", "Seen a"]
    assert server.asked[1].query["resourceVersion"] == "7"


async def test_a_stream_asks_for_bookmarks_and_a_long_life(
    server: ScriptedServer, tmp_path: Path, clock: LeapingClock
) -> None:
    server.will_answer(page(version="7"), stream(change("ADDED", "a", "8")))
    await told(server, tmp_path, clock, 2)
    query = server.asked[1].query
    assert query["allowWatchBookmarks"] == "true"
    assert 1800 <= int(query["timeoutSeconds"]) <= 3600


async def test_a_stream_that_ends_is_resumed_after_its_last_bookmark(
    server: ScriptedServer, tmp_path: Path, clock: LeapingClock
) -> None:
    server.will_answer(
        page(version="7"),
        stream(change("ADDED", "a", "8"), change("BOOKMARK", "", "20"), then="end"),
        stream(change("DELETED", "a", "21")),
    )
    assert await told(server, tmp_path, clock, 3) == ["Listed 7", "Seen a", "Gone a"]
    assert server.asked[2].query["resourceVersion"] == "20"


async def test_a_stream_that_breaks_inside_an_event_is_resumed_before_it(
    server: ScriptedServer, tmp_path: Path, clock: LeapingClock
) -> None:
    whole = change("MODIFIED", "a", "9")
    server.will_answer(
        page(version="7"),
        stream(change("ADDED", "a", "8"), whole[:20], then="break"),
        stream(whole),
    )
    assert await told(server, tmp_path, clock, 3) == ["Listed 7", "Seen a", "Seen a"]
    assert server.asked[2].query["resourceVersion"] == "8"


async def test_an_expired_version_in_the_stream_lists_anew_at_once(
    server: ScriptedServer, tmp_path: Path, clock: LeapingClock
) -> None:
    expired = b'{"type":"ERROR","object":' + status(410, "Expired", "too old") + b"}\n"
    server.will_answer(page("a", version="7"), stream(expired), page("b", version="9"))
    assert await told(server, tmp_path, clock, 5) == [
        "Seen a",
        "Listed 7",
        "Interrupted",
        "Seen b",
        "Listed 9",
    ]
    assert clock.slept == []


async def test_an_expired_version_on_opening_lists_anew(
    server: ScriptedServer, tmp_path: Path, clock: LeapingClock
) -> None:
    server.will_answer(page(version="7"), failure(410, reason="Gone"), page(version="9"))
    assert await told(server, tmp_path, clock, 3) == ["Listed 7", "Interrupted", "Listed 9"]


async def test_a_listing_that_expires_halfway_begins_again(
    server: ScriptedServer, tmp_path: Path, clock: LeapingClock
) -> None:
    server.will_answer(
        page("a", version="7", more="next"), failure(410, reason="Expired"), page(version="9")
    )
    assert await told(server, tmp_path, clock, 3) == ["Seen a", "Interrupted", "Listed 9"]
    assert "continue" not in server.asked[2].query


async def test_repeated_expiry_is_not_asked_in_a_hurry(
    server: ScriptedServer, tmp_path: Path, clock: LeapingClock
) -> None:
    server.will_answer(*[failure(410, reason="Expired")] * 4, page(version="9"))
    await told(server, tmp_path, clock, 5)
    assert len(clock.slept) >= 3


async def test_an_outage_is_told_and_waited_for_longer_each_time(
    server: ScriptedServer, tmp_path: Path, clock: LeapingClock
) -> None:
    server.will_answer(page(version="7"), *[failure(503)] * 4, page(version="9"))
    assert (await told(server, tmp_path, clock, 6))[-1] == "Listed 9"
    assert clock.slept == sorted(clock.slept)
    assert max(clock.slept) <= BACKOFF_SECONDS[1]


async def test_a_throttled_watch_waits_as_long_as_it_was_told(
    server: ScriptedServer, tmp_path: Path, clock: LeapingClock
) -> None:
    server.will_answer(failure(429, headers={"Retry-After": "17"}), page(version="9"))
    assert await told(server, tmp_path, clock, 2) == ["Interrupted", "Listed 9"]
    assert clock.slept == [17.0]


async def test_a_server_that_closes_at_once_is_not_asked_in_a_hurry(
    server: ScriptedServer, tmp_path: Path, clock: LeapingClock
) -> None:
    server.will_answer(
        page(version="7"),
        *[stream(then="end")] * 3,
        stream(change("ADDED", "a", "8")),
    )
    assert await told(server, tmp_path, clock, 2) == ["Listed 7", "Seen a"]
    assert clock.slept == [BACKOFF_SECONDS[0]] * 3


async def test_an_error_in_the_stream_is_told(
    server: ScriptedServer, tmp_path: Path, clock: LeapingClock
) -> None:
    broken = b'{"type":"ERROR","object":' + status(500, "InternalError", "etcd") + b"}\n"
    server.will_answer(page(version="7"), stream(broken), page(version="9"))
    assert await told(server, tmp_path, clock, 3) == ["Listed 7", "Interrupted", "Listed 9"]


async def test_what_is_not_an_event_is_told(
    server: ScriptedServer, tmp_path: Path, clock: LeapingClock
) -> None:
    server.will_answer(page(version="7"), stream(b"<html>\n"), page(version="9"))
    assert await told(server, tmp_path, clock, 3) == ["Listed 7", "Interrupted", "Listed 9"]


async def test_a_watch_that_is_forbidden_says_so_and_ends(
    server: ScriptedServer, tmp_path: Path, clock: LeapingClock
) -> None:
    server.will_answer(failure(403, reason="Forbidden", message="no"))
    with pytest.raises(Forbidden):
        await told(server, tmp_path, clock, 1)


async def test_an_event_of_three_megabytes_arrives(
    server: ScriptedServer, tmp_path: Path, clock: LeapingClock
) -> None:
    large = change("ADDED", "large", "8", data={"a": "x" * 3 * 2**20})
    pieces = [large[i : i + 5000] for i in range(0, len(large), 5000)]
    server.will_answer(page(version="7"), stream(*pieces))
    assert await told(server, tmp_path, clock, 2) == ["Listed 7", "Seen large"]


async def test_a_silent_stream_is_given_up(server: ScriptedServer, tmp_path: Path) -> None:
    connection = ApiConnection(Kubeconfig(server.kubeconfig(tmp_path)), LeapingClock())
    async with connection.stream("/", doing="watch", query={}, silence=0.05) as pieces:
        with pytest.raises(Broken):
            await anext(pieces)
    await connection.close()


async def pieces_of(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
async def test_lines_do_not_depend_on_where_the_stream_is_cut(size: int) -> None:
    whole = b"one\ntwo\n\nthree\n"
    cut = [whole[i : i + size] for i in range(0, len(whole), size)]
    lines = [line async for line in lines_of(pieces_of(*cut), doing="watch")]
    assert lines == [b"one", b"two", b"three"]


async def test_an_unfinished_line_is_left_out() -> None:
    lines = [line async for line in lines_of(pieces_of(b"one\ntw"), doing="watch")]
    assert lines == [b"one"]


async def test_a_line_without_end_is_refused() -> None:
    endless = pieces_of(*[b"x" * 2**20] * 65)
    with pytest.raises(Unavailable, match="without end"):
        [line async for line in lines_of(endless, doing="watch")]

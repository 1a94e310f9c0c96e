"""What SQL state stores promise when processes die, disks fill and connections break."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import textwrap
import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, event, text

from contracts.state_worlds import (
    CLUSTER,
    COMMIT,
    UNIT,
    PostgresServer,
    decision,
    entry,
    everything,
    intent,
)
from reconciler.adapters.state_connecting import state_url
from reconciler.adapters.state_sql import SqlStateStore, open_state
from reconciler.core.errors import Unavailable
from reconciler.core.ledger import LedgerUpdate, Position, Standing, UnitState


async def test_the_event_loop_runs_on_while_the_database_waits(tmp_path: Path) -> None:
    store = await open_state(str(tmp_path / "state.db"))
    engine = create_engine(state_url(str(tmp_path / "state.db")))
    with engine.connect() as other:
        other.exec_driver_sql("BEGIN IMMEDIATE")
        waiting = asyncio.ensure_future(store.append([decision()]))
        for _ in range(1000):
            await asyncio.sleep(0)
        assert not waiting.done()
        other.rollback()
    engine.dispose()
    assert list(await waiting) == [0]
    await store.close()


async def test_a_call_cancelled_before_its_turn_writes_nothing(tmp_path: Path) -> None:
    store = await open_state(str(tmp_path / "state.db"))
    engine = create_engine(state_url(str(tmp_path / "state.db")))
    with engine.connect() as other:
        other.exec_driver_sql("BEGIN IMMEDIATE")
        begun = threading.Event()
        event.listen(Engine, "engine_connect", lambda _: begun.set(), once=True)
        first = asyncio.ensure_future(store.append([intent()]))
        # Calls that arrive together share a transaction: the second must come after it began.
        await asyncio.to_thread(begun.wait)
        second = asyncio.ensure_future(store.append([intent()]))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait([second])
        other.rollback()
    engine.dispose()
    assert list(await first) == [0]
    assert (await store.head()).size == 1
    await store.close()


# --- Durability -------------------------------------------------------------------------------


async def test_everything_survives_reopening(place: str) -> None:
    store = await open_state(place)
    await store.append(
        [intent(), decision()],
        updates=[LedgerUpdate(CLUSTER, put=(entry(),), units=(UnitState(UNIT, Standing.SETTLED),))],
        position=Position(accepted=COMMIT),
    )
    before = await everything(store)
    await store.close()
    again = await open_state(place)
    assert await everything(again) == before
    await again.close()


APPENDER = textwrap.dedent(
    """
    import asyncio, sys
    sys.path.insert(0, {here!r})
    from contracts.state_worlds import CLUSTER, COMMIT, entry, intent
    from reconciler.adapters.state_sql import open_state
    from reconciler.core.ledger import LedgerUpdate, Position

    async def main():
        store = await open_state({place!r})
        start = (await store.head()).size // 3
        for number in range(start, 10**9):
            names = [f"{{number}}-{{part}}" for part in range(3)]
            await store.append(
                [intent(name) for name in names],
                updates=[LedgerUpdate(CLUSTER, put=tuple(map(entry, names)))],
                position=Position(accepted=COMMIT, explanation=str(number)),
            )
            print(number, flush=True)

    asyncio.run(main())
    """
)


def killed_after(lines: int, script: str) -> int:
    """Kill the appender when it has reported `lines` calls; the last call that it reported."""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    reported = [int(process.stdout.readline()) for _ in range(lines)]
    process.kill()
    reported += map(int, process.stdout.read().split())
    process.wait()
    return reported[-1]


@pytest.mark.parametrize("lines", [1, 7, 23])
async def test_a_killed_process_leaves_whole_calls_and_loses_none_that_returned(
    place: str, lines: int
) -> None:
    last = killed_after(lines, APPENDER.format(here=str(Path(__file__).parent.parent), place=place))
    store = await open_state(place)
    head, ledger = await store.head(), await store.ledger(CLUSTER)
    assert head.size % 3 == 0
    assert head.size >= 3 * (last + 1)
    assert len(ledger.entries) == len(await store.pending()) == head.size
    assert (await store.position()).explanation == str(head.size // 3 - 1)
    await store.close()


async def test_a_full_disk_is_transient_and_writes_nothing(tmp_path: Path) -> None:
    store = await open_state(str(tmp_path / "state.db"))
    await store.append([intent()], updates=[LedgerUpdate(CLUSTER, put=(entry("first"),))])
    before = await everything(store)
    await limit_pages(store, additional=4)
    big = tuple(entry(str(n), value=os.urandom(4000).hex()) for n in range(50))
    with pytest.raises(Unavailable, match="full"):
        await store.append([decision()], updates=[LedgerUpdate(CLUSTER, put=big)])
    assert await everything(store) == before
    await limit_pages(store, additional=10_000)
    assert list(await store.append([decision()], updates=[LedgerUpdate(CLUSTER, put=big)])) == [1]
    await store.close()


async def limit_pages(store: SqlStateStore, *, additional: int) -> None:
    """The limit belongs to the connection, so it has to be set inside the store."""

    def limit(connection: object) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()  # type: ignore[attr-defined]
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages + additional}")  # type: ignore[attr-defined]

    await store._read(limit)


async def test_a_locked_database_is_transient(tmp_path: Path) -> None:
    store = await open_state(str(tmp_path / "state.db"))
    await store._read(lambda connection: connection.exec_driver_sql("PRAGMA busy_timeout=50"))
    engine = create_engine(state_url(str(tmp_path / "state.db")))
    with engine.connect() as other:
        other.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="locked"):
            await store.append([decision()])
    engine.dispose()
    assert list(await store.append([decision()])) == [0]
    await store.close()


@pytest.mark.postgres
async def test_a_lost_connection_is_transient_and_the_next_call_works(
    postgres_server: PostgresServer,
) -> None:
    place = postgres_server.new_database()
    store = await open_state(place)
    await store.append([decision()])
    engine = create_engine(state_url(postgres_server.url("postgres")), isolation_level="AUTOCOMMIT")
    with engine.connect() as other:
        other.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
            {"name": state_url(place).database},
        )
    engine.dispose()
    with pytest.raises(Unavailable):
        await store.append([decision()])
    assert list(await store.append([decision()])) == [1]
    await store.close()


class DroppingProxy:
    """Lets a commit through to the server, and its answer never back."""

    def __init__(self, server: Path) -> None:
        self._server = str(server / ".s.PGSQL.5432")
        self.armed = False

    async def serve(self, folder: Path) -> asyncio.Server:
        return await asyncio.start_unix_server(self._join, str(folder / ".s.PGSQL.5432"))

    async def _join(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        answers, server = await asyncio.open_unix_connection(self._server)
        relaying = asyncio.create_task(self._relay(answers, back))
        while data := await client.read(65536):
            dropping = self.armed and b"COMMIT" in data
            if dropping:
                self.armed = False
                relaying.cancel()
                await asyncio.wait([relaying])
            server.write(data)
            if dropping:
                assert b"COMMIT" in await answers.read(65536)
                break
        server.close()
        back.close()

    async def _relay(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)


@pytest.mark.postgres
async def test_a_commit_whose_answer_was_lost_is_not_written_twice(
    postgres_server: PostgresServer,
) -> None:
    with tempfile.TemporaryDirectory(prefix="fairlead-", dir="/tmp") as folder:
        proxy = DroppingProxy(postgres_server.socket)
        async with await proxy.serve(Path(folder)):
            url = postgres_server.new_database()
            store = await open_state(url.replace(str(postgres_server.socket), folder))
            await store.append([decision()])
            proxy.armed = True
            with pytest.raises(Unavailable):
                await store.append([intent("a"), intent("b")])
            assert list(await store.append([intent("c")])) == [3]
            assert list(await store.append([intent("a"), intent("b")])) == [1, 2]
            assert (await store.head()).size == 4
            await store.close()


async def test_nobody_listening_is_transient(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        await open_state(f"postgresql://postgres@/nothing?host={tmp_path}")

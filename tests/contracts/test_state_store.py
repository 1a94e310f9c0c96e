"""What every StateStore promises, asked of memory, SQLite and a real PostgreSQL server."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from reconciler.adapters.state_connecting import state_url
from reconciler.adapters.state_memory import MemoryStateStore
from reconciler.adapters.state_sql import SqlStateStore, open_state, open_state_for_reading
from reconciler.core.audit import merkle
from reconciler.core.audit.encoding import encode
from reconciler.core.audit.notes import Signer
from reconciler.core.audit.records import AuditRecord, Phase, Verb
from reconciler.core.errors import Corrupt, Misconfigured, Missing, Unavailable
from reconciler.core.identifiers import ClusterName, CommitSha, Digest, DocumentPath, UnitName
from reconciler.core.ledger import Applied, Entry, LedgerUpdate, Position, Standing, UnitState
from reconciler.core.manifests import Source, manifest_of
from reconciler.core.problems import Span
from reconciler.engine.checkpointing import Checkpointer

Store = MemoryStateStore | SqlStateStore

CLUSTER = ClusterName("edge-1")
UNIT = UnitName("rollout/fraud-detector")
COMMIT = CommitSha("c" * 40)
NOON = datetime(2027, 1, 31, 12, tzinfo=UTC)
SIGNER = Signer.named("example.com/log", bytes(range(32)))


def intent(name: str = "web") -> AuditRecord:
    return AuditRecord(
        time=NOON,
        repository="models",
        commit=COMMIT,
        actor="ada@example.com",
        verb=Verb.APPLY,
        phase=Phase.INTENT,
        cluster=CLUSTER,
        unit=UNIT,
        object=entry(name).key,
        after=Digest(f"sha256:{'1' * 64}"),
        detail={"share": 0.25, "of": ["a", 2, None, True]},
    )


def outcome(of: int, name: str = "web") -> AuditRecord:
    return replace(intent(name), phase=Phase.OUTCOME, intent=of, result="ok")


def decision() -> AuditRecord:
    return replace(intent(), verb=Verb.ACCEPT, phase=Phase.DECISION, object=None)


def entry(name: str = "web", *, value: str = "1", confirmed: bool = True) -> Entry:
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "team-risk"},
        "data": {"value": value, "snow": "☃"},
    }
    manifest = manifest_of(body, Source(DocumentPath("models/fraud.yaml"), Span(3, 1, 9, 80)))
    applied = Applied(manifest, COMMIT, Digest(f"sha256:{'2' * 64}"), uid=f"uid-of-{name}")
    return Entry(manifest.key, UNIT, "v1", applied if confirmed else None)


# --- Where the stores come from ---------------------------------------------------------------


@dataclass(frozen=True)
class PostgresServer:
    """A server of our own on a Unix socket; every test gets an empty database."""

    socket: Path
    names: Iterator[int]

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self.socket}"

    def new_database(self) -> str:
        name = f"state_{next(self.names)}"
        engine = create_engine(state_url(self.url("postgres")), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return self.url(name)


def postgres_binaries() -> Path | None:
    on_path = shutil.which("initdb")
    found = [Path(on_path).resolve()] if on_path else []
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    return found[0].parent if found else None


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    binaries = postgres_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL server binaries (initdb) are neither on PATH nor in /usr/lib")
    home = Path(tempfile.mkdtemp(prefix="fairlead-pg-", dir="/tmp"))
    as_user: list[str] = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("PostgreSQL refuses to run as root, and setpriv is not there")
        # Last option: the server goes when the tests do, however they end.
        as_user = [
            "setpriv",
            "--reuid=nobody",
            "--regid=nogroup",
            "--clear-groups",
            "--pdeathsig=KILL",
        ]
        shutil.chown(home, "nobody", "nogroup")
    subprocess.run(
        [*as_user, binaries / "initdb", "-D", home / "data", "-U", "postgres", "-A", "trust", "-N"],
        check=True,
        capture_output=True,
        cwd="/",
    )
    options = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=50"]
    server = subprocess.Popen(
        [*as_user, binaries / "postgres", "-D", home / "data", "-k", home, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
    )
    try:
        wait_until(lambda: answers(home), "PostgreSQL answers")
        yield PostgresServer(home, count())
    finally:
        server.send_signal(signal.SIGINT)  # Fast shutdown: waits for no client.
        server.wait(20)
        shutil.rmtree(home, ignore_errors=True)


def answers(socket: Path) -> bool:
    engine = create_engine(state_url(f"postgresql://postgres@/postgres?host={socket}"))
    try:
        with engine.connect():
            return True
    except DBAPIError:
        return False
    finally:
        engine.dispose()


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.02)


postgres = pytest.param("postgresql", marks=pytest.mark.postgres)


@pytest.fixture(params=["sqlite", postgres])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "state.db")
    return request.getfixturevalue("postgres_server").new_database()


@pytest.fixture
async def sql_store(place: str) -> AsyncIterator[SqlStateStore]:
    store = await open_state(place)
    yield store
    await store.close()


@pytest.fixture(params=["memory", "sqlite", postgres])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryStateStore()
        return
    if request.param == "sqlite":
        place = str(tmp_path / "state.db")
    else:
        place = request.getfixturevalue("postgres_server").new_database()
    opened = await open_state(place)
    yield opened
    await opened.close()


async def everything(store: Store) -> tuple[object, ...]:
    ledger = await store.ledger(CLUSTER)
    return (
        await store.leaves(),
        await store.head(),
        [logged.index for logged in await store.pending()],
        dict(ledger.entries),
        dict(ledger.units),
        await store.position(),
    )


# --- Appending and reading back ---------------------------------------------------------------


async def test_a_new_store_is_empty(store: Store) -> None:
    assert await store.records() == () or list(await store.records()) == []
    assert dict((await store.ledger(CLUSTER)).entries) == {}
    assert await store.position() == Position()
    assert (await store.head()).root == merkle.EMPTY_ROOT


async def test_records_come_back_as_they_were_written(store: Store) -> None:
    written = [intent(), outcome(0), decision()]
    assert list(await store.append(written)) == [0, 1, 2]
    assert [logged.record for logged in await store.records()] == written


async def test_records_can_be_read_in_pages(store: Store) -> None:
    await store.append([decision() for _ in range(10)])
    assert [logged.index for logged in await store.records(4, 3)] == [4, 5, 6]
    assert list(await store.records(10, 3)) == []


async def test_ledger_entries_come_back_with_their_source(store: Store) -> None:
    entries = (entry("a"), entry("b", confirmed=False))
    await store.append([], updates=[LedgerUpdate(CLUSTER, put=entries)])
    ledger = await store.ledger(CLUSTER)
    assert dict(ledger.entries) == {one.key: one for one in entries}
    applied = ledger.entries[entry("a").key].applied
    assert applied is not None
    assert applied.manifest.source == entry("a").applied.manifest.source  # type: ignore[union-attr]
    assert applied.manifest.type == entry("a").applied.manifest.type  # type: ignore[union-attr]


async def test_an_entry_written_again_replaces_the_earlier_one(store: Store) -> None:
    await store.append([], updates=[LedgerUpdate(CLUSTER, put=(entry(value="1"),))])
    await store.append([], updates=[LedgerUpdate(CLUSTER, put=(entry(value="2"),))])
    assert list((await store.ledger(CLUSTER)).entries.values()) == [entry(value="2")]


async def test_an_entry_can_lose_its_confirmation(store: Store) -> None:
    await store.append([], updates=[LedgerUpdate(CLUSTER, put=(entry(),))])
    await store.append([], updates=[LedgerUpdate(CLUSTER, put=(entry(confirmed=False),))])
    assert (await store.ledger(CLUSTER)).entries[entry().key].applied is None


async def test_dropped_entries_are_gone_and_others_stay(store: Store) -> None:
    await store.append([], updates=[LedgerUpdate(CLUSTER, put=(entry("a"), entry("b")))])
    await store.append([], updates=[LedgerUpdate(CLUSTER, drop=(entry("a").key,))])
    assert list((await store.ledger(CLUSTER)).entries) == [entry("b").key]


async def test_clusters_do_not_see_each_other(store: Store) -> None:
    await store.append([], updates=[LedgerUpdate(CLUSTER, put=(entry(),))])
    assert dict((await store.ledger(ClusterName("edge-2"))).entries) == {}


async def test_units_are_kept_and_forgotten(store: Store) -> None:
    held = UnitState(UNIT, Standing.HELD, refused=Digest("sha256:x"), explanation="no\nquota")
    settled = UnitState(UnitName("manifests"), Standing.SETTLED, commit=COMMIT)
    await store.append([], updates=[LedgerUpdate(CLUSTER, units=(held, settled))])
    assert set((await store.ledger(CLUSTER)).units.values()) == {held, settled}
    await store.append([], updates=[LedgerUpdate(CLUSTER, forget_units=(UNIT,))])
    assert list((await store.ledger(CLUSTER)).units.values()) == [settled]


async def test_the_position_comes_back_with_its_journal(store: Store) -> None:
    position = Position(accepted=COMMIT, explanation="ok", journal={"fraud": {"step": 2, "x": 0.5}})
    await store.append([decision()], position=position)
    await store.append([decision()])
    assert await store.position() == position


async def test_a_loaded_ledger_does_not_change_behind_the_reader(store: Store) -> None:
    before = await store.ledger(CLUSTER)
    await store.append([], updates=[LedgerUpdate(CLUSTER, put=(entry(),))])
    assert dict(before.entries) == {}


# --- Intents and outcomes ---------------------------------------------------------------------


async def test_pending_names_the_intents_without_outcome(store: Store) -> None:
    await store.append([intent("a"), intent("b"), intent("c")])
    await store.append([outcome(1, "b")])
    assert [(p.index, p.record) for p in await store.pending()] == [
        (0, intent("a")),
        (2, intent("c")),
    ]


async def test_an_outcome_may_follow_its_intent_in_one_call(store: Store) -> None:
    await store.append([intent(), outcome(0)])
    assert list(await store.pending()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(outcome(0), id="a second outcome"),
        pytest.param(outcome(1), id="an outcome of an outcome"),
        pytest.param(outcome(2, "other"), id="an outcome of another object"),
        pytest.param(outcome(99), id="an outcome of nothing"),
        pytest.param(replace(outcome(0), intent=None), id="an outcome that names no intent"),
        pytest.param(replace(decision(), intent=2), id="a decision that names an intent"),
    ],
)
async def test_a_call_that_breaks_the_pairing_writes_nothing(
    store: Store, wrong: AuditRecord
) -> None:
    await store.append([intent(), outcome(0), intent()])
    before = await everything(store)
    with pytest.raises(AssertionError, match="pairing"):
        await store.append(
            [decision(), wrong],
            updates=[LedgerUpdate(CLUSTER, put=(entry(),))],
            position=Position(accepted=COMMIT),
        )
    assert await everything(store) == before


async def test_a_record_without_json_form_writes_nothing(store: Store) -> None:
    with pytest.raises(ValueError, match="nan"):
        await store.append([decision(), replace(decision(), detail={"p": float("nan")})])
    assert (await store.head()).size == 0


# --- The tree ---------------------------------------------------------------------------------


async def test_the_head_is_the_root_over_all_records(store: Store) -> None:
    for size in (1, 2, 300, 255, 10):
        await store.append([decision() for _ in range(size)])
    leaves = [leaf for start in (0, 500) for leaf in await store.leaves(start, 500)]
    frontier, _ = merkle.Frontier().extended(map(merkle.leaf_hash, leaves))
    assert await store.head() == type(await store.head())(frontier.size, frontier.root)


async def test_leaves_are_the_encoded_records(store: Store) -> None:
    await store.append([intent(), decision()])
    assert list(await store.leaves()) == [encode(intent()), encode(decision())]


async def test_proofs_from_the_store_verify(store: Store) -> None:
    await store.append([decision() for _ in range(300)])
    old = await store.head()
    await store.append([intent(str(number)) for number in range(300)])
    new = await store.head()
    proof = await store.inclusion(index=299, size=new.size)
    leaf = merkle.leaf_hash((await store.leaves(299, 1))[0])
    assert merkle.includes(leaf=leaf, index=299, size=600, proof=proof, root=new.root)
    consistency = await store.consistency(old=old.size, new=new.size)
    assert merkle.is_consistent(
        old=300, new=600, old_root=old.root, new_root=new.root, proof=consistency
    )


async def test_checkpoints_are_kept_in_order_and_once(store: Store) -> None:
    for size, note in ((0, b"zero"), (7, b"seven"), (3, b"three"), (7, b"other")):
        await store.keep_checkpoint(size, note)
    assert list(await store.checkpoints()) == [b"zero", b"three", b"seven"]
    assert list(await store.checkpoints(1, 1)) == [b"three"]
    assert await store.latest_checkpoint() == b"seven"


# --- Concurrency ------------------------------------------------------------------------------


async def test_concurrent_calls_each_get_their_own_indices(store: Store) -> None:
    calls = [store.append([intent(f"a{n}"), intent(f"b{n}")]) for n in range(100)]
    indices = [index for found in await asyncio.gather(*calls) for index in found]
    assert sorted(indices) == list(range(200))
    stored = await store.records()
    assert [stored[index].record.object for index in indices[:2]] == [
        entry("a0").key,
        entry("b0").key,
    ]


async def test_a_call_that_breaks_a_rule_does_not_harm_those_beside_it(store: Store) -> None:
    good = [store.append([intent(str(n))]) for n in range(20)]
    calls = [*good[:10], store.append([outcome(99)]), *good[10:]]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(a) for a in answers if isinstance(a, BaseException)] == [AssertionError]
    assert (await store.head()).size == 20


async def test_of_two_outcomes_at_once_one_is_refused(store: Store) -> None:
    await store.append([intent()])
    answers = await asyncio.gather(
        store.append([outcome(0)]), store.append([outcome(0)]), return_exceptions=True
    )
    assert sorted(isinstance(answer, AssertionError) for answer in answers) == [False, True]


async def test_two_daemons_append_to_one_log(place: str) -> None:
    one, other = await open_state(place), await open_state(place)
    try:
        calls = [store.append([intent(str(n))]) for n in range(50) for store in (one, other)]
        indices = [index for found in await asyncio.gather(*calls) for index in found]
        assert sorted(indices) == list(range(100))
        assert await one.head() == await other.head()
    finally:
        await one.close()
        await other.close()
    await (await open_state(place)).close()


async def test_one_daemon_settles_the_intent_of_another(place: str) -> None:
    one, other = await open_state(place), await open_state(place)
    try:
        await one.append([intent()])
        await other.append([outcome(0)])
        assert list(await one.pending()) == []
    finally:
        await one.close()
        await other.close()


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
    from dataclasses import replace
    sys.path.insert(0, {here!r})
    from test_state_store import CLUSTER, Position, LedgerUpdate, entry, intent, open_state, COMMIT

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
    last = killed_after(lines, APPENDER.format(here=str(Path(__file__).parent), place=place))
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


# --- Tampering --------------------------------------------------------------------------------

CHANGES = {
    "update a record": "UPDATE audit_leaf SET content = 'x' WHERE idx = 1",
    "delete a record": "DELETE FROM audit_leaf WHERE idx = 2",
    "delete every record": "DELETE FROM audit_leaf",
    "update a stored hash": "UPDATE audit_tile_hash SET hash = 'x'",
    "delete a stored hash": "DELETE FROM audit_tile_hash",
    "update a checkpoint": "UPDATE audit_checkpoint SET note = 'x'",
    "delete a checkpoint": "DELETE FROM audit_checkpoint",
    "skip an index": "INSERT INTO audit_leaf VALUES (9999, 'x', 'x')",
}
REPLACEMENTS = {
    "replace a record": "INSERT OR REPLACE INTO audit_leaf VALUES (1, 'x', 'x')",
    "replace a stored hash": "INSERT OR REPLACE INTO audit_tile_hash VALUES (1, 0, 'x')",
    "replace a checkpoint": "INSERT OR REPLACE INTO audit_checkpoint VALUES (300, 'x')",
}
TRUNCATIONS = {
    "truncate the records": "TRUNCATE audit_leaf",
    "truncate the hashes": "TRUNCATE audit_tile_hash",
    "truncate the checkpoints": "TRUNCATE audit_checkpoint",
}


async def signed_store(place: str) -> None:
    store = await open_state(place)
    await store.append([decision() for _ in range(300)])
    await Checkpointer(store, SIGNER).publish()
    await store.close()


def execute(place: str, *statements: str) -> None:
    engine = create_engine(state_url(place))
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


async def test_the_database_refuses_to_change_the_log(place: str) -> None:
    await signed_store(place)
    own = REPLACEMENTS if state_url(place).get_backend_name() == "sqlite" else TRUNCATIONS
    allowed = [name for name, statement in {**CHANGES, **own}.items() if may(place, statement)]
    assert allowed == []


def may(place: str, statement: str) -> bool:
    try:
        execute(place, statement)
    except DBAPIError as error:
        if re.search("append-only|next index", str(error)) is None:
            raise
        return False
    return True


FORGERIES = {
    "a changed tail record": "UPDATE audit_leaf SET content = 'x' WHERE idx = 299",
    "a changed tail hash": "UPDATE audit_leaf SET hash = content WHERE idx = 299",
    "a removed tail": "DELETE FROM audit_leaf WHERE idx > 290",
    "a changed tile": "UPDATE audit_tile_hash SET hash = (SELECT hash FROM audit_leaf WHERE idx=0)",
    "a lost head": "DELETE FROM audit_head",
    "a head put back": "UPDATE audit_head SET size = 299",
    "a damaged checkpoint": "UPDATE audit_checkpoint SET note = 'x'",
}


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_a_forged_log_is_not_opened(tmp_path: Path, forgery: str) -> None:
    place = str(tmp_path / "state.db")
    await signed_store(place)
    triggers = [
        f"{t}_{v}"
        for t in ("audit_leaf", "audit_tile_hash", "audit_checkpoint")
        for v in ("update", "delete")
    ]
    execute(place, *(f"DROP TRIGGER {name}" for name in triggers), FORGERIES[forgery])
    with pytest.raises(Corrupt):
        await open_state(place)


async def test_a_log_that_contradicts_its_last_checkpoint_is_not_opened(tmp_path: Path) -> None:
    place, other = str(tmp_path / "state.db"), str(tmp_path / "other.db")
    await signed_store(other)
    store = await open_state(place)
    await store.append([intent(str(number)) for number in range(400)])
    await store.close()
    execute(
        place,
        f"ATTACH '{other}' AS other",
        "INSERT INTO audit_checkpoint SELECT * FROM other.audit_checkpoint",
    )
    with pytest.raises(Corrupt, match="last checkpoint"):
        await open_state(place)


async def test_a_log_that_shrinks_under_a_running_daemon_is_noticed(tmp_path: Path) -> None:
    place = str(tmp_path / "state.db")
    store = await open_state(place)
    await store.append([decision() for _ in range(5)])
    execute(
        place,
        "DROP TRIGGER audit_leaf_delete",
        "DELETE FROM audit_leaf WHERE idx > 1",
        "UPDATE audit_head SET size = 2",
    )
    with pytest.raises(Corrupt, match="shrank"):
        await store.append([decision()])
    await store.close()


async def test_a_file_that_is_no_database_is_corrupt(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"not a database, and long enough to be looked at" * 50)
    with pytest.raises(Corrupt):
        await open_state(str(tmp_path / "state.db"))


# --- Schema and places ------------------------------------------------------------------------


async def test_a_newer_schema_is_refused(place: str) -> None:
    await (await open_state(place)).close()
    execute(place, "UPDATE schema_version SET version = 99")
    with pytest.raises(Misconfigured, match="schema version 99"):
        await open_state(place)


async def test_a_database_without_its_version_is_refused(place: str) -> None:
    await (await open_state(place)).close()
    execute(place, "DELETE FROM schema_version")
    with pytest.raises(Corrupt, match="schema version"):
        await open_state(place)


async def test_reading_creates_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(Missing):
            await open_state_for_reading(str(tmp_path / "state.db"))


async def test_the_state_file_is_for_its_owner_only(tmp_path: Path) -> None:
    store = await open_state(str(tmp_path / "deep" / "state.db"))
    await store.append([decision()])
    modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "deep").iterdir()}
    await store.close()
    assert modes == {0}


@pytest.mark.parametrize("url", ["mysql://db/state", "://", "postgresql+nothing://x/y"])
async def test_a_place_that_cannot_hold_state_is_a_misconfiguration(url: str) -> None:
    with pytest.raises(Misconfigured):
        await open_state(url)


# --- Cost -------------------------------------------------------------------------------------


async def timed(work: Awaitable[object]) -> float:
    started = time.perf_counter()
    await work
    return time.perf_counter() - started


async def test_ten_thousand_records_and_entries_take_under_three_seconds(tmp_path: Path) -> None:
    store = await open_state(str(tmp_path / "state.db"))
    spent = 0.0
    for batch in range(100):
        names = [f"{batch}-{n}" for n in range(100)]
        update = LedgerUpdate(CLUSTER, put=tuple(map(entry, names)))
        spent += await timed(store.append(list(map(intent, names)), updates=[update]))
    loading = await timed(store.ledger(CLUSTER))
    await store.close()
    assert spent < 3
    assert loading < 1

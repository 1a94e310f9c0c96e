"""StateStore and AuditLog in SQLite, or in PostgreSQL for more than one daemon.

One thread does all the work of a store, so the event loop never waits for a disk and SQLite has
one writer. Calls of `append` that arrive while a transaction is being committed share the next
one: the price of durability is paid per transaction. The invariant: a call that returns was
durable before it did, and a call that raised Transient can be repeated without writing twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection, Engine, delete, insert, inspect, select, text

from reconciler.adapters import state_schema, state_tree
from reconciler.adapters.state_connecting import engine_for, state_url, translated, writing
from reconciler.adapters.state_rows import read_ledger, read_position, read_review, review_row
from reconciler.adapters.state_schema import (
    CHECKPOINT,
    ENTRY,
    LEAF,
    OPEN_INTENT,
    PIN,
    POSITION,
    REVIEW,
    UNIT,
)
from reconciler.adapters.state_writing import AppendCall, BatchWriter
from reconciler.core.audit import merkle
from reconciler.core.audit.encoding import decode
from reconciler.core.audit.records import AuditRecord
from reconciler.core.change_requests import ReviewRecord
from reconciler.core.errors import Corrupt
from reconciler.core.identifiers import ClusterName
from reconciler.core.ledger import Ledger, LedgerUpdate, Position
from reconciler.core.secret_versions import Pin
from reconciler.ports import Head, Logged

_T = TypeVar("_T")

_SHARED_AT_MOST = 1000
"""Records in one transaction beyond which a waiting call gets the next one."""

_SCHEMA_LOCK = 0x6661_6972_6C65_6164
"""Key of the advisory lock under which two daemons that start at once create one schema."""


async def open_state(place: str) -> SqlStateStore:
    """The state at a file path or URL, created when absent, checked before it is handed out.

    Raises:
        Corrupt: the stored tree, records and checkpoints contradict each other.
        Misconfigured: a newer release wrote it, or the URL is not one.
        Unavailable: the database does not answer.
    """
    store = SqlStateStore(engine_for(state_url(place), create=True))
    return await store.start(create=True)


async def open_state_for_reading(place: str) -> SqlStateStore:
    """The existing state at a file path or URL, unchecked: for commands that check it themselves.

    Raises as `open_state`, and Missing when there is none.
    """
    store = SqlStateStore(engine_for(state_url(place), create=False))
    return await store.start(create=False)


class SqlStateStore:
    """The state in one database. Made by `open_state`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writing = writing(engine)
        self._place = engine.url.render_as_string(hide_password=True)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="fairlead-state")
        self._waiting: deque[AppendCall] = deque()
        self._writer = BatchWriter(self._writing, place=self._place, frontier=merkle.Frontier())

    async def start(self, *, create: bool) -> SqlStateStore:
        """Bring schema and tree into a known state; closes the store when that fails."""
        try:
            if create:
                await self._write(_create)
                frontier = await self._read(state_tree.check)
                self._writer = BatchWriter(self._writing, place=self._place, frontier=frontier)
            else:
                await self._read(lambda connection: state_schema.prepare(connection, create=False))
        except BaseException:
            await self.close()
            raise
        return self

    async def append(
        self,
        records: Sequence[AuditRecord],
        *,
        updates: Sequence[LedgerUpdate] = (),
        position: Position | None = None,
        pins: Sequence[Pin] = (),
    ) -> Sequence[int]:
        call = AppendCall(tuple(records), tuple(updates), position, tuple(pins))
        self._waiting.append(call)
        self._thread.submit(self._write_waiting)
        return await asyncio.wrap_future(call.indices)

    async def ledger(self, cluster: ClusterName) -> Ledger:
        entries = select(ENTRY.c.key, ENTRY.c.facts, ENTRY.c.content).where(
            ENTRY.c.cluster == cluster
        )
        units = select(UNIT.c.facts).where(UNIT.c.cluster == cluster)

        def load(connection: Connection) -> Ledger:
            return read_ledger(
                cluster,
                entries=connection.execute(entries),
                units=connection.scalars(units),
            )

        return await self._read(load)

    async def position(self) -> Position:
        return await self._read(
            lambda connection: read_position(connection.scalar(select(POSITION.c.facts)))
        )

    async def pins(self) -> Sequence[Pin]:
        query = select(*PIN.columns).order_by(*PIN.primary_key)

        def load(connection: Connection) -> Sequence[Pin]:
            # An earlier release wrote what is only read here.
            known = inspect(connection).has_table(PIN.name)
            return [Pin(*row) for row in connection.execute(query)] if known else []

        return await self._read(load)

    async def records(self, start: int = 0, limit: int = 1000) -> Sequence[Logged]:
        query = (
            select(LEAF.c.idx, LEAF.c.content)
            .where(LEAF.c.idx >= start, LEAF.c.idx < start + limit)
            .order_by(LEAF.c.idx)
        )
        return await self._read(lambda connection: _logged(connection.execute(query)))

    async def pending(self) -> Sequence[Logged]:
        query = (
            select(LEAF.c.idx, LEAF.c.content)
            .join(OPEN_INTENT, OPEN_INTENT.c.idx == LEAF.c.idx)
            .order_by(LEAF.c.idx)
        )
        return await self._read(lambda connection: _logged(connection.execute(query)))

    async def head(self) -> Head:
        return await self._read(state_tree.read_head)

    async def leaves(self, start: int = 0, limit: int = 1000) -> Sequence[bytes]:
        return await self._read(
            lambda connection: state_tree.read_leaves(connection, start, start + limit)
        )

    async def hashes(self, level: int, start: int, stop: int) -> Sequence[bytes]:
        return await self._read(
            lambda connection: state_tree.read_hashes(connection, level, start, stop)
        )

    async def inclusion(self, *, index: int, size: int) -> Sequence[bytes]:
        return await self._read(
            lambda connection: merkle.inclusion_proof(
                state_tree.reader(connection), index=index, size=size
            )
        )

    async def consistency(self, *, old: int, new: int) -> Sequence[bytes]:
        return await self._read(
            lambda connection: merkle.consistency_proof(
                state_tree.reader(connection), old=old, new=new
            )
        )

    async def checkpoints(self, start: int = 0, limit: int = 1000) -> Sequence[bytes]:
        query = (
            select(CHECKPOINT.c.note)
            .where(CHECKPOINT.c.size >= start)
            .order_by(CHECKPOINT.c.size)
            .limit(limit)
        )
        return await self._read(
            lambda connection: list(map(state_tree.stored_bytes, connection.scalars(query)))
        )

    async def latest_checkpoint(self) -> bytes | None:
        return await self._read(state_tree.read_latest_checkpoint)

    async def keep_checkpoint(self, size: int, note: bytes) -> None:
        def keep(connection: Connection) -> None:
            state_tree.read_head(connection, lock=True)
            if (
                connection.scalar(select(CHECKPOINT.c.size).where(CHECKPOINT.c.size == size))
                is None
            ):
                connection.execute(insert(CHECKPOINT).values(size=size, note=note))

        await self._write(keep)

    async def reviews(self) -> Mapping[int, ReviewRecord]:
        def load(connection: Connection) -> Mapping[int, ReviewRecord]:
            found = map(read_review, connection.scalars(select(REVIEW.c.facts)))
            return {record.number: record for record in found}

        return await self._read(load)

    async def keep_review(self, record: ReviewRecord) -> None:
        def keep(connection: Connection) -> None:
            connection.execute(delete(REVIEW).where(REVIEW.c.number == record.number))
            connection.execute(insert(REVIEW).values(**review_row(record)))

        await self._write(keep)

    async def close(self) -> None:
        await self._call(self._engine.dispose)
        self._thread.shutdown(wait=False)

    def _write_waiting(self) -> None:
        """In the thread: write what has come together until now. Often that is nothing any more."""
        calls: list[AppendCall] = []
        count = 0
        while self._waiting and count < _SHARED_AT_MOST:
            call = self._waiting.popleft()
            if call.indices.set_running_or_notify_cancel():
                calls.append(call)
                count += len(call.records)
        if calls:
            self._writer.write(calls)

    async def _read(self, work: Callable[[Connection], _T]) -> _T:
        return await self._call(lambda: self._transact(self._engine, work))

    async def _write(self, work: Callable[[Connection], _T]) -> _T:
        return await self._call(lambda: self._transact(self._writing, work))

    def _transact(self, engine: Engine, work: Callable[[Connection], _T]) -> _T:
        try:
            with translated(self._place), engine.begin() as connection:
                return work(connection)
        except LookupError as error:
            raise Corrupt(
                f"the audit log in {self._place} is incomplete: {error}",
                hint="restore the state from a backup",
            ) from error

    async def _call(self, work: Callable[[], _T]) -> _T:
        return await asyncio.wrap_future(self._thread.submit(work))


def _create(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})
    state_schema.prepare(connection, create=True)


def _logged(rows: Iterable[tuple[int, bytes]]) -> list[Logged]:
    logged = []
    for index, content in rows:
        try:
            logged.append(Logged(index, decode(content)))
        except ValueError as error:
            raise Corrupt(f"audit record {index} cannot be read: {error}") from error
    return logged

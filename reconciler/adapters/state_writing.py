"""Writing calls of `append` into the database: several calls, one transaction.

Separate from the store, because this runs in its thread and knows nothing of the event loop. The
invariant: each call is written whole or not at all, and a call that breaks a rule fails alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field

from sqlalchemy import Connection, Engine, Table, bindparam, delete, text

from reconciler.adapters import state_tree
from reconciler.adapters.state_connecting import translated
from reconciler.adapters.state_rows import Row, entry_row, position_row, unit_row
from reconciler.adapters.state_schema import ENTRY, PIN, POSITION, UNIT
from reconciler.core.audit import merkle
from reconciler.core.audit.encoding import encode
from reconciler.core.audit.pairing import paired
from reconciler.core.audit.records import AuditRecord
from reconciler.core.errors import Corrupt
from reconciler.core.identifiers import ClusterName, ObjectKey, UnitName
from reconciler.core.ledger import Entry, LedgerUpdate, Position, UnitState
from reconciler.core.secret_versions import Pin
from reconciler.ports import Head


@dataclass(slots=True, eq=False)
class AppendCall:
    """One call of `append`, waiting for its transaction."""

    records: tuple[AuditRecord, ...]
    updates: tuple[LedgerUpdate, ...]
    position: Position | None
    pins: tuple[Pin, ...] = ()
    indices: Future[range] = field(default_factory=Future)
    leaves: list[bytes] = field(default_factory=list)
    start: int = 0

    @property
    def places(self) -> range:
        return range(self.start, self.start + len(self.records))


@dataclass(slots=True)
class _Doubt:
    """Calls whose commit was sent and not answered: written or not, nobody could say then.

    Their callers were told Unavailable. When one of them calls again with the same records, and
    the first attempt turns out to be there, it gets the indices of the first attempt.
    """

    calls: list[AppendCall] = field(default_factory=list)

    def settle(self, connection: Connection) -> None:
        """Keep only the calls that were written after all."""
        self.calls = [
            call
            for call in self.calls
            if call.leaves
            and state_tree.read_leaves(connection, call.places.start, call.places.stop)
            == call.leaves
        ]

    def resolve(self, call: AppendCall) -> bool:
        """Whether `call` repeats one that was written; if so, it takes over its indices."""
        for earlier in self.calls:
            if earlier.leaves == call.leaves:
                self.calls.remove(earlier)
                call.start = earlier.start
                return True
        return False


class BatchWriter:
    """Writes batches of calls; keeps the frontier of the tree between them."""

    def __init__(self, engine: Engine, *, place: str, frontier: merkle.Frontier) -> None:
        self._engine = engine
        self._place = place
        self._frontier = frontier
        self._doubt = _Doubt()

    def write(self, calls: Sequence[AppendCall]) -> None:
        """Answer every call. Nothing is raised: what goes wrong is the answer."""
        try:
            written = self._commit([call for call in calls if _encoded(call)])
        except Exception as error:
            for call in calls:
                if not call.indices.done():
                    call.indices.set_exception(error)
            return
        for call in written:
            call.indices.set_result(call.places)

    def _commit(self, calls: Sequence[AppendCall]) -> Sequence[AppendCall]:
        """The calls that are durable now; the others have their exception already."""
        with translated(self._place), self._engine.connect() as connection:
            head = state_tree.read_head(connection, lock=True)
            frontier = self._current(connection, head)
            self._doubt.settle(connection)
            repeated = [call for call in calls if self._doubt.resolve(call)]
            admitted = _admit(connection, head.size, [c for c in calls if c not in repeated])
            leaves = [leaf for call in admitted for leaf in call.leaves]
            frontier = state_tree.add_leaves(connection, frontier, leaves)
            _write_state(connection, admitted)
            unsettled = self._doubt.calls
            self._doubt.calls = [*unsettled, *admitted]
            connection.commit()
            self._doubt.calls = unsettled
        self._frontier = frontier
        return [*repeated, *admitted]

    def _current(self, connection: Connection, head: Head) -> merkle.Frontier:
        """The frontier to build on: ours, unless another daemon has appended since."""
        if self._frontier.size == head.size and self._frontier.root == head.root:
            return self._frontier
        if head.size < self._frontier.size:
            raise Corrupt(
                f"the audit log shrank from {self._frontier.size} to {head.size} records",
                hint="confirmed writes were lost: compare the log with its anchored checkpoints",
            )
        return state_tree.load_frontier(connection, head)


def _encoded(call: AppendCall) -> bool:
    try:
        call.leaves = [encode(record) for record in call.records]
    except ValueError as error:
        call.indices.set_exception(error)
        return False
    return True


def _admit(connection: Connection, start: int, calls: Sequence[AppendCall]) -> Sequence[AppendCall]:
    """Give the calls that keep the pairing rule their places, and note what they open and close."""
    named = {r.intent for call in calls for r in call.records if r.intent is not None}
    stored = state_tree.read_open_intents(connection, named)
    opened, admitted = dict(stored), list[AppendCall]()
    for call in calls:
        try:
            opening, closing = paired(call.records, start=start, opened=opened)
        except AssertionError as error:
            call.indices.set_exception(error)
            continue
        opened = {i: s for i, s in opened.items() if i not in closing} | opening
        call.start = start
        start = call.places.stop
        admitted.append(call)
    state_tree.change_open_intents(
        connection,
        opening={i: s for i, s in opened.items() if i not in stored},
        closing=stored.keys() - opened.keys(),
    )
    return admitted


def _write_state(connection: Connection, calls: Sequence[AppendCall]) -> None:
    """Ledgers and position. Several calls may touch the same row; the last one stays."""
    entries: dict[tuple[ClusterName, ObjectKey], Entry | None] = {}
    units: dict[tuple[ClusterName, UnitName], UnitState | None] = {}
    position = None
    for call in calls:
        position = call.position if call.position is not None else position
        for change in call.updates:
            entries.update(((change.cluster, entry.key), entry) for entry in change.put)
            entries.update(((change.cluster, key), None) for key in change.drop)
            units.update(((change.cluster, state.unit), state) for state in change.units)
            units.update(((change.cluster, unit), None) for unit in change.forget_units)
    _put(connection, ENTRY, [entry_row(c, e) for (c, _), e in entries.items() if e is not None])
    _drop(
        connection,
        ENTRY,
        [{"cluster": c, "key": str(k)} for (c, k), e in entries.items() if e is None],
    )
    _put(connection, UNIT, [unit_row(c, s) for (c, _), s in units.items() if s is not None])
    _drop(connection, UNIT, [{"cluster": c, "unit": u} for (c, u), s in units.items() if s is None])
    if position is not None:
        _put(connection, POSITION, [position_row(position)])
    _keep(connection, PIN, [asdict(pin) for call in calls for pin in call.pins])


def _put(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert or replace rows, in the one form that both databases know."""
    rest = ", ".join(f"{c.name} = excluded.{c.name}" for c in table.columns if not c.primary_key)
    _insert(connection, table, rows, f"UPDATE SET {rest}")


def _keep(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows, and leave those that are there."""
    _insert(connection, table, rows, "NOTHING")


def _insert(connection: Connection, table: Table, rows: Sequence[Row], otherwise: str) -> None:
    if not rows:
        return
    names = [column.name for column in table.columns]
    identity = ", ".join(column.name for column in table.primary_key)
    statement = (
        f"INSERT INTO {table.name} ({', '.join(names)}) "  # noqa: S608 - names of our own tables
        f"VALUES ({', '.join(f':{name}' for name in names)}) "
        f"ON CONFLICT ({identity}) DO {otherwise}"
    )
    connection.execute(text(statement), rows)


def _drop(connection: Connection, table: Table, keys: Sequence[Mapping[str, str]]) -> None:
    if not keys:
        return
    matches = [column == bindparam(column.name) for column in table.primary_key]
    connection.execute(delete(table).where(*matches), keys)

"""The rows of the log: adding leaves, reading hashes, checking what is stored.

Separate from the store because everything here works inside one transaction that somebody else
began. The invariant: rows are only ever added, and together they are the tree of `audit_head`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from reconciler.adapters.state_schema import CHECKPOINT, HEAD, LEAF, OPEN_INTENT, TILE
from reconciler.core.audit import merkle
from reconciler.core.audit.notes import NoteError, checkpoint_of
from reconciler.core.errors import Corrupt
from reconciler.ports import Head

_RESTORE = "restore the state from a backup, and compare it with the anchored checkpoints"

_PARAMETERS = 1000
"""In one statement. SQLite allows 32,766, PostgreSQL 65,535."""


def stored_bytes(value: object) -> bytes:
    """A value of a binary column; SQLite lets a forger put any type there."""
    if not isinstance(value, bytes):
        raise Corrupt("the state database holds text where bytes belong", hint=_RESTORE)
    return value


def read_head(connection: Connection, *, lock: bool = False) -> Head:
    """The head row. With `lock`, nobody else appends until the transaction ends."""
    query = select(HEAD.c.size, HEAD.c.root)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise Corrupt("the audit log has lost its head", hint=_RESTORE)
    return Head(row.size, stored_bytes(row.root))


def read_hashes(connection: Connection, level: int, start: int, stop: int) -> list[bytes]:
    if level == 0:
        query = select(LEAF.c.hash).where(LEAF.c.idx >= start, LEAF.c.idx < stop)
        return list(map(stored_bytes, connection.scalars(query.order_by(LEAF.c.idx))))
    query = select(TILE.c.hash).where(TILE.c.level == level, TILE.c.idx >= start, TILE.c.idx < stop)
    return list(map(stored_bytes, connection.scalars(query.order_by(TILE.c.idx))))


def reader(connection: Connection) -> merkle.Reader:
    return lambda level, start, stop: read_hashes(connection, level, start, stop)


def read_leaves(connection: Connection, start: int, stop: int) -> list[bytes]:
    query = select(LEAF.c.content).where(LEAF.c.idx >= start, LEAF.c.idx < stop)
    return list(map(stored_bytes, connection.scalars(query.order_by(LEAF.c.idx))))


def load_frontier(connection: Connection, head: Head) -> merkle.Frontier:
    """The frontier of the tree that the head row names, from stored hashes."""
    try:
        frontier = merkle.frontier_at(reader(connection), head.size)
    except LookupError as error:
        raise Corrupt(f"the audit log is incomplete: {error}", hint=_RESTORE) from error
    if frontier.root != head.root:
        raise Corrupt(
            f"the stored hashes of the audit log do not make the root of its {head.size} records",
            hint=_RESTORE,
        )
    return frontier


def add_leaves(
    connection: Connection, frontier: merkle.Frontier, leaves: Sequence[bytes]
) -> merkle.Frontier:
    """Add leaves behind `frontier`, which must be that of the locked head row."""
    if not leaves:
        return frontier
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
    grown, filled = frontier.extended(hashes)
    connection.execute(
        insert(LEAF),
        [
            {"idx": index, "content": leaf, "hash": leaf_hash}
            for index, (leaf, leaf_hash) in enumerate(
                zip(leaves, hashes, strict=True), frontier.size
            )
        ],
    )
    if filled:
        connection.execute(
            insert(TILE),
            [{"level": tile.level, "idx": tile.index, "hash": tile.hash} for tile in filled],
        )
    connection.execute(update(HEAD).values(size=grown.size, root=grown.root))
    return grown


def read_open_intents(connection: Connection, indices: Collection[int]) -> dict[int, str]:
    """The subjects of those of `indices` that are intents without an outcome."""
    found: dict[int, str] = {}
    ordered = sorted(indices)
    for start in range(0, len(ordered), _PARAMETERS):
        part = ordered[start : start + _PARAMETERS]
        query = select(OPEN_INTENT.c.idx, OPEN_INTENT.c.subject).where(OPEN_INTENT.c.idx.in_(part))
        found.update(connection.execute(query).all())
    return found


def change_open_intents(
    connection: Connection, *, opening: dict[int, str], closing: Collection[int]
) -> None:
    if opening:
        connection.execute(
            insert(OPEN_INTENT),
            [{"idx": index, "subject": subject} for index, subject in opening.items()],
        )
    if closing:
        connection.execute(
            delete(OPEN_INTENT).where(OPEN_INTENT.c.idx == bindparam("closed")),
            [{"closed": index} for index in closing],
        )


def read_latest_checkpoint(connection: Connection) -> bytes | None:
    query = select(CHECKPOINT.c.note).order_by(CHECKPOINT.c.size.desc()).limit(1)
    note = connection.scalars(query).one_or_none()
    return None if note is None else stored_bytes(note)


def check(connection: Connection) -> merkle.Frontier:
    """Compare head, stored hashes, the last records and the last checkpoint with each other.

    Costs the reading of some 500 hashes and records, at any size of the log; `audit verify`
    compares everything.

    Raises:
        Corrupt: they contradict each other, so that nothing may be added or signed.
    """
    head = read_head(connection)
    end = connection.scalar(select(func.coalesce(func.max(LEAF.c.idx) + 1, 0)))
    if end != head.size:
        raise Corrupt(
            f"the audit log ends at record {end}, its head says {head.size}", hint=_RESTORE
        )
    frontier = load_frontier(connection, head)
    _check_tail(connection, head.size)
    _check_checkpoint(connection, head.size)
    return frontier


def _check_tail(connection: Connection, size: int) -> None:
    start = max(0, size - merkle.TILE_WIDTH - size % merkle.TILE_WIDTH)
    hashes = read_hashes(connection, 0, start, size)
    for index, leaf in enumerate(read_leaves(connection, start, size), start):
        if merkle.leaf_hash(leaf) != hashes[index - start]:
            raise Corrupt(f"audit record {index} does not match its stored hash", hint=_RESTORE)
    tile = size // merkle.TILE_WIDTH - 1
    if tile >= 0:
        full = merkle.Frontier().extended(hashes[: merkle.TILE_WIDTH])[0].root
        if [full] != read_hashes(connection, 1, tile, tile + 1):
            raise Corrupt(f"tile {tile} of the audit log does not match its hash", hint=_RESTORE)


def _check_checkpoint(connection: Connection, size: int) -> None:
    note = read_latest_checkpoint(connection)
    if note is None:
        return
    try:
        checkpoint = checkpoint_of(note)
    except NoteError as error:
        raise Corrupt(f"the last checkpoint is damaged: {error}", hint=_RESTORE) from error
    if checkpoint.size > size:
        raise Corrupt(
            f"the audit log has {size} records, its last checkpoint was signed over "
            f"{checkpoint.size}",
            hint=_RESTORE,
        )
    if merkle.root_at(reader(connection), checkpoint.size) != checkpoint.root:
        raise Corrupt(
            f"the first {checkpoint.size} records are not those of the last checkpoint",
            hint=_RESTORE,
        )

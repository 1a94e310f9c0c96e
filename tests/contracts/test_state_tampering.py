"""What SQL state stores do about a database that was changed by other hands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError

from contracts.state_worlds import (
    SIGNER,
    decision,
    intent,
)
from reconciler.adapters.state_connecting import state_url
from reconciler.adapters.state_sql import open_state, open_state_for_reading
from reconciler.core.errors import Corrupt, Misconfigured, Missing
from reconciler.engine.checkpointing import Checkpointer

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


async def test_attack_23_a_row_is_changed(place: str) -> None:
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
async def test_attack_23_a_forged_log_is_not_opened(tmp_path: Path, forgery: str) -> None:
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


async def test_attack_23_a_log_that_shrinks_under_a_running_daemon(tmp_path: Path) -> None:
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

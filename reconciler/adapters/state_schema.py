"""The tables of the state database, their triggers, and the version that they have.

Separate from the code that reads and writes them, because this is what outlives a release. The
invariant: the database itself refuses to change, remove, replace or skip a record of the log, a
stored hash or a checkpoint, whoever asks.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    insert,
    inspect,
    select,
)

from reconciler.core.audit.merkle import EMPTY_ROOT
from reconciler.core.errors import Corrupt, Misconfigured, Missing

VERSION = 1

METADATA = MetaData()

_VERSION = Table(
    "schema_version",
    METADATA,
    Column("version", Integer, primary_key=True, autoincrement=False),
)

LEAF = Table(
    "audit_leaf",
    METADATA,
    Column("idx", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("content", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)

TILE = Table(
    "audit_tile_hash",
    METADATA,
    Column("level", Integer, primary_key=True),
    Column("idx", BigInteger, primary_key=True),
    Column("hash", LargeBinary, nullable=False),
)
"""Hashes of tile levels from 1 up; those of level 0 are beside the records."""

CHECKPOINT = Table(
    "audit_checkpoint",
    METADATA,
    Column("size", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("note", LargeBinary, nullable=False),
)

HEAD = Table(
    "audit_head",
    METADATA,
    Column("id", Integer, CheckConstraint("id = 1"), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
)
"""One row. Whoever appends holds its lock, so that records get their places one after another."""

OPEN_INTENT = Table(
    "open_intent",
    METADATA,
    Column("idx", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("subject", Text, nullable=False),
)

ENTRY = Table(
    "ledger_entry",
    METADATA,
    Column("cluster", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("facts", LargeBinary, nullable=False),
    Column("content", LargeBinary),
)

UNIT = Table(
    "ledger_unit",
    METADATA,
    Column("cluster", Text, primary_key=True),
    Column("unit", Text, primary_key=True),
    Column("facts", LargeBinary, nullable=False),
)

POSITION = Table(
    "position",
    METADATA,
    Column("id", Integer, CheckConstraint("id = 1"), primary_key=True),
    Column("facts", LargeBinary, nullable=False),
)

REVIEW = Table(
    "review",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("facts", LargeBinary, nullable=False),
)
"""Came after the others, and earlier releases do not look at it: it needs no version of its own."""

PIN = Table(
    "secret_pin",
    METADATA,
    Column("owner", Text, primary_key=True),
    Column("store", Text, primary_key=True),
    Column("reference", Text, primary_key=True),
    Column("version", Text, nullable=False),
)
"""As `review`: it came after the others."""

# INSERT OR REPLACE removes rows without firing a DELETE trigger, hence those on INSERT:
# https://sqlite.org/lang_conflict.html
_SQLITE_TRIGGERS = """
CREATE TRIGGER audit_leaf_update BEFORE UPDATE ON audit_leaf
BEGIN SELECT RAISE(ABORT, 'audit_leaf is append-only'); END;

CREATE TRIGGER audit_leaf_delete BEFORE DELETE ON audit_leaf
BEGIN SELECT RAISE(ABORT, 'audit_leaf is append-only'); END;

CREATE TRIGGER audit_leaf_insert BEFORE INSERT ON audit_leaf
WHEN NEW.idx IS NOT (SELECT COALESCE(MAX(idx) + 1, 0) FROM audit_leaf)
BEGIN SELECT RAISE(ABORT, 'audit_leaf takes the next index only'); END;

CREATE TRIGGER audit_tile_hash_update BEFORE UPDATE ON audit_tile_hash
BEGIN SELECT RAISE(ABORT, 'audit_tile_hash is append-only'); END;

CREATE TRIGGER audit_tile_hash_delete BEFORE DELETE ON audit_tile_hash
BEGIN SELECT RAISE(ABORT, 'audit_tile_hash is append-only'); END;

CREATE TRIGGER audit_tile_hash_insert BEFORE INSERT ON audit_tile_hash
WHEN EXISTS (SELECT 1 FROM audit_tile_hash WHERE level = NEW.level AND idx = NEW.idx)
BEGIN SELECT RAISE(ABORT, 'audit_tile_hash is append-only'); END;

CREATE TRIGGER audit_checkpoint_update BEFORE UPDATE ON audit_checkpoint
BEGIN SELECT RAISE(ABORT, 'audit_checkpoint is append-only'); END;

CREATE TRIGGER audit_checkpoint_delete BEFORE DELETE ON audit_checkpoint
BEGIN SELECT RAISE(ABORT, 'audit_checkpoint is append-only'); END;

CREATE TRIGGER audit_checkpoint_insert BEFORE INSERT ON audit_checkpoint
WHEN EXISTS (SELECT 1 FROM audit_checkpoint WHERE size = NEW.size)
BEGIN SELECT RAISE(ABORT, 'audit_checkpoint is append-only'); END;
"""

_POSTGRESQL_TRIGGERS = """
CREATE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only', ERRCODE = '23000';
END $$;

CREATE FUNCTION audit_require_next() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
IF NEW.idx <> (SELECT COALESCE(MAX(idx) + 1, 0) FROM audit_leaf) THEN
RAISE EXCEPTION USING MESSAGE = 'audit_leaf takes the next index only', ERRCODE = '23000';
END IF;
RETURN NEW;
END $$;

CREATE TRIGGER require_next BEFORE INSERT ON audit_leaf
FOR EACH ROW EXECUTE FUNCTION audit_require_next();

CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON audit_leaf
FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();

CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON audit_leaf
FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change();

CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON audit_tile_hash
FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();

CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON audit_tile_hash
FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change();

CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON audit_checkpoint
FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();

CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON audit_checkpoint
FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change();
"""

# An empty line parts the statements: drivers take one at a time.
_TRIGGERS = {"sqlite": _SQLITE_TRIGGERS, "postgresql": _POSTGRESQL_TRIGGERS}


def prepare(connection: Connection, *, create: bool) -> None:
    """Bring the database to VERSION, or say why that cannot be.

    Raises:
        Missing: there is nothing here and `create` is false.
        Misconfigured: a newer release wrote this database.
        Corrupt: some of our tables are there and the version is not.
    """
    present = set(inspect(connection).get_table_names()) & METADATA.tables.keys()
    if not present:
        if not create:
            raise Missing(
                "the database holds no state of Fairlead",
                hint="check the path or URL; the daemon creates the state when it first starts",
            )
        _create(connection)
        return
    version = _version(connection) if _VERSION.name in present else None
    if version is None:
        raise Corrupt(
            "the state database holds tables of Fairlead but no schema version",
            hint="restore it from a backup",
        )
    if version > VERSION:
        raise Misconfigured(
            f"the state database has schema version {version}, this release knows {VERSION}",
            hint="use the release that wrote it, or a newer one",
        )
    if create:
        REVIEW.create(connection, checkfirst=True)
        PIN.create(connection, checkfirst=True)


def _version(connection: Connection) -> int | None:
    return connection.execute(select(_VERSION.c.version)).scalar_one_or_none()


def _create(connection: Connection) -> None:
    METADATA.create_all(connection)
    for statement in _TRIGGERS[connection.dialect.name].strip().split("\n\n"):
        connection.exec_driver_sql(statement)
    connection.execute(insert(_VERSION).values(version=VERSION))
    connection.execute(insert(HEAD).values(id=1, size=0, root=EMPTY_ROOT))

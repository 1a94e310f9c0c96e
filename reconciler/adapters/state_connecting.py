"""How to reach the state database, and what its errors mean to us.

Separate because the two databases differ here and nowhere else. The invariant: no exception of
SQLAlchemy or of a driver leaves the adapters.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    QueuePool,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
)
from sqlalchemy.pool import ConnectionPoolEntry

from reconciler.core.errors import Corrupt, Misconfigured, Missing, Unavailable

_BUSY_SECONDS = 5

_POSTGRESQL: dict[str, str | int] = {
    "application_name": "fairlead",
    "connect_timeout": 5,
    # A peer that vanished is noticed within 10 s instead of the two hours of the kernel.
    "tcp_user_timeout": 10_000,
    "options": "-c statement_timeout=30s -c lock_timeout=10s -c synchronous_commit=on",
}


def state_url(place: str) -> URL:
    """The database that a path or a URL names; `postgresql://` means psycopg."""
    if "://" not in place:
        return URL.create("sqlite", database=str(Path(place).expanduser().absolute()))
    try:
        url = make_url(place)
    except ArgumentError as error:
        raise Misconfigured(f"not a database URL: {error}") from error
    if url.drivername in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise Misconfigured(
            f"state cannot be kept in {url.get_backend_name()}",
            hint="give a file path, or a URL that begins with postgresql://",
        )
    return url


def engine_for(url: URL, *, create: bool) -> Engine:
    """An engine with one connection, for the one thread that will use it."""
    if url.get_backend_name() == "sqlite":
        return _sqlite(url, create=create)
    try:
        return create_engine(
            url, poolclass=QueuePool, pool_size=1, max_overflow=0, connect_args=_POSTGRESQL
        )
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise Misconfigured(
            "the PostgreSQL driver is not installed", hint="install fairlead[postgresql]"
        ) from error


def writing(engine: Engine) -> Engine:
    """The same engine, whose transactions begin by taking the right to write."""
    return engine.execution_options(writes=True)


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Turn the errors of the database into ours. Unavailable: the transaction changed nothing."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        if _is_damage(error):
            raise _corrupt(place, error) from error
        raise Unavailable(
            f"the state database {place} does not answer: {_reason(error)}",
            hint="check that it is running, has space left and may be written",
        ) from error
    except DBAPIError as error:
        raise _corrupt(place, error) from error


def _corrupt(place: str, error: DBAPIError) -> Corrupt:
    return Corrupt(
        f"the state database {place} contradicts itself: {_reason(error)}",
        hint="restore it from a backup, and run `fairlead audit verify`",
    )


def _is_damage(error: DBAPIError) -> bool:
    """SQLite reports a missing table as an operational error with its general code."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    return code in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _reason(error: DBAPIError) -> str:
    return str(error.orig).strip().partition("\n")[0]


def _sqlite(url: URL, *, create: bool) -> Engine:
    path = Path(url.database or "")
    if create:
        _create_private(path)
    elif not path.is_file():
        raise Missing(
            f"there is no state database at {path}", hint="check the path given as --state"
        )
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        connect_args={"timeout": _BUSY_SECONDS, "isolation_level": None},
    )
    event.listen(engine, "connect", _set_durable)
    event.listen(engine, "begin", _begin)
    return engine


def _create_private(path: Path) -> None:
    """SQLite gives its journal the mode of the file, so this one call covers both."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except OSError as error:
        raise Unavailable(
            f"cannot create the state database {path}: {error.strerror}",
            hint="make its directory writable for the daemon",
        ) from error


def _set_durable(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _begin(connection: Connection) -> None:
    """The driver's own transactions begin late and as readers; see
    https://docs.sqlalchemy.org/dialects/sqlite.html on `isolation_level`."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

"""Records, ledgers and database servers to try state stores with."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from reconciler.adapters.state_connecting import state_url
from reconciler.adapters.state_memory import MemoryStateStore
from reconciler.adapters.state_sql import SqlStateStore
from reconciler.core.audit.notes import Signer
from reconciler.core.audit.records import AuditRecord, Phase, Verb
from reconciler.core.identifiers import ClusterName, CommitSha, Digest, DocumentPath, UnitName
from reconciler.core.ledger import Applied, Entry
from reconciler.core.manifests import Source, manifest_of
from reconciler.core.problems import Span

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

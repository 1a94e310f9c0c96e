"""Records, logs and exports to test with."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from reconciler.adapters.state_memory import MemoryStateStore
from reconciler.core.audit.notes import Signer
from reconciler.core.audit.records import AuditRecord, Phase, Verb
from reconciler.core.identifiers import ClusterName, CommitSha, Digest, ObjectKey, UnitName
from reconciler.engine.checkpointing import Checkpointer
from reconciler.surfaces.audit_export import write_export

COMMIT = CommitSha("c" * 40)
NOON = datetime(2027, 1, 31, 12, tzinfo=UTC)
SIGNER = Signer.named("example.com/log", bytes(range(32)))
OTHER_SIGNER = Signer.named("example.com/log", bytes(32))
VKEY = SIGNER.verifier.vkey


def decision(number: int = 0, **changes: object) -> AuditRecord:
    record = AuditRecord(
        time=NOON + timedelta(seconds=number),
        repository="models",
        commit=COMMIT,
        actor="ada@example.com",
        verb=Verb.ACCEPT,
        phase=Phase.DECISION,
    )
    return replace(record, **changes)  # type: ignore[arg-type]


def intent(number: int = 0, **changes: object) -> AuditRecord:
    fields: dict[str, object] = {
        "verb": Verb.APPLY,
        "phase": Phase.INTENT,
        "cluster": ClusterName("edge-1"),
        "unit": UnitName("rollout/fraud"),
        "object": ObjectKey("apps", "Deployment", "team-risk", "fraud"),
        "after": Digest(f"sha256:{'1' * 64}"),
    }
    return decision(number, **{**fields, **changes})


def outcome(of: int, number: int = 0, **changes: object) -> AuditRecord:
    return intent(number, **{"phase": Phase.OUTCOME, "intent": of, "result": "ok", **changes})


def a_log(size: int) -> list[AuditRecord]:
    """`size` records, of which each fourth settles the intent two before it."""
    made: list[AuditRecord] = []
    for number in range(size):
        match number % 4:
            case 1:
                made.append(intent(number))
            case 3:
                made.append(outcome(number - 2, number))
            case _:
                made.append(decision(number))
    return made


async def signed_log(*sizes: int) -> MemoryStateStore:
    """A log that grew to each of `sizes` and was signed there."""
    store = MemoryStateStore()
    checkpointer = Checkpointer(store, SIGNER)
    records = a_log(max(sizes))
    for size in sizes:
        await store.append(records[(await store.head()).size : size])
        await checkpointer.publish()
    return store


def export_to(directory: Path, *sizes: int) -> Path:
    async def export() -> None:
        await write_export(await signed_log(*sizes), directory, verifier=SIGNER.verifier)

    asyncio.run(export())
    return directory

"""Looking things up in a log: what the audit commands ask before they print.

Separate from the commands, so that it can be asked without a command line. The invariant: what is
read belongs to one size of the log, though the daemon appends meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from reconciler.core.audit.comparing import Finding
from reconciler.core.audit.encoding import decode
from reconciler.core.audit.notes import Verifier, checkpoint_of
from reconciler.core.audit.proofs import Proof
from reconciler.core.audit.records import AuditRecord
from reconciler.core.audit.verification import Anchor, Evidence, Verification, verify
from reconciler.core.errors import Corrupt, Missing
from reconciler.core.identifiers import CommitSha
from reconciler.ports import AuditLog, Logged
from reconciler.surfaces.audit_export import ExportReader

_T = TypeVar("_T")
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class AuditTools:
    """What the commands need of the outside; set as `obj` of the click context."""

    open_log: Callable[[str], Coroutine[object, object, AuditLog]]
    read_anchors: Callable[[Path], Coroutine[object, object, Sequence[Anchor]]]
    commits_in: Callable[[Path], Callable[[CommitSha], bool]]
    places: Callable[[Path], tuple[str, Path]]
    """State database and verifier key file that a settings file names."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which records are wanted. Texts that are empty admit everything."""

    commit: str = ""
    cluster: str = ""
    object: str = ""
    verb: str = ""
    since: datetime | None = None
    rollout: str = ""

    def admits(self, record: AuditRecord) -> bool:
        return (
            record.commit.startswith(self.commit)
            and self.cluster in ("", record.cluster)
            and self.object in str(record.object or "")
            and self.verb in ("", record.verb)
            and self.rollout in ("", record.detail.get("rollout"))
            and (self.since is None or record.time >= self.since)
        )


@dataclass(frozen=True, slots=True)
class Session:
    """An open log and the event loop it lives in."""

    log: AuditLog
    _runner: asyncio.Runner

    def run(self, work: Coroutine[object, object, _T]) -> _T:
        return self._runner.run(work)


@contextmanager
def opened(tools: AuditTools, state: str) -> Iterator[Session]:
    with asyncio.Runner() as runner:
        session = Session(runner.run(tools.open_log(state)), runner)
        try:
            yield session
        finally:
            session.run(session.log.close())


async def newest(log: AuditLog, wanted: Filter, *, limit: int) -> list[Logged]:
    """The last `limit` records that `wanted` admits, in the order of the log."""
    stop = (await log.head()).size
    found: list[Logged] = []
    while stop and len(found) < limit:
        start = max(0, stop - _PAGE)
        leaves = await log.leaves(start, stop - start)
        page = [logged_of(index, leaf) for index, leaf in enumerate(leaves, start)]
        found += [logged for logged in reversed(page) if wanted.admits(logged.record)]
        stop = start
    return found[limit - 1 :: -1] if len(found) > limit else found[::-1]


async def record_at(log: AuditLog, index: int) -> Logged:
    return logged_of(index, await _leaf(log, index))


async def proof_of(log: AuditLog, index: int) -> Proof:
    """The proof under the newest checkpoint, with the record as its extra data."""
    leaf = await _leaf(log, index)
    note = await log.latest_checkpoint()
    size = checkpoint_of(note).size if note else 0
    if note is None or index >= size:
        raise Missing(
            f"record {index} is not under a signed checkpoint yet; the last covers {size} records",
            hint="ask again when the daemon has signed the next one",
        )
    hashes = await log.inclusion(index=index, size=size)
    return Proof(index=index, hashes=tuple(hashes), note=note, extra=leaf)


def verified_state(
    session: Session,
    *,
    vkey: Verifier,
    anchors: Sequence[Anchor],
    has_commit: Callable[[CommitSha], bool] | None,
) -> Verification:
    """Check a state database, as far as it went when this began."""
    log, run = session.log, session.run
    head = run(log.head())
    pages = [(start, min(start + _PAGE, head.size)) for start in range(0, head.size, _PAGE)]
    hashes = [found for start, stop in pages for found in run(log.hashes(0, start, stop))]
    leaves = (leaf for start, stop in pages for leaf in run(log.leaves(start, stop - start)))
    evidence = Evidence(leaves, run(_notes(log, head.size)), logged=hashes, anchors=anchors)
    verification = verify(evidence, verifiers=[vkey], has_commit=has_commit)
    if (verification.size, verification.root) == (head.size, head.root):
        return verification
    finding = Finding("other-head", f"the head of the log names {head.size} records, another root")
    return replace(verification, findings=(*verification.findings, finding))


def verified_export(
    directory: Path,
    *,
    vkey: Verifier,
    anchors: Sequence[Anchor],
    has_commit: Callable[[CommitSha], bool] | None,
) -> Verification:
    """Check an export, with no database and no network."""
    reader = ExportReader(directory)
    evidence = reader.evidence(anchors=anchors)
    reader.require_key(vkey)
    verification = verify(evidence, verifiers=[vkey], has_commit=has_commit)
    return replace(verification, findings=(*verification.findings, *reader.findings))


def logged_of(index: int, leaf: bytes) -> Logged:
    try:
        return Logged(index, decode(leaf))
    except ValueError as error:
        raise Corrupt(
            f"audit record {index} cannot be read: {error}", hint="run `fairlead audit verify`"
        ) from error


async def _leaf(log: AuditLog, index: int) -> bytes:
    leaves = await log.leaves(index, 1)
    if not leaves:
        size = (await log.head()).size
        raise Missing(f"there is no record {index}: the log has {size} records")
    return leaves[0]


async def _notes(log: AuditLog, size: int) -> list[bytes]:
    """The checkpoints of at most `size` records."""
    found: list[bytes] = []
    start = 0
    while page := await log.checkpoints(start, _PAGE):
        found += page
        start = checkpoint_of(page[-1]).size + 1
    return [note for note in found if checkpoint_of(note).size <= size]

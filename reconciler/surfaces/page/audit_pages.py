"""Pages about the audit log: a timeline with filters, one record with its proof, and the export.

Separate from the audit commands, which ask the same log for a terminal. The invariants: one page
reads a bounded part of the log, and leads on from where it stopped; only who sees everything reads
the log; and every record that is shown can be proven.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import cast
from urllib.parse import urlencode

import orjson

from reconciler.core.audit.notes import checkpoint_of
from reconciler.core.audit.records import AuditRecord, Verb
from reconciler.core.errors import Forbidden, Missing
from reconciler.core.presenting.page_marks import result_mark
from reconciler.core.sight import Sight
from reconciler.ports import Logged
from reconciler.surfaces.audit_reading import logged_of, proof_of, record_at
from reconciler.surfaces.audit_reports import json_text, record_json
from reconciler.surfaces.page.facts import Facts
from reconciler.surfaces.page.sheets import Ask, Sheet

RECORDS_A_PAGE = 50
MOST_READ = 4000
"""Records that one page reads to find those."""
CHUNK = 500
LONGEST_DETAIL = 60_000
"""Characters of a record's detail that are shown; the export has all."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records somebody looks for. Texts that are empty admit everything."""

    actor: str = ""
    verb: str = ""
    object: str = ""
    commit: str = ""
    cluster: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def of(cls, ask: Ask) -> Wanted:
        return cls(**{f.name: ask.query.get(f.name, "").strip()[:200] for f in fields(cls)})

    @property
    def given(self) -> dict[str, str]:
        found = {f.name: cast(str, getattr(self, f.name)) for f in fields(self)}
        return {name: text for name, text in found.items() if text}

    def admits(self, record: AuditRecord) -> bool:
        since, until = moment(self.since), moment(self.until)
        subject = str(record.object or record.unit or record.detail.get("rollout", ""))
        return (
            record.commit.startswith(self.commit.lower())
            and self.cluster in ("", record.cluster)
            and self.verb in ("", record.verb)
            and self.actor.lower() in record.actor.lower()
            and self.object.lower() in subject.lower()
            and (since is None or record.time >= since)
            and (until is None or record.time <= until)
        )


def moment(text: str) -> datetime | None:
    """A time as a form gives it, in UTC where it does not say; None when it is none."""
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return found if found is None or found.tzinfo else found.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Found:
    """Records newest first, and the index before which to go on; None at the end of the log."""

    records: tuple[Logged, ...]
    before: int | None
    read: int


class AuditPages:
    """Makes the sheets, and streams exports."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    async def timeline(self, ask: Ask) -> Sheet:
        require_everything(ask.sight)
        wanted = Wanted.of(ask)
        size = (await self._facts.log.head()).size
        start = min(ask.number("before", size), size)
        found = await self._find(wanted, before=start)
        status = self._facts.status()
        values = {
            "found": found,
            "wanted": wanted,
            "verbs": [verb.value for verb in Verb],
            "clusters": [cluster.cluster for cluster in status.clusters],
            "size": size,
            "first": start,
            "older": _query(wanted, before=found.before) if found.before else "",
            "export": _query(wanted),
            "mark": result_mark,
        }
        return Sheet("audit.html", "Audit", "audit", values)

    async def _find(self, wanted: Wanted, *, before: int) -> Found:
        """Newest first from `before` on, through at most MOST_READ records."""
        stop = await self._stop(wanted, before)
        lowest = max(0, stop - MOST_READ)
        records: list[Logged] = []
        at = stop
        while at > lowest:
            start = max(lowest, at - CHUNK)
            leaves = await self._facts.log.leaves(start, at - start)
            for index in range(at - 1, start - 1, -1):
                logged = logged_of(index, leaves[index - start])
                if wanted.admits(logged.record):
                    records.append(logged)
                if len(records) == RECORDS_A_PAGE:
                    return Found(tuple(records), index or None, stop - index)
            at = start
        return Found(tuple(records), lowest or None, stop - lowest)

    async def _stop(self, wanted: Wanted, before: int) -> int:
        """Where to begin: behind the last record that a time or a known commit allows."""
        story = self._facts.story(wanted.commit.lower()) if len(wanted.commit) >= 7 else None
        if story is not None:
            before = min(before, story.last + 1)
        until = moment(wanted.until)
        if until is None:
            return before
        low, high = 0, before
        while low < high:  # records are in order of time, but for clocks that were set back
            middle = (low + high) // 2
            if (await record_at(self._facts.log, middle)).record.time <= until:
                low = middle + 1
            else:
                high = middle
        return low

    async def record(self, ask: Ask) -> Sheet:
        require_everything(ask.sight)
        index = _index(ask)
        logged = await record_at(self._facts.log, index)
        body = record_json(logged)
        detail = json_text(body.pop("detail")) if "detail" in body else ""
        values = {
            "logged": logged,
            "mark": result_mark(logged.record.result),
            "rows": [(name, _plain(value)) for name, value in body.items()],
            "detail": detail[:LONGEST_DETAIL],
            "cut": len(detail) > LONGEST_DETAIL,
            "size": (await self._facts.log.head()).size,
            **await self._proof(index),
        }
        return Sheet("record.html", f"Record {index}", "audit", values)

    async def _proof(self, index: int) -> dict[str, object]:
        try:
            proof = await proof_of(self._facts.log, index)
        except Missing as error:
            return {"proof": "", "covered": 0, "root": "", "unproven": error.message}
        checkpoint = checkpoint_of(proof.note)
        return {
            "proof": proof.format(),
            "covered": checkpoint.size,
            "root": checkpoint.root.hex(),
            "unproven": "",
        }

    async def proof(self, ask: Ask) -> str:
        """The proof alone, as other tools read it."""
        require_everything(ask.sight)
        return (await proof_of(self._facts.log, _index(ask))).format()

    async def export(self, ask: Ask) -> AsyncIterator[bytes]:
        """Every record that the filters admit, one a line, oldest first."""
        require_everything(ask.sight)
        return self._lines(Wanted.of(ask), (await self._facts.log.head()).size)

    async def _lines(self, wanted: Wanted, size: int) -> AsyncIterator[bytes]:
        for start in range(0, size, CHUNK):
            leaves = await self._facts.log.leaves(start, min(CHUNK, size - start))
            found = (logged_of(index, leaf) for index, leaf in enumerate(leaves, start))
            lines = [orjson.dumps(record_json(f)) for f in found if wanted.admits(f.record)]
            if lines:
                yield b"\n".join(lines) + b"\n"


def require_everything(sight: Sight) -> None:
    if not sight.everything:
        raise Forbidden(
            "the audit log is for people who may see everything",
            hint="ask whoever keeps the settings of the page for `teams: ['*']`",
        )


def _index(ask: Ask) -> int:
    text = ask.params["index"]
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise Missing(f"there is no record {text[:20]}")
    return int(text)


def _query(wanted: Wanted, **more: int | None) -> str:
    given = {name: str(value) for name, value in more.items() if value is not None}
    return urlencode({**wanted.given, **given})


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)

"""Facts: everything that the pages are made of, gathered from the running engine and the log.

Separate from the pages, so that no page asks the engine itself. The invariant: gathering reads
memory, and from the log and the mirror only as much as a page shows; no cluster is ever asked.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date
from typing import Protocol
from urllib.parse import quote

from reconciler.core.access.permissions import Permissions, permissions
from reconciler.core.audit.records import AuditRecord
from reconciler.core.chronicle import MOST_REQUESTS, Asked, CommitStory, Note
from reconciler.core.commits import Commit
from reconciler.core.desired import DesiredState
from reconciler.core.errors import Corrupt, FairleadError
from reconciler.core.identifiers import ClusterName, CommitSha, UnitName
from reconciler.core.ledger import Ledger
from reconciler.core.manifests import Source
from reconciler.core.plans import Plan
from reconciler.core.presenting.page_models import Standpoint
from reconciler.core.presenting.page_pulls import PullFacts
from reconciler.core.presenting.page_rollout import Seen
from reconciler.core.problems import Problem
from reconciler.core.redaction import masked
from reconciler.core.rollouts.history import move_of
from reconciler.core.rollouts.states import RolloutState
from reconciler.core.standing import Status
from reconciler.engine.driving import Engine
from reconciler.ports import AuditLog, Clock, Repository
from reconciler.surfaces.audit_reading import record_at
from reconciler.surfaces.engine_status import EngineStatus
from reconciler.surfaces.page.chronicling import Chronicler, OpenLog

MOST_COMMITS = 500
"""Commits whose author and message are remembered."""
MOST_EVIDENCE = 16
"""Moves whose evidence is remembered, of some 50 kB each."""


class Pulls(Protocol):
    """What is known of pull requests, where somebody looks at them."""

    def pulls(self) -> Sequence[PullFacts]:
        """Newest first."""
        ...


@dataclass(frozen=True, slots=True)
class Sources:
    """What the page is made of. Without `pulls`, nobody looks at pull requests.

    `documents` is the address under which the forge shows files of commits, if it shows any;
    `decisions` are logs of the request path that others write.
    """

    engine: Engine
    status: EngineStatus
    log: AuditLog
    repository: Repository
    clock: Clock
    chronicler: Chronicler = field(default_factory=Chronicler)
    pulls: Pulls | None = None
    documents: str = ""
    decisions: tuple[OpenLog, ...] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    """What the request path answered; `record` is its number if it is in the daemon's own log."""

    asked: Asked
    record: int | None


class Facts:
    """Asks the sources, and remembers what cannot change: commits, and what one allows on a day."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._commits: OrderedDict[CommitSha, Commit] = OrderedDict()
        self._moves: dict[int, Seen] = {}
        self._allowed: tuple[DesiredState, date, Permissions] | None = None
        self._deciders = [Chronicler() for _ in sources.decisions]
        self.chronicle = sources.chronicler.chronicle
        self.log = sources.log
        self.clock = sources.clock

    def following(self) -> Sequence[Coroutine[None, None, None]]:
        """What reads the logs of others, for ever."""
        pairs = zip(self._deciders, self._sources.decisions, strict=True)
        return [decider.follow(opening, self.clock) for decider, opening in pairs]

    def requests(self, agent: str) -> Sequence[Answered]:
        """What the request path answered an agent, newest first."""
        own = [Answered(asked, asked.index) for asked in self.chronicle.requests(agent)]
        others = [
            Answered(asked, None)
            for decider in self._deciders
            for asked in decider.chronicle.requests(agent)
        ]
        newest = sorted([*own, *others], key=lambda found: found.asked.time, reverse=True)
        return newest[:MOST_REQUESTS]

    def status(self) -> Status:
        return self._sources.status.status()

    def starting(self) -> tuple[str, ...]:
        """What nothing is known of yet."""
        return self._sources.status.unready()

    @property
    def desired(self) -> DesiredState | None:
        """The commit in force."""
        return self._sources.engine.reconciler.accepted

    @property
    def today(self) -> date:
        """The day in UTC, by which scopes end."""
        return self.clock.now().astimezone(UTC).date()

    def allowed(self, desired: DesiredState) -> Permissions:
        """All that everybody may do today. Made once for each commit and day."""
        known, today = self._allowed, self.today
        if known is None or known[0] is not desired or known[1] != today:
            known = (desired, today, permissions(desired.access, today))
            self._allowed = known
        return known[2]

    def document_url(self, commit: CommitSha, source: Source) -> str:
        """Where the forge shows a document as it is in a commit; empty where nothing does."""
        base = self._sources.documents
        place = f"{commit}/{quote(source.path)}#L{source.span.line}"
        return f"{base}/{place}" if base else ""

    @property
    def plan(self) -> Plan | None:
        """The plan that was made last."""
        return self._sources.engine.reconciler.plan

    def ledgers(self) -> Mapping[ClusterName, Ledger]:
        books = self._sources.engine.books
        return {name: books.ledger(name) for name in sorted(books.clusters)}

    def states(self) -> Mapping[str, RolloutState]:
        return self._sources.engine.reconciler.positions.states()

    def standpoint(self) -> Standpoint:
        return Standpoint(self.status(), self.states(), self.ledgers())

    @property
    def problems(self) -> Sequence[Problem]:
        """Of the commit that was compiled last."""
        return self._sources.engine.reconciler.problems

    def pulls(self) -> Sequence[PullFacts] | None:
        """None where nobody looks at pull requests."""
        return self._sources.pulls.pulls() if self._sources.pulls else None

    def revision(self) -> object:
        """Differs from the one before when a page might read otherwise."""
        status = replace(self.status(), time="", fetch_age_seconds=None)
        pulls = self.pulls()
        minute = int(self.clock.monotonic() // 60)
        decided = sum(decider.chronicle.size for decider in self._deciders)
        return (status, self.chronicle.size, decided, self.plan, pulls, self.starting(), minute)

    async def commit(self, sha: CommitSha) -> Commit | None:
        """A commit of the mirror; None when it has none such, or cannot say."""
        known = self._commits.get(sha)
        if known is not None:
            return known
        try:
            found = await self._sources.repository.commit(sha)
        except FairleadError:
            return None
        # People paste credentials into messages as well.
        found = replace(found, author=masked(found.author), message=masked(found.message))
        self._commits[sha] = found
        if len(self._commits) > MOST_COMMITS:
            self._commits.popitem(last=False)
        return found

    def subjects(self) -> Mapping[str, str]:
        """First lines of the messages that are remembered."""
        return {sha: commit.subject for sha, commit in self._commits.items()}

    def story(self, sha: str) -> CommitStory | None:
        return self.chronicle.commit(sha)

    async def seen(self, rollout: str) -> Seen:
        """What the gates say of a rollout: in the newest look, else at the last move."""
        loops, state = self._sources.engine.rollouts, self.states().get(rollout)
        look = loops.looks.get(rollout) if loops else None
        # After an abort there is nothing to judge, and what decided is what people come to see.
        if look is not None and state is not None and (state.candidate or not state.failure):
            return Seen(look.verdicts, look.trail, "the newest look")
        for note in self.chronicle.moves(rollout):
            if found := await self._moved(note):
                return found
        return Seen()

    async def _moved(self, note: Note) -> Seen | None:
        """The evidence of a move, if its record holds any: of the moves that decide, it does."""
        if note.result in ("revise", "retire", "settle"):
            return None
        if note.index not in self._moves:
            logged = await record_at(self.log, note.index)
            seen = _evidence(note, logged.record)
            if seen is None:
                return None
            if len(self._moves) >= MOST_EVIDENCE:
                self._moves.clear()
            self._moves[note.index] = seen
        return self._moves[note.index]

    def moves_of(self, rollouts: Sequence[str], *, most: int) -> Sequence[Note]:
        """The newest moves of some rollouts together, newest first."""
        found = [note for name in rollouts for note in self.chronicle.moves(name)]
        return sorted(found, key=lambda note: -note.index)[:most]

    def units_named(self, rollouts: Sequence[str]) -> Sequence[UnitName]:
        return [UnitName(f"rollout/{name}") for name in rollouts]


def _evidence(note: Note, record: AuditRecord) -> Seen | None:
    """What a move rested on. Another release may have written it in a way that this one cannot
    read, which is no reason to show nothing of the rollout."""
    try:
        move = move_of(note.index, record)
    except Corrupt:
        return Seen(words=f"record {note.index}, which only the release that wrote it can read")
    if move is None or not move.verdicts:
        return None
    words = f"the move of {note.time:%Y-%m-%d %H:%M:%S} UTC, record {note.index}"
    return Seen(move.verdicts, move.trail, words)

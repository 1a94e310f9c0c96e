"""Chronicle: what the audit log says by commit, by unit and by rollout, to look things up in.

Separate from the log, which is in order of time and grows for ever. The invariant: a chronicle is
bounded, whatever the log; what it has forgotten is still in the log, and it says where it begins.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from reconciler.core.audit.records import AuditRecord, Phase, Reason, Verb
from reconciler.core.identifiers import ClusterName, CommitSha, Digest, UnitName
from reconciler.core.manifests import JsonObject
from reconciler.core.presenting.access_told import AccessTold, access_told

MOST_COMMITS = 1000
MOST_NOTES = 200
"""Decisions that are remembered in all, and moves of one rollout."""
MOST_ROLLOUTS = 1000
MOST_TELLINGS = 20
"""Commits that are remembered of one unit."""
MOST_AGENTS = 1000
MOST_REQUESTS = 20
"""Decisions of the request path that are remembered of one agent."""

_TELLING = frozenset(
    {
        Verb.ACCEPT,
        Verb.AWAIT,
        Verb.REFUSE,
        Verb.HOLD,
        Verb.ROLLOUT,
        Verb.UNDO,
        Verb.START,
    }
)

_Name = TypeVar("_Name", bound=Hashable)
_Thing = TypeVar("_Thing")


@dataclass(frozen=True, slots=True)
class Note:
    """One decision. `subject` is the rollout, unit or cluster that it is about, if any."""

    index: int
    time: datetime
    verb: Verb
    result: str
    commit: CommitSha
    subject: str = ""
    step: str = ""
    why: str = ""


@dataclass(slots=True)
class CommitStory:
    """What became of one commit: `first` and `last` are the places of its records in the log."""

    commit: CommitSha
    first: int
    last: int
    began: datetime
    ended: datetime
    verdict: str = ""
    """`accepted`, `refused` or `waiting` for approval; empty when the record was forgotten."""
    why: str = ""
    plan: Digest | None = None
    actor: str = ""
    written: Counter[tuple[ClusterName, Verb]] = field(default_factory=Counter)
    failed: Counter[ClusterName] = field(default_factory=Counter)
    settled: dict[ClusterName, datetime] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    undone: str = ""
    access: AccessTold = field(default_factory=AccessTold)

    @property
    def changes(self) -> int:
        return sum(self.written.values())


@dataclass(frozen=True, slots=True)
class Telling:
    """A commit that wrote to a unit, and when it last did."""

    commit: CommitSha
    time: datetime
    index: int


@dataclass(frozen=True, slots=True)
class Correction:
    """A unit was put back after drift in one cluster: how many of its objects, and when last."""

    count: int
    time: datetime
    index: int


@dataclass(frozen=True, slots=True)
class Asked:
    """What the request path answered an agent. `result` is `allowed` or the code of a denial."""

    index: int
    time: datetime
    result: str
    what: str
    why: str
    trace: str

    @property
    def allowed(self) -> bool:
        return self.result == "allowed"


class Chronicle:
    """Reads records in the order of the log, from wherever it is begun."""

    def __init__(self) -> None:
        self._commits: OrderedDict[CommitSha, CommitStory] = OrderedDict()
        self._moves: OrderedDict[str, deque[Note]] = OrderedDict()
        self._units: OrderedDict[UnitName, OrderedDict[CommitSha, Telling]] = OrderedDict()
        self._corrected: OrderedDict[UnitName, dict[ClusterName, Correction]] = OrderedDict()
        self._requests: OrderedDict[str, deque[Asked]] = OrderedDict()
        self._recent: deque[Note] = deque(maxlen=MOST_NOTES)
        self.begin: int | None = None
        """Index of the first record that was read."""
        self.size = 0
        """One more than the index of the last."""

    def read(self, index: int, record: AuditRecord) -> None:
        """Take in one more record; those that were read before are passed over."""
        if self.begin is None:
            self.begin = index
        if index < self.size:
            return
        self.size = index + 1
        if record.commit and record.reason is not Reason.OPERATION:
            self._tell(index, record)
        if record.verb in _TELLING and record.phase is Phase.DECISION:
            self._note(index, record)
        if record.verb is Verb.AUTHORIZE and (agent := record.detail.get("agent")):
            asked = self._requests.setdefault(str(agent), deque(maxlen=MOST_REQUESTS))
            asked.append(_asked_of(index, record))
            _keep(self._requests, str(agent), most=MOST_AGENTS)

    def commits(self) -> Sequence[CommitStory]:
        """Newest first."""
        return tuple(reversed(self._commits.values()))

    def commit(self, sha: str) -> CommitStory | None:
        """By the whole SHA, or the beginning of one that no other has."""
        found = [story for known, story in self._commits.items() if known.startswith(sha)]
        return found[0] if len(found) == 1 else None

    def moves(self, rollout: str) -> Sequence[Note]:
        """Newest first."""
        return tuple(reversed(self._moves.get(rollout, ())))

    def recent(self, count: int) -> Sequence[Note]:
        """The newest decisions, newest first."""
        notes = list(self._recent)
        return tuple(reversed(notes[-count:]))

    def tellings(self, unit: UnitName) -> Sequence[Telling]:
        """Commits that wrote to a unit, newest first."""
        return tuple(reversed(self._units.get(unit, {}).values()))

    def corrections(self, unit: UnitName) -> Mapping[ClusterName, Correction]:
        """Where the unit was put back after drift."""
        return self._corrected.get(unit, {})

    def requests(self, agent: str) -> Sequence[Asked]:
        """What the request path answered an agent, newest first."""
        return tuple(reversed(self._requests.get(agent, ())))

    def _tell(self, index: int, record: AuditRecord) -> None:
        story = self._commits.get(record.commit)
        if story is None:
            story = CommitStory(record.commit, index, index, record.time, record.time)
            self._commits[record.commit] = story
            if len(self._commits) > MOST_COMMITS:
                self._commits.popitem(last=False)
        story.last, story.ended = index, record.time
        _add(story, record)
        if record.phase is Phase.OUTCOME and record.unit and record.reason is Reason.COMMIT:
            self._tell_unit(index, record, record.unit)
        if record.reason is Reason.DRIFT and record.unit and record.cluster:
            self._correct(index, record, record.unit, record.cluster)

    def _tell_unit(self, index: int, record: AuditRecord, unit: UnitName) -> None:
        tellings = self._units.setdefault(unit, OrderedDict())
        tellings[record.commit] = Telling(record.commit, record.time, index)
        _keep(tellings, record.commit, most=MOST_TELLINGS)
        _keep(self._units, unit, most=MOST_COMMITS)

    def _correct(
        self, index: int, record: AuditRecord, unit: UnitName, cluster: ClusterName
    ) -> None:
        if record.phase is not Phase.OUTCOME or record.result != "ok":
            return
        found = self._corrected.setdefault(unit, {})
        before = found[cluster].count if cluster in found else 0
        found[cluster] = Correction(before + 1, record.time, index)
        _keep(self._corrected, unit, most=MOST_COMMITS)

    def _note(self, index: int, record: AuditRecord) -> None:
        note = _note_of(index, record)
        self._recent.append(note)
        if record.verb in (Verb.ROLLOUT, Verb.UNDO) and note.subject:
            moves = self._moves.setdefault(note.subject, deque(maxlen=MOST_NOTES))
            moves.append(note)
            _keep(self._moves, note.subject, most=MOST_ROLLOUTS)


def _keep(found: OrderedDict[_Name, _Thing], name: _Name, *, most: int) -> None:
    """Forget what was heard of the longest ago; `name` was heard of now."""
    found.move_to_end(name)
    if len(found) > most:
        found.popitem(last=False)


def _add(story: CommitStory, record: AuditRecord) -> None:
    match record.verb:
        case Verb.ACCEPT:
            story.verdict, story.why, story.plan = "accepted", "", record.plan
            story.actor, story.access = record.actor, access_told(record.detail)
        case Verb.REFUSE:
            story.verdict, story.plan = "refused", record.plan or story.plan
            story.why = str(record.detail.get("explanation", record.result))
            story.actor = record.actor
        case Verb.AWAIT:
            story.verdict, story.actor = "waiting", record.actor
            story.access = access_told(record.detail)
            story.why = str(record.detail.get("explanation", record.result))
        case Verb.SETTLE if record.cluster:
            story.settled[record.cluster] = record.time
        case Verb.HOLD:
            where = ": ".join(filter(None, (record.cluster, record.unit)))
            story.held[where] = str(record.detail.get("explanation", record.result))
        case Verb.UNDO:
            story.undone = str(record.detail.get("undone", ""))
        case Verb.APPLY | Verb.DELETE if record.phase is Phase.OUTCOME and record.cluster:
            if record.result == "ok":
                story.written[record.cluster, record.verb] += 1
            else:
                story.failed[record.cluster] += 1
        case _:
            pass


def _note_of(index: int, record: AuditRecord) -> Note:
    return Note(
        index=index,
        time=record.time,
        verb=record.verb,
        result=record.result,
        commit=record.commit,
        subject=next(_subjects(record), ""),
        step=str(record.detail.get("step", "")),
        why=next(_reasons(record), ""),
    )


def _subjects(record: AuditRecord) -> Iterator[str]:
    for found in (record.detail.get("rollout"), record.unit, record.cluster):
        if found:
            yield str(found)


def _reasons(record: AuditRecord) -> Iterator[str]:
    names = ("undone", "trouble") if record.verb is Verb.UNDO else ("why", "explanation")
    for name in names:
        if found := record.detail.get(name):
            yield str(found)


def _asked_of(index: int, record: AuditRecord) -> Asked:
    return Asked(
        index=index,
        time=record.time,
        result=record.result,
        what=_asked_words(record.detail),
        why=str(record.detail.get("why", "")),
        trace=record.trace,
    )


def _asked_words(detail: JsonObject) -> str:
    if tool := detail.get("tool"):
        return f"tool {detail.get('server')}/{tool}"
    versions = detail.get("versions")
    named = ", ".join(map(str, versions)) if isinstance(versions, list) else ""
    return f"{detail.get('action', 'a request')} on {named or detail.get('model') or 'no model'}"

"""Attributing: in whose name each object of a plan is asked about and written.

Separate from core/authorship.py, which goes back through history, because a repository has to be
read for it. The invariants: a name comes from a signature that was verified, and from nothing that
the commit says of itself; what puts drift back, moves a rollout or ends a scope has no author, and
is the daemon's own doing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import TypeAlias

from reconciler.core.audit.records import Reason
from reconciler.core.authorship import (
    AUTHORED,
    Attribution,
    Author,
    Declares,
    Needed,
    Past,
    People,
    Unattributed,
    Where,
    brought_by,
)
from reconciler.core.commits import Commit
from reconciler.core.desired import DesiredState
from reconciler.core.errors import Terminal
from reconciler.core.identifiers import ClusterName, CommitSha, ObjectKey, UnitName
from reconciler.core.ledger import Position, UnitState
from reconciler.core.outstanding import Candidate, Outstanding
from reconciler.engine.fetching import Compiler, Invalid
from reconciler.ports import Repository

_ROLLOUT = "rollout/"


Attribute: TypeAlias = Callable[[Sequence[Outstanding]], Awaitable[Attribution]]
"""Who is the author of what is outstanding."""


@dataclass(frozen=True, slots=True)
class Merging:
    """A branch, and the commits that are proposed to it."""

    base: CommitSha
    proposed: tuple[Commit, ...]


@dataclass(frozen=True, slots=True)
class Standpoint:
    """From where history is looked back at: a commit, where the repository stands, and states that
    need not be compiled again. `units` tells how they stand."""

    target: DesiredState
    position: Position
    units: Callable[[ClusterName], Mapping[UnitName, UnitState]]
    known: tuple[DesiredState, ...] = ()
    merging: Merging | None = None
    """What the commit merges, where nobody but us made it: to see what merging would do."""


@dataclass(frozen=True, slots=True)
class _Beginning:
    """After which commit changes have an author; `taker` is the one whose signer takes over what
    came before and was never written."""

    after: CommitSha | None
    taker: CommitSha | None = None


@dataclass(slots=True)
class _History:
    """What is known of the past of the objects of interest."""

    past: Past
    interest: AbstractSet[Where]
    proposed: tuple[Commit, ...] | None = None
    """What is to be merged, where the head is a merge that is nobody's."""
    told: dict[CommitSha, Declares | None] = field(default_factory=dict)
    _over: dict[CommitSha | None, AbstractSet[CommitSha]] = field(default_factory=dict)

    def learn(self, state: DesiredState) -> None:
        wanted: dict[ClusterName, set[ObjectKey]] = defaultdict(set)
        for cluster, key in self.interest:
            wanted[cluster].add(key)
        self.told[state.commit] = {
            (cluster, key): unit.manifests[key].digest
            for (cluster, _), unit in state.units.items()
            for key in unit.manifests.keys() & wanted[cluster]
        }

    def over(self, written: CommitSha | None) -> AbstractSet[CommitSha]:
        if written not in self._over:
            self._over[written] = self.past.until(written)
        return self._over[written]


class Attributor:
    """Finds the authors of what is outstanding, where clusters are written to in their name."""

    def __init__(self, repository: Repository, people: People, compiler: Compiler) -> None:
        """`compiler` is one of its own: commits are compiled in another order here."""
        self._repository = repository
        self._people = people
        self._compiler = compiler

    async def attribute(self, work: Sequence[Outstanding], at: Standpoint) -> Attribution:
        """Raises Transient when the repository cannot be read."""
        found: dict[Where, tuple[Author, ...] | Unattributed] = {}
        for item in work:
            candidates = {
                (item.cluster, candidate.key): candidate
                for candidate in item.candidates
                if item.cluster in self._people.clusters and _has_author(item, candidate, at.target)
            }
            if not candidates:
                continue
            try:
                found |= await self._in_cluster(item, candidates, at)
            except Terminal as error:
                found |= dict.fromkeys(candidates, Unattributed(error.message))
        return found

    async def _in_cluster(
        self, item: Outstanding, candidates: Mapping[Where, Candidate], at: Standpoint
    ) -> Attribution:
        by_beginning: dict[_Beginning, dict[Where, Candidate]] = defaultdict(dict)
        for where, candidate in candidates.items():
            beginning = _beginning(candidate.unit, item.cluster, at)
            by_beginning[beginning][where] = candidate
        found: dict[Where, tuple[Author, ...] | Unattributed] = {}
        for beginning, concerned in by_beginning.items():
            found |= await self._since(beginning, concerned, at)
        return found

    async def _since(
        self, beginning: _Beginning, candidates: Mapping[Where, Candidate], at: Standpoint
    ) -> Attribution:
        history = await self._history(beginning.after, frozenset(candidates), at)
        for state in (*at.known, at.target):
            history.learn(state)
        taker = await self._signed(beginning.taker) if beginning.taker else None
        return {
            where: self._people.of(await self._commits(where, candidate, history, taker))
            for where, candidate in candidates.items()
        }

    async def _history(
        self, after: CommitSha | None, interest: AbstractSet[Where], at: Standpoint
    ) -> _History:
        repository, head = self._repository, at.target.commit
        if at.merging is None:
            return _History(Past.of(head, await repository.range(after, head)), interest)
        merge, proposed = await repository.commit(head), at.merging.proposed
        commits = (*await repository.range(after, at.merging.base), *proposed, merge)
        return _History(Past.of(head, commits), interest, proposed)

    async def _signed(self, sha: CommitSha) -> Commit:
        commits = await self._repository.range(None, sha)
        return next(commit for commit in commits if commit.sha == sha)

    async def _commits(
        self, where: Where, candidate: Candidate, history: _History, taker: Commit | None
    ) -> Sequence[Commit]:
        applied = candidate.entry.applied if candidate.entry else None
        over = history.over(applied.commit if applied else None)
        while isinstance(found := brought_by(where, history.past, history.told, over=over), Needed):
            await self._look_at(found.commit, history)
        if history.proposed is not None and history.past.head in {c.sha for c in found}:
            # What both sides make of a document is of whoever proposes to merge them.
            others = [commit for commit in found if commit.sha != history.past.head]
            return others or history.proposed
        return found or ([taker] if taker and not applied else [])

    async def _look_at(self, commit: CommitSha, history: _History) -> None:
        try:
            result = await self._compiler.compile(commit, rules=None)
        except Terminal:
            result = Invalid(commit, ())
        if isinstance(result, Invalid):
            history.told[commit] = None
        else:
            history.learn(result.compilation.state)


def _has_author(item: Outstanding, candidate: Candidate, target: DesiredState) -> bool:
    if candidate.reason is not Reason.COMMIT or not candidate.unit.startswith(AUTHORED):
        return False
    unit = target.units.get((item.cluster, candidate.unit))
    # What a rollout has beside what its commit declares comes and goes by its steps.
    return not (
        candidate.unit.startswith(_ROLLOUT) and unit and candidate.key not in unit.manifests
    )


def _beginning(unit: UnitName, cluster: ClusterName, at: Standpoint) -> _Beginning:
    """Where all of a cluster was applied once, that is the beginning; until then, each unit's."""
    if applied := at.position.applied.get(cluster):
        return _Beginning(applied)
    state = at.units(cluster).get(unit)
    if state is None:
        accepted = at.position.accepted or at.target.commit
        return _Beginning(accepted, accepted)
    if state.commit:
        return _Beginning(state.commit)
    if state.heading_for:
        return _Beginning(state.heading_for, state.heading_for)
    # Refused since ever: all of history may have brought it.
    return _Beginning(None)

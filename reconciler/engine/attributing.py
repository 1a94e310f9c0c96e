"""Attributing: in whose name each object of a plan is asked about and written.

Separate from core/authorship.py, which goes back through history, because a repository has to be
read for it. The invariants: a name comes from a signature that was verified, and from nothing that
the commit says of itself; what puts drift back, moves a rollout or ends a scope has no author, and
is the daemon's own doing.
"""

from __future__ import annotations

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
from reconciler.core.identifiers import ClusterName, CommitSha, ObjectKey
from reconciler.core.ledger import Position
from reconciler.core.outstanding import Candidate, Outstanding
from reconciler.engine.fetching import Compiler, Invalid
from reconciler.ports import Repository

_ROLLOUT = "rollout/"


Attribute: TypeAlias = Callable[[Sequence[Outstanding]], Awaitable[Attribution]]
"""Who is the author of what is outstanding."""


@dataclass(frozen=True, slots=True)
class Standpoint:
    """From where history is looked back at: a commit, where the repository stands, and states that
    need not be compiled again."""

    target: DesiredState
    position: Position
    known: tuple[DesiredState, ...] = ()


@dataclass(slots=True)
class _History:
    """What is known of the past of the objects of interest in one cluster."""

    past: Past
    cluster: ClusterName
    interest: AbstractSet[ObjectKey]
    told: dict[CommitSha, Declares | None] = field(default_factory=dict)
    _over: dict[CommitSha | None, AbstractSet[CommitSha]] = field(default_factory=dict)

    def learn(self, state: DesiredState) -> None:
        self.told[state.commit] = {
            (self.cluster, key): unit.manifests[key].digest
            for (cluster, _), unit in state.units.items()
            if cluster == self.cluster
            for key in unit.manifests.keys() & self.interest
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
        position, head = at.position, at.target.commit
        applied = position.applied.get(item.cluster)
        since = applied or position.accepted
        # Where everything is new, it is taken over as the commit in force has it, by its signer.
        first = None if applied else await self._signed(position.accepted or head)
        if since is None or (since == head and first):
            assert first is not None, "nothing was applied"
            return dict.fromkeys(candidates, self._people.of([first]))
        past = Past.of(head, await self._repository.range(since, head))
        history = _History(past, item.cluster, {key for _, key in candidates})
        for state in (*at.known, at.target):
            history.learn(state)
        return {
            where: self._people.of(await self._commits(where, candidate, history, first))
            for where, candidate in candidates.items()
        }

    async def _signed(self, sha: CommitSha) -> Commit:
        commits = await self._repository.range(None, sha)
        return next(commit for commit in commits if commit.sha == sha)

    async def _commits(
        self, where: Where, candidate: Candidate, history: _History, first: Commit | None
    ) -> Sequence[Commit]:
        applied = candidate.entry.applied if candidate.entry else None
        over = history.over(applied.commit if applied else None)
        while isinstance(found := brought_by(where, history.past, history.told, over=over), Needed):
            await self._look_at(found.commit, history)
        return found or ([first] if first and not applied else [])

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

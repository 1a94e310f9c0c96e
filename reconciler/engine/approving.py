"""Approving: a commit that was pushed waits until whom the policy in force names approved it.

Separate from the pass (reconciling.py), which only asks whether to wait, and from change requests,
where people are asked before. The invariants: the commit in force says who has to approve, and
the one that is to follow has no say; whoever cannot be asked has not approved; and waiting is of
the whole commit, while a part of the way to it that was approved as such is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from reconciler.approval_ports import Approvals
from reconciler.core.approvals.judging import Candidate, Judgement, concerns, enforced, judged
from reconciler.core.approvals.statements import Approval
from reconciler.core.approvals.widening import only_breaks_glass, only_narrows, widenings
from reconciler.core.commits import Commit, TreeDifference
from reconciler.core.desired import DesiredState
from reconciler.core.errors import FairleadError
from reconciler.core.identifiers import CommitSha, DocumentPath, TreeId
from reconciler.core.reverting import undoes
from reconciler.engine.fetching import Compiler, Invalid
from reconciler.engine.positions import Positions
from reconciler.ports import Clock, Repository

log = structlog.get_logger()

MOST_STEPS = 50
"""Commits on the way to the head of which approvals are looked for, newest first."""

NARROWS = "it only takes access away"
UNDOES = "it only undoes what a gate refused"


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a commit waits. `step` is one on the way to it that need not."""

    judgement: Judgement
    step: CommitSha | None = None


@dataclass(frozen=True, slots=True)
class _Way:
    """From the commit in force to one that is to follow. `line` goes back by first parents."""

    before: DesiredState
    commits: tuple[Commit, ...]
    line: tuple[Commit, ...]

    @property
    def trees(self) -> frozenset[TreeId]:
        return frozenset(commit.tree for commit in self.line[:MOST_STEPS])


class Approver:
    """Asks for approvals. Without `approvals` nobody can have given any."""

    def __init__(
        self,
        repository: Repository,
        compiler: Compiler,
        approvals: Approvals | None,
        positions: Positions,
        clock: Clock,
    ) -> None:
        self._repository = repository
        self._compiler = compiler
        self._approvals = approvals
        self._positions = positions
        self._clock = clock
        self._given_up: set[CommitSha] = set()
        self._waiting: tuple[frozenset[TreeId], Sequence[Approval]] | None = None
        self._complete: Judgement | None = None

    async def hold(self, desired: DesiredState, accepted: DesiredState | None) -> Hold | None:
        """Why the commit has to wait; None when it need not."""
        self._waiting = self._complete = None
        if accepted is None or desired.commit == accepted.commit or not enforced(accepted.policy):
            return None
        way = await self._way(accepted, desired.commit)
        candidate = await self._candidate(way, desired)
        judgement = judged(candidate, accepted.policy, (), self._clock.now())
        given: Sequence[Approval] = ()
        if not judgement.complete:
            given = await self._given(way.trees)
            judgement = judged(candidate, accepted.policy, given, self._clock.now())
        if judgement.complete:
            self._complete = judgement
            return None
        self._waiting = way.trees, given
        return Hold(judgement, await self._step(way, given))

    def given_up(self, step: CommitSha) -> None:
        """It was approved, and is refused for another reason: not to be tried again."""
        self._given_up.add(step)

    def judgement_of(self, commit: CommitSha) -> Judgement | None:
        """What let the commit pass, where anything was asked of it."""
        found = self._complete
        return found if found is not None and found.candidate.head.sha == commit else None

    @property
    def waits(self) -> bool:
        """Whether a commit was made to wait when one was last looked at."""
        return self._waiting is not None

    async def has_news(self) -> bool:
        """Whether other approvals are given than when a commit was last made to wait."""
        if self._waiting is None:
            return False
        trees, given = self._waiting
        return set(await self._given(trees)) != set(given)

    async def _way(self, before: DesiredState, head: CommitSha) -> _Way:
        commits = await self._repository.range(before.commit, head)
        known = {commit.sha: commit for commit in commits}
        line: list[Commit] = []
        sha: CommitSha | None = head
        while sha is not None and sha in known:
            line.append(known[sha])
            sha = next(iter(known[sha].parents), None)
        return _Way(before, commits, tuple(line))

    async def _candidate(self, way: _Way, desired: DesiredState) -> Candidate:
        difference = await self._repository.difference(way.before.commit, desired.commit)
        gains = widenings(way.before, desired)
        return Candidate(
            repository=desired.repository,
            base=way.before.commit,
            head=way.line[0],
            commits=way.commits,
            paths=tuple(sorted(_paths(difference))),
            gains=gains,
            exempt=await self._exemption(way, desired, difference, widens=bool(gains)),
            breaks=only_breaks_glass(way.before, desired),
        )

    async def _exemption(
        self, way: _Way, desired: DesiredState, difference: TreeDifference, *, widens: bool
    ) -> str:
        """Why owners need not be asked, which neither an emergency nor an abort can wait for."""
        if not widens and only_narrows(way.before, desired):
            return NARROWS
        for state in self._positions.states().values():
            failed = state.failure.target.commit if state.failure else None
            if failed is not None and await self._only_undoes(way, failed, _paths(difference)):
                return UNDOES
        return ""

    async def _only_undoes(self, way: _Way, failed: CommitSha, changed: set[DocumentPath]) -> bool:
        """Whether all that is changed is as it was before the commit that failed.

        Its message says so, too, but anybody can write that.
        """
        if not all(undoes(commit.message, failed) for commit in way.commits):
            return False
        parents = (await self._repository.commit(failed)).parents
        if not parents:
            return False
        brought = _paths(await self._repository.difference(parents[0], failed))
        left = _paths(await self._repository.difference(parents[0], way.line[0].sha))
        return changed <= brought and not changed & left

    async def _step(self, way: _Way, given: Sequence[Approval]) -> CommitSha | None:
        """The newest commit on the way that was approved as such, and would not have to wait."""
        base = way.before.commit
        for commit in way.line[1:MOST_STEPS]:
            approved = any(concerns(approval, commit.tree, base) for approval in given)
            if not approved or commit.sha in self._given_up:
                continue
            result = await self._compiler.compile(commit.sha, rules=way.before.policy)
            if isinstance(result, Invalid):
                continue
            part = await self._way(way.before, commit.sha)
            candidate = await self._candidate(part, result.compilation.state)
            if judged(candidate, way.before.policy, given, self._clock.now()).complete:
                return commit.sha
        return None

    async def _given(self, trees: frozenset[TreeId]) -> Sequence[Approval]:
        if self._approvals is None:
            return ()
        try:
            return await self._approvals.given(trees, now=self._clock.now())
        except FairleadError as error:
            log.warning("approvals.unasked", code=error.code, reason=error.message)
            return ()


def _paths(difference: TreeDifference) -> set[DocumentPath]:
    return {*difference.gone, *(entry.path for entry in difference.changed)}

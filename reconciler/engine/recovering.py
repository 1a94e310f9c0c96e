"""Recovering: versions that serve in clusters of which the books know nothing.

Separate from the passes, since it is needed only where a state database was lost. The invariant:
it writes to the ledger alone, and only what a cluster holds and a commit of the branch declares.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import structlog

from reconciler.core.desired import DesiredState, Unit
from reconciler.core.errors import Terminal
from reconciler.core.identifiers import CommitSha
from reconciler.core.ledger import LedgerUpdate
from reconciler.core.outstanding import ClusterView, Place
from reconciler.core.problems import printable
from reconciler.core.rollouts.finding import FoundObject, entries_of, other_versions
from reconciler.core.rollouts.placing import gradual
from reconciler.engine.books import Books
from reconciler.engine.fetching import Compiler, Invalid
from reconciler.ports import Repository

log = structlog.get_logger()

_LONGEST_NAME = 40
"""Characters of the SHA of a commit."""


class Recovery:
    """Fills ledgers that are empty with the versions from which rollouts have to begin."""

    def __init__(self, repository: Repository, books: Books, compiler: Compiler) -> None:
        self._repository = repository
        self._books = books
        self._compiler = compiler

    async def recover(self, desired: DesiredState, views: Sequence[ClusterView]) -> None:
        """Write down what is found of versions that `desired` does not declare."""
        blank = {view.cluster: view.snapshot for view in views if not view.ledger.entries}
        found: dict[Place, tuple[FoundObject, ...]] = {}
        for rollout in desired.rollouts.values():
            if gradual(rollout.spec.strategy) is None:
                continue
            for place, unit in desired.places_of(rollout.name):
                if snapshot := blank.get(unit.cluster):
                    version = rollout.spec.version
                    found[place] = other_versions(unit, rollout.name, version, snapshot)
        if not any(found.values()):
            return
        named = {one.commit for every in found.values() for one in every}
        declared = await self._declared(named, desired.commit)
        updates = []
        for place, own in found.items():
            units = {commit: units[place] for commit, units in declared.items() if place in units}
            if entries := tuple(entries_of(own, units)):
                updates.append(LedgerUpdate(place[0], put=entries))
                log.info("rollout.recovered", cluster=place[0], unit=place[1])
        if updates:
            await self._books.write([], updates=updates)

    async def _declared(
        self, commits: Iterable[CommitSha], head: CommitSha
    ) -> dict[CommitSha, dict[Place, Unit]]:
        """The units of commits, of those that led to `head` and can still be read.

        Whoever may write an object may have it name any commit: one that nobody trusted, or none.
        """
        past = {commit.sha for commit in await self._repository.range(None, head)}
        declared: dict[CommitSha, dict[Place, Unit]] = {}
        for commit in sorted(commits):
            if commit not in past:
                reason = "it is no commit of the branch"
                named = printable(commit, limit=_LONGEST_NAME)
                log.warning("rollout.not_recovered", commit=named, reason=reason)
                continue
            try:
                result = await self._compiler.compile(commit, rules=None)
            except Terminal as error:
                log.warning("rollout.not_recovered", commit=commit, reason=error.message)
                continue
            if isinstance(result, Invalid):
                reason = result.first.message
                log.warning("rollout.not_recovered", commit=commit, reason=reason)
                continue
            declared[commit] = dict(result.compilation.state.units)
        return declared

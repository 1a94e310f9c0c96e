"""Surveying: a plan made aside from the daemon, for people to read.

Separate from reconciling.py, which plans what it is about to do. Both ask the same functions in
the same order, so that what is shown is what would be done. The invariant: nothing is written, to
a cluster, to the books or to the repository.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from reconciler.core.authorship import NOBODY, People
from reconciler.core.desired import DesiredState
from reconciler.core.errors import Corrupt, Transient
from reconciler.core.identifiers import ClusterName, CommitSha, GroupVersionKind, UnitName, short
from reconciler.core.intent import intent_plan
from reconciler.core.kinds.repository import RepositorySpec
from reconciler.core.layout import POLICY_PATH
from reconciler.core.ledger import Ledger, Position, UnitState
from reconciler.core.outstanding import ClusterView, outstanding
from reconciler.core.pinning import with_undecided_told
from reconciler.core.planning import plan
from reconciler.core.plans import Plan
from reconciler.core.problems import Problem, Span
from reconciler.core.rollouts.courses import Courses
from reconciler.core.rollouts.relocating import (
    applied_homes,
    declared_homes,
    relocation_problems,
)
from reconciler.core.rollouts.rewording import (
    declared_texts,
    rewording_problems,
    serving_texts,
)
from reconciler.core.secret_versions import NO_BOOK, PinBook
from reconciler.core.snapshots import ClusterSnapshot, FrozenSnapshot
from reconciler.engine.attributing import Attribute, Attributor, Standpoint
from reconciler.engine.fetching import Compiler, Invalid, verify_history
from reconciler.engine.observing import ClusterObserver
from reconciler.engine.previewing import CONCURRENCY, preview
from reconciler.ports import Clock, Cluster, Repository

NO_SETTINGS = "the settings do not say how to reach this cluster"


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the books say: where the repository stands, and what was applied where."""

    position: Position = field(default_factory=Position)
    ledgers: Mapping[ClusterName, Ledger] = field(default_factory=dict)
    pins: PinBook = NO_BOOK


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found out about a commit. Without a plan, the problems say why there is none.

    `before` and `after` are what the plan leads from and to, as their commits declare it; `before`
    is absent where nothing is in force.
    """

    commit: CommitSha
    plan: Plan | None
    problems: tuple[Problem, ...] = ()
    before: DesiredState | None = None
    after: DesiredState | None = None


async def compare(repository: Repository, *, base: CommitSha, head: CommitSha) -> Survey:
    """What `head` declares otherwise than `base`, by the policy of `base`. Asks no cluster."""
    compiler = Compiler(repository)
    before = await compiler.compile(base, rules=None)
    if isinstance(before, Invalid):
        return Survey(base, None, before.problems)
    after = await compiler.compile(head, rules=before.compilation.state.policy)
    if isinstance(after, Invalid):
        return Survey(head, None, after.problems)
    one = before.compilation.state
    other = with_undecided_told(after.compilation.state, NO_BOOK)
    if moved := (
        *relocation_problems(other, declared_homes(one)),
        *rewording_problems(other, declared_texts(one)),
    ):
        return Survey(head, None, (*after.problems, *moved))
    return Survey(head, intent_plan(one, other), after.problems, before=one, after=other)


async def whole_plan(
    desired: DesiredState,
    views: Sequence[ClusterView],
    clusters: Mapping[ClusterName, Cluster],
    *,
    base: CommitSha | None,
    rules: RepositorySpec,
    attribute: Attribute | None = None,
    limit: int = CONCURRENCY,
) -> Plan:
    """The plan for `desired`, with every object looked at and at most `limit` dry runs at once.

    Without `attribute` all of it is asked as the daemon. Raises Transient when a cluster fails in
    the middle of the dry runs.
    """
    work = outstanding(desired, views, every_object=True, retry_refused=True)
    asked = [item for item in work if item.cluster in clusters]
    authors = await attribute(asked) if attribute else NOBODY
    previews = await preview(clusters, asked, head=desired.commit, authors=authors, limit=limit)
    return plan(
        desired,
        base=base,
        rules=rules,
        views=views,
        work=work,
        previews=previews,
        authors=authors,
    )


def other_name(desired: DesiredState, name: str) -> Problem:
    """What is wrong with a commit that calls its repository otherwise."""
    message = f"the repository is named {desired.repository}, the settings say {name}"
    return Problem(POLICY_PATH, Span(1, 1), "renamed", message, "keep metadata.name")


class Surveyor:
    """Plans commits of one repository against clusters as they are now."""

    def __init__(
        self,
        *,
        repository: Repository,
        name: str,
        clusters: Mapping[ClusterName, Cluster],
        recorded: Recorded,
        clock: Clock,
        people: People | None = None,
    ) -> None:
        """Without `people` everything is asked as the identity that the settings give."""
        self._repository = repository
        self._name = name
        self._clusters = clusters
        self._recorded = recorded
        self._clock = clock
        self._compiler = Compiler(repository, lambda: recorded.pins)
        own = Compiler(repository, lambda: recorded.pins)
        self._attributor = Attributor(repository, people, own) if people else None

    async def survey(self, head: CommitSha, *, only: ClusterName | None = None) -> Survey:
        """Plan `head`, in one cluster if `only` names it; every object is looked at.

        Raises:
            HistoryRewritten, Untrusted: the daemon would refuse the commit for that.
            Transient: a cluster failed in the middle of the dry run.
        """
        accepted = self._recorded.position.accepted
        in_force = await self._accepted()
        rules = in_force.policy if in_force else None
        await verify_history(
            self._repository,
            accepted=accepted,
            head=head,
            signed=rules.signatures.required if rules else False,
        )
        result = await self._compiler.compile(head, rules=rules)
        if isinstance(result, Invalid):
            return Survey(head, None, result.problems)
        desired = with_undecided_told(result.compilation.state, self._recorded.pins)
        if desired.repository != self._name:
            return Survey(head, None, (other_name(desired, self._name),))
        if moved := self._moved(desired, in_force):
            return Survey(head, None, (*result.problems, *moved))
        now = self._clock.now().timestamp()
        journal, ledgers = self._recorded.position.journal, self._recorded.ledgers
        staged = Courses().make(desired, journal, ledgers, now=now).state
        async with self._looking(staged, only) as views:
            made = await whole_plan(
                staged,
                views,
                self._clusters,
                base=accepted,
                rules=rules or desired.policy,
                attribute=self._attributing(desired, in_force),
            )
        return Survey(head, made, result.problems, before=in_force, after=desired)

    def _moved(self, desired: DesiredState, in_force: DesiredState | None) -> tuple[Problem, ...]:
        """Rollouts that the commit would take away from where they serve, or from what they say."""
        recorded = self._recorded
        homes = applied_homes(desired, recorded.ledgers.values(), accepted=in_force)
        serving = serving_texts(Courses().states(recorded.position.journal))
        return (*relocation_problems(desired, homes), *rewording_problems(desired, serving))

    def _attributing(self, desired: DesiredState, known: DesiredState | None) -> Attribute | None:
        if self._attributor is None:
            return None
        recorded, before = self._recorded, (known,) if known else ()

        def units(cluster: ClusterName) -> Mapping[UnitName, UnitState]:
            return recorded.ledgers.get(cluster, Ledger(cluster)).units

        at = Standpoint(desired, recorded.position, units, before)
        return partial(self._attributor.attribute, at=at)

    async def _accepted(self) -> DesiredState | None:
        """The commit accepted last, whose policy is in force."""
        accepted = self._recorded.position.accepted
        if accepted is None:
            return None
        result = await self._compiler.compile(accepted, rules=None)
        if isinstance(result, Invalid):
            raise Corrupt(
                f"the accepted commit {short(accepted)} is not valid for this release",
                hint="plan with the release that accepted it",
            )
        return result.compilation.state

    @asynccontextmanager
    async def _looking(
        self, desired: DesiredState, only: ClusterName | None
    ) -> AsyncIterator[Sequence[ClusterView]]:
        wanted = {cluster for cluster, _ in desired.units}
        names = sorted(wanted | self._clusters.keys() | self._recorded.ledgers.keys())
        if only is not None:
            names = [name for name in names if name == only]
        async with AsyncExitStack() as watches:
            yield await asyncio.gather(*(self._view(n, desired, watches) for n in names))

    async def _view(
        self, name: ClusterName, desired: DesiredState, watches: AsyncExitStack
    ) -> ClusterView:
        ledger = self._recorded.ledgers.get(name, Ledger(name))
        snapshot: ClusterSnapshot = FrozenSnapshot(name, stale=NO_SETTINGS)
        if name in self._clusters:
            units = (unit for (cluster, _), unit in desired.units.items() if cluster == name)
            types = {kind for unit in units for kind in unit.types}
            types |= {
                GroupVersionKind.of(e.api_version, e.key.kind) for e in ledger.entries.values()
            }
            snapshot = await self._snapshot(name, types, watches)
        return ClusterView(ledger, snapshot)

    async def _snapshot(
        self, name: ClusterName, types: Iterable[GroupVersionKind], watches: AsyncExitStack
    ) -> ClusterSnapshot:
        observer = ClusterObserver(self._clusters[name], repository=self._name)
        watches.push_async_callback(observer.stop)
        try:
            await observer.watch_types(types)
        except Transient as error:
            return FrozenSnapshot(name, stale=error.message)
        return FrozenSnapshot(name, observer, stale=observer.stale)

"""Plans of change requests: what merging would do, to the clusters as the engine sees them now.

Separate from surveying.py, whose plans begin with nothing, and from the loop that says when. The
invariants: the commit that is planned is that which merging makes; the rules are those in force,
never the candidate's; where clusters may not be asked, only Git is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler.core.approvals.judging import enforced
from reconciler.core.approvals.widening import only_breaks_glass, only_narrows, widenings
from reconciler.core.authorship import Attribution
from reconciler.core.change_requests import PlanKey
from reconciler.core.desired import DesiredState
from reconciler.core.errors import FairleadError, Terminal, Untrusted
from reconciler.core.identifiers import ClusterName, CommitSha, Digest, UnitName, short
from reconciler.core.intent import intent_plan
from reconciler.core.kinds.repository import RepositorySpec
from reconciler.core.ledger import UnitState
from reconciler.core.manifests import canonical_json, digest_of
from reconciler.core.outstanding import Outstanding
from reconciler.core.pinning import with_undecided_told
from reconciler.core.presenting.impact import impact
from reconciler.core.problems import printable
from reconciler.core.reviewed import Reviewed
from reconciler.core.secret_versions import Pin, PinBook
from reconciler.engine.attributing import Attribute, Attributor, Merging, Standpoint
from reconciler.engine.driving import Engine
from reconciler.engine.fetching import Compiled, Compiler, Invalid
from reconciler.engine.reviewing_views import marks, views_aside
from reconciler.engine.surveying import other_name, whole_plan
from reconciler.forge_ports import ProposedChanges
from reconciler.ports import Clock

DRY_RUNS = 4
"""At once in each cluster: a quarter of the engine's own, so that applying goes first."""

_UNKNOWN = digest_of(b"")
"""Of a policy that could not be read."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """The state before, by whose policy the candidate is judged, and the candidate."""

    before: DesiredState
    after: Compiled


class LiveSurveyor:
    """Plans one change request at a time, against the clusters of a running engine."""

    def __init__(
        self, *, proposals: ProposedChanges, engine: Engine, clock: Clock, name: str, release: str
    ) -> None:
        self._proposals = proposals
        self._engine = engine
        self._clock = clock
        self._name = name
        self._release = release
        self._proposed: tuple[Pin, ...] = ()
        self._compiler = Compiler(proposals, self._pins)

    def marks(self) -> Mapping[ClusterName, Digest]:
        """Differ when plans might."""
        return marks(self._engine, self._clock)

    @property
    def in_force(self) -> CommitSha | None:
        """The commit whose policy judges."""
        accepted = self._engine.reconciler.accepted
        return accepted.commit if accepted else None

    async def review(self, head: CommitSha, base: CommitSha, *, live: bool) -> Reviewed:
        """Plan the merge of `head` into `base`, asking clusters only if `live`.

        Both must have been fetched. What stands in the way is told by the result. Raises Transient
        when the same may be possible a moment later.
        """
        clusters = self.marks() if live else {}
        key = PlanKey(head, base, _UNKNOWN, self._release, clusters)
        try:
            return await self._review(key, live=live)
        except Terminal as error:
            return Reviewed(key, None, trouble=error.message, hint=error.hint, offline=not live)

    def failed(self, head: CommitSha, base: CommitSha, error: FairleadError) -> Reviewed:
        """What there is to say while it cannot be planned."""
        key = PlanKey(head, base, _UNKNOWN, self._release)
        hint = error.hint or "nothing to do: it is tried again"
        return Reviewed(key, None, trouble=error.message, hint=hint)

    async def _review(self, key: PlanKey, *, live: bool) -> Reviewed:
        merged = await self._proposals.merged(key.base, key.head)
        before = await self._before(key.base)
        if isinstance(before, Invalid):
            trouble = f"the branch itself, at {short(key.base)}, is not valid"
            hint = "mend the branch first"
            return Reviewed(key, None, before.problems, trouble=trouble, hint=hint)
        tree = (await self._proposals.commit(merged)).tree
        key = replace(key, policy=_digest(before.policy), tree=tree)
        difference = await self._proposals.difference(key.base, merged)
        paths = tuple(sorted({*difference.gone, *(entry.path for entry in difference.changed)}))
        found = Reviewed(key, None, paths=paths, policy=before.policy, offline=not live)
        await self._require_signatures(before.policy, key)
        after = await self._compiled(merged, before.policy, live=live)
        if isinstance(after, Invalid):
            return replace(found, problems=after.problems)
        state = after.compilation.state
        if state.repository != self._name:
            return replace(found, problems=(other_name(state, self._name),))
        if moved := self._engine.reconciler.positions.relocations(state, before):
            return replace(found, problems=(*after.problems, *moved))
        judged = _Judged(before, after)
        found = replace(
            found,
            gains=widenings(before, state),
            narrows=enforced(before.policy) and only_narrows(before, state),
            breaks=only_breaks_glass(before, state),
        )
        return await (self._live(found, judged) if live else self._offline(found, judged))

    async def _compiled(
        self, merged: CommitSha, rules: RepositorySpec, *, live: bool
    ) -> Compiled | Invalid:
        """With the versions of secrets that merging now would give. They are kept by nobody."""
        self._proposed = ()
        after = await self._compiler.compile(merged, rules=rules)
        if isinstance(after, Invalid) or not live:
            return after
        pinning = self._engine.reconciler.pinning
        self._proposed = await pinning.proposals(after.compilation.state, self._pins())
        return await self._compiler.compile(merged, rules=rules) if self._proposed else after

    def _pins(self) -> PinBook:
        return self._engine.books.pins.with_(self._proposed)

    async def _live(self, found: Reviewed, judged: _Judged) -> Reviewed:
        desired, engine = judged.after.compilation.state, self._engine
        staged = engine.reconciler.positions.course(desired).state
        async with views_aside(staged, engine, self._clock, repository=self._name) as views:
            made = await whole_plan(
                staged,
                views,
                {name: session.cluster for name, session in engine.leader.sessions.items()},
                base=self.in_force,
                rules=judged.before.policy,
                attribute=self._attributing(found.key, judged),
                limit=DRY_RUNS,
            )
        weighed = impact(made, judged.before, desired)
        return replace(found, plan=made, impact=weighed, problems=judged.after.problems)

    def _attributing(self, key: PlanKey, judged: _Judged) -> Attribute | None:
        """Who the authors of what is proposed are, where it is to be written in their names."""
        desired, engine = judged.after.compilation.state, self._engine
        people = engine.reconciler.people
        if people is None:
            return None

        def units(cluster: ClusterName) -> Mapping[UnitName, UnitState]:
            return engine.books.ledger(cluster).units

        attributor = Attributor(self._proposals, people, Compiler(self._proposals, self._pins))

        async def attribute(work: Sequence[Outstanding]) -> Attribution:
            merging = None
            if desired.commit != key.head:
                proposed = await self._proposals.proposed(key.base, key.head)
                merging = Merging(key.base, proposed)
            at = Standpoint(desired, engine.books.position, units, (judged.before,), merging)
            return await attributor.attribute(work, at)

        return attribute

    async def _offline(self, found: Reviewed, judged: _Judged) -> Reviewed:
        desired = with_undecided_told(judged.after.compilation.state, self._pins())
        base = await self._compiler.compile(found.key.base, rules=None)
        if isinstance(base, Invalid):
            return replace(found, problems=base.problems, trouble="the branch itself is not valid")
        before = base.compilation.state
        made = intent_plan(before, desired)
        weighed = impact(made, before, desired, offline=True)
        return replace(found, plan=made, impact=weighed, problems=judged.after.problems)

    async def _before(self, base: CommitSha) -> DesiredState | Invalid:
        """What is in force; before anything is, what the branch declares."""
        if accepted := self._engine.reconciler.accepted:
            return accepted
        result = await self._compiler.compile(base, rules=None)
        return result if isinstance(result, Invalid) else result.compilation.state

    async def _require_signatures(self, policy: RepositorySpec, key: PlanKey) -> None:
        if not policy.signatures.required:
            return
        for commit in await self._proposals.proposed(key.base, key.head):
            if commit.signer is None:
                raise Untrusted(
                    f"commit {short(commit.sha)} by {printable(commit.author, limit=80)} is not"
                    " signed by an allowed signer",
                    hint="sign it, or add the signer's key to the allowed signers of the daemon",
                )


def _digest(policy: RepositorySpec) -> Digest:
    return digest_of(canonical_json(policy.model_dump(mode="json", by_alias=True)))

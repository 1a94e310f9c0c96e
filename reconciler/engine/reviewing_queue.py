"""The merge queue: commits that a forge is about to put on the branch, each planned for itself.

Separate from change requests, which people look at: nobody reads a comment here, and the queue
stalls without a check. The invariant: the check is of a plan of that very commit, and is a success
only where what was approved is what would be written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import structlog

from reconciler.core.approving import Consent
from reconciler.core.change_requests import Check, CheckState
from reconciler.core.identifiers import CommitSha
from reconciler.core.presenting.review_texts import check_of, request_of
from reconciler.core.reviewed import QUEUE_PREFIX, Reviewed, judged, queued_number
from reconciler.engine.reviewing_cases import Case
from reconciler.engine.reviewing_presenting import ReviewOptions
from reconciler.forge_ports import Forge, ProposedChanges

log = structlog.get_logger()


class PlanNow(Protocol):
    async def __call__(
        self, ref: str, head: CommitSha, base: CommitSha, *, live: bool
    ) -> Reviewed: ...


class MergeQueue:
    """Plans what the queue of the branch holds. Forgets what has left it."""

    def __init__(self, forge: Forge, proposals: ProposedChanges, options: ReviewOptions) -> None:
        self._forge = forge
        self._proposals = proposals
        self._options = options
        self._planned: dict[CommitSha, CommitSha] = {}
        """The base that each head was planned upon."""

    async def look(self, base: CommitSha, cases: Mapping[int, Case], plan: PlanNow) -> None:
        """Plan each group that is new, oldest name first."""
        found = await self._proposals.refs(f"{QUEUE_PREFIX}{self._options.branch}/")
        self._planned = {h: b for h, b in self._planned.items() if h in found.values()}
        for ref, head in sorted(found.items()):
            if self._planned.get(head) == base:
                continue
            case = cases.get(queued_number(ref) or 0)
            await self._forge.put_check(self._running(head))
            live = case is not None and case.live
            reviewed = await plan(ref, head, base, live=live)
            await self._forge.put_check(self._check(reviewed, case))
            self._planned[head] = base

    def _running(self, head: CommitSha) -> Check:
        words = "The plan of the merge group is being made."
        return Check(self._options.check, head, CheckState.RUNNING, "planning", words)

    def _check(self, reviewed: Reviewed, case: Case | None) -> Check:
        given = self._consent(reviewed, case)
        judgement = judged(reviewed, given)
        request = request_of(reviewed, given)
        log.info("queue.planned", commit=reviewed.key.head, state=str(judgement.state))
        return check_of(
            reviewed, judgement, request, name=self._options.check, commit=reviewed.key.head
        )

    def _consent(self, reviewed: Reviewed, case: Case | None) -> Consent:
        """Approvals of the pull request count where its plan has the same effect."""
        if case is None:
            return reviewed.consent((), author="")
        approvals = case.record.approvals
        before = case.reviewed
        if before is not None and before.effect is not None and before.effect == reviewed.effect:
            approvals = tuple(
                replace(a, plan=reviewed.digest) if a.plan == before.digest else a
                for a in approvals
            )
        return reviewed.consent(approvals, author=case.pull.author)

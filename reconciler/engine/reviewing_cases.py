"""Cases: what is in memory of each change request while it is looked at.

Separate from the record, which outlives the process, and from the loop. The invariant: a case says
nothing that the forge, Git or the clusters could not tell again; losing it costs a new plan.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.core.approving import Consent
from reconciler.core.change_requests import Check, PullRequest, ReviewRecord
from reconciler.core.identifiers import ClusterName, CommitSha, Digest
from reconciler.core.presenting.comment_facts import Request
from reconciler.core.presenting.page_pulls import PullFacts
from reconciler.core.reviewed import Judgement, Reviewed


@dataclass(frozen=True, slots=True)
class Ground:
    """All that a plan depends on. Another ground, another plan. `marks` is empty offline."""

    head: CommitSha
    base: CommitSha
    in_force: CommitSha | None
    live: bool
    marks: Mapping[ClusterName, Digest]


@dataclass(eq=False)
class Case:
    """One change request. `ground` is that of the plan which is being made or was made last.

    `unshown` while what is known has not got to the forge whole.
    """

    pull: PullRequest
    record: ReviewRecord
    ground: Ground | None = None
    task: asyncio.Task[None] | None = None
    reviewed: Reviewed | None = None
    consent: Consent = field(default_factory=lambda: Consent(()))
    judgement: Judgement | None = None
    asked: Request | None = None
    check: Check | None = None
    body: str = ""
    answers: tuple[str, ...] = ()
    failures: int = 0
    unshown: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def number(self) -> int:
        return self.pull.number

    @property
    def planning(self) -> bool:
        return self.task is not None and not self.task.done()

    @property
    def live(self) -> bool:
        """Whether clusters may be asked about it."""
        return not self.pull.fork or self.record.trusted == self.pull.head

    def facts(self) -> PullFacts:
        """As the page shows it."""
        if self.reviewed is None or self.judgement is None:
            return PullFacts(self.pull)
        return PullFacts(
            request=self.pull,
            state=self.check.state if self.check else self.judgement.state,
            title=self.check.title if self.check else self.judgement.title,
            plan=self.reviewed.view,
            approvals=self.record.approvals,
            missing=tuple(map(str, self.consent.missing)),
            problems=self.reviewed.problems,
            trouble=self.reviewed.trouble,
            hint=self.reviewed.hint,
            offline=self.reviewed.offline,
            impact=self.reviewed.impact,
            asked=self.asked,
        )

"""Pull requests as the page shows them: the plan that the comment has, and who approved it.

Separate from the reviews, which plan and remember. The invariant: a pull request without a plan
says why there is none, and never looks as if it changed nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.core.change_requests import Approval, Check, PullRequest
from reconciler.core.identifiers import Digest
from reconciler.core.presenting.page_marks import CHECKS, Mark
from reconciler.core.presenting.plan_view import PlanView


@dataclass(frozen=True, slots=True)
class PullFacts:
    """What is known of one pull request now. `trouble` says why there is no plan, if there is none.

    `offline` when no cluster was asked, as for a fork that nobody trusts yet.
    """

    request: PullRequest
    check: Check | None = None
    plan: PlanView | None = None
    approvals: tuple[Approval, ...] = ()
    trouble: str = ""
    offline: bool = False

    @property
    def mark(self) -> Mark:
        if self.request.merged:
            return Mark("good", "merge", "merged")
        if not self.request.open:
            return Mark("quiet", "minus", "closed")
        if self.check is None:
            return Mark("quiet", "dot", "not planned yet")
        return CHECKS[self.check.state]

    def binds(self, approval: Approval) -> bool:
        """Whether an approval is of the plan as it is now."""
        return self.plan is not None and approval.plan == self.digest

    @property
    def digest(self) -> Digest | None:
        return self.plan.digest if self.plan else None

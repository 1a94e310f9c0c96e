"""Pull requests as the page shows them: the plan that the comment has, and who approved it.

Separate from the reviews, which plan and remember. The invariant: a pull request without a plan
says why there is none, and never looks as if it changed nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.core.change_requests import Approval, CheckState, PullRequest
from reconciler.core.presenting.comment_facts import Request
from reconciler.core.presenting.impact import Impact
from reconciler.core.presenting.page_marks import CHECKS, Mark
from reconciler.core.presenting.plan_view import PlanView
from reconciler.core.problems import Problem
from reconciler.core.reviewed import Reviewed, judged


@dataclass(frozen=True, slots=True)
class PullFacts:
    """What is known of one pull request now.

    `state` and `title` are those of its check; without a state nobody has looked yet. Where there
    is no plan, `problems` or `trouble` say why. `missing` is consent that is still asked for.
    `offline` when no cluster was asked, as for a fork that nobody trusts yet. `impact` and `asked`
    are what the comment was made of.
    """

    request: PullRequest
    state: CheckState | None = None
    title: str = ""
    plan: PlanView | None = None
    approvals: tuple[Approval, ...] = ()
    missing: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    trouble: str = ""
    hint: str = ""
    offline: bool = False
    impact: Impact | None = None
    asked: Request | None = None

    @property
    def mark(self) -> Mark:
        if self.request.merged:
            return Mark("good", "merge", "merged")
        if not self.request.open:
            return Mark("quiet", "minus", "closed")
        if self.state is None:
            return Mark("quiet", "dot", "not planned yet")
        return CHECKS[self.state]

    def binds(self, approval: Approval) -> bool:
        """Whether an approval is of the plan as it is now."""
        return self.plan is not None and approval.plan == self.plan.digest


def pull_facts(
    request: PullRequest,
    reviewed: Reviewed | None,
    *,
    approvals: tuple[Approval, ...] = (),
    impact: Impact | None = None,
) -> PullFacts:
    """What the page shows of a pull request; `reviewed` is absent until it was looked at."""
    if reviewed is None:
        return PullFacts(request, approvals=approvals)
    given = reviewed.consent(approvals, author=request.author)
    judgement = judged(reviewed, given)
    missing = tuple(map(str, given.missing))
    return PullFacts(
        request,
        state=judgement.state,
        title=judgement.title,
        plan=reviewed.view,
        approvals=approvals,
        missing=missing,
        problems=reviewed.problems,
        trouble=reviewed.trouble,
        hint=reviewed.hint,
        offline=reviewed.offline,
        impact=impact,
        asked=Request(
            head=reviewed.key.head,
            base=reviewed.key.base,
            waits=missing,
            approved=tuple(approval.author for approval in approvals),
            moved=given.moved,
            problems=reviewed.problems,
            offline=reviewed.offline,
            fork=request.fork and reviewed.offline,
        ),
    )

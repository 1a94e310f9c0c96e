"""What the comment and the check of a change request say, for whatever was found out about it.

Separate from the renderings of plans, which know no consent, and from the loop that puts them
there. The invariant: comment and check of one state are made of the same facts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from reconciler.core.approving import Consent
from reconciler.core.change_requests import Approval, Check, CheckState, PullRequest
from reconciler.core.identifiers import CommitSha
from reconciler.core.presenting.check_output import CheckOutput, check_output, unplanned_output
from reconciler.core.presenting.comment_facts import Request
from reconciler.core.presenting.comment_notes import unplanned_comment
from reconciler.core.presenting.plan_comment import plan_comment
from reconciler.core.reviewed import Judgement, Reviewed


def request_of(
    reviewed: Reviewed,
    given: Consent,
    approvals: Sequence[Approval] = (),
    *,
    fork: bool = False,
    url: str = "",
    answers: Sequence[str] = (),
) -> Request:
    """What is asked of people, and what they have said."""
    counted = [a.author for a in approvals if a.plan == reviewed.digest]
    return Request(
        head=reviewed.key.head,
        base=reviewed.key.base,
        waits=tuple(map(str, given.missing)),
        approved=tuple(dict.fromkeys(counted)),
        moved=given.moved if given.missing else (),
        problems=reviewed.problems,
        url=url,
        offline=reviewed.offline,
        fork=fork and reviewed.offline,
        answers=tuple(answers),
    )


def comment_of(reviewed: Reviewed, request: Request) -> str:
    """The one comment, as Markdown."""
    if reviewed.view is None or reviewed.impact is None:
        return unplanned_comment(
            reviewed.trouble, hint=reviewed.hint, problems=reviewed.problems, request=request
        )
    return plan_comment(reviewed.view, reviewed.impact, request=request)


def check_of(
    reviewed: Reviewed, judgement: Judgement, request: Request, *, name: str, commit: CommitSha
) -> Check:
    """The check of the head, with remarks at the lines of its files."""
    output = _output(reviewed, judgement, request)
    return Check(
        name=name,
        commit=commit,
        state=judgement.state,
        title=output.title,
        summary=output.summary,
        text=output.text,
        annotations=output.annotations,
        url=request.url,
    )


def _output(reviewed: Reviewed, judgement: Judgement, request: Request) -> CheckOutput:
    if reviewed.view is None or reviewed.impact is None:
        return unplanned_output(
            reviewed.trouble,
            title=judgement.title,
            hint=reviewed.hint,
            problems=reviewed.problems,
            request=request,
        )
    return check_output(reviewed.view, reviewed.impact, title=judgement.title, request=request)


def placeholder(pull: PullRequest, *, name: str, url: str) -> Check:
    """While the plan is made."""
    return Check(
        name, pull.head, CheckState.RUNNING, "planning", "The plan is being made.", url=url
    )


def cancelled(check: Check) -> Check:
    """The same check, once a newer push made it pointless."""
    words = "A newer push came before this commit was planned."
    return replace(check, state=CheckState.CANCELLED, title="superseded", summary=words)

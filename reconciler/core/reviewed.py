"""Reviewed: what was found out about a change request, and what its check says for that.

Separate from planning, which asks nobody's consent, and from the comment, which chooses words. The
invariant: a check is a success only when there is a whole plan, nothing in it is refused, every
cluster was seen, and all the consent that is needed was given to exactly this plan.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from reconciler.core.approving import Consent, consent, requirements
from reconciler.core.change_requests import Approval, CheckState, PlanKey
from reconciler.core.identifiers import Digest, DocumentPath
from reconciler.core.kinds.repository import RepositorySpec
from reconciler.core.manifests import JsonValue, canonical_json, digest_of
from reconciler.core.plans import Action, Plan
from reconciler.core.presenting.impact import Impact
from reconciler.core.presenting.lines import plural
from reconciler.core.presenting.plan_view import PlanView, plan_view
from reconciler.core.problems import Problem, errors_among

_ROLLOUT = "rollout/"


@dataclass(frozen=True)
class Reviewed:
    """One plan of a change request. Without one, the problems or `trouble` say why.

    `offline` is set where no cluster was asked. `paths` are the files that it changes, `policy` is
    the one in force, absent where not even that could be read. `impact` is there where a plan is.
    `gains` says who would get what, as the daemon will judge it; `narrows` is set where nobody has
    to be asked as an owner, `breaks` where all that it does is to break the glass.
    """

    key: PlanKey
    plan: Plan | None
    problems: tuple[Problem, ...] = ()
    paths: tuple[DocumentPath, ...] = ()
    policy: RepositorySpec | None = None
    impact: Impact | None = None
    gains: tuple[str, ...] = ()
    narrows: bool = False
    breaks: bool = False
    offline: bool = False
    trouble: str = ""
    hint: str = ""

    @cached_property
    def view(self) -> PlanView | None:
        return plan_view(self.plan) if self.plan else None

    @cached_property
    def digest(self) -> Digest:
        """Identity of what is shown. Where there is no plan, that of the reasons."""
        if self.plan is not None:
            return self.plan.digest
        told: list[JsonValue] = [[p.path, p.code, p.message] for p in self.problems]
        return digest_of(canonical_json([self.key.head, self.key.base, told, self.trouble]))

    @property
    def effect(self) -> Digest | None:
        """Identity of what would be written, whatever the commits are called that lead to it."""
        if self.plan is None:
            return None
        text = self.plan.canonical
        for name, sha in (("head", self.plan.head), ("base", self.plan.base)):
            if sha is not None:
                text = text.replace(sha.encode(), name.encode())
        return digest_of(text)

    @property
    def rollouts(self) -> tuple[str, ...]:
        """The rollouts that it changes, by name."""
        units = {unit.unit for unit in self.view.units} if self.view else set()
        return tuple(
            sorted(unit.removeprefix(_ROLLOUT) for unit in units if unit.startswith(_ROLLOUT))
        )

    @property
    def widens(self) -> bool:
        """Whether anybody gets more access than before, by any account of it."""
        told = self.impact.access if self.impact else ()
        written = self.view.widened if self.view else 0
        return bool(self.gains) or written > 0 or any(change.gains for change in told)

    def consent(self, approvals: Sequence[Approval], *, author: str) -> Consent:
        """What people have to say to it. None of it without a plan: there is nothing to approve."""
        if self.policy is None or self.view is None:
            return Consent(())
        paths, widens = () if self.narrows else self.paths, self.widens
        breaks = widens and self.breaks
        needed = requirements(self.policy, paths, widens=widens, breaks=breaks)
        people = self.policy.approvals
        return consent(needed, approvals, people, plan=self.digest, key=self.key, author=author)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the check says: plain text."""

    state: CheckState
    title: str


def judged(reviewed: Reviewed, given: Consent) -> Judgement:
    """Whether merging may go on."""
    view = reviewed.view
    if reviewed.trouble:
        return Judgement(CheckState.FAILURE, f"no plan: {reviewed.trouble}")
    if view is None:
        count = plural(len(errors_among(reviewed.problems)), "problem")
        return Judgement(CheckState.FAILURE, f"would be refused: {count}")
    if view.refused:
        count = plural(len(view.refusals) + sum(bool(b.excess) for b in view.budgets), "refusal")
        return Judgement(CheckState.FAILURE, f"would be refused: {count}")
    if view.unseen:
        unseen = ", ".join(view.unseen)
        return Judgement(CheckState.FAILURE, f"unknown: {unseen} cannot be seen")
    if reviewed.offline:
        text = "planned without asking a cluster: a maintainer has to let it be"
        return Judgement(CheckState.WAITING, text)
    if given.missing and given.moved:
        moved = ", ".join(given.moved)
        return Judgement(CheckState.FAILURE, f"approve again, for this moved: {moved}")
    if given.missing:
        waits = "; ".join(map(str, given.missing))
        return Judgement(CheckState.WAITING, f"waits for approval: {waits}")
    return Judgement(CheckState.SUCCESS, counted(view))


def counted(view: PlanView) -> str:
    """The changes in one line."""
    words = [
        f"{view.counts[action]} to {action}"
        for action in (Action.CREATE, Action.UPDATE, Action.REPLACE, Action.DELETE)
        if view.counts.get(action)
    ]
    return ", ".join(words) or "nothing to write"


_QUEUE = re.compile(r"refs/heads/gh-readonly-queue/.+/pr-([1-9][0-9]{0,8})-[0-9a-f]{40,64}")
QUEUE_PREFIX = "refs/heads/gh-readonly-queue/"


def queued_number(ref: str) -> int | None:
    """The pull request that a reference of GitHub's merge queue ends with."""
    found = _QUEUE.fullmatch(ref)
    return int(found[1]) if found else None


def pull_ref(number: int) -> str:
    """Where a forge keeps the head of a pull request, forks included."""
    return f"refs/pull/{number:d}/head"

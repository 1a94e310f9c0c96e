"""Approving: whose consent a change request needs, who gave it, and to what.

Separate from asking the forge, and from the approvals of rollout steps, which are lines in Git. The
invariants: consent is to the plan that was shown when it was given, and to no other; the rules are
those in force, never the candidate's; nobody consents to their own change.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from reconciler.core.change_requests import Approval, PlanKey, Review, ReviewRecord, ReviewState
from reconciler.core.identifiers import Digest, DocumentPath
from reconciler.core.kinds.repository import Approvals, RepositorySpec
from reconciler.core.problems import printable

MOST_PATHS = 3
"""Paths that a requirement names."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """So many people have to approve, each with one of the roles. `why` completes "because"."""

    roles: tuple[str, ...]
    count: int
    why: str

    def __str__(self) -> str:
        return f"{self.count} of {' or '.join(self.roles)}, because {self.why}"


@dataclass(frozen=True, slots=True)
class Need:
    """A requirement, and who has met it so far."""

    requirement: Requirement
    given: tuple[str, ...]

    @property
    def open(self) -> int:
        """How many people have still to approve."""
        return max(0, self.requirement.count - len(self.given))

    def __str__(self) -> str:
        who = " or ".join(self.requirement.roles)
        return f"{self.open} of {who}, because {self.requirement.why}"


@dataclass(frozen=True, slots=True)
class Consent:
    """All that is needed of people for one plan. `moved` says what is not as they approved it."""

    needs: tuple[Need, ...]
    moved: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        return not any(need.open for need in self.needs)

    @property
    def missing(self) -> tuple[Need, ...]:
        return tuple(need for need in self.needs if need.open)


def requirements(
    policy: RepositorySpec, paths: Iterable[DocumentPath], *, widens: bool, breaks: bool = False
) -> tuple[Requirement, ...]:
    """What the policy asks for, where these files change and, with `widens`, access is given.

    With `breaks` nothing is done but that the glass is broken, for which it may have a rule apart.
    """
    if breaks and (rule := policy.approvals.break_glass) is not None:
        return (Requirement(rule.by, rule.count, "it breaks the glass"),)
    owned: dict[tuple[str, ...], list[DocumentPath]] = {}
    for path in sorted(paths):
        if owners := owners_of(policy, path):
            owned.setdefault(owners, []).append(path)
    needed = [Requirement(roles, 1, _ownership(paths)) for roles, paths in owned.items()]
    rule = policy.approvals.wider_access
    if widens and rule is not None:
        needed.append(Requirement(rule.by, rule.count, "it gives more access than before"))
    return tuple(needed)


def owners_of(policy: RepositorySpec, path: DocumentPath) -> tuple[str, ...]:
    """The roles that answer for a file: by the last entry whose pattern matches it, or a directory
    that it is in."""
    found: tuple[str, ...] = ()
    segments = path.split("/")
    for entry in policy.owners:
        pattern = entry.path.split("/")
        start = segments[: len(pattern)]
        if len(start) == len(pattern) and all(map(fnmatchcase, start, pattern)):
            found = entry.owners
    return found


def _ownership(paths: Sequence[DocumentPath]) -> str:
    named = ", ".join(printable(path, limit=120) for path in paths[:MOST_PATHS])
    more = f" and {len(paths) - MOST_PATHS} more" if len(paths) > MOST_PATHS else ""
    return f"{named}{more} changes"


def with_reviews(record: ReviewRecord, reviews: Sequence[Review]) -> tuple[Approval, ...]:
    """The approvals that stand after these reviews, oldest first.

    A review of the head that was shown counts for the plan that stood there at that moment; one
    from before that plan was shown is of something else. Whoever asks for changes after approving,
    or whose review is dismissed, no longer approves.
    """
    said: dict[str, Review] = {}
    for review in reviews:
        if review.state is not ReviewState.COMMENTED:
            said[review.author.casefold()] = review
    standing = {r.id for r in said.values() if r.state is ReviewState.APPROVED}
    kept = [approval for approval in record.approvals if approval.review in standing]
    known = {approval.review for approval in kept}
    if record.plan is not None and record.key is not None:
        kept += [
            Approval(review.author, review.id, record.plan, record.key)
            for review in said.values()
            if review.id in standing - known
            and review.commit == record.key.head
            and _was_shown(record, review)
        ]
    return tuple(kept)


def _was_shown(record: ReviewRecord, review: Review) -> bool:
    """Forges count whole seconds, so an approval of the very second is refused: nobody reads a plan
    in less."""
    try:
        return datetime.fromisoformat(review.at) >= datetime.fromisoformat(record.shown)
    except (TypeError, ValueError):
        return False


def consent(
    needed: Sequence[Requirement],
    approvals: Sequence[Approval],
    people: Approvals,
    *,
    plan: Digest,
    key: PlanKey,
    author: str,
) -> Consent:
    """How far these approvals go for this plan."""
    counted = {
        approval.author: people.roles_of(approval.author)
        for approval in approvals
        if approval.plan == plan and approval.author.casefold() != author.casefold()
    }
    needs = tuple(
        Need(requirement, tuple(who for who, roles in counted.items() if roles & _set(requirement)))
        for requirement in needed
    )
    other = [approval for approval in approvals if approval.plan != plan]
    moved = other[-1].key.moved_to(key) if other else ()
    return Consent(needs, moved)


def _set(requirement: Requirement) -> frozenset[str]:
    return frozenset(requirement.roles)

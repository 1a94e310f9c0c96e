"""Judging: whether a commit that was pushed has the approvals that the policy in force asks for.

Separate from change requests (approving.py), whose approvals are of a plan and by logins; what is
needed is said there, once for both. The invariants: the rules are those of the commit in force; an
approval is of exactly this tree upon exactly that commit and has not ended; nobody approves what
they signed a part of, with whichever key; and one person counts once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciler.core.approvals.people import same
from reconciler.core.approvals.statements import LONGEST, Approval
from reconciler.core.approving import Need, Requirement, requirements
from reconciler.core.commits import Commit
from reconciler.core.identifiers import CommitSha, DocumentPath, TreeId, short
from reconciler.core.kinds.repository import Approvals, RepositorySpec
from reconciler.core.manifests import JsonObject, JsonValue
from reconciler.core.problems import printable

MOST_GAINS = 3
"""Sentences about what is given that an explanation has."""

MOST_RECORDED = 50
"""The same for a record."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What would follow upon `base`, the commit in force.

    `commits` are all those in between. `gains` says who would get what; none where nobody would.
    `exempt` says why nobody has to be asked as an owner, where that is so. `breaks` is set where
    all that it does is to break the glass.
    """

    repository: str
    base: CommitSha
    head: Commit
    commits: tuple[Commit, ...]
    paths: tuple[DocumentPath, ...]
    gains: tuple[str, ...] = ()
    exempt: str = ""
    breaks: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is needed and who gave it. `counted` are the approvals that were looked at as such,
    `passed_over` says why others were not."""

    candidate: Candidate
    needs: tuple[Need, ...]
    counted: tuple[Approval, ...] = ()
    passed_over: tuple[str, ...] = ()
    trouble: str = ""

    @property
    def complete(self) -> bool:
        return not self.missing and not self.trouble

    @property
    def missing(self) -> tuple[Need, ...]:
        return tuple(need for need in self.needs if need.open)

    @property
    def explanation(self) -> str:
        """Who would get what, whose approval is missing, and what to do."""
        head, base = self.candidate.head.sha, self.candidate.base
        told = [*_some(self.candidate.gains)]
        told += [f"waits for approval: {'; '.join(map(str, self.missing))}"] * bool(self.missing)
        told += [self.trouble] if self.trouble else []
        told += self.passed_over
        what = f"fairlead approve {short(head)} --base {short(base)}"
        if self.trouble:
            # What a key that is nobody's has signed, nobody can approve.
            what = "take it back, and commit it again with a key that has a name"
        return "; ".join(printable(words, limit=400) for words in (*told, what))


def judgement_json(judgement: Judgement) -> JsonObject:
    """What a record keeps of it."""
    candidate = judgement.candidate
    gains: list[JsonValue] = [*candidate.gains[:MOST_RECORDED]]
    approvals: list[JsonValue] = [
        {
            "person": approval.person[0],
            "how": approval.how,
            "until": approval.until.isoformat() if approval.until else None,
        }
        for approval in judgement.counted
    ]
    return {
        "base": candidate.base,
        "tree": candidate.head.tree,
        "signers": [commit.signer for commit in candidate.commits[:MOST_RECORDED]],
        "gains": gains,
        "exempt": candidate.exempt,
        "needs": [str(need.requirement) for need in judgement.needs],
        "missing": [str(need) for need in judgement.missing],
        "approvals": approvals,
    }


def enforced(rules: RepositorySpec) -> bool:
    """Whether approvals of pushes are asked for at all. Without signatures nobody is known."""
    asks = bool(rules.owners) or rules.approvals.wider_access is not None
    return rules.signatures.required and asks


def judged(
    candidate: Candidate, rules: RepositorySpec, given: Sequence[Approval], now: datetime
) -> Judgement:
    """Hold the approvals that were given against what `rules` ask."""
    paths = () if candidate.exempt else candidate.paths
    widens = bool(candidate.gains)
    needed = requirements(rules, paths, widens=widens, breaks=widens and candidate.breaks)
    if not needed:
        return Judgement(candidate, ())
    nameless = next((commit for commit in candidate.commits if not commit.person), None)
    if nameless is not None:
        needs = tuple(Need(requirement, ()) for requirement in needed)
        return Judgement(candidate, needs, trouble=_nameless(nameless))
    counted, passed_over = _sorted(candidate, given, now)
    return Judgement(
        candidate,
        tuple(_need(requirement, counted, rules.approvals) for requirement in needed),
        counted,
        passed_over,
    )


def concerns(approval: Approval, tree: TreeId, base: CommitSha) -> bool:
    """Whether it is of this change, whoever gave it."""
    return approval.tree == tree and approval.base == base


def _nameless(commit: Commit) -> str:
    return (
        f"commit {short(commit.sha)} is by a key that the allowed signers list under no name, so"
        " whether somebody else approved cannot be told"
    )


def _sorted(
    candidate: Candidate, given: Sequence[Approval], now: datetime
) -> tuple[tuple[Approval, ...], tuple[str, ...]]:
    """One approval of each person that may count, and why the others do not."""
    counted: list[Approval] = []
    passed_over: list[str] = []
    for approval in given:
        why = _objection(candidate, approval, now)
        if why:
            passed_over.append(f"the approval of {_who(approval)} {why}")
        elif not any(same(approval.person, known.person) for known in counted):
            counted.append(approval)
    return tuple(counted), tuple(dict.fromkeys(passed_over))


def _objection(candidate: Candidate, approval: Approval, now: datetime) -> str:
    """Why it is no approval of this candidate; empty when it is."""
    if approval.repository != candidate.repository:
        return "is for another repository"
    if approval.tree != candidate.head.tree:
        return "is of another tree"
    if approval.base != candidate.base:
        return f"is upon {short(approval.base)}, which is not in force"
    if approval.until is not None and approval.until <= now:
        return "has ended"
    if approval.until is not None and approval.until - now > LONGEST:
        return f"is for more than {LONGEST.days} days"
    if not approval.person:
        return "is by nobody whom the allowed signers name"
    if any(same(approval.person, commit.person) for commit in candidate.commits):
        return "is of their own change"
    return ""


def _who(approval: Approval) -> str:
    return approval.person[0] if approval.person else approval.how


def _need(requirement: Requirement, counted: Sequence[Approval], people: Approvals) -> Need:
    wanted = frozenset(requirement.roles)
    return Need(requirement, tuple(_named(counted, wanted, people)))


def _named(counted: Sequence[Approval], roles: frozenset[str], people: Approvals) -> Iterator[str]:
    for approval in counted:
        if any(roles & people.roles_of(name) for name in approval.person):
            yield approval.person[0]


def _some(sentences: Sequence[str]) -> Iterator[str]:
    yield from sentences[:MOST_GAINS]
    if len(sentences) > MOST_GAINS:
        yield f"and {len(sentences) - MOST_GAINS} more are given"

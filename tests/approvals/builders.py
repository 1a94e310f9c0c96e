"""Commits, approvals and rules, as values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from reconciler.core.approvals.judging import Candidate, Judgement, judged
from reconciler.core.approvals.people import Person
from reconciler.core.approvals.statements import Approval
from reconciler.core.commits import Commit
from reconciler.core.identifiers import CommitSha, DocumentPath, TreeId
from reconciler.core.kinds.repository import RepositorySpec

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
BASE = CommitSha("b" * 40)
TREE = TreeId("7" * 40)
GAIN = "Role owner gains infer on fraud@v1"

ADA: Person = ("ada@example.com", "ada")
GRACE: Person = ("grace@example.com", "grace")
LINUS: Person = ("linus",)
NOOR: Person = ("noor",)


def rules(count: int) -> RepositorySpec:
    return RepositorySpec.model_validate(
        {
            "clusters": {"names": ["one"]},
            "allow": {"namespaces": ["team-*"]},
            "signatures": {"required": True},
            "owners": [{"path": "models", "owners": ["researcher"]}],
            "approvals": {
                "widerAccess": {"count": count, "by": ["platform"]},
                "people": {
                    "platform": ["ada", "grace", "linus"],
                    "researcher": ["noor", "grace"],
                },
            },
        }
    )


RULES, TWO = rules(1), rules(2)


def commit(*person: str, sha: str = "a", tree: TreeId = TREE) -> Commit:
    signer = person[0] if person else "somebody@example.com"
    return Commit(
        CommitSha(sha * 40), (BASE,), "Ada", "ada@example.com", NOW, "change", signer, person, tree
    )


def candidate(
    *commits: Commit, paths: str = "access/roles.yaml", gains: str = GAIN, exempt: str = ""
) -> Candidate:
    listed = commits or (commit(*ADA),)
    return Candidate(
        repository="acme",
        base=BASE,
        head=listed[-1],
        commits=listed,
        paths=tuple(map(DocumentPath, paths.split())),
        gains=(gains,) if gains else (),
        exempt=exempt,
    )


def approval(
    person: Person,
    *,
    tree: TreeId = TREE,
    base: CommitSha = BASE,
    repository: str = "acme",
    ends: timedelta | None = timedelta(hours=1),
) -> Approval:
    until = None if ends is None else NOW + ends
    return Approval(person, tree, base, repository, "key SHA256:x", until)


def judge(
    *given: Approval, of: Candidate | None = None, rules: RepositorySpec = RULES
) -> Judgement:
    return judged(of or candidate(), rules, given, NOW)

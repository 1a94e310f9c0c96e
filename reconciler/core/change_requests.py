"""Change requests: what a forge knows of a pull request, and what we show and remember of it.

Separate from plans, which know no forge, and from the adapters, which know one each. The
invariants: everything that a person wrote is text and never an instruction but for commands, whose
author is looked up; an approval names the digest of the plan that was seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from reconciler.core.errors import Terminal
from reconciler.core.identifiers import ClusterName, CommitSha, Digest, DocumentPath, TreeId
from reconciler.core.problems import printable


@dataclass(frozen=True, slots=True)
class PullRequest:
    """One pull request, as the forge tells it now.

    `base` is the head of the branch it is to be merged into. `merged` is the commit that merging
    made, once it is merged.
    """

    number: int
    title: str
    author: str
    head: CommitSha
    head_branch: str
    base: CommitSha
    base_branch: str
    url: str
    fork: bool = False
    draft: bool = False
    open: bool = True
    merged: CommitSha | None = None


class ReviewState(StrEnum):
    """What a reviewer said last."""

    APPROVED = "approved"
    CHANGES_REQUESTED = "changes-requested"
    COMMENTED = "commented"
    DISMISSED = "dismissed"


@dataclass(frozen=True, slots=True)
class Review:
    """A review of exactly `commit`. `at` is RFC 3339."""

    id: int
    author: str
    state: ReviewState
    commit: CommitSha
    at: str


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment on a pull request. `edited` comments are no commands: who edited is not told."""

    id: int
    author: str
    body: str
    at: str
    edited: bool = False


class Permission(IntEnum):
    """What a person may do in the repository, by the forge's own word at that moment."""

    NONE = 0
    READ = 1
    WRITE = 2
    MAINTAIN = 3
    ADMIN = 4


class CheckState(StrEnum):
    """Whether a plan was made, and whether merging may go on. Unknown is never success."""

    RUNNING = "running"
    SUCCESS = "success"
    FAILURE = "failure"
    WAITING = "waiting"
    """Complete, but somebody has to act first: an approval, or one anew."""
    CANCELLED = "cancelled"
    """A newer push came."""


class Level(StrEnum):
    NOTICE = "notice"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Annotation:
    """A remark at lines of a file of the head."""

    path: DocumentPath
    line: int
    end_line: int
    level: Level
    title: str
    message: str


@dataclass(frozen=True, slots=True)
class Check:
    """What a commit is marked with. `summary` and `text` are Markdown, `title` plain text."""

    name: str
    commit: CommitSha
    state: CheckState
    title: str
    summary: str = ""
    text: str = ""
    annotations: tuple[Annotation, ...] = ()
    url: str = ""


class DeploymentState(StrEnum):
    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    SUCCESS = "success"
    FAILURE = "failure"
    INACTIVE = "inactive"


@dataclass(frozen=True, slots=True)
class Deployment:
    """How far a commit is in one environment (a rollout in a cluster), for the forge to show."""

    commit: CommitSha
    environment: str
    state: DeploymentState
    description: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class PlanKey:
    """All that a plan depends on. A plan with another key is another plan, even if it is equal."""

    head: CommitSha
    base: CommitSha
    policy: Digest
    """Of the policy that judged it: that in force, not the candidate's."""
    release: str
    """Of Fairlead."""
    clusters: Mapping[ClusterName, Digest] = field(default_factory=dict)
    """What each cluster's part of the plan rests on; absent for a plan that asked no cluster."""
    tree: TreeId | None = None
    """What merging leads to: follows from head and base."""

    def moved_to(self, now: PlanKey) -> tuple[str, ...]:
        """What is not as it was, in words; empty when all is."""
        named = {
            "head": (self.head, now.head),
            "base": (self.base, now.base),
            "policy": (self.policy, now.policy),
            "release of Fairlead": (self.release, now.release),
        }
        moved = [name for name, (before, after) in named.items() if before != after]
        clusters = sorted({*self.clusters, *now.clusters})
        moved += [f"cluster {c}" for c in clusters if self.clusters.get(c) != now.clusters.get(c)]
        return tuple(moved)


@dataclass(frozen=True, slots=True)
class Approval:
    """Somebody approved the plan with this digest, at a review of the forge."""

    author: str
    review: int
    plan: Digest
    key: PlanKey


@dataclass(frozen=True, slots=True)
class ReviewRecord:
    """What is remembered of one pull request.

    `comment` is the id of the one comment that is ours. `answered` is the id of the newest comment
    that was looked at for commands. `trusted` is the head of a fork that a maintainer let be
    planned against clusters. `announced` names what was told in a comment of its own, once. `shown`
    is when the plan was first shown (RFC 3339), `rollouts` are those that it changes. `merged` is
    the commit that merging made; when `done`, nothing more is to be told of it.
    """

    number: int
    comment: int | None = None
    plan: Digest | None = None
    key: PlanKey | None = None
    approvals: tuple[Approval, ...] = ()
    answered: int = 0
    trusted: CommitSha | None = None
    announced: tuple[str, ...] = ()
    shown: str = ""
    rollouts: tuple[str, ...] = ()
    merged: CommitSha | None = None
    done: bool = False


class MergeConflict(Terminal):
    """Both sides changed the same places; only a person can say what they should be."""

    code = "merge-conflict"

    def __init__(self, paths: tuple[str, ...]) -> None:
        listed = ", ".join(printable(path) for path in paths)
        super().__init__(
            f"the change does not merge by itself: both sides changed {listed}",
            hint="merge or rebase onto the branch, resolve these files and push",
        )
        self.paths = paths

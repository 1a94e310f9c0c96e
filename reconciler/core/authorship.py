"""Authorship: who brought an object to where the candidate has it.

Separate from asking a cluster as that person, and from compiling commits, which takes a repository:
here the caller is told which commit to compile next. The invariant: whoever may have changed an
object since it was last written is among those who brought it. Nobody's change passes under the
name of somebody who came after.

A commit brought an object when it declares it otherwise than each of its parents, as `git blame`
has it. Of several that cannot be told apart, because what lies between does not compile, each
counts. Where only a merged branch declares it so, whoever merged counts beside the branch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeAlias

from reconciler.core.commits import Commit
from reconciler.core.identifiers import ClusterName, CommitSha, Digest, ObjectKey, short
from reconciler.core.problems import printable

AUTHORED: Final = ("rollout/", "manifests/")
"""Units whose objects are written in the name of whoever changed them.

What Roles and AgentScopes become is not theirs to give: an API server lets nobody grant what they
do not have, and approvals say who may widen access."""

Where: TypeAlias = tuple[ClusterName, ObjectKey]


@dataclass(frozen=True, slots=True)
class Author:
    """Somebody who signs commits, as the API server knows them."""

    signer: str
    user: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unattributed:
    """Why nobody can be named for what a commit changes."""

    reason: str


Declares: TypeAlias = Mapping[Where, Digest]
"""The objects of interest that a commit declares, and how."""

Told: TypeAlias = "Mapping[CommitSha, Declares | None]"
"""By commit; None for one that does not compile."""


@dataclass(frozen=True, slots=True)
class Past:
    """The commits from which an object may have come: those after one that is wholly applied."""

    head: CommitSha
    commits: Mapping[CommitSha, Commit]

    @classmethod
    def of(cls, head: CommitSha, commits: Iterable[Commit]) -> Past:
        return cls(head, {commit.sha: commit for commit in commits})

    def until(self, sha: CommitSha | None) -> frozenset[CommitSha]:
        """That commit, and all before it that are of this past."""
        found: set[CommitSha] = set()
        ahead = [sha] if sha else []
        while ahead:
            commit = self.commits.get(ahead.pop())
            if commit is not None and commit.sha not in found:
                found.add(commit.sha)
                ahead.extend(commit.parents)
        return frozenset(found)


@dataclass(frozen=True, slots=True)
class Needed:
    """What a commit declares has to be known first."""

    commit: CommitSha


@dataclass(slots=True)
class _Search:
    """The way back from the head, for one object."""

    past: Past
    told: Told
    where: Where
    over: AbstractSet[CommitSha]
    found: list[Commit] = field(default_factory=list)
    doubtful: list[Commit] = field(default_factory=list)
    """Commits that may have brought it, of a stretch in which nothing compiles."""

    def declares(self, sha: CommitSha) -> Digest | None:
        """None also where the commit does not compile; `is_unknown` tells."""
        declared = self.told[sha]
        return declared.get(self.where) if declared is not None else None

    def is_unknown(self, sha: CommitSha) -> bool:
        return self.told[sha] is None


def brought_by(
    where: Where, past: Past, told: Told, *, over: AbstractSet[CommitSha]
) -> tuple[Commit, ...] | Needed:
    """The commits that brought the object, the nearest to the head first; none where none did.

    `over` are those up to the one that it was last written for: they have had their effect.
    """
    search = _Search(past, told, where, over)
    if past.head not in told:
        return Needed(past.head)
    wanted = search.declares(past.head)
    commit = past.commits.get(past.head)
    while commit is not None and commit.sha not in search.over:
        for parent in commit.parents:
            if parent not in told:
                return Needed(parent)
        commit = _before(search, commit, wanted)
    return tuple(dict.fromkeys(search.found))


def _before(search: _Search, commit: Commit, wanted: Digest | None) -> Commit | None:
    """Where to go on from a commit; None at the end of the way."""
    for number, parent in enumerate(commit.parents):
        if search.is_unknown(parent) or search.declares(parent) != wanted:
            continue
        if number:
            # Whoever merges an old branch brings back what it says.
            search.found += [*search.doubtful, commit]
        search.doubtful = []
        return search.past.commits.get(parent)
    search.doubtful.append(commit)
    unknown = [parent for parent in commit.parents if search.is_unknown(parent)]
    if not unknown:
        search.found += search.doubtful
        return None
    if len(commit.parents) > 1 or unknown[0] not in search.past.commits:
        # Nobody can tell which side it came from, or what the beginning was.
        search.found += [*search.doubtful, *reversed([*search.past.commits.values()])]
        return None
    return search.past.commits[unknown[0]]


Attribution: TypeAlias = "Mapping[Where, tuple[Author, ...] | Unattributed]"
"""By whom an object is written, and after them those who have to be asked as well. What is not in
it is the daemon's own."""

NOBODY: Attribution = MappingProxyType({})
"""Where everything is the daemon's own doing."""


@dataclass(frozen=True, slots=True)
class People:
    """Who signs commits, and in which clusters what they change is written in their name.

    `own` is the signer of what the daemon itself commits.
    """

    authors: Mapping[str, Author]
    clusters: frozenset[ClusterName]
    own: str = ""

    def of(self, commits: Iterable[Commit]) -> tuple[Author, ...] | Unattributed:
        """Those who signed them, each once and in the same order.

        By the names that belong to the key, and not by the one that the commit gives itself.
        """
        found: dict[Author, None] = {}
        for commit in commits:
            if self.own in commit.person:
                continue
            author = next(
                (self.authors[name] for name in commit.person if name in self.authors), None
            )
            if author is None:
                return Unattributed(_unnamed(commit))
            found[author] = None
        return tuple(found)


def _unnamed(commit: Commit) -> str:
    named = f"commit {short(commit.sha)}, which changed it,"
    if commit.signer is None:
        return f"{named} is not signed by anybody"
    if not commit.person:
        return f"{named} is signed by a key of which the allowed signers do not say whose it is"
    return (
        f"{named} is signed by {printable(commit.person[0])}, whom the settings of the daemon do "
        "not name under people"
    )

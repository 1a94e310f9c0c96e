"""Preparing a revert in a person's own repository, an ordinary clone or a bare one.

Separate from the mirror, which never writes a commit. The invariants: the branch that is checked
out, the index and the work tree stay as they are, and on any failure no reference is written.
"""

from __future__ import annotations

from pathlib import Path

import pygit2

from reconciler.adapters.git_objects import Damaged, GitObjects
from reconciler.core.commits import Commit
from reconciler.core.errors import Corrupt, FairleadError, Misconfigured, Missing, Refused
from reconciler.core.identifiers import CommitSha, short
from reconciler.core.problems import printable
from reconciler.core.reverting import (
    PreparedRevert,
    RevertConflict,
    revert_branch,
    revert_message,
)


def prepare_revert(
    repository: Path, revision: str, *, branch: str = "", message: str = ""
) -> PreparedRevert:
    """Commit the opposite of `revision` on top of HEAD, on a new branch.

    A merge is reverted to its first parent.

    Raises:
        Missing: there is no repository, or no such commit.
        RevertConflict: later commits changed the same places.
        Refused: the commit is not part of HEAD, is undone already, or the branch exists.
        Misconfigured: git's configuration names no author, or the branch cannot be named so.
    """
    opened = _opened(repository)
    try:
        return _prepare(opened, revision, branch=branch, message=message)
    except FairleadError:
        raise
    except (Damaged, KeyError, OSError, pygit2.GitError) as error:
        raise Corrupt(
            f"the repository {opened.path} cannot be read or written: {printable(str(error))}",
            hint="run `git fsck` in it, and see that you may write to it",
        ) from error


def _opened(path: Path) -> pygit2.Repository:
    found = pygit2.discover_repository(str(path))
    if found is None:
        raise Missing(f"{path} is not a Git repository", hint="name one with --repo")
    opened = pygit2.Repository(found)
    if opened.head_is_unborn:
        raise Missing(f"{path} has no commit on its branch", hint="check out the branch to revert")
    return opened


def _prepare(
    repository: pygit2.Repository, revision: str, *, branch: str, message: str
) -> PreparedRevert:
    objects = GitObjects(repository)
    commit = objects.commit(revision)
    head = CommitSha(str(repository.head.target))
    _require_ancestor(repository, commit.sha, head)
    branch = branch or revert_branch(commit.sha)
    reference = _require_free(repository, branch)
    author = _author(repository)
    tree = reverted_tree(repository, commit, head)
    if tree == repository[head].peel(pygit2.Tree).id:
        raise Refused(
            f"commit {short(commit.sha)} is undone already: reverting it changes nothing",
            hint="see `git log` for the commit that undid it",
        )
    text = message or revert_message(commit)
    made = repository.create_commit(None, author, author, text, tree, [pygit2.Oid(hex=head)])
    sha = CommitSha(str(made))
    difference = objects.difference(head, sha)
    repository.references.create(reference, made)
    return PreparedRevert(
        commit=sha,
        reverts=commit.sha,
        branch=branch,
        message=text,
        paths=tuple(sorted([*(entry.path for entry in difference.changed), *difference.gone])),
        remote=_remote(repository),
        needs_signature=_signs_commits(repository),
    )


def reverted_tree(repository: pygit2.Repository, commit: Commit, head: CommitSha) -> pygit2.Oid:
    """Merge the way back from `commit` to its first parent into the tree of `head`.

    Gives the tree of `head` where nothing is left to undo. Raises RevertConflict.
    """
    if commit.parents:
        before = repository[commit.parents[0]].peel(pygit2.Tree)
    else:
        before = repository[repository.TreeBuilder().write()].peel(pygit2.Tree)
    after, ours = (repository[sha].peel(pygit2.Tree) for sha in (commit.sha, head))
    index = repository.merge_trees(ancestor=after, ours=ours, theirs=before)
    if index.conflicts is not None:
        sides = (side for conflict in index.conflicts for side in conflict if side is not None)
        raise RevertConflict(commit, tuple(sorted({side.path for side in sides})))
    return index.write_tree(repository)


def _require_ancestor(repository: pygit2.Repository, sha: CommitSha, head: CommitSha) -> None:
    if sha != head and not repository.descendant_of(pygit2.Oid(hex=head), pygit2.Oid(hex=sha)):
        raise Refused(
            f"commit {short(sha)} is not part of {repository.head.shorthand}",
            hint="check out the branch that has it, up to date",
        )


def _require_free(repository: pygit2.Repository, branch: str) -> str:
    reference = f"refs/heads/{branch}"
    if not pygit2.reference_is_valid_name(reference):
        raise Misconfigured(f"{printable(branch)!r} is not a name of a branch")
    if repository.references.get(reference) is not None:
        raise Refused(
            f"there is a branch {branch} already", hint="choose another name with --branch"
        )
    return reference


def _author(repository: pygit2.Repository) -> pygit2.Signature:
    try:
        return repository.default_signature
    except (KeyError, ValueError, pygit2.GitError) as error:
        raise Misconfigured(
            "git does not know who you are",
            hint="set it: `git config --global user.name NAME` and `user.email ADDRESS`",
        ) from error


def _remote(repository: pygit2.Repository) -> str:
    names = [name for name in repository.remotes.names() if name]
    return "origin" if "origin" in names else next(iter(names), "")


def _signs_commits(repository: pygit2.Repository) -> bool:
    config = repository.config
    return "commit.gpgsign" in config and bool(config.get_bool("commit.gpgsign"))

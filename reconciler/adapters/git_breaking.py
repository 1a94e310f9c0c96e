"""A BreakGlass from a person's own clone: one file in one signed commit, and its way to the branch.

Separate from approvals, which change nothing by themselves. The invariants: git signs, with the key
that signs all of this person's commits; the commit is on top of what the remote has now, and never
pushed by force; and the work tree, the index and every branch of the clone stay as they are.
"""

from __future__ import annotations

from pathlib import Path

import pygit2
from pygit2.enums import FileMode

from reconciler.adapters.git_approving import opened_clone, run_program
from reconciler.core.errors import FairleadError, Misconfigured, Refused, Unavailable
from reconciler.core.identifiers import CommitSha, DocumentPath
from reconciler.core.problems import printable


def commit_document(
    clone: Path,
    path: DocumentPath,
    content: bytes,
    *,
    message: str,
    remote: str,
    branch: str,
    key: str = "",
) -> tuple[CommitSha, CommitSha]:
    """Commit the file upon what the remote has; returns the commit and the one below.

    `key` is an SSH key to sign with; without it, git signs as it is configured. Raises Missing,
    Misconfigured, Refused, Unavailable.
    """
    repository = opened_clone(clone)
    git = ["git", f"--git-dir={repository.path}"]
    if key:
        git += ["-c", "gpg.format=ssh", "-c", f"user.signingkey={Path(key).expanduser()}"]
    run_program([*git, "fetch", "--quiet", remote, branch], b"", failure=_unfetched)
    try:
        base = repository.revparse_single("FETCH_HEAD").peel(pygit2.Commit)
        index = pygit2.Index()
        index.read_tree(base.tree)
        blob = repository.create_blob(content)
        index.add(pygit2.IndexEntry(path, blob, FileMode.BLOB))
        tree = index.write_tree(repository)
    except (pygit2.GitError, OSError, KeyError) as error:
        raise Refused(
            f"the commit cannot be written to {repository.path}: {printable(str(error))}",
            hint="see that you may write to the clone",
        ) from error
    made = [*git, "commit-tree", "-S", str(tree), "-p", str(base.id), "-m", message]
    commit = CommitSha(run_program(made, b"", failure=_unsigned).decode().strip())
    return commit, CommitSha(str(base.id))


def push_commit(clone: Path, commit: CommitSha, *, remote: str, branch: str) -> None:
    """Raises Missing, Refused, Unavailable."""
    git = ["git", f"--git-dir={opened_clone(clone).path}"]
    pushed = [*git, "push", "--quiet", remote, f"{commit}:refs/heads/{branch}"]
    run_program(pushed, b"", failure=_not_taken)


def _unfetched(said: str) -> FairleadError:
    return Unavailable(f"the branch cannot be fetched: {said}", hint="name it with --branch")


def _unsigned(said: str) -> FairleadError:
    return Misconfigured(
        f"git does not sign the commit: {said}",
        hint="name an SSH key with --key, or set user.signingKey as for your other commits",
    )


def _not_taken(said: str) -> FairleadError:
    return Refused(
        f"the commit was not pushed: {said}",
        hint="where the branch is protected, push it to another one and open a pull request",
    )

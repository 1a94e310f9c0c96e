"""Giving an approval from a person's own clone: signed as they sign commits, and pushed by git.

Separate from the reading of approvals (git_approvals.py), which holds no key. The invariants: the
key is used by ssh-keygen alone, so that agents, security keys and passphrases work as for commits;
the work tree and every branch stay as they are; and what is pushed is one new reference.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

import pygit2

from reconciler.adapters.git_approvals import reference_of
from reconciler.core.approvals.statements import NAMESPACE, GivenApproval, Statement
from reconciler.core.errors import FairleadError, Misconfigured, Missing, Refused, Unavailable
from reconciler.core.identifiers import CommitSha
from reconciler.core.problems import printable

_SECONDS = 120.0
"""For a push, or for somebody to type a passphrase or to touch a security key."""


def give_approval(
    clone: Path, statement: Statement, *, key: str = "", remote: str = ""
) -> GivenApproval:
    """Sign the statement and, with a `remote`, push it there.

    `key` is a file, of the private key or of the public one that an agent has; `user.signingKey` of
    the clone's configuration when it is empty. Raises Missing, Misconfigured, Refused, Unavailable.
    """
    repository = opened_clone(clone)
    content = statement.text.encode()
    with _key_file(repository, key) as file:
        signature = run_program(
            ["ssh-keygen", "-q", "-Y", "sign", "-n", NAMESPACE, "-f", str(file)],
            content,
            failure=_unsigned,
        )
    try:
        commit = _commit(repository, (content + signature).decode())
        reference = reference_of(statement.tree, commit)
        repository.references.create(reference, pygit2.Oid(hex=commit), force=True)
    except (pygit2.GitError, OSError) as error:
        raise Refused(
            f"the approval cannot be written to {repository.path}: {printable(str(error))}",
            hint="see that you may write to the clone",
        ) from error
    if remote:
        git = ["git", f"--git-dir={repository.path}"]
        run_program([*git, "push", "--quiet", remote, reference], b"", failure=_not_taken)
    return GivenApproval(statement, reference, remote)


def opened_clone(clone: Path) -> pygit2.Repository:
    found = pygit2.discover_repository(str(clone))
    if found is None:
        raise Missing(f"{printable(str(clone))} is no Git repository", hint="name a clone")
    return pygit2.Repository(found)


def _commit(repository: pygit2.Repository, message: str) -> CommitSha:
    """A commit with no parent and no file. By whom it says it is does not count."""
    try:
        who = repository.default_signature
    except KeyError:
        who = pygit2.Signature("somebody", "somebody@invalid")
    tree = repository.TreeBuilder().write()
    return CommitSha(str(repository.create_commit(None, who, who, message, tree, [])))


@contextmanager
def _key_file(repository: pygit2.Repository, given: str) -> Iterator[Path]:
    key = given
    if not key and _configured(repository, "gpg.format") == "ssh":
        key = _configured(repository, "user.signingkey")
    if not key:
        raise Misconfigured(
            "it is not said with which SSH key to sign",
            hint="name one with --key FILE, or as `user.signingKey` with `gpg.format` ssh",
        )
    literal = key.removeprefix("key::")
    if literal == key and not key.startswith(("ssh-", "ecdsa-", "sk-")):
        yield Path(key).expanduser()
        return
    with NamedTemporaryFile("w", suffix=".pub") as file:
        file.write(f"{literal}\n")
        file.flush()
        yield Path(file.name)


def _configured(repository: pygit2.Repository, name: str) -> str:
    found = repository.config
    return str(found[name]) if name in found else ""


def _unsigned(said: str) -> FairleadError:
    return Misconfigured(
        f"ssh-keygen does not sign: {said}",
        hint="see that the key is there, or that the agent has it: ssh-add -l",
    )


def _not_taken(said: str) -> FairleadError:
    return Refused(
        f"the approval was not pushed: {said}",
        hint="see who may push references below refs/fairlead/approvals/",
    )


def run_program(
    command: Sequence[str], given: bytes, *, failure: Callable[[str], FairleadError]
) -> bytes:
    """What it prints. `failure` makes the error of what it complains of."""
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, timeout=_SECONDS, check=False
        )
    except FileNotFoundError:
        raise Misconfigured(
            f"{command[0]} is needed for this", hint=f"install {command[0]}"
        ) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{command[0]} did not end: {type(error).__name__}") from None
    if done.returncode:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())
        raise failure(printable(said, limit=400))
    return done.stdout

"""Who signed a commit, judged against keys that are kept outside the repository.

Separate from the mirror because trust has its own settings and its own failures. The invariants:
every commit is judged by its own bytes and its own cryptographic status, never by a key id that
it names; an unsigned ancestor is refused under a signed head; a verdict is remembered only for
the keys it was reached with.

A commit counts as made no earlier than its parents. Otherwise a key that has expired could go on
signing commits dated back into its time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from reconciler.adapters.git_objects import GitObjects
from reconciler.adapters.git_signers import AllowedSigners
from reconciler.adapters.git_sshsig import NAMESPACE, Signature, Unverified
from reconciler.core.commits import Commit
from reconciler.core.errors import Untrusted
from reconciler.core.identifiers import CommitSha, short
from reconciler.core.problems import printable

_COMMITTER = re.compile(rb"^committer [^\n]*<([^>\n]*)> -?\d+ [+-]\d{4}$", re.MULTILINE)


class SignatureVerifier:
    """Verifies ranges of commits. Belongs to one thread.

    `trusted` are commits whose whole history is taken as verified: where signing began.
    """

    def __init__(self, allowed_signers: Path, *, trusted: Sequence[CommitSha] = ()) -> None:
        self.trusted = trusted
        self._signers = AllowedSigners(allowed_signers)
        self._verified: dict[CommitSha, tuple[str, bytes]] = {}
        """By whom and with which key."""

    def verify(self, commits: Sequence[Commit], objects: GitObjects) -> tuple[Commit, ...]:
        """The commits with their signers.

        Raises:
            Untrusted: a commit is unsigned, or not signed by somebody allowed at its time.
            Misconfigured: the file of allowed signers cannot be used.
        """
        if self._signers.read():
            self._verified.clear()
        dates: dict[CommitSha, datetime] = {}
        refused: list[tuple[Commit, str]] = []
        for commit in commits:
            parents = (_date(parent, dates, objects) for parent in commit.parents)
            dates[commit.sha] = max((commit.time, *parents))
            try:
                self._verify(commit, objects, at=dates[commit.sha])
            except Unverified as reason:
                refused.append((commit, str(reason)))
        if refused:
            raise _untrusted(refused, self._signers.file)
        return tuple(map(self._signed, commits))

    def _signed(self, commit: Commit) -> Commit:
        signer, key = self._verified[commit.sha]
        return replace(commit, signer=signer, person=self._signers.people.by_key(key))

    def _verify(self, commit: Commit, objects: GitObjects, *, at: datetime) -> None:
        if commit.sha in self._verified:
            return
        payload, armored = split_signature(objects.raw_commit(commit.sha))
        signature = Signature.parse(armored)
        allowed = self._signers.of(signature.key, namespace=NAMESPACE)
        if not allowed:
            raise Unverified("is by a key that is not among the allowed signers")
        signature.verify(payload)
        found = _COMMITTER.search(payload.partition(b"\n\n")[0])
        email = found[1].decode("utf-8", "replace") if found else ""
        in_time = [signer for signer in allowed if signer.covers(at) and signer.covers(commit.time)]
        if not in_time:
            raise Unverified(f"is by a key that was not valid at {at:%Y-%m-%d %H:%M} UTC")
        principals = (signer.principal(email) for signer in in_time)
        principal = next((name for name in principals if name), None)
        if principal is None:
            raise Unverified(f"is by a key that is not for {printable(email)!r}")
        self._verified[commit.sha] = principal, signature.key


def verified_history(
    objects: GitObjects,
    verifier: SignatureVerifier | None,
    *,
    base: CommitSha | None,
    head: CommitSha,
    hidden: Sequence[CommitSha] = (),
) -> tuple[Commit, ...]:
    """Commits reachable from `head`, not from `base` nor from `hidden`, oldest first, with their
    signers.

    Without a verifier nobody's signature is looked at. Raises Untrusted as `verify` does.
    """
    commits = objects.history(base, head, hidden=hidden)
    if verifier is None:
        return commits
    unverified = objects.history(base, head, hidden=(*hidden, *verifier.trusted))
    signed = {commit.sha: commit for commit in verifier.verify(unverified, objects)}
    return tuple(signed.get(commit.sha, commit) for commit in commits)


def split_signature(raw: bytes) -> tuple[bytes, bytes]:
    """What was signed, and the signature, of a commit object.

    Only the header is looked at, and exactly one `gpgsig` counts: libgit2's own extraction would
    also take a signature that the message only quotes.
    """
    header, separator, message = raw.partition(b"\n\n")
    kept: list[bytes] = []
    signature: list[bytes] = []
    inside = False
    for line in header.split(b"\n"):
        if line.startswith(b"gpgsig"):
            name, _, value = line.partition(b" ")
            if name != b"gpgsig" or signature:
                raise Unverified("is one of several, or of a SHA-256 repository")
            signature.append(value)
            inside = True
        elif inside and line.startswith(b" "):
            signature.append(line[1:])
        else:
            kept.append(line)
            inside = False
    if not signature:
        raise Unverified("is missing")
    return b"\n".join(kept) + separator + message, b"\n".join(signature)


def _date(sha: CommitSha, dates: dict[CommitSha, datetime], objects: GitObjects) -> datetime:
    if sha not in dates:
        dates[sha] = objects.commit(sha).time
    return dates[sha]


def _untrusted(refused: Sequence[tuple[Commit, str]], file: Path) -> Untrusted:
    commit, reason = refused[0]
    others = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
    return Untrusted(
        f"commit {short(commit.sha)} by {printable(commit.author)} <{printable(commit.email)}> is"
        f" refused: its signature {reason}{others}",
        hint=f"sign it with a key of {file} (`git commit --amend -S`, or `git rebase"
        f" --exec 'git commit --amend --no-edit -S' {short(commit.sha)}~1`)",
    )

"""The Approvals port over references of the config repository: one signed statement each.

Separate from the mirror that is applied from, since whoever may push a reference may push one here.
The invariants: a reference that cannot be read is nobody's approval and no failure; what counts is
the signature, never the name of the reference or the commit that carries it; and nothing is kept
but what was read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pygit2
import structlog

from reconciler.adapters.git_lane import Lane
from reconciler.adapters.git_publishing import scratch
from reconciler.adapters.git_remotes import GitSource, Remote
from reconciler.adapters.git_signers import AllowedSigners
from reconciler.adapters.git_sshsig import BEGIN, Signature, Unverified, fingerprint
from reconciler.core.approvals.people import Person
from reconciler.core.approvals.statements import NAMESPACE, PREFIX, Approval, read_statement
from reconciler.core.errors import FairleadError, Unavailable
from reconciler.core.identifiers import CommitSha, TreeId, short
from reconciler.core.problems import printable

MOST_READ = 50
"""Approvals of one tree that are looked at."""

_LONGEST = 10_000
"""Bytes of a message: a statement and a signature are less than two thousand."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Signed:
    """A statement that was read, as it was signed."""

    content: bytes
    signature: bytes


class GitApprovals:
    """Approvals that people pushed to `source`. Works in `directory`, which belongs to it alone."""

    def __init__(self, source: GitSource, directory: Path, allowed_signers: Path) -> None:
        self._remote = Remote(source)
        self._directory = directory
        self._signers = AllowedSigners(allowed_signers)
        self._lane = Lane("git-approvals")
        self._read: dict[CommitSha, _Signed | None] = {}
        self._told: set[str] = set()
        """References that were complained of: they are looked at again and again."""

    async def given(self, trees: AbstractSet[TreeId], *, now: datetime) -> Sequence[Approval]:
        limit = self._remote.source.fetch_seconds
        try:
            async with asyncio.timeout(limit):
                return await self._lane.run(lambda: self._given(trees, now))
        except TimeoutError:
            raise Unavailable(f"{self._remote} took more than {limit:g} s for approvals") from None

    async def person(self, name: str) -> Person:
        def look() -> Person:
            self._signers.read()
            return self._signers.people.by_name(name)

        return await self._lane.run(look)

    def close(self) -> None:
        """End the thread; one that waits for a server ends with the process."""
        self._lane.close()

    # On the thread

    def _given(self, trees: AbstractSet[TreeId], now: datetime) -> Sequence[Approval]:
        self._signers.read()
        try:
            with scratch(self._directory) as repository:
                found = self._listed(repository, trees)
                for name, sha in found.items():
                    if sha not in self._read:
                        self._read[sha] = self._fetched(repository, name)
        except (pygit2.GitError, OSError) as error:
            raise self._remote.translated(error) from error
        wanted = set(found.values())
        self._read = {sha: signed for sha, signed in self._read.items() if sha in wanted}
        approvals = [self._approval(name, self._read[sha], now) for name, sha in found.items()]
        self._told.intersection_update(found)
        return tuple(approval for approval in approvals if approval is not None)

    def _listed(
        self, repository: pygit2.Repository, trees: AbstractSet[TreeId]
    ) -> dict[str, CommitSha]:
        found = self._remote.references(repository, PREFIX)
        listed: dict[str, CommitSha] = {}
        for tree in sorted(trees):
            names = sorted(name for name in found if name.startswith(f"{PREFIX}{tree}/"))
            listed |= {name: found[name] for name in names[:MOST_READ]}
        return listed

    def _fetched(self, repository: pygit2.Repository, name: str) -> _Signed | None:
        try:
            head = self._remote.at(name).fetch(repository, None)
            commit = repository[head]
        except Unavailable:
            raise
        except (FairleadError, KeyError) as error:
            _log.warning("approval.unread", reference=printable(name), reason=str(error))
            return None
        message = commit.raw_message if isinstance(commit, pygit2.Commit) else b""
        content, begin, rest = message.partition(BEGIN)
        if not begin or len(message) > _LONGEST:
            return None
        return _Signed(content, begin + rest)

    def _approval(self, name: str, signed: _Signed | None, now: datetime) -> Approval | None:
        try:
            return self._verified(signed, now)
        except Unverified as reason:
            if name not in self._told:
                _log.warning("approval.unverified", reference=printable(name), reason=str(reason))
            self._told.add(name)
            return None

    def _verified(self, signed: _Signed | None, now: datetime) -> Approval:
        statement = read_statement(signed.content.decode("utf-8", "replace")) if signed else None
        if signed is None or statement is None:
            raise Unverified("is of no statement that is known here")
        signature = Signature.parse(signed.signature)
        signature.verify(signed.content, namespace=NAMESPACE)
        lines = self._signers.of(signature.key, namespace=NAMESPACE)
        if not any(line.covers(now) for line in lines):
            raise Unverified("is by a key that may not sign approvals now")
        return Approval(
            self._signers.people.by_key(signature.key),
            statement.tree,
            statement.base,
            statement.repository,
            f"key {fingerprint(signature.key)}",
            statement.until,
        )


def reference_of(tree: TreeId, approval: CommitSha) -> str:
    """Where an approval lies: a place of its own, so that nobody's push overwrites another's."""
    return f"{PREFIX}{tree}/{short(approval)}"

"""Fetching: from the branch to a verified, compiled commit.

Separate from reconciling.py, which decides what to do with it. The invariant: what comes out of
here was reached from the accepted commit by commits that may be trusted, and was validated whole;
everything else comes out as a refusal with its reasons.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from reconciler.core.compiling import Compilation, blobs_to_read, compile_commit
from reconciler.core.errors import Missing, Untrusted
from reconciler.core.identifiers import BlobId, CommitSha, short
from reconciler.core.kinds.repository import RepositorySpec
from reconciler.core.problems import Problem, errors_among, printable
from reconciler.core.secret_versions import NO_BOOK, PinBook
from reconciler.ports import Repository

LARGE = 1000
"""Files and kilobytes of a difference that take a tenth of a second or more to compile."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A commit that validated, with its warnings."""

    compilation: Compilation
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Invalid:
    """A commit that did not validate."""

    commit: CommitSha
    problems: tuple[Problem, ...]

    @property
    def first(self) -> Problem:
        """The first that refuses the commit; there is one."""
        return errors_among(self.problems)[0]


class Compiler:
    """Compiles commits of one repository, each incrementally from the one before."""

    def __init__(self, repository: Repository, pins: Callable[[], PinBook] | None = None) -> None:
        """Without `pins`, references to secrets that name no version have none."""
        self._repository = repository
        self._pins = pins
        self._latest: Compilation | None = None

    async def compile(
        self, commit: CommitSha, *, rules: RepositorySpec | None
    ) -> Compiled | Invalid:
        """Read and validate `commit`; `rules` is the policy that judges it.

        Costs what differs from the commit compiled before. Raises Transient and Terminal errors
        of the repository.
        """
        previous = self._latest
        base = previous.state.commit if previous else None
        try:
            difference = await self._repository.difference(base, commit)
        except Missing:
            if base is None:
                raise
            # Its branch was rewritten and the mirror made anew: begin from nothing.
            self._latest = None
            return await self.compile(commit, rules=rules)
        contents: dict[BlobId, bytes] = {}
        while missing := blobs_to_read(difference, contents, previous=previous):
            contents.update(await self._repository.read(missing))
        compile_it = partial(
            compile_commit,
            commit,
            difference,
            contents,
            previous=previous,
            rules=rules,
            pins=self._pins() if self._pins else NO_BOOK,
        )
        # In a thread, so that leases are renewed and drift is corrected meanwhile.
        large = len(difference.changed) + sum(map(len, contents.values())) / 1024 > LARGE
        compilation, problems = await asyncio.to_thread(compile_it) if large else compile_it()
        if compilation is None or errors_among(problems):
            return Invalid(commit, problems)
        self._latest = compilation
        return Compiled(compilation, problems)


async def verify_history(
    repository: Repository, *, accepted: CommitSha | None, head: CommitSha, signed: bool
) -> None:
    """Check every commit between the accepted one and `head`.

    Raises:
        HistoryRewritten: `accepted` is not an ancestor of `head`.
        Untrusted: a signature is required, and a commit has none of an allowed signer.
    """
    for commit in await repository.range(accepted, head):
        if signed and commit.signer is None:
            raise Untrusted(
                f"commit {short(commit.sha)} by {printable(commit.author, limit=80)}"
                " is not signed by an allowed signer",
                hint="sign it, or add the signer's key to the allowed signers of the daemon",
            )

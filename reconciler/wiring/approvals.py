"""Approvals of commits, wired: where they are, and who the people are.

Separate from the ports that every daemon has. The invariant: without a file of allowed signers
nobody is known, so that nobody can have approved anything.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

from reconciler.adapters.git_approvals import GitApprovals
from reconciler.approval_ports import Approvals
from reconciler.engine.reviewed_approvals import ReviewedApprovals
from reconciler.forge_ports import ReviewStore
from reconciler.settings import Settings
from reconciler.wiring.git_sources import source_of


@asynccontextmanager
async def approvals_of(settings: Settings, store: ReviewStore) -> AsyncIterator[Approvals | None]:
    """Those in the config repository and, where there is a forge, the reviews in `store`."""
    file = settings.repository.allowed_signers_file
    if file is None:
        yield None
        return
    place = settings.directory / "approvals"
    with closing(GitApprovals(source_of(settings), place, file)) as signed:
        if settings.forge is None:
            yield signed
        else:
            yield ReviewedApprovals(signed, store, repository=settings.repository.name)

"""What commands without a daemon need of the outside: audit and revert.

Separate from the daemon's wiring, so that these commands load neither engine nor cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from reconciler.adapters.audit_anchor_git import GitAnchor
from reconciler.adapters.audit_commits_git import commits_in
from reconciler.adapters.git_reverting import prepare_revert
from reconciler.adapters.state_sql import open_state_for_reading
from reconciler.core.audit.verification import Anchor
from reconciler.surfaces.audit_reading import AuditTools
from reconciler.surfaces.revert_command import RevertTools


def audit_tools() -> AuditTools:
    return AuditTools(open_state_for_reading, _read_anchors, commits_in)


async def _read_anchors(path: Path) -> Sequence[Anchor]:
    with closing(GitAnchor(path)) as anchor:
        return await anchor.anchors()


def revert_tools() -> RevertTools:
    return RevertTools(prepare_revert)

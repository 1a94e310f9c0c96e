"""What the audit commands need of the outside.

Separate from the daemon's wiring, so that they load neither engine nor cluster.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from reconciler.adapters.audit_anchor_git import GitAnchor
from reconciler.adapters.audit_commits_git import commits_in
from reconciler.adapters.audit_key_file import verifier_file
from reconciler.adapters.state_sql import open_state_for_reading
from reconciler.core.audit.verification import Anchor
from reconciler.settings_loading import load_settings
from reconciler.surfaces.audit_reading import AuditTools


def audit_tools() -> AuditTools:
    return AuditTools(open_state_for_reading, _read_anchors, commits_in, _audit_places)


def _audit_places(config: Path) -> tuple[str, Path]:
    settings = load_settings(config, os.environ)
    return settings.state_place, verifier_file(settings.audit_key)


async def _read_anchors(path: Path) -> Sequence[Anchor]:
    with closing(GitAnchor(path)) as anchor:
        return await anchor.anchors()

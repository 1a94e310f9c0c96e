"""Small control planes of a test's own, for tests that break them."""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.sandbox import Binaries, BinarySettings, Components, ControlPlane, locate

BARE = Components.BARE


def bare_plane(root: Path, *, authentication: str = "", **replaced: Path) -> ControlPlane:
    """Not started. `replaced` programs take the place of the real ones."""
    found = locate(BARE.value, BinarySettings.from_environment(os.environ))
    binaries = Binaries({**found.paths, **replaced})
    return ControlPlane(
        binaries, components=BARE, gateway_api=False, authentication=authentication, root=root
    )

"""Where the sandbox keeps files: built programs in the user's cache, running sandboxes in the
user's state directory, and the pinned Go modules beside the code.

Separate because both the command line and the library need the same answers. Nothing is created
here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

PACKAGED_MODULES = Path(__file__).parent / "modules"
CHECKED_OUT_MODULES = Path(__file__).parents[2] / "deploy" / "control-plane"


def cache_directory(environment: Mapping[str, str]) -> Path:
    """Programs that were built once. https://specifications.freedesktop.org/basedir-spec"""
    base = environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "fairlead" / "control-plane"


def sandboxes_directory(environment: Mapping[str, str]) -> Path:
    """One directory and one lock file for each running sandbox."""
    base = environment.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "fairlead" / "sandboxes"


def modules_directory() -> Path:
    """The go.mod files: inside the package when it was installed, under deploy/ in a checkout."""
    return PACKAGED_MODULES if PACKAGED_MODULES.is_dir() else CHECKED_OUT_MODULES

"""What `fairlead validate` needs of the outside.

Separate from the other commands, because people and hooks wait for it: it loads no database.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from reconciler.adapters.git_clone import GitClone
from reconciler.ports import Repository
from reconciler.surfaces.validate_command import ValidateTools


def validate_tools() -> ValidateTools:
    return ValidateTools(_clone)


@asynccontextmanager
async def _clone(path: Path) -> AsyncIterator[Repository]:
    with closing(GitClone(path)) as clone:
        yield clone

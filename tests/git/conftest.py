"""A remote to push to, its mirror, and the file of a token."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from reconciler.adapters.git_mirror import GitMirror
from reconciler.adapters.git_remotes import GitSource

from .builders import TOKEN, SourceRepository


@pytest.fixture
def remote(tmp_path: Path) -> SourceRepository:
    return SourceRepository(tmp_path / "served" / "config.git")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "state" / "mirror.git"


@pytest.fixture
async def mirror(remote: SourceRepository, directory: Path) -> AsyncIterator[GitMirror]:
    made = GitMirror(GitSource(url=str(remote.directory)), directory)
    yield made
    made.close()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    return file

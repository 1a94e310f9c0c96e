"""GitHub's adapter against the stand-in, ready to be used by a test.

Separate because tests of several areas need it. The invariant: a test that made a request which
GitHub does not describe, or got such an answer, fails at its end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.forge_github import GitHubForge
from reconciler.adapters.forge_github_access import GitHubApp
from reconciler.ports import Clock
from tests.npm_packages import NoPackage

from .accounts import APP_ID, INSTALLATION
from .description import github_description
from .github import StandIn


class HandClock:
    """A clock that a test moves, and that any thread may read."""

    def __init__(self) -> None:
        self._gone = 0.0
        self._start = datetime.now(UTC)

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._gone)

    def monotonic(self) -> float:
        return self._gone

    async def sleep(self, seconds: float) -> None:
        self.forward(seconds)

    def forward(self, seconds: float) -> None:
        self._gone += seconds


TOKEN = "ghp_canary0123456789abcdefghijklmnopqrst"
PERSON = "fairlead-bot"


@contextmanager
def github() -> Iterator[StandIn]:
    """Skips the test where the description cannot be had."""
    try:
        description = github_description()
    except NoPackage as reason:
        pytest.skip(str(reason))
    with StandIn(description).serving() as server:
        yield server
        assert not server.complaints, server.complaints[:5]


@asynccontextmanager
async def as_app(
    server: StandIn, directory: Path, clock: Clock | None = None
) -> AsyncIterator[GitHubForge]:
    key = directory / "app.pem"
    key.write_bytes(server.accounts.private_key())
    forge = GitHubForge(
        server.url,
        server.repository,
        clock or SystemClock(),
        app=GitHubApp(APP_ID, INSTALLATION, key),
    )
    yield forge
    await forge.close()


@asynccontextmanager
async def as_person(
    server: StandIn, directory: Path, clock: Clock | None = None
) -> AsyncIterator[GitHubForge]:
    file = directory / "token"
    file.write_text(f"{TOKEN}\n")
    server.accounts.tokens[TOKEN] = PERSON
    forge = GitHubForge(server.url, server.repository, clock or SystemClock(), token_file=file)
    yield forge
    await forge.close()

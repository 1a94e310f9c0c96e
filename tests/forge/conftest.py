"""The stand-in for GitHub, and our adapter as an App and as the holder of a token."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from reconciler.adapters.forge_github import GitHubForge

from .github import StandIn
from .worlds import HandClock, as_app, as_person, github


@pytest.fixture
def server() -> Iterator[StandIn]:
    with github() as server:
        yield server


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def app(server: StandIn, tmp_path: Path, clock: HandClock) -> AsyncIterator[GitHubForge]:
    async with as_app(server, tmp_path, clock) as forge:
        yield forge


@pytest.fixture
async def person(server: StandIn, tmp_path: Path, clock: HandClock) -> AsyncIterator[GitHubForge]:
    async with as_person(server, tmp_path, clock) as forge:
        yield forge

"""Fixtures of the tests that talk to a scripted API server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from .scripted import LeapingClock, ScriptedServer, scripted_server


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


@pytest.fixture
def clock() -> LeapingClock:
    return LeapingClock()

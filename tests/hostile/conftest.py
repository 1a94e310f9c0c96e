"""One engine for all the hostile commits of a file: it has to outlive them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from .estate import Siege, besieged


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine_under_siege(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Siege]:
    async with besieged(tmp_path_factory.mktemp("siege")) as siege:
        yield siege


@pytest_asyncio.fixture(loop_scope="module")
async def siege(engine_under_siege: Siege) -> Siege:
    """The engine, with the last good commit in force. The test's module shares its loop."""
    await engine_under_siege.recover()
    return engine_under_siege

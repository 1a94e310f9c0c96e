"""The worlds, and a Chromium that looks at them.

The browser is one for each module: playwright keeps a loop in the thread of the tests while it
runs, and async tests of other areas would not start.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import pytest
from playwright.sync_api import Browser

from . import estate
from .chromium import HOW_TO_GET, browsing, chromium
from .estate import Site
from .two_speeds import LoopThread

BUILT_WITHIN_SECONDS = 100.0


@dataclass(slots=True)
class Estate:
    """Every world, in one thread."""

    thread: LoopThread
    moving: Site
    aborted: Site
    door: Site

    @property
    def pages(self) -> list[str]:
        return [f"{site.address}{path}" for site in self.sites for path in site.paths]

    def retitle(self, title: str) -> float:
        """Change the newest pull request; returns when, in seconds of the wall clock."""

        async def change() -> float:
            watched = self.moving.world.watched
            assert watched is not None
            newest, *others = watched.found
            watched.found = [replace(newest, title=title), *others]
            return time.time()

        return self.thread.run(change())

    @property
    def sites(self) -> tuple[Site, ...]:
        return self.moving, self.aborted, self.door


@pytest.fixture(scope="session")
def worlds() -> Iterator[Estate]:
    thread = LoopThread()
    thread.start()
    stack = AsyncExitStack()

    async def build() -> Estate:
        thread.loop.hasty = True
        moving = await estate.on_its_way(stack)
        aborted = await estate.taken_back(stack)
        door = await estate.signed_in_to(stack)
        thread.loop.hasty = False
        return Estate(thread, moving, aborted, door)

    try:
        yield thread.run(build(), seconds=BUILT_WITHIN_SECONDS)
    finally:
        thread.run(stack.aclose())
        thread.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = chromium()
    if executable is None:
        pytest.skip(HOW_TO_GET)
    with browsing(executable) as found:
        yield found

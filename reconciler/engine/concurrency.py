"""Running many awaitables, a bounded number at a time.

Separate because a TaskGroup raises groups of exceptions, while the engine's callers decide by the
class of one: Transient or Terminal. The invariant: when this returns or raises, nothing that it
started still runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def bounded(items: Sequence[T], work: Callable[[T], Awaitable[R]], *, limit: int) -> list[R]:
    """Results of `work` for each item, in order. The first error cancels the rest and is raised."""
    results: dict[int, R] = {}
    remaining = iter(enumerate(items))

    async def take_turns() -> None:
        for index, item in remaining:
            results[index] = await work(item)

    await together(take_turns() for _ in range(min(limit, len(items))))
    return [results[index] for index in range(len(items))]


async def together(awaitables: Iterable[Awaitable[object]]) -> None:
    """Run all at once. The first error cancels the rest and is raised, alone."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    if not tasks:
        return
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        if not task.cancelled() and (error := task.exception()):
            raise error


async def first_of(*awaitables: Awaitable[object]) -> None:
    """Return, or raise, as the first of them does; the others are cancelled."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        await task

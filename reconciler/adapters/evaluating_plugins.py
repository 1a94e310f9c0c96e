"""Plug-ins: Python code of teams, installed beside the daemon, that evaluates.

Separate from other evaluations, because it is code of others in this process. The invariant: it is
imported and run in a thread that nobody has to wait for. While it blocks, everything else goes on,
and whatever it raises ends nothing but the evaluation.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from importlib.metadata import entry_points

from reconciler.core.errors import FairleadError, Unavailable
from reconciler.core.manifests import JsonValue
from reconciler.core.problems import printable
from reconciler.ports import Ask, Comparison

PLUGIN_GROUP = "fairlead.evaluations"
PLUGIN_SECONDS = 1800.0


async def report_of(name: str, versions: Comparison) -> object:
    """What the plug-in of that name returns.

    FairleadError says what it did wrong; TimeoutError that it did not end in time.
    """
    loop = asyncio.get_running_loop()
    over = threading.Event()
    lent = replace(
        versions,
        ask_stable=_lent(versions.ask_stable, loop, over),
        ask_candidate=_lent(versions.ask_candidate, loop, over),
    )
    # A thread of its own: those of the executor are few, and a process waits for them to end.
    future: Future[object] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        report, trouble = _outcome(name, lent)
        if trouble is not None:
            future.set_exception(trouble)
        else:
            future.set_result(report)

    threading.Thread(target=run, name=f"plug-in {name}", daemon=True).start()
    try:
        async with asyncio.timeout(PLUGIN_SECONDS):
            return await asyncio.wrap_future(future)
    finally:
        over.set()


def _outcome(name: str, versions: Comparison) -> tuple[object, Exception | None]:
    try:
        report = _loaded(name)(versions)
        return (asyncio.run(report) if inspect.iscoroutine(report) else report), None
    except (FairleadError, TimeoutError) as error:
        return None, error
    except BaseException as error:
        # sys.exit() as well: it is not theirs to end the daemon.
        said = f"{type(error).__name__}: {printable(str(error), limit=200)}"
        return None, FairleadError(f"plug-in {name} failed: {said}")


def _loaded(name: str) -> Callable[[Comparison], object]:
    found = [point for point in entry_points(group=PLUGIN_GROUP) if point.name == name]
    if not found:
        known = ", ".join(sorted(entry_points(group=PLUGIN_GROUP).names)) or "none"
        raise FairleadError(f"no plug-in {name} is installed beside the daemon; known: {known}")
    loaded: Callable[[Comparison], object] = found[0].load()
    return loaded


def _lent(ask: Ask, loop: asyncio.AbstractEventLoop, over: threading.Event) -> Ask:
    """`ask`, for a loop in another thread, until the evaluation is over."""

    async def asked(request: JsonValue) -> JsonValue:
        if over.is_set():
            raise Unavailable("the evaluation is over")

        async def there() -> JsonValue:
            return await ask(request)

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(there(), loop))

    return asked

"""A loop in a thread of its own, in which time can be made to pass at once.

Separate because a browser needs real time, and worlds need minutes to get to where they are looked
at. The invariant: time never goes back, at whatever speed.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")

STEP_SECONDS = 0.25
"""The most that passes at once."""
IDLE_SECONDS = 0.00005


class TwoSpeedLoop(asyncio.SelectorEventLoop):
    """While it is `hasty`, whoever sleeps is woken as soon as nothing else is to do."""

    def __init__(self) -> None:
        super().__init__()
        self.hasty = False
        self._ahead = 0.0
        self._elsewhere: set[Any] = set()
        self._select = self._selector.select  # type: ignore[attr-defined]
        self._selector.select = self._select_or_go_on  # type: ignore[attr-defined]

    def time(self) -> float:
        return super().time() + self._ahead

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        """What another thread does takes real time, so no other passes until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._elsewhere.add(future)
        future.add_done_callback(self._elsewhere.discard)
        return future

    def _select_or_go_on(self, timeout: float | None = None) -> list[Any]:
        if not self.hasty or timeout is None or timeout <= 0:
            return list(self._select(timeout))
        found = list(self._select(IDLE_SECONDS))
        if not found and not self._elsewhere:
            self._ahead += min(timeout, STEP_SECONDS)
        return found


class LoopThread:
    """Runs a TwoSpeedLoop until it is stopped."""

    def __init__(self) -> None:
        self.loop = TwoSpeedLoop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="worlds", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, _T], *, seconds: float = 60.0) -> _T:
        """What `work` returns, awaited from any other thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(seconds)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10.0)
        self.loop.close()

"""One thread for blocking calls into a library that is not safe to share between threads.

Separate so that the mirror reads as if libgit2 were asynchronous. A thread of a pool would be
joined at interpreter exit, and a fetch that hangs would then hold up the end of the daemon; this
one is a daemon thread, because a mirror survives being killed at any instruction anyway. The
invariant: calls run one after the other, in the order they were made.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

_Result = TypeVar("_Result")


class Lane:
    """Runs calls on its own thread. Cancelling the wait does not stop a call that has begun."""

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        threading.Thread(target=self._serve, name=name, daemon=True).start()

    async def run(self, call: Callable[[], _Result]) -> _Result:
        future: Future[_Result] = Future()

        def settle() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = call()
            except BaseException as error:  # carried to the caller, whatever it is
                future.set_exception(error)
            else:
                future.set_result(result)

        self._calls.put(settle)
        return await asyncio.wrap_future(future)

    def close(self, last: Callable[[], None] | None = None) -> None:
        """End the thread after the calls already made, and `last`."""
        if last is not None:
            self._calls.put(last)
        self._calls.put(None)

    def _serve(self) -> None:
        while (settle := self._calls.get()) is not None:
            settle()
            # Or it would keep its result, such as the contents of ten thousand files, until the
            # next call.
            del settle

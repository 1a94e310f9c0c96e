"""Following a branch: when it is looked at, and what came of it.

Separate from what is done with a new commit (driving.py). The invariant: a remote that is away is
asked again for ever, less and less often, and how long it has been away can be told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from opentelemetry import trace
from opentelemetry.context import Context

from reconciler.core.errors import FairleadError
from reconciler.core.identifiers import CommitSha
from reconciler.engine.concurrency import first_of
from reconciler.ports import Clock, Repository

log = structlog.get_logger()
tracer = trace.get_tracer("fairlead")

RETRY_SECONDS = (1.0, 60.0)
"""First and longest pause before what failed is repeated."""


class BranchFollower:
    """Fetches a branch: every `poll_seconds`, and soon after each hint."""

    def __init__(
        self,
        repository: Repository,
        clock: Clock,
        *,
        poll_seconds: float,
        on_move: Callable[[], None],
    ) -> None:
        self._repository = repository
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._on_move = on_move
        self._hint = asyncio.Event()
        self.head: CommitSha | None = None
        self.trouble = ""
        """Why the last fetch failed; empty when it did not."""
        self.arrival: Context = trace.set_span_in_context(trace.INVALID_SPAN)
        """The trace that the newest commit began."""
        self.fetched_at: float | None = None
        """When the remote last answered, in monotonic seconds."""

    def hint(self) -> None:
        """Somebody says that the branch has moved. It is looked at soon; nothing is believed."""
        self._hint.set()

    async def follow(self) -> None:
        """Fetch for ever; tell of each new head."""
        failures = 0
        while True:
            self._hint.clear()
            try:
                head = await self._repository.fetch()
            except FairleadError as error:
                # Terminal ones as well: a branch or a credential may come back any time.
                failures += 1
                self.trouble = error.message
                log.warning("fetch.failed", reason=error.message)
                await self._pause(backoff(failures))
                continue
            failures = 0
            self.trouble = ""
            self.fetched_at = self._clock.monotonic()
            if head != self.head:
                self._arrived(head)
                self._on_move()
            await self._pause(self._poll_seconds)

    def _arrived(self, head: CommitSha) -> None:
        # The root of a trace: every pass for this commit is a part of it.
        with tracer.start_as_current_span("fetch", attributes={"fairlead.commit": head}) as span:
            log.info("commit.seen", commit=head)
            self.arrival = trace.set_span_in_context(span)
        self.head = head

    async def _pause(self, seconds: float) -> None:
        await first_of(self._hint.wait(), self._clock.sleep(seconds))


def backoff(failures: int, bounds: tuple[float, float] = RETRY_SECONDS) -> float:
    """Seconds to wait after so many failures in a row, between the first and the longest pause."""
    first, longest = bounds
    return float(min(longest, first * 2 ** min(failures - 1, 10)))

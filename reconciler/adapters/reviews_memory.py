"""Reviews in memory: tokens and grants that a test sets.

Separate as every adapter is. The invariant: it passes the same contract suite as the real one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from reconciler.core.authorizing.deciding import Caller, Question
from reconciler.core.errors import FairleadError


@dataclass
class MemoryReviews:
    """`callers` by token; `grants` are pairs of a user or a group and what it may do."""

    callers: dict[str, Caller] = field(default_factory=dict)
    grants: set[tuple[str, Question]] = field(default_factory=set)
    trouble: FairleadError | None = None
    asked: int = 0

    async def caller(self, token: str, audiences: tuple[str, ...]) -> Caller | None:
        self._arrive()
        found = self.callers.get(token)
        granted = tuple(name for name in found.audiences if name in audiences) if found else ()
        return replace(found, audiences=granted) if found and granted else None

    async def allowed(self, caller: Caller, question: Question) -> bool:
        self._arrive()
        return any((name, question) in self.grants for name in (caller.username, *caller.groups))

    async def close(self) -> None:
        """Nothing was opened."""

    def _arrive(self) -> None:
        self.asked += 1
        if self.trouble is not None:
            raise self.trouble

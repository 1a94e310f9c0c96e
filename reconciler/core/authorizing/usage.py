"""How much each agent has used: calls of this minute, tokens of this day.

Separate from the decision, because this is the only memory it has. The invariant: what is counted
was allowed, and a call that would pass a limit is denied whole and counts nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import date

from reconciler.core.authorizing.refusals import Denied
from reconciler.core.authorizing.rules import Limits

MINUTE = 60.0


@dataclass(slots=True)
class _Used:
    calls: deque[float] = field(default_factory=deque)
    day: date = date.min
    tokens: int = 0


class Usage:
    """Of every agent, by name. Times are of a monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._agents: dict[str, _Used] = {}

    def take(
        self, agent: str, limits: Limits, *, tokens: int | None, now: float, today: date
    ) -> None:
        """Count one call. Raises Denied when it is one too many."""
        used = self._agents.setdefault(agent, _Used())
        while used.calls and used.calls[0] <= now - MINUTE:
            used.calls.popleft()
        if used.day != today:
            used.day, used.tokens = today, 0
        if limits.calls_per_minute is not None and len(used.calls) >= limits.calls_per_minute:
            raise Denied("calls-per-minute", "too many calls in a minute", status=429)
        if limits.tokens_per_day is not None:
            if tokens is None:
                raise Denied("tokens-unbounded", "the request must say max_tokens", status=400)
            if used.tokens + tokens > limits.tokens_per_day:
                raise Denied("tokens-per-day", "too many tokens in a day", status=429)
        if limits.calls_per_minute is not None:
            used.calls.append(now)
        used.tokens += tokens or 0

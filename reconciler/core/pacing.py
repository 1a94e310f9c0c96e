"""When to begin with a new commit: at once, or when the pushing pauses.

Separate from the loop that fetches, because the rule is a small pure function worth reading alone.
The invariant: a lone commit never waits; in a storm of commits, those in between are passed over,
so that an object is applied a few times and not once a commit.
"""

from __future__ import annotations

from dataclasses import dataclass

QUIET_SECONDS = 0.15
"""A pause this long ends a storm. Longer than the gap between pushes of one loop, and short
enough not to be noticed by a person whose commit came while another was applied."""

SHORTEST_WAIT_SECONDS = 0.001

LONGEST_WAIT_SECONDS = 30.0
"""A storm that does not end is answered at this interval all the same."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What is remembered between commits. All times are monotonic seconds.

    `crowded` is set when the newest commit arrived while an earlier one was worked on.
    """

    crowded: bool = False
    first_arrival: float = 0.0
    last_arrival: float = 0.0

    def arrived(self, now: float, *, busy: bool) -> Pace:
        first = self.first_arrival if self.crowded else now
        return Pace(crowded=self.crowded or busy, first_arrival=first, last_arrival=now)

    def wait(self, now: float) -> float:
        """Seconds to wait before beginning; 0 means begin."""
        if not self.crowded:
            return 0.0
        quiet_at = self.last_arrival + QUIET_SECONDS
        latest = self.first_arrival + LONGEST_WAIT_SECONDS
        wait = min(quiet_at, latest) - now
        # What a clock cannot tell apart from nothing would be waited for without end.
        return wait if wait > SHORTEST_WAIT_SECONDS else 0.0

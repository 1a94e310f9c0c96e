"""Counting requests of one version over its replicas, from counters that only grow.

Separate because replicas come, go and start again at zero, and none of that may lose or invent a
request. The invariant: a tally never shrinks, and what is counted after a restart of this process
is what would have been counted without it, since the baselines are kept with the tally.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import ConfigDict


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests that were answered, failed ones included, and the failed ones among them."""

    requests: int = 0
    errors: int = 0

    def __add__(self, other: Requests) -> Requests:
        return Requests(self.requests + other.requests, self.errors + other.errors)

    def since(self, earlier: Requests) -> Requests:
        """What came after `earlier`; all of it when the counters began anew meanwhile."""
        if self.requests < earlier.requests or self.errors < earlier.errors:
            return self
        return Requests(self.requests - earlier.requests, self.errors - earlier.errors)

    __pydantic_config__ = ConfigDict()


NOTHING = Requests()


@dataclass(frozen=True, slots=True)
class Tally:
    """Requests counted so far, and where each replica's counters stood then, by its uid."""

    counted: Requests = NOTHING
    seen: Mapping[str, Requests] = field(default_factory=dict)

    __pydantic_config__ = ConfigDict()

    @classmethod
    def beginning(cls, counters: Mapping[str, Requests]) -> Tally:
        """Count from here on: what the counters say now was before."""
        return cls(NOTHING, dict(counters))

    def add(self, counters: Mapping[str, Requests]) -> Tally:
        """Count what each replica answered since it was last seen, or since it started.

        Replicas that are not among `counters` may have gone, or not answered: their places are
        kept, so that nothing is counted twice when they answer again.
        """
        counted = self.counted
        for uid, now in counters.items():
            counted += now.since(self.seen.get(uid, NOTHING))
        return Tally(counted, {**self.seen, **counters})

"""Counting requests of one version over its replicas, from counters that only grow.

Separate because replicas come, go and start again at zero, and none of that may lose or invent a
request. The invariant: a tally never shrinks, and what is counted after a restart of this process
is what would have been counted without it, since the baselines are kept with the tally.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pydantic import ConfigDict


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests that were answered, failed ones included, and the failed ones among them."""

    requests: int = 0
    errors: int = 0

    def __add__(self, other: Requests) -> Requests:
        return Requests(self.requests + other.requests, self.errors + other.errors)

    def since(self, earlier: Requests) -> Requests:
        """What came after `earlier`; all of it when the counters began anew meanwhile.

        Counters that fell by less than half did not begin anew: such as those of a server with
        several processes, of which another one answered. Nothing is known to have come then.
        """
        if 2 * self.requests < earlier.requests or (self.requests == earlier.requests == 0):
            return self
        if self.requests < earlier.requests or self.errors < earlier.errors:
            return NOTHING
        return Requests(self.requests - earlier.requests, self.errors - earlier.errors)

    def fell_a_little(self, earlier: Requests) -> bool:
        """Whether it is less than it was, and yet did not begin anew."""
        fell = self.requests < earlier.requests or self.errors < earlier.errors
        return fell and 2 * self.requests >= earlier.requests > 0

    __pydantic_config__ = ConfigDict()


NOTHING = Requests()
NOBODY: Mapping[str, Requests] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Tally:
    """Requests counted so far, and where each replica's counters stood then, by its uid."""

    counted: Requests = NOTHING
    seen: Mapping[str, Requests] = field(default_factory=dict)

    __pydantic_config__ = ConfigDict()

    @classmethod
    def beginning(
        cls, counters: Mapping[str, Requests], known: Mapping[str, Requests] = NOBODY
    ) -> Tally:
        """Count from here on: what the counters say now was before.

        `known` are counters that were seen earlier, of replicas that may not be ready just now.
        """
        return cls(NOTHING, {**known, **counters})

    def add(self, counters: Mapping[str, Requests]) -> Tally:
        """Count what each replica answered since it was last seen, or since it started.

        Replicas that are not among `counters` may have gone, or not answered: their places are
        kept, so that nothing is counted twice when they answer again.
        """
        counted, seen = self.counted, dict(self.seen)
        for uid, now in counters.items():
            earlier = seen.get(uid, NOTHING)
            counted += now.since(earlier)
            if not now.fell_a_little(earlier):
                seen[uid] = now
        return Tally(counted, seen)

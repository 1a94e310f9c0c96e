"""Rules that are in common use, as their authors' documentation configures them.

Separate so that what is compared with can be read in one place. The invariant: where it is not
documented how a rule goes about a case, it is taken as the rule would look best.

Sources: the canary example of Flagger's deployment strategies and its tutorials (success of at
least 99 %, checked every minute, threshold 10); the AnalysisTemplate of Argo Rollouts' page on
analysis (success of at least 95 %, measured every 5 minutes, failureLimit 3).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from bench.gates.chances import many

PER_SECOND = 2
"""Requests to the canary, where a rule's exposure depends on them."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Take back after so many failed looks.

    A look without requests is left out, though Flagger would count it as failed. `needed` passes
    are asked for before the promotion where a failed look delays it, else so many looks.
    """

    name: str
    least_success: float
    failures: int
    seconds: int
    needed: int
    delays: bool

    def fails(self, requests: int, errors: int) -> bool:
        """Whether one look fails."""
        return requests > 0 and requests - errors < self.least_success * requests

    def exposure(self, source: random.Random, rate: float, *, most: int) -> int:
        """Requests to a canary with this error rate before it is taken back; `most` if never."""
        requests, failed = self.seconds * PER_SECOND, 0
        for look in range(1, most // requests + 1):
            failed += self.fails(requests, many(source, requests, rate))
            if failed == self.failures:
                return look * requests
        return most

    def promotes(self, source: random.Random, rate: float, *, per_look: int) -> bool:
        """Whether a canary with this error rate is promoted."""
        looks = failed = 0
        while looks - (failed if self.delays else 0) < self.needed:
            looks += 1
            failed += self.fails(per_look, many(source, per_look, rate))
            if failed == self.failures:
                return False
        return True


FLAGGER = Rule("Flagger's example", 0.99, failures=10, seconds=60, needed=5, delays=True)
ARGO = Rule("Argo Rollouts' example", 0.95, failures=4, seconds=300, needed=10, delays=False)
"""`failureLimit: 3` forgives three failures: the fourth ends it."""

RULES = (FLAGGER, ARGO)

STRICT = replace(ARGO, name="the same, `failureLimit` 0", failures=1)
"""As it is when the field is left out."""

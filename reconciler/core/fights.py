"""Fights: two managers that keep undoing each other.

Separate because leaving something wrong on purpose needs a rule that can be read and tested. The
invariant: an object is put back a few times quickly, then left alone for a while and reported;
a commit that changes it begins anew.
"""

from __future__ import annotations

from dataclasses import dataclass

ROUNDS = 5
"""Corrections within WINDOW after which it counts as a fight."""

WINDOW_SECONDS = 120.0
TRUCE_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Corrections:
    """When an object was put back lately, in monotonic seconds, and until when it is left alone."""

    times: tuple[float, ...] = ()
    truce_until: float = 0.0

    def contested(self, now: float) -> bool:
        return now < self.truce_until

    def corrected(self, now: float) -> Corrections:
        """Remember one more correction; too many within the window begin a truce."""
        recent = (*(t for t in self.times if now - t < WINDOW_SECONDS), now)
        if len(recent) >= ROUNDS:
            return Corrections((), now + TRUCE_SECONDS)
        return Corrections(recent, self.truce_until)

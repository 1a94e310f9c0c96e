"""Sessions of people who signed in, and attempts of those who are on their way.

Separate from the sign-in, which decides who gets one. The invariants: an id is 256 random bits and
is never kept itself, only its digest; an attempt is good once and for minutes; a session ends by
its age, by an hour without a look, and by signing out, whatever the browser still sends.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

from reconciler.core.viewers import Identity, Viewer
from reconciler.ports import Clock
from reconciler.sign_in_ports import SignInAttempt

ATTEMPT_SECONDS = 600.0
IDLE_SECONDS = 3600.0
MOST_KEPT = 10_000
"""Strangers can begin attempts: the oldest of too many go."""


@dataclass(slots=True)
class Session:
    """Somebody who signed in. `seal` is what forms of theirs must bring; `proof` a secret."""

    viewer: Viewer
    person: Identity
    proof: str
    seal: str
    began: float
    used: float


@dataclass(frozen=True, slots=True)
class OnTheWay:
    """Somebody who was sent to the provider, and the page that they wanted."""

    attempt: SignInAttempt
    back: str
    began: float


_Kept = TypeVar("_Kept")


class _Shelf(Generic[_Kept]):
    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()

    def put(self, value: _Kept) -> str:
        name = secrets.token_urlsafe(32)
        self._kept[_digest(name)] = value
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return name

    def get(self, name: str) -> _Kept | None:
        return self._kept.get(_digest(name))

    def take(self, name: str) -> _Kept | None:
        return self._kept.pop(_digest(name), None)


class Sessions:
    """All sessions and attempts of this process: a restart ends them."""

    def __init__(self, clock: Clock, *, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._sessions: _Shelf[Session] = _Shelf()
        self._attempts: _Shelf[OnTheWay] = _Shelf()

    def open(self, viewer: Viewer, person: Identity, proof: str) -> str:
        """Begin a session; returns its id."""
        now = self._clock.monotonic()
        seal = secrets.token_urlsafe(32)
        return self._sessions.put(Session(viewer, person, proof, seal, began=now, used=now))

    def find(self, name: str) -> Session | None:
        """The session with that id, unless it has ended."""
        found = self._sessions.get(name)
        if found is None:
            return None
        now = self._clock.monotonic()
        if now - found.began >= self._seconds or now - found.used >= IDLE_SECONDS:
            self.close(name)
            return None
        found.used = now
        return found

    def close(self, name: str) -> Session | None:
        return self._sessions.take(name)

    def remember(self, attempt: SignInAttempt, back: str) -> str:
        return self._attempts.put(OnTheWay(attempt, back, self._clock.monotonic()))

    def recall(self, name: str) -> OnTheWay | None:
        """The attempt with that id, once."""
        found = self._attempts.take(name)
        if found is None or self._clock.monotonic() - found.began >= ATTEMPT_SECONDS:
            return None
        return found


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()

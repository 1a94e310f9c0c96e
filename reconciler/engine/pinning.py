"""Pinning: asking stores which version a reference without one means, and what has changed since.

Separate from the pass, which only needs the answers, and from core/pinning.py, which knows what to
ask for. The invariants: stores are asked for versions and never for values; what a commit was given
is kept with its acceptance, and nothing here ever moves it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog

from reconciler.core.desired import DesiredState
from reconciler.core.errors import Misconfigured, Terminal, Transient, Unavailable
from reconciler.core.identifiers import CommitSha, short
from reconciler.core.pinning import Delivered, delivered, undecided, version_of
from reconciler.core.secret_versions import Pin, PinBook
from reconciler.engine.books import Books
from reconciler.ports import Clock
from reconciler.secret_ports import SecretStores, SecretVersions

log = structlog.get_logger()

LOOK_SECONDS = 300.0
"""How often the stores are asked whether they have newer versions than those in force."""


class Undecided(Unavailable):
    """A store that knows a version does not answer."""


class NoVersion(Misconfigured):
    """A store says that it has no version of a secret, or that the daemon may not ask."""

    code = "no-secret-version"


class Pinning:
    """Decides for commits before they are accepted. `book` is what to compile with."""

    def __init__(self, books: Books, clock: Clock, stores: SecretStores) -> None:
        """A reference to a store that is not among `stores` stays without a version."""
        self._books = books
        self._clock = clock
        self._stores = stores
        self._commit: CommitSha | None = None
        self._proposed: tuple[Pin, ...] = ()
        self._waiting = ""
        self._rotated: tuple[str, ...] = ()

    def book(self) -> PinBook:
        """What was decided, and what is proposed for the commit that is being looked at."""
        pins = self._books.pins
        return pins.with_(self._proposed) if self._proposed else pins

    async def decide(self, desired: DesiredState) -> bool:
        """Propose a version for every reference that has none. True when there are new ones.

        Raises Undecided while a store is away, NoVersion when it has none to tell.
        """
        if desired.commit != self._commit:
            self._commit, self._proposed = desired.commit, ()
        self._waiting = ""
        try:
            found = await self.proposals(desired, self.book())
        except Transient as error:
            self._waiting = f"commit {short(desired.commit)} waits: {error.message}"
            log.warning("commit.undecided", commit=desired.commit, reason=error.message)
            raise Undecided(error.message) from error
        self._proposed += found
        return bool(found)

    def made_for(self, desired: DesiredState) -> tuple[Pin, ...]:
        """What has to be kept when this commit is accepted."""
        return self._proposed if desired.commit == self._commit else ()

    async def proposals(self, desired: DesiredState, book: PinBook) -> tuple[Pin, ...]:
        """What would be decided now. Raises Transient, or NoVersion."""
        current: dict[tuple[str, str], str] = {}
        pins = []
        for one in undecided(desired, book):
            store = self._store_of(one)
            if store is None:
                continue
            # Asked once for all keys of a secret, or a rotation could come between two of them.
            place = (one.store, one.asked)
            if place not in current:
                current[place] = await _current(store, one)
            pins.append(one.pinned(current[place]))
        return tuple(pins)

    def notices(self, accepted: DesiredState | None) -> tuple[str, ...]:
        """What people are told beside what the commit in force says itself."""
        found = undecided(accepted, self._books.pins) if accepted else ()
        unpinned = [
            f"{one} is not pinned: the daemon has no settings for {one.store}"
            for one in found
            if self._store_of(one) is None
        ]
        return (*([self._waiting] if self._waiting else []), *self._rotated, *unpinned)

    async def look_for_ever(self, accepted: Callable[[], DesiredState | None]) -> None:
        """Find out now and then whether the stores have newer versions."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            desired = accepted()
            if desired is not None:
                self._rotated = tuple(await self._look(delivered(desired)))

    async def _look(self, found: Iterable[Delivered]) -> list[str]:
        told: list[str] = []
        answers: dict[tuple[str, str], str] = {}
        silent: dict[str, str] = {}
        for one in found:
            store, version = self._store_of(one), version_of(one, self._books.pins)
            if store is None or not version or one.store in silent:
                continue
            place = (one.store, one.asked)
            try:
                current = answers[place] = answers.get(place) or await store.current(one.asked)
            except Transient as error:
                silent[one.store] = f"what {one.store} has now is not known: {error.message}"
            except Terminal as error:
                told.append(f"what {one} would be now is not known: {error.message}")
            else:
                if current != version:
                    told.append(_rotated(one, version, current))
        return [*silent.values(), *told]

    def _store_of(self, one: Delivered) -> SecretVersions | None:
        return self._stores.vaults.get(one.vault) if one.vault else self._stores.aws


def _rotated(one: Delivered, version: str, current: str) -> str:
    return (
        f"{one} is at version {version}, and {one.store} has {current}: it stays until the "
        f"reference ends in @{current}, or another version of the model is rolled out"
    )


async def _current(store: SecretVersions, one: Delivered) -> str:
    try:
        return await store.current(one.asked)
    except Terminal as error:
        # Stores and rights in them are outside Git, so this may become right without a commit.
        raise NoVersion(
            f"the version of {one} cannot be decided: {error.message}",
            hint=error.hint or "mend what the store says, or name a version with @",
        ) from error

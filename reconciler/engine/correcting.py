"""Correcting drift: what somebody changed or deleted is put back, one object at a time.

Separate from the way of a commit: it needs no plan, no dry run and no other object. The
invariant: it writes only what was applied and confirmed before, under the commit that asked for
it then; and an object that others keep changing is left alone after a few rounds, and reported.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import cast

import structlog

from reconciler.core.audit.records import Reason
from reconciler.core.errors import Transient
from reconciler.core.fights import Corrections
from reconciler.core.identifiers import ObjectKey
from reconciler.core.ledger import Applied, Entry
from reconciler.core.manifests import FIELD_MANAGER, JsonObject
from reconciler.core.ordering import wave_of
from reconciler.core.outstanding import stands_as_applied
from reconciler.core.plans import Action, Change
from reconciler.core.problems import printable
from reconciler.core.snapshots import LiveObject
from reconciler.engine.following import backoff
from reconciler.engine.performing import CHUNK, Context, Performer
from reconciler.engine.sessions import ClusterSession
from reconciler.ports import Clock

log = structlog.get_logger()

RETRY_SECONDS = (5.0, 60.0)
"""First and longest pause before another try when a correction failed, and may pass by itself."""

REFUSED_RETRY_SECONDS = (5.0, 300.0)
"""The same where it was refused. Each try is two records, and a namespace that somebody deleted may
have had thousands of objects."""

LOOK_AGAIN_SECONDS = 0.2
"""How soon an object that must not be touched now is looked at again: it costs no request."""


class Corrector:
    """Watches one cluster for drift while it runs."""

    def __init__(
        self, session: ClusterSession, performer: Performer, clock: Clock, context: Context
    ) -> None:
        self._session = session
        self._performer = performer
        self._clock = clock
        self._context = context
        self._pending: set[ObjectKey] = set()
        self._deferred: set[ObjectKey] = set()
        self._failures: Counter[ObjectKey] = Counter()
        self._not_before: dict[ObjectKey, float] = {}
        self._news = asyncio.Event()
        self._ended = False

    async def run(self) -> None:
        """Correct drift for ever. What drifted before the start is found, too."""
        try:
            with self._session.observer.listening(self.look):
                for key in list(self._session.books.ledger(self._session.name).entries):
                    self.look(key)
                while True:
                    await self._news.wait()
                    self._news.clear()
                    await self._pay()
                    while self._pending:
                        await self._correct(self._next_batch())
        finally:
            self._ended = True

    async def _pay(self) -> None:
        try:
            await asyncio.shield(self._performer.pay(self._session))
        except Transient:
            asyncio.get_running_loop().call_later(RETRY_SECONDS[0], self._news.set)

    def look(self, key: ObjectKey) -> None:
        """Remember an object that is not as we left it, also while it must not be touched."""
        if self._ended or key in self._pending or self._differing(key) is None:
            return
        if self._must_wait(key):
            if not self._deferred:
                asyncio.get_running_loop().call_later(LOOK_AGAIN_SECONDS, self._look_again)
            self._deferred.add(key)
        elif self._drifted(key):
            self._pending.add(key)
            self._news.set()

    def _look_again(self) -> None:
        keys, self._deferred = self._deferred, set()
        for key in keys:
            self.look(key)

    def _next_batch(self) -> list[Change]:
        """Corrections of the earliest wave: a whole cluster may have to be built up again."""
        keys, self._pending = self._pending, set()
        changes = [change for key in keys if (change := self._correction(key))]
        for key in keys - {change.key for change in changes}:
            self.look(key)
        if not changes:
            return []
        wave = min(change.wave for change in changes)
        batch = sorted((c for c in changes if c.wave is wave), key=lambda c: c.key)[:CHUNK]
        self._pending |= {change.key for change in changes} - {change.key for change in batch}
        return batch

    def _drifted(self, key: ObjectKey) -> Applied | None:
        past, now = self._session.corrections.get(key), self._clock.monotonic()
        if now < self._not_before.get(key, now) or (past is not None and past.contested(now)):
            return None
        return None if self._must_wait(key) else self._differing(key)

    def _differing(self, key: ObjectKey) -> Applied | None:
        entry = self._session.books.ledger(self._session.name).entries.get(key)
        if entry is None or entry.applied is None:
            return None
        live = self._session.observer.get(key)
        as_left = live is not None and stands_as_applied(entry.applied, live)
        return None if as_left else entry.applied

    def _must_wait(self, key: ObjectKey) -> bool:
        """Whether it is being written, its unit is being changed, or it cannot be seen."""
        session = self._session
        entry = session.books.ledger(session.name).entries.get(key)
        return (
            key in session.in_flight
            or bool(session.observer.stale)
            or (entry is not None and not session.corrects(entry.unit))
        )

    def _correction(self, key: ObjectKey) -> Change | None:
        applied = self._drifted(key)
        if applied is None:
            return None
        entry = self._session.books.ledger(self._session.name).entries[key]
        return _correction(entry, applied, self._session.observer.get(key))

    async def _correct(self, changes: list[Change]) -> None:
        if not changes:
            return
        try:
            outcomes = await self._performer.perform(self._session, changes, self._context)
        except Transient as error:
            log.warning("drift.not-corrected", objects=len(changes), reason=error.message)
            for change in changes:
                self._later(change.key, RETRY_SECONDS[0])
            asyncio.get_running_loop().call_later(RETRY_SECONDS[0], self._news.set)
            return
        for outcome in outcomes:
            key = outcome.change.key
            if outcome.error is None:
                self._remember(outcome.change)
            else:
                log.warning("drift.not-corrected", object=str(key), reason=outcome.error.message)
                refused = not isinstance(outcome.error, Transient)
                self._put_off(key, REFUSED_RETRY_SECONDS if refused else RETRY_SECONDS)

    def _remember(self, change: Change) -> None:
        now, key = self._clock.monotonic(), change.key
        self._failures.pop(key, None)
        self._not_before.pop(key, None)
        past = self._session.corrections.get(key, Corrections()).corrected(now)
        self._session.corrections[key] = past
        log.info("drift.corrected", object=str(key), cause=change.explanation)
        if past.contested(now):
            log.error("drift.contested", object=str(key), cause=change.explanation)
            self._later(key, past.truce_until - now)
        else:
            # It may have changed again while our write was in flight.
            self.look(key)

    def _put_off(self, key: ObjectKey, bounds: tuple[float, float]) -> None:
        self._failures[key] += 1
        seconds = backoff(self._failures[key], bounds)
        self._not_before[key] = self._clock.monotonic() + seconds
        self._later(key, seconds)

    def _later(self, key: ObjectKey, seconds: float) -> None:
        # A little late: a loop may call early by as much as its clock cannot tell apart, and an
        # object that is looked at before its time is not looked at again.
        asyncio.get_running_loop().call_later(seconds + 0.01, self.look, key)


class Correctors:
    """One Corrector for each session, for as long as the session lasts."""

    def __init__(self, performer: Performer, clock: Clock, context: Context) -> None:
        self._performer = performer
        self._clock = clock
        self._context = context
        self._tasks: dict[ClusterSession, asyncio.Task[None]] = {}
        self._crash: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start(self, session: ClusterSession) -> None:
        corrector = Corrector(session, self._performer, self._clock, self._context)
        task = asyncio.create_task(corrector.run())
        task.add_done_callback(self._ended)
        self._tasks[session] = task

    def end(self, session: ClusterSession) -> None:
        if task := self._tasks.pop(session, None):
            task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and not self._crash.done() and (bug := task.exception()):
            self._crash.set_exception(bug)

    async def crashed(self) -> None:
        """Raise what a corrector died of, if one ever does."""
        await asyncio.shield(self._crash)

    async def stop(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _correction(entry: Entry, applied: Applied, live: LiveObject | None) -> Change:
    manifest = applied.manifest
    return Change(
        unit=entry.unit,
        key=entry.key,
        api_version=entry.api_version,
        action=Action.UPDATE if live else Action.CREATE,
        reason=Reason.DRIFT,
        wave=wave_of(before=manifest, after=manifest),
        stage=0,
        commit=applied.commit,
        desired=manifest,
        previous=manifest,
        # Every field of this manifest was ours when the server confirmed it.
        force=True,
        uid=live.uid if live else "",
        explanation=_cause(live),
    )


def _cause(live: LiveObject | None) -> str:
    """What happened to the object, naming the other field managers that wrote to it."""
    if live is None:
        return "it was deleted"
    metadata = cast(JsonObject, live.body["metadata"])
    entries = cast("list[JsonObject]", metadata.get("managedFields") or [])
    others = {
        printable(str(entry["manager"]))
        for entry in entries
        if entry["manager"] != FIELD_MANAGER and not entry.get("subresource")
    }
    return f"changed by {', '.join(sorted(others))}" if others else "it was changed"

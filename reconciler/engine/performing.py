"""Performing changes: the only place from which anything is written to a cluster.

Separate from executing.py, which decides the order, because drift and compensation are written
through here as well. The invariant: an intent with the commit is durable before the first byte
goes out, an outcome after the last came back; in between the process may die.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import stamina

from reconciler.core.audit.records import AuditRecord, Phase, Reason, Verb
from reconciler.core.errors import (
    FairleadError,
    Invalid,
    LeadershipLost,
    Refused,
    Terminal,
    Throttled,
    Transient,
    Unavailable,
)
from reconciler.core.identifiers import ClusterName, CommitSha, Digest, UnitName
from reconciler.core.ledger import Applied, Entry, LedgerUpdate
from reconciler.core.manifests import JsonObject
from reconciler.core.ordering import binds
from reconciler.core.plans import Action, Change
from reconciler.core.route_sharing import is_shared
from reconciler.core.snapshots import LiveObject, is_being_deleted, uid_of
from reconciler.engine.admitting import await_force
from reconciler.engine.books import Books
from reconciler.engine.concurrency import bounded
from reconciler.engine.previewing import CONCURRENCY, Writer, object_to_apply
from reconciler.engine.sessions import ClusterSession
from reconciler.engine.sharing import apply_shared
from reconciler.ports import Clock

CHUNK = 256
"""Changes whose intents share a transaction: large enough that the disk is no bottleneck, small
enough that a newer commit waits for less than a second."""

DELETION_SECONDS = 60.0
"""How long a deletion may take to be seen. Finalizers may need longer: then it is tried again."""

DELETION_AGAIN_SECONDS = 2.0
"""The same for an object that was being deleted before: a finalizer that nobody removes must not
hold up every pass for a minute."""

_UNSEEN_POLICY = "unable to get policy"
"""kube-apiserver 1.36 of a binding whose policy is there, and not yet in its own cache."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one change: `live` after a successful apply, `error` when it failed."""

    change: Change
    live: LiveObject | None = None
    error: FairleadError | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """What every record of one pass has in common."""

    repository: str
    actor: str
    plan: Digest | None = None
    trace: str = ""

    def decision(
        self,
        time: datetime,
        commit: CommitSha,
        verb: Verb,
        *,
        result: str,
        detail: JsonObject,
        plan: Digest | None = None,
        cluster: ClusterName | None = None,
        unit: UnitName | None = None,
        reason: Reason = Reason.COMMIT,
    ) -> AuditRecord:
        """The record of something that was decided, and has no effect of its own."""
        return AuditRecord(
            time=time,
            repository=self.repository,
            commit=commit,
            actor=self.actor,
            verb=verb,
            phase=Phase.DECISION,
            reason=reason,
            cluster=cluster,
            unit=unit,
            plan=plan or self.plan,
            result=result,
            trace=self.trace,
            detail=detail,
        )


class Performer:
    """Writes changes to clusters, and what became of them to the books."""

    def __init__(self, books: Books, clock: Clock) -> None:
        self._books = books
        self._clock = clock

    async def perform(
        self, session: ClusterSession, changes: Sequence[Change], context: Context
    ) -> tuple[Outcome, ...]:
        """Write up to CHUNK changes, concurrently. Failures are in the outcomes.

        Raises Transient when the books cannot be written: then nothing was done, or the outcomes
        are owed and written before anything else is done.
        """
        assert len(changes) <= CHUNK
        async with session.flight({change.key for change in changes}):
            # Seen through even when cancelled: an intent without an outcome, or a write of which
            # nobody knows whether it happened, would be left.
            work = asyncio.ensure_future(self._intend_write_conclude(session, changes, context))
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                await asyncio.wait({work})
                with suppress(Transient):
                    work.result()
                raise

    async def _intend_write_conclude(
        self, session: ClusterSession, changes: Sequence[Change], context: Context
    ) -> tuple[Outcome, ...]:
        async def write(change: Change) -> Outcome:
            async with session.slots:
                outcome = await self._write_one(session, change)
            return outcome if outcome.error else await self._await_force(session, outcome)

        await self.pay(session)
        intents = await self._intend(session, changes, context)
        for change in changes:
            if change.reason is Reason.COMMIT:
                # Whoever fought for the state of before has another one to answer to.
                session.corrections.pop(change.key, None)
        outcomes = await bounded(changes, write, limit=CONCURRENCY)
        await self._conclude(session, outcomes, intents, context)
        return tuple(outcomes)

    async def _intend(
        self, session: ClusterSession, changes: Sequence[Change], context: Context
    ) -> Sequence[int]:
        # A leader that was paused must not write over the ledger of the one after it either.
        session.tenure.require()
        entries = self._books.ledger(session.name).entries
        expected = tuple(
            Entry(
                change.key,
                change.unit,
                change.api_version,
                applied=None,
                created=change.action is Action.CREATE,
            )
            for change in changes
            if change.desired is not None and change.key not in entries
        )
        return await self._books.write(
            [self._record(session, change, context) for change in changes],
            updates=[LedgerUpdate(session.name, put=expected)] if expected else [],
        )

    async def _write_one(self, session: ClusterSession, change: Change) -> Outcome:
        try:
            async for attempt in stamina.retry_context(
                on=(Unavailable, Throttled), attempts=4, wait_initial=0.1, wait_max=2.0
            ):
                with attempt:
                    session.tenure.require()
                    return Outcome(change, live=await self._send(session, change))
        except FairleadError as error:
            return Outcome(change, error=error)
        raise AssertionError("the last attempt either returned or raised")

    async def _await_force(self, session: ClusterSession, outcome: Outcome) -> Outcome:
        """Outside the slots: the API server is waited for, not kept busy."""
        try:
            await await_force(session, outcome.change, self._clock)
        except FairleadError as error:
            return Outcome(outcome.change, error=error)
        return outcome

    async def _send(self, session: ClusterSession, change: Change) -> LiveObject | None:
        match change.action:
            case Action.ADOPT:
                live = session.observer.get(change.key)
                if live is None:
                    raise ChangedMeanwhile(f"{change.key} is gone since the plan was made")
                return live
            case Action.FORGET:
                if session.observer.get(change.key) is not None:
                    raise ChangedMeanwhile(f"{change.key} came back since the plan was made")
                return None
            case Action.DELETE:
                await self._delete(session, change)
                return None
            case Action.REPLACE:
                await self._delete(session, change)
                return await self._apply(session, change)
            case Action.CREATE | Action.UPDATE:
                return await self._apply(session, change)

    async def _apply(self, session: ClusterSession, change: Change) -> LiveObject:
        assert change.desired is not None
        body = object_to_apply(change.desired, change.commit)
        for other in change.authors[1:]:
            # Asked before; but not where the dry run had to wait for what this plan has made.
            await session.cluster.on_behalf_of(other).apply(body, dry_run=True, force=True)
        writer = _writer(session, change)
        if is_shared(change.desired):
            return session.observer.absorb(await apply_shared(session, change, writer))
        try:
            stored = await writer.apply(body, dry_run=False, force=change.force)
        except Invalid as error:
            if binds(change.key) and _UNSEEN_POLICY in error.message:
                raise Unavailable(f"the API server has not seen what {change.key} binds") from error
            raise
        return session.observer.absorb(stored)

    async def _delete(self, session: ClusterSession, change: Change) -> None:
        """Delete, and wait until the watch says that it is gone."""
        gone = asyncio.Event()
        before = session.observer.get(change.key)
        again = before is not None and is_being_deleted(before.body)

        def look(key: object) -> None:
            live = session.observer.get(change.key)
            if key == change.key and (live is None or live.uid != change.uid):
                gone.set()

        with session.observer.listening(look):
            try:
                writer = _writer(session, change)
                await writer.delete(change.key, change.api_version, uid=change.uid)
            except Refused as error:
                found = await session.cluster.get(change.key, change.api_version)
                if found is None or uid_of(found) == change.uid:
                    raise
                raise ChangedMeanwhile(f"{change.key} was made anew since the plan") from error
            look(change.key)
            try:
                async with asyncio.timeout(DELETION_AGAIN_SECONDS if again else DELETION_SECONDS):
                    await gone.wait()
            except TimeoutError:
                raise StillThere(f"{change.key} is being deleted but finalizers keep it") from None

    async def _conclude(
        self,
        session: ClusterSession,
        outcomes: Sequence[Outcome],
        intents: Sequence[int],
        context: Context,
    ) -> None:
        records = [
            self._record(session, outcome.change, context, concluded=(outcome, intent))
            for outcome, intent in zip(outcomes, intents, strict=True)
        ]
        entries = self._books.ledger(session.name).entries
        put = [e for o in outcomes if (e := _entry_after(o, entries.get(o.change.key)))]
        drop = [o.change.key for o in outcomes if _leaves_nothing(o, entries.get(o.change.key))]
        session.owed.append((records, LedgerUpdate(session.name, tuple(put), tuple(drop))))
        await self.pay(session)

    async def pay(self, session: ClusterSession) -> None:
        """Write the outcomes that are owed. Raises Transient when the books still do not take them,
        or when the tenure is over: the next holder of the lease closes our intents.

        Must be seen through when it was begun: no outcome may be written twice.
        """
        if not session.owed:
            return
        session.tenure.require()
        owed, session.owed = session.owed, []
        records = [record for conclusion, _ in owed for record in conclusion]
        try:
            await self._books.write(records, updates=[update for _, update in owed])
        except Transient:
            session.owed = owed + session.owed
            raise

    def _record(
        self,
        session: ClusterSession,
        change: Change,
        context: Context,
        *,
        concluded: tuple[Outcome, int] | None = None,
    ) -> AuditRecord:
        """The intent of a change, or, `concluded`, its outcome and the index of its intent."""
        outcome, intent = concluded or (None, None)
        detail = _detail_of(change, session.tenure.epoch)
        result = ""
        if outcome is not None:
            result = outcome.error.code if outcome.error else "ok"
            if outcome.error:
                detail["error"] = outcome.error.message
        return AuditRecord(
            time=self._clock.now(),
            repository=context.repository,
            commit=change.commit,
            actor=context.actor,
            verb=Verb.DELETE if change.desired is None else Verb.APPLY,
            phase=Phase.OUTCOME if concluded else Phase.INTENT,
            reason=change.reason,
            cluster=session.name,
            unit=change.unit,
            object=change.key,
            before=change.before,
            after=change.after,
            plan=context.plan,
            result=result,
            intent=intent,
            trace=context.trace,
            detail=detail,
        )


def _detail_of(change: Change, epoch: int) -> JsonObject:
    detail: JsonObject = {"action": change.action, "epoch": epoch}
    if change.source:
        detail["source"] = change.source
    if change.explanation:
        detail["explanation"] = change.explanation
    if change.authors:
        detail["as"] = change.authors[0].user
        detail["signers"] = [author.signer for author in change.authors]
    return detail


def _writer(session: ClusterSession, change: Change) -> Writer:
    """In whose name it is written."""
    if not change.authors:
        return session.cluster
    return session.cluster.on_behalf_of(change.authors[0])


class ChangedMeanwhile(Transient):
    """The object is not the one that the plan is about; the next plan will be."""

    code = "changed-meanwhile"


class StillThere(Transient):
    """A deletion was accepted, but the object is not gone yet."""

    code = "still-there"


def _entry_after(outcome: Outcome, entry: Entry | None) -> Entry | None:
    change, live = outcome.change, outcome.live
    if change.desired is None or live is None:
        return None
    applied = Applied(change.desired, change.commit, live.owned, live.uid)
    # What came from another unit is not this one's to take away when it is put back.
    created = entry is not None and entry.created and entry.unit == change.unit
    return Entry(change.key, change.unit, change.desired.type.api_version, applied, created)


def _leaves_nothing(outcome: Outcome, entry: Entry | None) -> bool:
    """Whether nothing of ours can be in the cluster under this key any more."""
    if outcome.error is None:
        return outcome.change.desired is None
    never_there = entry is not None and entry.applied is None
    return (
        never_there
        and outcome.change.action is Action.CREATE
        and isinstance(outcome.error, Terminal)
        and not isinstance(outcome.error, LeadershipLost)
    )

"""Reviewing: the loop that keeps change requests told of what merging them would do.

Separate from the engine, beside which it runs: it reads what the engine knows and asks for dry
runs, and writes to no cluster and not to the branch. The invariants: whatever happens to it, the
engine does not notice; facts are fetched after each hint and none is believed; and a plan is shown
only of the newest head, which a newer push ends at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

import structlog

from reconciler.core.change_requests import PullRequest, ReviewRecord
from reconciler.core.errors import FairleadError, Terminal, Transient
from reconciler.core.identifiers import ClusterName, CommitSha, Digest
from reconciler.core.presenting.page_pulls import PullFacts
from reconciler.core.reviewed import Reviewed, pull_ref
from reconciler.engine.concurrency import first_of, together
from reconciler.engine.driving import Engine
from reconciler.engine.following import backoff
from reconciler.engine.leading import LOST, NOT_CONNECTED, WAITING
from reconciler.engine.reviewing_cases import Case, Ground
from reconciler.engine.reviewing_commands import Commander
from reconciler.engine.reviewing_plans import LiveSurveyor
from reconciler.engine.reviewing_presenting import Presenter, ReviewOptions
from reconciler.engine.reviewing_progress import Progress
from reconciler.engine.reviewing_queue import MergeQueue
from reconciler.forge_ports import Forge, ProposedChanges
from reconciler.ports import Clock

log = structlog.get_logger()

MARK_SECONDS = 2.0
"""How often it is looked whether plans rest on something else now. Reads memory only."""

ATTENDED_PER_LOOK = 20
"""Change requests whose reviews and comments are asked for at each look, in turn: forges count
requests. Those that a webhook hints at are looked at besides."""

MOST_OVER = 50
"""Change requests that are kept in memory after their end."""

RESTART_SECONDS = 30.0
"""After a bug."""


class Tally(Protocol):
    """Whoever counts what is done here."""

    def plan_made(self, result: str, seconds: float) -> None: ...
    def review_trouble(self, code: str) -> None: ...


class Reviewer:
    """Looks at the change requests of one repository. `run` ends only by cancellation."""

    def __init__(
        self,
        *,
        forge: Forge,
        proposals: ProposedChanges,
        engine: Engine,
        surveyor: LiveSurveyor,
        presenter: Presenter,
        commander: Commander,
        progress: Progress,
        queue: MergeQueue,
        clock: Clock,
        options: ReviewOptions,
        tally: Tally,
    ) -> None:
        self._forge = forge
        self._proposals = proposals
        self._engine = engine
        self._surveyor = surveyor
        self._presenter = presenter
        self._commander = commander
        self._progress = progress
        self._queue = queue
        self._clock = clock
        self._options = options
        self._tally = tally
        self._cases: dict[int, Case] = {}
        self._base: CommitSha | None = None
        self._hint = asyncio.Event()
        self._hinted: set[int] = set()
        self._again: set[int] = set()
        self._next_attended = 0
        self._turn = asyncio.Lock()
        """Held by the one plan that is made: a second would only make both late."""
        self.trouble = ""
        """Why the forge cannot be asked; empty when it can."""

    def hint(self, number: int | None = None, *, again: bool = False) -> None:
        """Somebody says that something changed. It is looked at soon; nothing is believed.

        With `again` the check is made anew, of all of them where no number is given.
        """
        if number is not None:
            self._hinted.add(number)
        if again:
            self._again |= self._cases.keys() if number is None else {number}
        self._hint.set()

    def pulls(self) -> Sequence[PullFacts]:
        """What is known of the change requests, newest first."""
        return [self._cases[number].facts() for number in sorted(self._cases, reverse=True)]

    @property
    def planning(self) -> bool:
        """Whether a plan is being made now."""
        return any(case.planning for case in self._cases.values())

    async def run(self) -> None:
        while True:
            try:
                await together([self._look_for_ever(), self._mark_for_ever()])
            except Exception:
                # A bug here is no reason to stop applying commits.
                log.exception("reviewer.crashed")
                self._tally.review_trouble("bug")
            finally:
                await self._stop()
            await self._clock.sleep(RESTART_SECONDS)

    async def _stop(self) -> None:
        tasks = [case.task for case in self._cases.values() if case.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._cases.clear()

    def _idle(self) -> str:
        """Why nothing is done here now; empty when there is no reason."""
        engine = self._engine
        troubles = engine.leader.troubles
        # Of several daemons, the one that leads the first cluster answers.
        if troubles.get(min(engine.books.clusters)) in (WAITING, LOST):
            return "another daemon answers"
        if NOT_CONNECTED in troubles.values():
            return "a cluster is not connected yet"
        if engine.books.position.accepted and engine.reconciler.accepted is None:
            return "the commit in force was not read yet"
        return ""

    # Looking at the forge

    async def _look_for_ever(self) -> None:
        failures = 0
        while True:
            self._hint.clear()
            pause = self._options.poll_seconds
            try:
                if idle := self._idle():
                    pause = MARK_SECONDS
                else:
                    await self._look()
                failures, self.trouble = 0, idle
            except FairleadError as error:
                failures += 1
                self._note(error)
                pause = backoff(failures)
            await first_of(self._hint.wait(), self._clock.sleep(pause))

    def _note(self, error: FairleadError) -> None:
        self.trouble = error.message
        self._tally.review_trouble(error.code)
        log.warning("review.interrupted", code=error.code, reason=error.message)

    async def _look(self) -> None:
        hinted, self._hinted = self._hinted, set()
        if not self._cases:
            await self._remember()
        self._base = await self._proposals.fetch()
        found = await self._forge.pull_requests()
        marks = self._surveyor.marks() if found else {}
        pulls = {p.number: p for p in found if p.base_branch == self._options.branch}
        records = await self._records(pulls.keys() - self._cases.keys())
        for pull in pulls.values():
            await self._meet(pull, records, marks)
        for number in [n for n, case in self._cases.items() if case.pull.open and n not in pulls]:
            await self._leave(self._cases[number])
        for case in await self._attended(hinted):
            await self._unless_trouble(self._attend(case))
        self._forget()
        await self._unless_trouble(self._queue.look(self._base, self._cases, self._plan_now))
        await self._unless_trouble(self._progress.tell(self._cases))

    def _forget(self) -> None:
        """Of those that are over, only the newest stay, with their plans, for people to look at."""
        over = sorted(number for number, case in self._cases.items() if case.record.done)
        for number in over[:-MOST_OVER]:
            del self._cases[number]

    async def _unless_trouble(self, work: Awaitable[None]) -> None:
        """One change request that cannot be looked at keeps no other waiting."""
        try:
            await work
        except FairleadError as error:
            self._note(error)

    async def _remember(self) -> None:
        """What an earlier process was following."""
        for record in await self._presenter.records():
            if not record.done:
                with suppress(Terminal):
                    pull = await self._forge.pull_request(record.number)
                    self._cases[record.number] = Case(pull, record)

    async def _records(self, numbers: AbstractSet[int]) -> Mapping[int, ReviewRecord]:
        """What is remembered of each, by one look at the store for all of them."""
        found = await self._presenter.records() if numbers else ()
        known = {record.number: record for record in found}
        return {number: known.get(number, ReviewRecord(number)) for number in numbers}

    async def _meet(
        self,
        pull: PullRequest,
        records: Mapping[int, ReviewRecord],
        marks: Mapping[ClusterName, Digest],
    ) -> None:
        case = self._cases.get(pull.number)
        if case is None:
            case = self._cases[pull.number] = Case(pull, records[pull.number])
        if case.record.done:
            # It was closed and opened again.
            await self._presenter.keep(case, done=False)
        pushed = pull.head != case.pull.head
        case.pull = pull
        if pull.number in self._again and not case.planning:
            case.ground, case.check = None, None
        self._again.discard(pull.number)
        if pushed:
            await self._cancel(case)
            check, case.check, case.reviewed = case.check, None, None
            if check is not None:
                await self._unless_trouble(self._presenter.abandon(check))
        self._plan_when_due(case, marks)

    async def _leave(self, case: Case) -> None:
        """It is no longer open: merged, or not."""
        pull = await self._forge.pull_request(case.number)
        if pull.open:
            return
        await self._cancel(case)
        case.pull = pull
        merged = pull.merged
        await self._presenter.keep(case, merged=merged, done=merged is None)

    async def _attended(self, hinted: set[int]) -> list[Case]:
        strange = hinted - self._cases.keys()
        records = await self._records(strange)
        for number in strange:
            # Such as a command on one that was merged long ago.
            with suppress(Terminal):
                pull = await self._forge.pull_request(number)
                if pull.base_branch == self._options.branch:
                    case = self._cases[number] = Case(pull, records[number])
                    if not pull.open and case.record.merged is None:
                        await self._presenter.keep(case, done=True)
        turn = [n for n, case in self._cases.items() if not case.record.done]
        start = self._next_attended % max(1, len(turn))
        due = (turn[start:] + turn[:start])[:ATTENDED_PER_LOOK]
        self._next_attended = start + len(due)
        return [self._cases[n] for n in dict.fromkeys([*sorted(hinted), *due]) if n in self._cases]

    async def _attend(self, case: Case) -> None:
        """Reviews and comments of one change request."""
        answered = await self._commander.attend(case)
        if answered and case.reviewed is not None and not case.planning:
            # Trust, or whatever else was said, may be the ground of another plan.
            case.ground = None if answered.replan else case.ground
        if answered:
            self._plan_when_due(case, self._surveyor.marks())
        if case.planning or not case.pull.open:
            return
        async with case.lock:
            changed = await self._presenter.attend(case)
            if (changed or answered or case.unshown) and case.reviewed is not None:
                await self._presenter.show(case)

    # Planning

    def _ground(self, case: Case, marks: Mapping[ClusterName, Digest]) -> Ground | None:
        if self._base is None:
            return None
        live = case.live
        in_force = self._surveyor.in_force
        return Ground(case.pull.head, self._base, in_force, live, marks if live else {})

    def _plan_when_due(self, case: Case, marks: Mapping[ClusterName, Digest]) -> None:
        """Plan anew when what the plan rests on has changed. `marks` are those of now."""
        if not case.pull.open:
            return
        ground = self._ground(case, marks)
        if ground is None or ground == case.ground:
            return
        before = case.ground
        if case.planning and before is not None and replace(ground, marks=before.marks) == before:
            # Clusters that never rest would keep it from ever being made.
            return
        if case.task is not None:
            case.task.cancel()
        case.ground = ground
        quiet = before is not None and replace(ground, marks=before.marks) == before
        case.task = asyncio.create_task(self._plan(case, ground, quiet=quiet))
        case.task.add_done_callback(self._planned)

    def _planned(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (bug := task.exception()):
            log.error("review.crashed", error=repr(bug))
            self._tally.review_trouble("bug")

    async def _cancel(self, case: Case) -> None:
        if case.task is not None:
            case.task.cancel()
            await asyncio.gather(case.task, return_exceptions=True)
            case.task, case.ground = None, None

    async def _plan(self, case: Case, ground: Ground, *, quiet: bool) -> None:
        try:
            async with case.lock:
                if not quiet:
                    await self._presenter.begin(case)
                case.reviewed = await self._plan_now(
                    pull_ref(case.number), ground.head, ground.base, live=ground.live
                )
                case.failures = 0
                if case.record.key is not None:
                    await self._presenter.attend(case)
                await self._presenter.show(case)
        except FairleadError as error:
            # Terminal ones as well: a right at the forge may be given any time.
            await self._retry(case, ground, error)

    async def _plan_now(
        self, ref: str, head: CommitSha, base: CommitSha, *, live: bool
    ) -> Reviewed:
        """Raises Transient, also when the reference leads elsewhere by now."""
        async with self._turn:
            started = self._clock.monotonic()
            fetched = await self._proposals.fetch_ref(ref)
            if fetched != head:
                raise Transient(f"{ref} is not at the commit that the forge told")
            found = await self._surveyor.review(head, base, live=live)
        result = "planned" if found.plan else "refused"
        self._tally.plan_made(result, self._clock.monotonic() - started)
        return found

    async def _retry(self, case: Case, ground: Ground, error: FairleadError) -> None:
        self._note(error)
        case.failures += 1
        if case.failures > 1:
            case.reviewed = self._surveyor.failed(ground.head, ground.base, error)
            with suppress(FairleadError):
                async with case.lock:
                    await self._presenter.show(case)
        await self._clock.sleep(backoff(case.failures))
        case.ground = None
        self.hint(case.number)

    # Looking at the clusters

    async def _mark_for_ever(self) -> None:
        while True:
            await self._clock.sleep(MARK_SECONDS)
            if self._engine.branch.head not in (None, self._base):
                self.hint()
            if not self._idle():
                shown = [c for c in self._cases.values() if c.pull.open and c.reviewed is not None]
                marks = self._surveyor.marks() if shown else {}
                for case in shown:
                    self._plan_when_due(case, marks)
                await self._unless_trouble(self._progress.tell(self._cases))

"""Undoing: after the traffic went back, Git is told what the clusters know already.

Separate from the abort itself, which waits for nobody. The invariants: only the commit that brought
the failed version is undone, by a commit on top of the branch and never by force; and however
often this is tried or interrupted, there is one revert.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import structlog

from reconciler.core.audit.records import AuditRecord, Verb
from reconciler.core.errors import Terminal, Transient
from reconciler.core.identifiers import CommitSha, short
from reconciler.core.kinds import Rollout
from reconciler.core.manifests import JsonObject
from reconciler.core.reverting import RevertConflict
from reconciler.core.rollouts.staging import target_of
from reconciler.core.rollouts.states import Failure, RolloutState, state_json
from reconciler.engine.books import Books
from reconciler.engine.fetching import Compiler, Invalid
from reconciler.engine.following import backoff
from reconciler.engine.performing import Context
from reconciler.engine.positions import Positions
from reconciler.engine.reconciling import Reconciler
from reconciler.ports import Clock, Publisher, Repository

log = structlog.get_logger()

LOOK_SECONDS = 0.5
RETRY_SECONDS = (1.0, 60.0)

MOST_COMMITS = 50
"""How far back the commit that brought a version is looked for: versions that came together with
many others in one push."""

NO_PUBLISHER = "the daemon has no right to push: set `reverts` in its settings"


class Undoer:
    """Undoes what failed, as each rollout's `onFailure` says. `on_push` must not block."""

    def __init__(
        self,
        *,
        reconciler: Reconciler,
        repository: Repository,
        publisher: Publisher | None,
        books: Books,
        clock: Clock,
        context: Context,
        on_push: Callable[[], None],
    ) -> None:
        self._reconciler = reconciler
        self._positions: Positions = reconciler.positions
        self._repository = repository
        self._publisher = publisher
        self._books = books
        self._clock = clock
        self._context = context
        self._on_push = on_push
        self._tries: dict[str, tuple[int, float]] = {}

    async def run(self) -> None:
        """Undo for ever."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            course = self._reconciler.course
            for state in list(self._positions.states().values()):
                if course is not None and state.rollout in course.target.rollouts:
                    await self._undo_when_due(state, course.target.rollouts[state.rollout])

    async def _undo_when_due(self, state: RolloutState, rollout: Rollout) -> None:
        failure = state.failure
        if failure is None or failure.undone or failure.final:
            self._tries.pop(state.rollout, None)
            return
        tries, due = self._tries.get(state.rollout, (0, 0.0))
        if self._clock.monotonic() < due:
            return
        try:
            await self._undo(state, failure, rollout)
            self._tries.pop(state.rollout, None)
        except Transient as error:
            log.warning("undo.interrupted", rollout=state.rollout, reason=error.message)
            due = self._clock.monotonic() + backoff(tries + 1, RETRY_SECONDS)
            self._tries[state.rollout] = tries + 1, due

    async def _undo(self, state: RolloutState, failure: Failure, rollout: Rollout) -> None:
        if rollout.spec.on_failure == "hold":
            await self._note(state, failure, trouble="onFailure is hold: a person decides")
            return
        if self._publisher is None:
            await self._note(state, failure, trouble=NO_PUBLISHER)
            return
        reason = _reason(state, failure)
        try:
            guilty = await self._guilty(rollout, failure)
            undone = await self._push(self._publisher, guilty, rollout, reason=reason)
        except Terminal as error:
            await self._note(state, failure, trouble=error.message)
            return
        log.info("rollout.undone", rollout=state.rollout, commit=short(guilty), by=undone)
        await self._note(state, failure, undone=undone, guilty=guilty)
        self._on_push()

    async def _push(
        self, publisher: Publisher, guilty: CommitSha, rollout: Rollout, *, reason: str
    ) -> str:
        if rollout.spec.on_failure == "revert":
            try:
                return await publisher.push_revert(guilty, reason=reason)
            except RevertConflict:
                raise
            except Terminal as error:
                # Such as a protected branch: people can still merge what is prepared.
                log.warning("undo.not_taken", rollout=rollout.name, reason=error.message)
        return await publisher.push_revert_branch(guilty, reason=reason)

    async def _guilty(self, rollout: Rollout, failure: Failure) -> CommitSha:
        """The first commit, going back from the one that was seen, that leads to the version.

        Raises a Terminal error where none can be undone by itself.
        """
        sha = failure.target.commit
        compiler = Compiler(self._repository)
        for _ in range(MOST_COMMITS):
            commit = await self._repository.commit(sha)
            if not commit.parents:
                return sha
            parent = commit.parents[0]
            if not await self._leads_to(compiler, parent, rollout.name, failure):
                return sha
            sha = parent
        raise Terminal(
            f"none of {MOST_COMMITS} commits before {short(failure.target.commit)} brought version "
            f"{failure.target.version}",
            hint="change the version in the rollout's file by hand",
        )

    async def _leads_to(
        self, compiler: Compiler, commit: CommitSha, rollout: str, failure: Failure
    ) -> bool:
        result = await compiler.compile(commit, rules=None)
        if isinstance(result, Invalid):
            raise Terminal(
                f"the commit before, {short(commit)}, is not valid, so it cannot be gone back to",
                hint="change the version in the rollout's file by hand",
            )
        desired = result.compilation.state
        found = desired.rollouts.get(rollout)
        target = target_of(desired, found) if found else None
        return failure.target.is_same(target)

    async def _note(
        self,
        state: RolloutState,
        failure: Failure,
        *,
        undone: str = "",
        trouble: str = "",
        guilty: CommitSha | None = None,
    ) -> None:
        """Write down what became of it, unless the rollout has gone on meanwhile.

        Without a publisher it is not final: the settings may name one at the next start.
        """
        final = bool(trouble) and trouble != NO_PUBLISHER
        noted = replace(failure, undone=undone, trouble=trouble, final=final)
        if noted == failure:
            return
        async with self._positions.moving:
            now = self._positions.states().get(state.rollout)
            if now is None or now.failure != failure:
                return
            after = replace(now, failure=noted)
            record = self._record(after, noted, guilty or failure.target.commit)
            await self._books.write([record], journal={state.rollout: state_json(after)})

    def _record(self, state: RolloutState, failure: Failure, guilty: CommitSha) -> AuditRecord:
        detail: JsonObject = {
            "rollout": state.rollout,
            "version": failure.target.version,
            "reason": failure.reason,
            "undone": failure.undone,
            "trouble": failure.trouble,
        }
        result = "ok" if failure.undone else "not-undone"
        now = self._clock.now()
        return self._context.decision(now, guilty, Verb.UNDO, result=result, detail=detail)


def _reason(state: RolloutState, failure: Failure) -> str:
    """What the message of the revert says."""
    where = f" at {failure.step}" if failure.step else ""
    by = f"\n\nGate: {failure.gate}" if failure.gate else ""
    return (
        f"Rollout {state.rollout} was taken back from version {failure.target.version}{where}:\n"
        f"{failure.reason}{by}"
    )

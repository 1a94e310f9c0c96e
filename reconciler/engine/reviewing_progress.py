"""Progress: what becomes of a change after it was merged, told where it was asked for.

Separate from the plans, which are of what may be. The invariants: what is told is what the books
and the journal hold; an abort is told once, with its evidence and what undoes it; and telling
changes nothing about a rollout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import structlog

from reconciler.core.change_requests import Deployment, DeploymentState
from reconciler.core.errors import HistoryRewritten, Missing
from reconciler.core.identifiers import CommitSha, short
from reconciler.core.presenting.check_output import status_description
from reconciler.core.presenting.comment_notes import aborted_comment
from reconciler.core.presenting.markdown import document, paragraph
from reconciler.core.rollouts.reporting import FailureStatus, RolloutStatus
from reconciler.core.rollouts.states import Phase, RolloutState
from reconciler.engine.driving import Engine
from reconciler.engine.reviewing_cases import Case
from reconciler.engine.reviewing_presenting import Presenter, ReviewOptions
from reconciler.forge_ports import Forge
from reconciler.ports import Repository

log = structlog.get_logger()


class Progress:
    """Tells of rollouts on the pull requests that began them."""

    def __init__(
        self,
        forge: Forge,
        presenter: Presenter,
        repository: Repository,
        engine: Engine,
        *,
        statuses: Callable[[], Sequence[RolloutStatus]],
        options: ReviewOptions,
    ) -> None:
        self._forge = forge
        self._presenter = presenter
        self._repository = repository
        self._engine = engine
        self._statuses = statuses
        self._options = options
        self._told: dict[tuple[CommitSha, str], Deployment] = {}
        self._offered: set[tuple[CommitSha, str]] = set()
        self._led: set[tuple[CommitSha, CommitSha]] = set()

    async def tell(self, cases: Mapping[int, Case]) -> None:
        """Deployments and aborts of everything that was merged and is on its way."""
        merged = [case for case in cases.values() if case.record.merged and not case.record.done]
        if merged:
            statuses = {status.rollout: status for status in self._statuses()}
            for case in merged:
                await self._tell(case, statuses)
        await self._offer_reverts()

    async def _tell(self, case: Case, statuses: Mapping[str, RolloutStatus]) -> None:
        commit = case.record.merged
        assert commit is not None, "only what was merged is told of"
        if not await self._is_in_force(commit):
            return
        unfinished = False
        for name in case.record.rollouts:
            state = self._engine.reconciler.positions.states().get(name)
            status = statuses.get(name)
            if state is None or status is None:
                continue
            for deployment in self._deployments(commit, state, status):
                await self._put(deployment)
            ours = await self._leads(commit, state.failure.target.commit if state.failure else None)
            if ours and status.failure is not None:
                await self._tell_abort(case, status, status.failure)
            unfinished |= state.active or state.candidate is not None
        if not unfinished and self._is_applied():
            await self._presenter.keep(case, done=True)

    def _is_applied(self) -> bool:
        position = self._engine.books.position
        clusters = self._engine.books.clusters
        return all(position.applied.get(name) == position.accepted for name in clusters)

    async def _is_in_force(self, commit: CommitSha) -> bool:
        return await self._leads(commit, self._engine.books.position.accepted)

    async def _leads(self, commit: CommitSha, later: CommitSha | None) -> bool:
        """Whether `later` has the commit in its history, or is it."""
        if later is None:
            return False
        if (commit, later) not in self._led:
            try:
                await self._repository.range(commit, later)
            except (HistoryRewritten, Missing):
                # One of the two may only not have been fetched yet.
                return False
            self._led.add((commit, later))
        return True

    def _deployments(
        self, commit: CommitSha, state: RolloutState, status: RolloutStatus
    ) -> Iterator[Deployment]:
        accepted = self._engine.reconciler.accepted
        if accepted is None or status.rollout not in accepted.rollouts:
            return
        for (cluster, _), unit in accepted.places_of(status.rollout):
            found, words = _stand(state, status, stage=unit.stage)
            yield Deployment(
                commit=commit,
                environment=f"{cluster}/{status.rollout}",
                state=found,
                description=status_description(words),
                url=self._options.rollout_url(status.rollout),
            )

    async def _put(self, deployment: Deployment) -> None:
        where = (deployment.commit, deployment.environment)
        if self._told.get(where) != deployment:
            await self._forge.put_deployment(deployment)
            self._told[where] = deployment

    async def _tell_abort(self, case: Case, status: RolloutStatus, failure: FailureStatus) -> None:
        """Once it is known what became of it in Git, or that nothing will."""
        mark = f"abort:{status.rollout}:{failure.commit}"
        if mark in case.record.announced or not (failure.undone or failure.trouble):
            return
        await self._presenter.keep(case, announced=(*case.record.announced, mark))
        url = self._options.rollout_url(status.rollout)
        body = aborted_comment(status, failure, status.verdicts, url=url)
        await self._presenter.say(case.number, body)
        log.info("abort.told", number=case.number, rollout=status.rollout)

    async def _offer_reverts(self) -> None:
        """A pull request for each revert that waits on a branch of its own."""
        for state in self._engine.reconciler.positions.states().values():
            failure = state.failure
            if failure is None or not failure.undone.startswith("fairlead/"):
                continue
            key = (failure.target.commit, failure.undone)
            if key in self._offered:
                continue
            body = (
                f"Rollout {state.rollout} took {failure.target.version} back: {failure.reason} "
                f"It undoes {short(failure.target.commit)}."
            )
            number = await self._forge.open_pull_request(
                branch=failure.undone,
                base=self._options.branch,
                title=f"Revert {failure.target.version} of {state.rollout}",
                body=document([paragraph(body)]),
            )
            self._offered.add(key)
            log.info("revert.offered", rollout=state.rollout, number=number)


def _stand(
    state: RolloutState, status: RolloutStatus, *, stage: int
) -> tuple[DeploymentState, str]:
    """How far a rollout is in a cluster of one wave, in a state and in words."""
    if state.candidate is None:
        if state.failure is not None:
            version = state.failure.target.version
            return DeploymentState.FAILURE, f"{version} was taken back: {state.failure.reason}"
        return DeploymentState.SUCCESS, f"{status.stable} has all requests"
    if state.phase is Phase.WATCHED or stage < state.wave:
        return DeploymentState.SUCCESS, f"{status.candidate} has all requests and is watched"
    if stage > state.wave:
        return DeploymentState.QUEUED, f"{status.candidate} waits for an earlier wave"
    waits = f": {status.why}" if status.why else ""
    return DeploymentState.IN_PROGRESS, f"{status.candidate}, {status.step}{waits}"

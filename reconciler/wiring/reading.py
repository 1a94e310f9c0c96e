"""What `plan` and `status` need of the outside: everything read, nothing written.

Separate from the daemon's wiring, so that no lease, no key and no writable state is in reach. The
invariant: a running daemon does not notice.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.git_clone import GitClone
from reconciler.adapters.metrics_prometheus import PrometheusMetrics
from reconciler.adapters.status_http import ask_status
from reconciler.core.errors import Missing
from reconciler.core.identifiers import ClusterName
from reconciler.core.secret_versions import PinBook
from reconciler.core.standing import ClusterFacts, Status, cluster_status
from reconciler.engine.surveying import Recorded, Survey, Surveyor, compare
from reconciler.ports import Cluster, MetricsSource, Repository
from reconciler.settings import Settings
from reconciler.surfaces.plan_command import PlanRequest, PlanTools
from reconciler.surfaces.rollout_commands import RolloutTools
from reconciler.surfaces.status_command import StatusTools
from reconciler.wiring.git_sources import verifier_of
from reconciler.wiring.page import known_status_token
from reconciler.wiring.people import people_of
from reconciler.wiring.ports import cluster_of, mirror_at, state_for_reading

NO_DAEMON = "no daemon watches it"


def plan_tools() -> PlanTools:
    return PlanTools(_survey, _compare)


def status_tools() -> StatusTools:
    return StatusTools(_status)


def rollout_tools() -> RolloutTools:
    return RolloutTools(_status, state_for_reading, _metrics_at)


def _metrics_at(url: str) -> MetricsSource:
    return PrometheusMetrics(url, SystemClock())


async def _compare(clone: Path, base: str, head: str) -> Survey:
    """Without settings there is no list of signers, and without a daemon nothing to sign for."""
    repository = GitClone(clone, verifier=None)
    try:
        other = (await repository.commit(head)).sha if head else await repository.fetch()
        one = (await repository.commit(base)).sha
        return await compare(repository, base=one, head=other)
    finally:
        repository.close()


async def _survey(settings: Settings, request: PlanRequest) -> Survey:
    async with AsyncExitStack() as opened:
        repository = await opened.enter_async_context(_repository(settings, request.clone))
        head = await repository.fetch()
        if request.revision:
            head = (await repository.commit(request.revision)).sha
        if request.base:
            base = (await repository.commit(request.base)).sha
            return await compare(repository, base=base, head=head)
        clusters: dict[ClusterName, Cluster] = {}
        for chosen in settings.clusters:
            name = ClusterName(chosen.name)
            cluster = cluster_of(chosen, SystemClock())
            opened.push_async_callback(cluster.close)
            clusters[name] = cluster
        surveyor = Surveyor(
            repository=repository,
            name=settings.repository.name,
            clusters=clusters,
            recorded=await _recorded(settings),
            clock=SystemClock(),
            people=people_of(settings),
        )
        return await surveyor.survey(head, only=request.cluster)


@asynccontextmanager
async def _repository(settings: Settings, clone: Path | None) -> AsyncIterator[Repository]:
    """The clone, or a mirror of our own: the daemon's belongs to the daemon alone."""
    if clone is not None:
        found = GitClone(clone, verifier=verifier_of(settings))
        try:
            yield found
        finally:
            found.close()
        return
    with tempfile.TemporaryDirectory(prefix="fairlead-plan-") as directory:
        async with mirror_at(settings, Path(directory) / "mirror.git") as mirror:
            yield mirror


async def _recorded(settings: Settings) -> Recorded:
    """What the daemon recorded last; nothing before its first start."""
    try:
        async with state_for_reading(settings) as state:
            names = [ClusterName(chosen.name) for chosen in settings.clusters]
            ledgers = {name: await state.ledger(name) for name in names}
            pins = PinBook().with_(await state.pins())
            return Recorded(await state.position(), ledgers, pins)
    except Missing:
        return Recorded()


async def _status(settings: Settings) -> Status:
    name = settings.repository.name
    # Sent only where the daemon asks for one, and that is on this machine or behind TLS.
    token = known_status_token(settings) if settings.page.sign_in else ""
    answer = await ask_status(*settings.listen, repository=name, token=token)
    return answer or _last_known(settings, await _recorded(settings))


def _last_known(settings: Settings, recorded: Recorded) -> Status:
    position = recorded.position
    return Status(
        repository=settings.repository.name,
        time=SystemClock().now().isoformat(),
        running=False,
        head=None,
        accepted=position.accepted,
        refused=position.refused,
        explanation=position.explanation,
        held=position.held,
        waits_for=position.waits_for,
        clusters=tuple(
            cluster_status(ClusterFacts(ledger, NO_DAEMON), position)
            for _, ledger in sorted(recorded.ledgers.items())
        ),
    )

"""The reviews of change requests, wired: ports to the parts that share them.

Separate from the daemon's wiring, because most daemons answer no forge. The invariant: without
`forge` in the settings nothing here is opened, and no one is asked anything.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from reconciler import __version__
from reconciler.adapters.git_proposals import GitProposals
from reconciler.adapters.git_proposing import GitProposer
from reconciler.core.rollouts.reporting import RolloutStatus
from reconciler.engine.driving import Engine
from reconciler.engine.reviewing import Reviewer, Tally
from reconciler.engine.reviewing_commands import Commander
from reconciler.engine.reviewing_plans import LiveSurveyor
from reconciler.engine.reviewing_presenting import Presenter, ReviewOptions
from reconciler.engine.reviewing_progress import Progress
from reconciler.engine.reviewing_queue import MergeQueue
from reconciler.forge_ports import Forge, ProposedChanges, Proposer, ReviewStore
from reconciler.ports import Clock, Publisher
from reconciler.settings import Settings
from reconciler.surfaces.engine_status import EngineStatus
from reconciler.surfaces.forge_hints import Hint
from reconciler.wiring.git_sources import committer_of, source_of, verifier_of


@dataclass(frozen=True, slots=True)
class ReviewPorts:
    """What reviews act on. Without `proposer` and `publisher` no command writes to Git."""

    forge: Forge
    proposals: ProposedChanges
    store: ReviewStore
    proposer: Proposer | None = None
    publisher: Publisher | None = None


@asynccontextmanager
async def review_ports_of(
    settings: Settings, clock: Clock, store: ReviewStore, publisher: Publisher | None
) -> AsyncIterator[ReviewPorts | None]:
    """None where the settings name no forge."""
    if settings.forge is None:
        yield None
        return
    # The client of the forge's API stays outside of a daemon that answers none.
    from reconciler.wiring.forges import forge_of  # noqa: PLC0415

    async with AsyncExitStack() as opened:
        forge = forge_of(settings.forge, clock)
        opened.push_async_callback(forge.close)
        directory = settings.directory / "proposals.git"
        proposals = GitProposals(source_of(settings), directory, verifier=verifier_of(settings))
        opened.callback(proposals.close)
        proposer = None
        if (given := settings.reverts) is not None:
            source, place = source_of(settings, given.credentials), settings.directory / "offers"
            proposer = GitProposer(source, place, committer_of(given))
            opened.callback(proposer.close)
        yield ReviewPorts(forge, proposals, store, proposer, publisher)


def options_of(settings: Settings) -> ReviewOptions:
    assert settings.forge is not None, "there is a forge"
    return ReviewOptions(
        branch=settings.repository.branch,
        poll_seconds=settings.forge.poll.total_seconds(),
        page_url=(settings.page.public_url or "").rstrip("/"),
    )


def hint_at(reviewer: Reviewer | None) -> Callable[[Hint], None]:
    """What a notification makes the reviewer do: look again, where it says."""

    def look_again(hint: Hint) -> None:
        if reviewer is not None:
            reviewer.hint(hint.number, again=hint.again)

    return look_again


async def reviewer_beside(
    status: EngineStatus,
    reviews: AbstractAsyncContextManager[ReviewPorts | None],
    settings: Settings,
    tally: Tally,
    opened: AsyncExitStack,
) -> Reviewer | None:
    """The reviewer of a daemon, whose ports are closed with `opened`. None without a forge."""
    ports = await opened.enter_async_context(reviews)
    if ports is None:
        return None
    return reviewer_of(
        ports,
        status.engine,
        name=settings.repository.name,
        statuses=lambda: status.status().rollouts,
        clock=status.clock,
        options=options_of(settings),
        tally=tally,
    )


def reviewer_of(
    ports: ReviewPorts,
    engine: Engine,
    *,
    name: str,
    statuses: Callable[[], Sequence[RolloutStatus]],
    clock: Clock,
    options: ReviewOptions,
    tally: Tally,
) -> Reviewer:
    """A reviewer beside a running engine. `name` is that of the config repository."""
    forge, proposals = ports.forge, ports.proposals
    presenter = Presenter(forge, ports.store, clock, options)
    commander = Commander(
        forge=forge,
        presenter=presenter,
        proposals=proposals,
        proposer=ports.proposer,
        publisher=ports.publisher,
        engine=engine,
        statuses=statuses,
        clock=clock,
        options=options,
    )
    surveyor = LiveSurveyor(
        proposals=proposals, engine=engine, clock=clock, name=name, release=__version__
    )
    progress = Progress(forge, presenter, proposals, engine, statuses=statuses, options=options)
    return Reviewer(
        forge=forge,
        proposals=proposals,
        engine=engine,
        surveyor=surveyor,
        presenter=presenter,
        commander=commander,
        progress=progress,
        queue=MergeQueue(forge, proposals, options),
        clock=clock,
        options=options,
        tally=tally,
    )

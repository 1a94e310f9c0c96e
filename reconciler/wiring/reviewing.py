"""The reviews of change requests, wired: ports to the parts that share them.

Separate from the daemon's wiring, because most daemons answer no forge. The invariant: without
`forge` in the settings nothing here is opened, and no one is asked anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reconciler import __version__
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


@dataclass(frozen=True, slots=True)
class ReviewPorts:
    """What reviews act on. Without `proposer` and `publisher` no command writes to Git."""

    forge: Forge
    proposals: ProposedChanges
    store: ReviewStore
    proposer: Proposer | None = None
    publisher: Publisher | None = None


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
    presenter = Presenter(ports.forge, ports.store, clock, options)
    commander = Commander(
        forge=ports.forge,
        presenter=presenter,
        proposals=ports.proposals,
        proposer=ports.proposer,
        publisher=ports.publisher,
        engine=engine,
        statuses=statuses,
        clock=clock,
        options=options,
    )
    progress = Progress(
        forge=ports.forge,
        presenter=presenter,
        repository=ports.proposals,
        engine=engine,
        statuses=statuses,
        options=options,
    )
    return Reviewer(
        forge=ports.forge,
        proposals=ports.proposals,
        engine=engine,
        surveyor=LiveSurveyor(
            proposals=ports.proposals, engine=engine, clock=clock, name=name, release=__version__
        ),
        presenter=presenter,
        commander=commander,
        progress=progress,
        queue=MergeQueue(ports.forge, ports.proposals, options),
        clock=clock,
        options=options,
        tally=tally,
    )

"""The daemon, wired: settings to ports to engine to endpoints.

Separate from the factories of the ports, which other commands use as well. The invariant: what is
opened here is closed here, in the opposite order, whatever happens.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass

from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import disable_created_metrics

from reconciler.adapters.memory_arenas import share_one_arena
from reconciler.approval_ports import Approvals
from reconciler.core.identifiers import ClusterName
from reconciler.engine.advising import Advisers
from reconciler.engine.books import Books
from reconciler.engine.checkpointing import Checkpointer
from reconciler.engine.driving import Engine
from reconciler.engine.guarding import GuardedLease, RightsReview
from reconciler.engine.looking import Instruments
from reconciler.engine.notifying import NotifyingStore
from reconciler.engine.performing import Context
from reconciler.forge_ports import ReviewStore
from reconciler.ports import Clock, Cluster, Lease, Repository, StateStore
from reconciler.secret_ports import SecretStores
from reconciler.settings import Settings
from reconciler.surfaces.daemon import Backlog, Daemon, bound_socket
from reconciler.surfaces.engine_status import EngineStatus
from reconciler.surfaces.http_endpoints import Endpoints
from reconciler.surfaces.metrics import MeasuredCluster, Metrics
from reconciler.surfaces.page.application import Page
from reconciler.surfaces.page.chronicling import Chronicler
from reconciler.surfaces.page.facts import Sources
from reconciler.surfaces.run_command import RunTools
from reconciler.telemetry import set_up_logging, set_up_tracing
from reconciler.wiring.page import (
    decisions_of,
    documents_at,
    made_status_token,
    recording,
    serves_page,
    sign_in_of,
)
from reconciler.wiring.people import people_of
from reconciler.wiring.ports import Connection, PortFactories, webhook_secret
from reconciler.wiring.reviewing import hint_at, reviewer_beside


def run_tools() -> RunTools:
    return RunTools(run_daemon)


def run_daemon(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, as a process of its own."""
    share_one_arena()
    set_up_logging(settings.log)
    # They would double the series, to say when each began.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    metrics = Metrics()
    provider = set_up_tracing(
        settings.telemetry, repository=settings.repository.name, processors=[metrics.spans]
    )
    try:
        asyncio.run(_run_until_signal(settings, metrics))
    finally:
        _flush(provider)


def _flush(provider: TracerProvider) -> None:
    # Spans that no collector takes are no reason to fail a stop that went well.
    with suppress(Exception):
        provider.shutdown()


async def _run_until_signal(settings: Settings, metrics: Metrics) -> None:
    stop = asyncio.Event()
    with signals(stop):
        await serve(settings, stop=stop, metrics=metrics)


@contextmanager
def signals(stop: asyncio.Event) -> Iterator[None]:
    """The first signal asks to stop; a second one ends the process as signals do."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)

    def stop_once() -> None:
        stop.set()
        for number in numbers:
            loop.remove_signal_handler(number)

    for number in numbers:
        loop.add_signal_handler(number, stop_once)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def serve(
    settings: Settings,
    *,
    stop: asyncio.Event,
    factories: PortFactories | None = None,
    metrics: Metrics | None = None,
    listening: socket.socket | None = None,
) -> None:
    """Run a daemon until `stop` is set. Raises what makes going on impossible.

    `factories` replaces ports, and `listening` the socket at `settings.listen`, for tests and
    simulations.
    """
    make, metrics = factories or PortFactories(), metrics or Metrics()
    clock, backlog = make.clock(), Backlog()
    async with AsyncExitStack() as opened:
        signer = make.signer(settings)
        listening = opened.enter_context(listening or bound_socket(*settings.listen))
        state = await opened.enter_async_context(make.state(settings))
        anchor = await opened.enter_async_context(make.anchor(settings))
        world = await _opened(settings, make, clock, state, opened)
        listeners = (backlog, metrics.count_records, chronicler := Chronicler())
        engine = await _engine(settings, world, NotifyingStore(state, *listeners), metrics)
        status = EngineStatus(engine, repository=settings.repository.name, clock=clock)
        metrics.observe(status)
        reviews = make.reviews(settings, clock, state, world.instruments.publisher)
        reviewer = await reviewer_beside(status, reviews, settings, metrics, opened)
        around = (chronicler, reviewer, documents_at(settings.forge), decisions_of(settings))
        sources = Sources(engine, status, state, world.repository, clock, *around)
        page = await _page(settings, make, sources, opened) if serves_page(settings) else None
        daemon = Daemon(
            engine=engine,
            status=status,
            checkpointer=Checkpointer(state, signer, anchor),
            backlog=backlog,
            clock=clock,
            context=_context(settings),
            stop=stop,
            beside=tuple(part.run for part in (page, reviewer) if part),
        )
        endpoints = _endpoints(settings, status, metrics, page)
        endpoints.tell(hint_at(reviewer))
        await daemon.run(endpoints.application(), listening)


def _endpoints(
    settings: Settings, status: EngineStatus, metrics: Metrics, page: Page | None
) -> Endpoints:
    secret = webhook_secret(settings)
    token = made_status_token(settings) if settings.page.sign_in else ""
    return Endpoints(
        status.engine, status, metrics, webhook_secret=secret, page=page, status_token=token
    )


async def _page(
    settings: Settings, make: PortFactories, sources: Sources, opened: AsyncExitStack
) -> Page:
    clock, name = sources.clock, settings.repository.name
    provider = await opened.enter_async_context(make.identity_provider(settings, clock))
    if provider is None:
        return Page(sources, repository=name)
    record = recording(sources.engine.books, _context(settings), clock)
    sign_in = sign_in_of(settings, provider, record=record, clock=clock)
    return Page(sources, repository=name, sign_in=sign_in)


@dataclass(frozen=True, slots=True)
class _World:
    """What the engine acts on."""

    clock: Clock
    repository: Repository
    connections: tuple[Connection, ...]
    instruments: Instruments
    approvals: Approvals | None
    stores: SecretStores


async def _opened(
    settings: Settings,
    make: PortFactories,
    clock: Clock,
    reviews: ReviewStore,
    opened: AsyncExitStack,
) -> _World:
    repository = await opened.enter_async_context(make.repository(settings))
    connections = [
        await opened.enter_async_context(make.connection(settings, chosen, clock))
        for chosen in settings.clusters
    ]
    instruments = Instruments(
        replicas={connection.cluster.name: connection.replicas for connection in connections},
        evaluator=make.evaluator(),
        metrics=await opened.enter_async_context(make.metrics(settings, clock)),
        publisher=await opened.enter_async_context(make.publisher(settings)),
    )
    approvals = await opened.enter_async_context(make.approvals(settings, reviews))
    stores = await opened.enter_async_context(make.secret_stores(settings, clock))
    return _World(clock, repository, tuple(connections), instruments, approvals, stores)


async def _engine(settings: Settings, world: _World, store: StateStore, metrics: Metrics) -> Engine:
    def answered(name: ClusterName) -> None:
        # Called while the engine runs, which is made with the leases that call.
        engine.leader.answered(name)

    clusters: dict[ClusterName, Cluster] = {
        connection.cluster.name: MeasuredCluster(connection.cluster, metrics)
        for connection in world.connections
    }
    books = await Books.open(store, list(clusters))
    tolerant, people = settings.rights != "least", people_of(settings)
    review = RightsReview(clusters, world.clock, tolerant=tolerant, people=people)

    def guarded(connection: Connection) -> Lease:
        name = connection.cluster.name

        def written() -> frozenset[str]:
            return frozenset(key.namespace for key in books.ledger(name).entries if key.namespace)

        return GuardedLease(connection.lease, name, review, written=written, answered=answered)

    engine = Engine(
        repository=world.repository,
        clusters=clusters,
        leases={each.cluster.name: guarded(each) for each in world.connections},
        store=store,
        books=books,
        clock=world.clock,
        context=_context(settings),
        poll_seconds=settings.repository.poll.total_seconds(),
        instruments=world.instruments,
        advisers=Advisers(review, world.approvals, people, world.stores),
    )
    return engine


def _context(settings: Settings) -> Context:
    return Context(repository=settings.repository.name, actor=f"fairlead@{socket.gethostname()}")

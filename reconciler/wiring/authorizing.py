"""The authorizer, wired: an API server and a log of its own, and the endpoint for the gateway.

Separate from the daemon's wiring: it is another process with another identity. The invariant:
nobody is answered before the log can be written, and what was granted is written before the end.
"""

from __future__ import annotations

import asyncio
import gc
import random
import secrets
import socket
from contextlib import AsyncExitStack
from pathlib import Path

from reconciler.adapters.audit_key_file import load_signer
from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.cluster_credentials import InCluster, Kubeconfig
from reconciler.adapters.cluster_kubernetes import KubernetesCluster
from reconciler.adapters.reviews_kubernetes import KubernetesReviews
from reconciler.adapters.state_sql import open_state
from reconciler.adapters.tool_servers_http import HttpToolServers
from reconciler.core.audit.records import Verb
from reconciler.core.identifiers import ClusterName
from reconciler.engine.authorizing import Authorizer
from reconciler.engine.authorizing_records import DecisionLog
from reconciler.engine.authorizing_rules import LiveRules
from reconciler.engine.checkpointing import Checkpointer
from reconciler.engine.concurrency import first_of
from reconciler.ports import Clock
from reconciler.settings import LogSettings
from reconciler.surfaces.authorize_command import AuthorizeSettings, AuthorizeTools
from reconciler.surfaces.authorize_grpc import served_over_grpc
from reconciler.surfaces.authorize_http import HttpAuthorization
from reconciler.surfaces.daemon import CHECKPOINT_SECONDS, bound_socket, served
from reconciler.telemetry import set_up_logging
from reconciler.wiring.daemon import signals


def authorize_tools() -> AuthorizeTools:
    return AuthorizeTools(run_authorizer)


def run_authorizer(settings: AuthorizeSettings) -> None:
    """Run until SIGTERM or SIGINT, as a process of its own."""
    set_up_logging(LogSettings())
    # What was imported stays for ever. To look through it for garbage stops every request for up to
    # 70 ms, once in some hundred new callers.
    gc.collect()
    gc.freeze()
    asyncio.run(_run_until_signal(settings))


async def _run_until_signal(settings: AuthorizeSettings) -> None:
    stop = asyncio.Event()
    with signals(stop):
        await serve_authorizer(settings, stop=stop)


async def serve_authorizer(
    settings: AuthorizeSettings, *, stop: asyncio.Event, listening: socket.socket | None = None
) -> None:
    """Run an authorizer until `stop` is set. Raises what makes going on impossible."""
    settings.directory.mkdir(parents=True, exist_ok=True)
    signer = load_signer(settings.directory / "audit.key", name=settings.origin)
    clock = SystemClock()
    async with AsyncExitStack() as opened:
        listening = opened.enter_context(listening or bound_socket(*settings.listen))
        state = await open_state(str(settings.directory / "decisions.db"))
        opened.push_async_callback(state.close)
        checkpointer = Checkpointer(state, signer, None)
        opened.push_async_callback(checkpointer.publish)
        decisions = DecisionLog(state, clock, settings.record_grants, random.random)
        authorizer = _authorizer(settings, decisions, clock, opened)
        live = authorizer.live

        async def noted(verb: Verb) -> None:
            await state.append([authorizer.life(verb)])

        await noted(Verb.START)
        opened.push_async_callback(noted, Verb.STOP)
        opened.push_async_callback(decisions.close)
        if settings.grpc_listen is not None:
            serving = served_over_grpc(authorizer, settings.grpc_listen)
            await opened.enter_async_context(serving)
        async with served(HttpAuthorization(authorizer, lambda: live.ready), listening):
            await first_of(
                stop.wait(), live.run(), decisions.run(), _sign_for_ever(checkpointer, clock)
            )


def _authorizer(
    settings: AuthorizeSettings, decisions: DecisionLog, clock: Clock, opened: AsyncExitStack
) -> Authorizer:
    access = Kubeconfig(settings.kubeconfig) if settings.kubeconfig else InCluster()
    cluster = KubernetesCluster(ClusterName(settings.cluster), access, clock=clock)
    opened.push_async_callback(cluster.close)
    tools = HttpToolServers(settings.tool_servers)
    opened.push_async_callback(tools.close)
    return Authorizer(
        cluster=cluster.name,
        audiences=settings.audiences,
        reviews=KubernetesReviews(cluster.connection),
        tools=tools,
        live=LiveRules(cluster, settings.namespace, clock),
        decisions=decisions,
        clock=clock,
        secret=_commitment_key(settings.directory / "commitments.key"),
        entropy=secrets.token_bytes,
    )


async def _sign_for_ever(checkpointer: Checkpointer, clock: Clock) -> None:
    while True:
        await clock.sleep(CHECKPOINT_SECONDS)
        await checkpointer.publish()


def _commitment_key(path: Path) -> bytes:
    """Made when absent. Whoever deletes it makes all commitments say nothing any more."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(secrets.token_bytes(32))
    return path.read_bytes()

"""The endpoints of the daemon."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from reconciler.core.identifiers import ClusterName
from reconciler.core.standing import ClusterState
from reconciler.engine.driving import Engine
from reconciler.surfaces.engine_status import EngineStatus
from reconciler.surfaces.http_endpoints import Endpoints
from reconciler.surfaces.metrics import Metrics
from tests.engine.world import REPOSITORY, World, config_map

from .asgi import ask
from .daemons import DaemonWorld


async def application(
    world: World, engine: Engine | None = None, *, secret: bytes | None = None
) -> Starlette:
    engine = engine or await world.engine()
    status, metrics = EngineStatus(engine, repository=REPOSITORY, clock=world.clock), Metrics()
    metrics.observe(status)
    return Endpoints(engine, status, metrics, webhook_secret=secret).application()


async def test_the_only_route_that_does_not_read_is_the_webhook() -> None:
    routes = (await application(World(), secret=b"0123456789abcdef")).routes
    methods = {route.path: route.methods for route in routes if isinstance(route, Route)}
    assert len(methods) == len(routes)
    assert methods.pop("/hooks/git") == {"POST"}
    assert set(methods) == {"/", "/livez", "/readyz", "/metrics", "/status"}
    assert all(allowed == {"GET", "HEAD"} for allowed in methods.values())


async def test_without_a_secret_there_is_no_webhook() -> None:
    answer = await ask(await application(World()), "POST", "/hooks/git")
    assert answer.status == 404


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/status"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_nothing_but_reading_is_allowed(method: str, path: str) -> None:
    assert (await ask(await application(World()), method, path)).status == 405


async def test_a_daemon_is_alive_before_it_is_ready() -> None:
    found = await application(World())
    assert (await ask(found, "GET", "/livez")).status == 200
    assert (await ask(found, "GET", "/readyz")).status == 503


async def test_a_daemon_that_is_not_ready_says_what_it_waits_for() -> None:
    answer = await ask(await application(World()), "GET", "/readyz")
    assert answer.json["reasons"] == [
        "the repository was not fetched yet",
        "cluster one is not connected yet",
    ]


@pytest.mark.looptime
async def test_a_daemon_is_ready_when_everything_was_asked_once() -> None:
    world = World()
    commit = world.start_repository({"apps/a/one.yaml": config_map("one")})
    async with world.running() as engine:
        await world.until_applied(engine, commit)
        answer = await ask(await application(world, engine), "GET", "/readyz")
    assert (answer.status, answer.json) == (200, {"ready": True, "reasons": []})


@pytest.mark.looptime
async def test_a_cluster_that_goes_away_is_shown_as_stale_and_since_when() -> None:
    world = World()
    commit = world.start_repository({"apps/a/one.yaml": config_map("one")})
    async with world.running() as engine:
        await world.until_applied(engine, commit)
        status = EngineStatus(engine, repository=REPOSITORY, clock=world.clock)
        assert status.status().as_declared
        world.cluster.stop()
        await world.until(lambda: bool(status.trouble(ClusterName("one"))))
        [found] = status.status().clusters
    assert found.state is ClusterState.STALE
    assert found.trouble
    assert found.trouble_since


@pytest.mark.looptime
async def test_a_cluster_without_settings_is_shown_as_stale() -> None:
    world = World("one", "two")
    commit = world.start_repository({"apps/a/one.yaml": config_map("one")})
    alone = World("one")
    alone.repository = world.repository
    async with alone.running() as engine:
        await alone.until_applied(engine, commit)
        status = EngineStatus(engine, repository=REPOSITORY, clock=alone.clock).status()
    assert [c.state for c in status.clusters] == [ClusterState.AS_DECLARED, ClusterState.STALE]


async def test_status_is_served_as_json(tmp_path: Path) -> None:
    daemons = DaemonWorld(tmp_path)
    commit = daemons.world.start_repository({"apps/a/one.yaml": config_map("one")})
    async with daemons.running() as daemon:
        status = await daemon.until_declared()
    assert (status.head, status.accepted) == (commit, commit)


async def test_metrics_show_the_state_of_each_cluster_and_no_commit(tmp_path: Path) -> None:
    daemons = DaemonWorld(tmp_path)
    commit = daemons.world.start_repository({"apps/a/one.yaml": config_map("one")})
    async with daemons.running() as daemon:
        await daemon.until_declared()
        text = daemons.metrics.exposition().decode()
    assert 'fairlead_cluster_state{cluster="one",state="as-declared"} 1.0' in text
    assert 'fairlead_commits_total{verdict="accepted"} 1.0' in text
    assert 'action="create",cluster="one",reason="commit",result="ok"' in text
    assert 'fairlead_api_request_seconds_count{cluster="one",code="ok",verb="apply"}' in text
    assert commit[:7] not in text

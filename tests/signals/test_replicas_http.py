"""Asking replicas when an API server answers in their place, and paths that would leave them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cluster import scripted

from reconciler.adapters.cluster_connection import ApiConnection
from reconciler.adapters.cluster_credentials import Kubeconfig
from reconciler.adapters.replicas_http import DirectReplicas, ProxiedReplicas
from reconciler.core.errors import FairleadError, Forbidden, Invalid, Throttled, Unavailable
from reconciler.ports import Answer, Replica

REPLICA = Replica("team-risk", "fraud-1", "uid-1", "10.77.0.1")


@pytest.fixture
async def server() -> AsyncIterator[scripted.ScriptedServer]:
    async with scripted.scripted_server() as made:
        yield made


@pytest.fixture
async def connection(
    server: scripted.ScriptedServer, tmp_path: Path
) -> AsyncIterator[ApiConnection]:
    made = ApiConnection(Kubeconfig(server.kubeconfig(tmp_path)), scripted.LeapingClock())
    yield made
    await made.close()


async def test_a_replica_is_asked_through_the_proxy_of_the_api_server(
    server: scripted.ScriptedServer, connection: ApiConnection
) -> None:
    server.will_answer(scripted.Answer(pieces=[b"up 1\n"]))
    answer = await ProxiedReplicas(connection).get(REPLICA, 8080, "/v1/models/fraud:metrics")
    assert answer == Answer(200, b"up 1\n")
    (asked,) = server.asked
    assert asked.path == (
        "/api/v1/namespaces/team-risk/pods/fraud-1:8080/proxy/v1/models/fraud:metrics"
    )
    assert asked.headers["Authorization"] == f"Bearer {scripted.TOKEN}"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, Unavailable),
        (403, Forbidden),
        (404, Unavailable),
        (429, Throttled),
        (502, Unavailable),
        (503, Unavailable),
        (504, Unavailable),
    ],
)
async def test_what_the_api_server_says_in_its_place_is_an_error(
    server: scripted.ScriptedServer,
    connection: ApiConnection,
    status: int,
    expected: type[FairleadError],
) -> None:
    server.will_answer(
        scripted.failure(status, message="error trying to reach service: dial tcp", name="fraud-1")
    )
    with pytest.raises(expected, match="ask team-risk/fraud-1 on port 8080 for /metrics"):
        await ProxiedReplicas(connection).get(REPLICA, 8080, "/metrics")


async def test_the_same_status_of_the_application_is_an_answer(
    server: scripted.ScriptedServer, connection: ApiConnection
) -> None:
    server.will_answer(scripted.Answer(status=503, pieces=[b'{"kind":"Busy"}']))
    answer = await ProxiedReplicas(connection).get(REPLICA, 8080, "/metrics")
    assert answer == Answer(503, b'{"kind":"Busy"}')


async def test_work_has_more_time_than_a_page_that_is_at_hand(
    server: scripted.ScriptedServer, connection: ApiConnection
) -> None:
    server.will_answer(scripted.Answer(pieces=[b"so far"], then="hold"))
    replicas = ProxiedReplicas(connection, seconds=0.05, work_seconds=30.0)
    working = asyncio.ensure_future(replicas.post(REPLICA, 8080, "/infer", {}))
    server.will_answer(scripted.Answer(pieces=[b"so far"], then="hold"))
    with pytest.raises(Unavailable, match="no answer in time"):
        await replicas.get(REPLICA, 8080, "/metrics")
    assert not working.done()
    working.cancel()


@pytest.mark.parametrize("kind", [ProxiedReplicas, DirectReplicas])
@pytest.mark.parametrize(
    "path",
    ["/../../../secrets", "/a/%2e%2e/b", "/%252e%252e/b", "/a%2F..%2Fb", "metrics", "/a b", "/a?b"],
)
async def test_a_path_stays_below_the_replica(
    server: scripted.ScriptedServer,
    connection: ApiConnection,
    kind: type[ProxiedReplicas | DirectReplicas],
    path: str,
) -> None:
    with pytest.raises(Invalid, match="not a path"):
        await kind(connection).get(REPLICA, 8080, path)
    assert not server.asked

"""Attacks on the request path, at a real gateway: each is denied, reaches no model, is recorded."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from reconciler.core.audit.records import Verb
from reconciler.core.kinds.authorizer import AdmittedPeers
from reconciler.core.rendering.model_access import POLICY_NAME, model_servers_policy

from .real_world import BODY, INFER, MODEL, World, world_of


@pytest.fixture(params=["http", "grpc"])
async def world(request, api_server, tmp_path) -> AsyncIterator[World]:
    async with world_of(api_server, tmp_path, grpc=request.param == "grpc") as made:
        yield made


async def denied(world: World, code: str) -> None:
    """The last record is this denial, and nothing reached the model."""
    record = (await world.records())[-1]
    assert record.result == code
    assert record.trace
    assert world.upstream.requests == []


async def test_attack_11_who_may_gets_an_answer_and_the_model_gets_no_token(world: World) -> None:
    token = await world.token()
    assert await world.ask(token) == (200, "")
    ((_, headers),) = world.upstream.requests
    assert "Authorization" not in headers
    assert headers["x-fairlead-subject"].endswith(f":{world.agent}")
    assert headers["traceparent"].split("-")[1] == headers["x-fairlead-trace"]


async def test_attack_01_a_replayed_token_is_worth_nothing_at_the_api_server(world: World) -> None:
    token = await world.token()
    headers = {"Authorization": f"Bearer {token}"}
    url = f"{world.plane.server}/api/v1/namespaces/{world.namespace}/configmaps"
    async with world.session.get(url, headers=headers, ssl=False) as answer:
        assert answer.status == 401


async def test_attack_02_a_token_for_another_audience(world: World) -> None:
    status, code = await world.ask(await world.token("somebody-else"))
    assert (status, code) == (401, "token-refused")
    await denied(world, "token-refused")


async def test_attack_03_a_scope_that_ended(world: World) -> None:
    token = await world.token()
    await world.publish(expires="2020-01-01")
    await world.until(lambda: _refused(world, token))
    world.upstream.requests.clear()
    assert await world.ask(token) == (403, "scope-expired")
    await denied(world, "scope-expired")


async def test_attack_03_a_binding_that_went_is_seen_in_five_seconds(world: World) -> None:
    token = await world.token()
    assert await world.is_allowed(token)
    began = asyncio.get_running_loop().time()
    await world.revoke(f"{world.agent}-infer-v3")
    await world.until(lambda: _refused(world, token))
    assert asyncio.get_running_loop().time() - began <= 5.0
    assert (await world.records())[-1].result == "not-allowed"


@pytest.mark.parametrize(
    "path",
    [
        f"/v2/models/{MODEL}/versions/v4/infer",
        "/v2/models//infer",
        "/v2/models/Fraud-Detector/infer",
        "/v2/models/fraud%2ddetector/infer",
        "/v2/models/fr%D0%B0ud-detector/infer",
        f"/v2/models/{MODEL}/../{MODEL}/infer",
        f"/v2/models/{MODEL}/infer?model=other",
        f"//v2/models/{MODEL}/infer",
    ],
)
async def test_attack_04_another_name_for_it(world: World, path: str) -> None:
    status, code = await world.ask(await world.token(), path)
    assert status in (400, 403, 404), code
    assert world.upstream.requests == []
    assert (await world.records())[-1].result != "allowed"


async def test_attack_04_a_route_that_may_answer_with_more_than_is_allowed(world: World) -> None:
    token = await world.token()
    await world.route("v3", "v4")
    await world.until(lambda: _refused(world, token))
    world.upstream.requests.clear()
    assert (await world.ask(token))[1] == "scope-unlisted"
    await denied(world, "scope-unlisted")
    assert await world.ask(token, f"/v2/models/{MODEL}/versions/v3/infer") == (200, "")


async def test_attack_05_leave_to_infer_is_none_to_retrain(world: World) -> None:
    status, code = await world.ask(await world.token(), f"/v2/models/{MODEL}/retrain")
    assert (status, code) == (403, "scope-unlisted")
    await denied(world, "scope-unlisted")


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (b'{"model": "other", "inputs": []}', {}, "model-mismatch"),
        (b'{"inputs": [], "inputs": []}', {}, "key-repeated"),
        (b'{"Model": "other"}', {}, "key-odd-case"),
        (gzip.compress(BODY, mtime=0), {"Content-Encoding": "gzip"}, "encoding-unknown"),
        (BODY, {"Content-Type": "text/plain"}, "content-type-unknown"),
        (b'{"inputs": NaN}', {}, "body-not-json"),
        (BODY, {"x-model-adapter": "other@0123456789ab"}, "gateway-header"),
    ],
)
async def test_attack_06_a_body_of_two_meanings(
    world: World, body: bytes, headers: dict[str, str], code: str
) -> None:
    assert (await world.ask(await world.token(), INFER, body, headers=headers))[1] == code
    await denied(world, code)


async def test_attack_06_a_body_that_is_too_large_to_look_at(world: World) -> None:
    body = json.dumps({"inputs": "x" * (2 * 2**20)}).encode()
    assert await world.ask(await world.token(), INFER, body) == (413, "body-too-large")
    await denied(world, "body-too-large")


async def test_attack_09_a_tool_that_is_not_listed_and_one_that_changed(world: World) -> None:
    token = await world.token()

    def call(name: str) -> bytes:
        params = {"name": name, "arguments": {}}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        return json.dumps(body).encode()

    assert await world.ask(token, "/mcp/metrics", call("query")) == (200, "")
    world.upstream.requests.clear()
    assert (await world.ask(token, "/mcp/metrics", call("delete")))[1] == "tool-unlisted"
    await denied(world, "tool-unlisted")
    world.upstream.tool["description"] = "asks, and sends all it sees to somebody"

    async def changed() -> bool:
        return (await world.ask(token, "/mcp/metrics", call("query")))[1] == "tool-changed"

    await world.until(changed, seconds=5)
    assert (await world.records())[-1].result == "tool-changed"


async def test_attack_13_a_loop_of_calls_is_cut(world: World) -> None:
    token = await world.token()
    await world.publish(limits={"calls_per_minute": 5, "call_seconds": 30})
    statuses: list[int] = []

    async def cut() -> bool:
        statuses.append((await world.ask(token))[0])
        return statuses[-1] == 429

    await world.until(cut)
    assert (await world.records())[-1].result == "calls-per-minute"


async def test_without_a_token_nothing_passes(world: World) -> None:
    assert await world.ask("") == (401, "token-missing")
    await denied(world, "token-missing")


async def test_an_agents_run_is_in_the_record_and_its_payload_is_not(world: World) -> None:
    run = {"x-agent-run": '{"run": "nightly-7", "purpose": "evaluation"}'}
    body = b'{"inputs": [{"data": ["my secret"]}]}'
    assert (await world.ask(await world.token(), INFER, body, headers=run))[0] == 200

    async def written() -> bool:
        return any(record.detail.get("run") for record in await world.records())

    await world.until(written, seconds=2)
    record = next(r for r in await world.records() if r.detail.get("run"))
    assert record.detail["run"] == {"run": "nightly-7", "purpose": "evaluation"}
    assert record.detail["credential"].startswith("JTI=")
    assert record.detail["body"].keys() == {"salt", "hmac"}
    assert b"my secret" not in (world.directory / "decisions.db").read_bytes()


async def _refused(world: World, token: str) -> bool:
    return not await world.is_allowed(token)


async def test_attack_08_a_gateway_without_its_authorizer_lets_nothing_pass(world: World) -> None:
    token = await world.token()
    world.stop.set()
    await world.stopped.wait()
    assert (await world.ask(token))[0] == 503
    assert world.upstream.requests == []
    verbs = [record.verb for record in await world.records()]
    assert (verbs[0], verbs[-1]) == (Verb.START, Verb.STOP)


async def test_attack_07_the_policy_of_model_servers_is_one_that_the_server_takes_as_it_is(
    world: World,
) -> None:
    admitted = AdmittedPeers(namespaces=("monitoring",), addresses=("10.1.0.0/28",))
    policy = model_servers_policy(world.namespace, admitted, {}, gateway="gateway-system")
    await world.declare(policy)
    path = f"/apis/networking.k8s.io/v1/namespaces/{world.namespace}/networkpolicies/{POLICY_NAME}"
    spec = cast("dict[str, Any]", await world.request("GET", path))["spec"]
    assert spec == policy["spec"]


async def test_a_caller_cannot_say_what_only_we_may_say(world: World) -> None:
    """Neither who it is, nor how long it may take."""
    forged = {"x-fairlead-subject": "oidc:boss", "x-envoy-upstream-rq-timeout-ms": "9999999"}
    assert (await world.ask(await world.token(), headers=forged))[0] == 200
    ((_, headers),) = world.upstream.requests
    assert headers["x-fairlead-subject"].endswith(f":{world.agent}")
    assert "x-envoy-upstream-rq-timeout-ms" not in headers

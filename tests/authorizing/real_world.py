"""A real Envoy before a real authorizer that asks a real API server, and a model server behind.

Separate from the tests, which only send requests and look at what came of them.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.cluster_credentials import Kubeconfig
from reconciler.adapters.cluster_kubernetes import KubernetesCluster
from reconciler.adapters.state_sql import open_state_for_reading
from reconciler.core.audit.records import AuditRecord
from reconciler.core.authorizing.rules import RULES_KEY, RULES_NAME
from reconciler.core.authorizing.tools import tool_digest
from reconciler.core.identifiers import ClusterName
from reconciler.core.manifests import REPOSITORY_LABEL, JsonObject
from reconciler.core.rendering.gateway_authorization import (
    BUFFERED_BYTES,
    external_authorization,
    external_authorization_over_grpc,
)
from reconciler.sandbox import Components, ControlPlane
from reconciler.settings_places import Address
from reconciler.surfaces.authorize_command import AuthorizeSettings
from reconciler.wiring.authorizing import serve_authorizer
from tests.conftest import binaries_for
from tests.ports import free_port

AUDIENCE = "fairlead-gateway"
HOST = "fraud.models.example.com"
MODEL = "fraud-detector"
INFER = f"/v2/models/{MODEL}/infer"
BODY = b'{"inputs": []}'
TOOL: JsonObject = {"name": "query", "description": "asks", "inputSchema": {"type": "object"}}


@dataclass
class Upstream:
    """A model server and a tool server, which keep what reached them."""

    requests: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    tool: JsonObject = field(default_factory=lambda: dict(TOOL))

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append((request.raw_path, dict(request.headers)))
        return web.json_response({"model_version": "v3"})

    async def tools(self, request: web.Request) -> web.Response:
        asked = await request.json()
        if "id" not in asked:
            return web.Response(status=202)
        result = {"tools": [self.tool]} if asked["method"] == "tools/list" else {}
        return web.json_response({"jsonrpc": "2.0", "id": asked["id"], "result": result})


@dataclass
class World:
    plane: ControlPlane
    cluster: KubernetesCluster
    namespace: str
    agent: str
    upstream: Upstream
    directory: Path
    gateway: str = ""
    direct: str = ""
    session: aiohttp.ClientSession = field(default_factory=aiohttp.ClientSession)
    rules: dict[str, Any] = field(default_factory=dict)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def declare(self, *bodies: JsonObject) -> None:
        for body in bodies:
            await self.cluster.apply(body, dry_run=False, force=True)

    async def request(self, method: str, path: str, body: JsonObject | None = None) -> JsonObject:
        return await self.cluster.connection.request(method, path, doing="prepare", body=body)

    async def token(self, *audiences: str, account: str = "") -> str:
        name, place = account or self.agent, f"agent-{account or self.agent}"
        spec: JsonObject = {"audiences": list(audiences or (AUDIENCE,)), "expirationSeconds": 600}
        made: Any = await self.request(
            "POST",
            f"/api/v1/namespaces/{place}/serviceaccounts/{name}/token",
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": spec,
            },
        )
        return str(made["status"]["token"])

    async def grant(self, version: str, *, action: str = "infer") -> str:
        name = f"{self.agent}-{action}-{version}"
        group, meta = "rbac.authorization.k8s.io", {"name": name, "namespace": self.namespace}
        rule = {
            "apiGroups": ["fairlead.dev"],
            "resources": [f"modelversions/{action}"],
            "resourceNames": [f"{MODEL}@{version}"],
            "verbs": ["create"],
        }
        subject = {
            "kind": "ServiceAccount",
            "name": self.agent,
            "namespace": f"agent-{self.agent}",
        }
        await self.declare(
            {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": meta, "rules": [rule]},
            {
                "apiVersion": f"{group}/v1",
                "kind": "RoleBinding",
                "metadata": meta,
                "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
                "subjects": [subject],
            },
        )
        return name

    async def revoke(self, name: str) -> None:
        await self.request(
            "DELETE",
            f"/apis/rbac.authorization.k8s.io/v1/namespaces/{self.namespace}/rolebindings/{name}",
        )

    async def route(self, *versions: str) -> None:
        await self.declare(
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "HTTPRoute",
                "metadata": {
                    "name": MODEL,
                    "namespace": self.namespace,
                    "labels": {REPOSITORY_LABEL: "example"},
                },
                "spec": {
                    "rules": [
                        {"backendRefs": [{"name": f"{MODEL}-{v}", "port": 80} for v in versions]}
                    ]
                },
            }
        )

    async def publish(self, **scope: object) -> None:
        """The ConfigMap that the repository compiles to."""
        self.rules["agents"][0].update(scope)
        data: JsonObject = {RULES_KEY: json.dumps(self.rules)}
        metadata: JsonObject = {"name": RULES_NAME, "namespace": self.namespace}
        await self.declare(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        )

    async def ask(
        self,
        token: str,
        path: str = INFER,
        body: bytes = BODY,
        *,
        host: str = HOST,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, str]:
        """Status, and the code of the denial if it is one."""
        sent = {"Content-Type": "application/json", "Host": host, **(headers or {})}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        url = aiohttp.client.URL(f"{self.gateway}{path}", encoded=True)
        async with self.session.post(url, data=body, headers=sent) as answer:
            content = await answer.read()
            try:
                return answer.status, str(json.loads(content).get("error", ""))
            except ValueError:
                return answer.status, ""

    async def until(self, condition: Callable[[], Any], *, seconds: float = 20) -> None:
        async with asyncio.timeout(seconds):
            while not await condition():
                await asyncio.sleep(0.02)

    async def is_allowed(self, token: str) -> bool:
        return (await self.ask(token))[0] == 200

    async def records(self) -> list[AuditRecord]:
        state = await open_state_for_reading(str(self.directory / "decisions.db"))
        try:
            return [logged.record for logged in await state.records(0, 10_000)]
        finally:
            await state.close()


def bootstrap(port: int, upstream: int, authorizer: int, *, grpc: bool) -> JsonObject:
    def cluster(name: str, at: int) -> JsonObject:
        address = {"socket_address": {"address": "127.0.0.1", "port_value": at}}
        return {
            "name": name,
            "connect_timeout": "1s",
            "load_assignment": {
                "cluster_name": name,
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
            },
        }

    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
        },
    }
    manager: JsonObject = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
        ".HttpConnectionManager",
        "stat_prefix": "models",
        "use_remote_address": True,
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "models"}}],
                }
            ]
        },
        "http_filters": [
            external_authorization_over_grpc("authorizer")
            if grpc
            else external_authorization("authorizer", f"http://127.0.0.1:{authorizer}"),
            router,
        ],
    }
    listener: JsonObject = {
        "per_connection_buffer_limit_bytes": BUFFERED_BYTES,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": manager,
                    }
                ]
            }
        ],
    }
    speaking = {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
    }
    clusters: list[Any] = [cluster("models", upstream), cluster("authorizer", authorizer)]
    if grpc:
        clusters[1]["typed_extension_protocol_options"] = speaking
    return {"static_resources": {"listeners": [listener], "clusters": clusters}}


@asynccontextmanager
async def envoy(directory: Path, configuration: JsonObject, port: int) -> AsyncIterator[None]:
    binary = binaries_for(Components.FULL, gateway=True)["envoy"]
    file = directory / "envoy.json"
    file.write_text(json.dumps(configuration))
    process = await asyncio.create_subprocess_exec(
        str(binary),
        *("--config-path", str(file), "--concurrency", "1", "--disable-hot-restart"),
        *("--log-level", "warning"),
        stderr=(directory / "envoy.log").open("wb"),
    )
    try:
        async with asyncio.timeout(20):
            while not await _listens(port):
                assert process.returncode is None, (directory / "envoy.log").read_text()
                await asyncio.sleep(0.05)
        yield
    finally:
        process.terminate()
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@asynccontextmanager
async def world_of(
    plane: ControlPlane, directory: Path, *, grpc: bool = False
) -> AsyncIterator[World]:
    mark = secrets.token_hex(4)
    cluster = KubernetesCluster(
        ClusterName("one"), Kubeconfig(plane.kubeconfig), clock=SystemClock()
    )
    world = World(plane, cluster, f"team-{mark}", f"bot-{mark}", Upstream(), directory / "state")
    application = web.Application(client_max_size=2**23)
    application.router.add_post("/tools", world.upstream.tools)
    application.router.add_route("*", "/{rest:.*}", world.upstream.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    upstream, authorizer, gateway = free_port(), free_port(), free_port()
    over_grpc = free_port()
    await web.TCPSite(runner, "127.0.0.1", upstream).start()
    world.gateway, world.direct = f"http://127.0.0.1:{gateway}", f"http://127.0.0.1:{authorizer}"
    await _prepare(world)
    settings = AuthorizeSettings(
        cluster="one",
        namespace=world.namespace,
        audiences=(AUDIENCE,),
        listen=Address("127.0.0.1", authorizer),
        directory=world.directory,
        kubeconfig=plane.kubeconfig,
        tool_servers={"metrics": f"http://127.0.0.1:{upstream}/tools"},
        record_grants=1.0,
        grpc_listen=Address("127.0.0.1", over_grpc),
    )
    serving = asyncio.create_task(serve_authorizer(settings, stop=world.stop))
    serving.add_done_callback(lambda _: world.stopped.set())
    try:
        asked = over_grpc if grpc else authorizer
        configuration = bootstrap(gateway, upstream, asked, grpc=grpc)
        async with envoy(directory, configuration, gateway):
            token = await world.token()
            await world.until(lambda: world.is_allowed(token))
            world.upstream.requests.clear()
            yield world
    finally:
        world.stop.set()
        await serving
        await world.session.close()
        await cluster.close()
        await runner.cleanup()


async def _prepare(world: World) -> None:
    place = f"agent-{world.agent}"
    for name in (world.namespace, place):
        await world.declare({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    await world.declare(
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": world.agent, "namespace": place},
        }
    )
    route = {
        "namespace": world.namespace,
        "name": MODEL,
        "model": MODEL,
        "called": MODEL,
        "hostnames": [HOST],
        "prefix": "/",
        "backends": {f"{MODEL}-{version}": version for version in ("v3", "v4")},
    }
    agent = {
        "name": world.agent,
        "namespace": place,
        "audience": AUDIENCE,
        "expires": (date.today() + timedelta(days=30)).isoformat(),
        "models": [{"model": MODEL, "versions": ["v3"], "actions": ["infer"]}],
        "tools": [{"server": "metrics", "name": "query", "digest": tool_digest(TOOL)}],
    }
    world.rules = {"version": 1, "repository": "example", "routes": [route], "agents": [agent]}
    await world.publish()
    await world.route("v3")
    await world.grant("v3")

"""Attacks on what the daemon may do: by whoever can merge a commit, and by whoever is an agent.

One daemon runs, with the rights that are generated for it, on a real API server; the attacks come
one after another. Each fails, and of each that comes by Git there is a record.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from reconciler.adapters.cluster_credentials import Kubeconfig
from reconciler.adapters.cluster_kubernetes import KubernetesCluster
from reconciler.core.access.subjects import agent_username
from reconciler.core.audit.records import Verb
from reconciler.core.authorship import Author
from reconciler.core.errors import Forbidden
from reconciler.core.identifiers import ObjectKey
from reconciler.engine.driving import Engine
from tests.engine.authored_world import RBAC, Authored, authored
from tests.engine.test_real_cluster import ONE
from tests.engine.world import deployment_key

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLOSED = "apps/db/closed.yaml"


@dataclass
class Target:
    """A world that runs. Nothing that an attack left behind is in it."""

    world: Authored
    engine: Engine
    agent: str
    other: str

    async def denied(self, files: dict[str, bytes | None], author: Author) -> str:
        """A commit that is refused, by a record that says why."""
        told = await self.world.refused(self.engine, files, author)
        refusals = [r for r in await self.world.records() if r.verb is Verb.REFUSE]
        assert told.startswith(str(refusals[-1].detail["explanation"])[:80])
        return told


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def target(control_plane: Any) -> AsyncIterator[Target]:
    async with authored(control_plane, "bot", "other") as world, world.running() as engine:
        agents = [f"{name}-{world.team}" for name in ("bot", "other")]
        scopes = {f"agents/{name}.yaml": world.scope(name) for name in agents}
        await world.begun(engine, {CLOSED: world.deployment("closed", "restricted"), **scopes})
        yield Target(world, engine, *agents)


def rbac(kind: str, name: str, namespace: str, rest: str) -> bytes:
    return f"""\
apiVersion: {RBAC}/v1
kind: {kind}
metadata: {{name: {name}, namespace: {namespace}}}
{rest}
""".encode()


async def test_attack_15_an_agent_mints_a_token_for_another_identity(
    target: Target, control_plane: Any
) -> None:
    world = target.world
    user = agent_username(target.agent)
    agent = KubernetesCluster(
        ONE, Kubeconfig(control_plane.kubeconfig_for(user)), clock=world.clock
    )
    request: Any = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": ["models"], "expirationSeconds": 600},
    }
    identities = [
        (f"agent-{target.other}", target.other),
        (f"agent-{target.agent}", target.agent),
        (f"agent-{target.agent}", "default"),
        (world.team, "fairlead"),
    ]
    try:
        for namespace, name in identities:
            path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
            with pytest.raises(Forbidden, match="cannot create"):
                await agent.connection.request("POST", path, doing="mint", body=request)
    finally:
        await agent.close()


async def test_attack_16_the_restricting_label_is_stripped(target: Target) -> None:
    world = target.world
    stripped = world.deployment("closed", "open", "b")
    told = await target.denied({CLOSED: stripped}, world.alice)
    assert "Role researcher denies promote on models with tier=restricted" in told
    found: Any = await world.real.get(deployment_key("closed", world.team), "apps/v1")
    assert found["metadata"]["labels"]["tier"] == "restricted"


async def test_attack_16_the_restricted_object_is_deleted(target: Target) -> None:
    world = target.world
    told = await target.denied({CLOSED: None}, world.alice)
    assert f"{world.alice.signer} may not:" in told
    assert await world.real.get(deployment_key("closed", world.team), "apps/v1")


async def test_attack_17_a_role_gives_what_nobody_who_asks_for_it_has(target: Target) -> None:
    world = target.world
    greedy = rbac(
        "Role",
        "greedy",
        world.team,
        'rules: [{apiGroups: [""], resources: [pods/exec], verbs: [create]}]',
    )
    await target.denied({"apps/web/greedy.yaml": greedy}, world.alice)
    document = world.role("greedy", "researchers", resources=_EXEC)
    told = await target.denied({"roles/greedy.yaml": document}, world.peng)
    assert "attempting to grant RBAC permissions not currently held" in told
    for name in ("greedy", "fairlead:role:greedy"):
        assert await world.real.get(ObjectKey(RBAC, "Role", world.team, name), f"{RBAC}/v1") is None


_EXEC = "{resources: [pods/exec], verbs: [create]"


async def test_attack_17_cluster_admin_is_bound(target: Target) -> None:
    world = target.world
    binding = rbac(
        "RoleBinding",
        "mine",
        world.team,
        f"roleRef: {{apiGroup: {RBAC}, kind: ClusterRole, name: cluster-admin}}\n"
        f'subjects: [{{apiGroup: {RBAC}, kind: User, name: "{world.alice.user}"}}]',
    )
    for author in (world.alice, world.peng):
        await target.denied({"apps/web/mine.yaml": binding}, author)
    key = ObjectKey(RBAC, "RoleBinding", world.team, "mine")
    assert await world.real.get(key, f"{RBAC}/v1") is None


async def test_attack_19_a_dry_run_tells_a_secret(target: Target) -> None:
    """A dry run of a server-side apply answers with the whole object, to whoever may patch it."""
    world = target.world
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["patch"]}
    await world.bind("patches", [rule], {"kind": "User", "name": world.alice.user})
    metadata: Any = {"name": "token", "namespace": world.team}
    secret: Any = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
    await world.real.apply({**secret, "stringData": {"token": "canary"}}, dry_run=False)
    as_alice = world.own.on_behalf_of(world.alice)
    for writer in (world.own, as_alice):
        with pytest.raises(Forbidden) as caught:
            await writer.apply(secret, dry_run=True)
        assert "canary" not in caught.value.message
    told = await target.denied({"apps/web/s.yaml": secret_in(world.team)}, world.alice)
    assert "canary" not in told


def secret_in(namespace: str) -> bytes:
    return (
        f"apiVersion: v1\nkind: Secret\nmetadata: {{name: token, namespace: {namespace}}}\n"
    ).encode()

"""What every implementation of the Reviews port does, in memory and of a real API server."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reconciler.access_ports import Reviews
from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.cluster_credentials import Kubeconfig
from reconciler.adapters.cluster_kubernetes import KubernetesCluster
from reconciler.adapters.reviews_kubernetes import KubernetesReviews
from reconciler.adapters.reviews_memory import MemoryReviews
from reconciler.core.authorizing.deciding import Caller, Question
from reconciler.core.errors import Unavailable
from reconciler.core.identifiers import ClusterName

AUDIENCE = "gateway"


@dataclass
class World:
    """`token` is for AUDIENCE, and its user may do `right`; `away` never answers."""

    reviews: Reviews
    away: Reviews
    token: str
    username: str
    right: Question


async def real(plane, directory: Path) -> AsyncIterator[World]:
    cluster = KubernetesCluster(
        ClusterName("one"), Kubeconfig(plane.kubeconfig), clock=SystemClock()
    )
    gone = directory / "gone.kubeconfig"
    gone.write_text(plane.kubeconfig.read_text().replace(plane.server, "https://127.0.0.1:1"))
    nobody = KubernetesCluster(ClusterName("two"), Kubeconfig(gone), clock=SystemClock())
    place = f"test-{secrets.token_hex(4)}"
    group, meta = "rbac.authorization.k8s.io", {"name": "bot", "namespace": place}
    rule = {
        "apiGroups": ["fairlead.dev"],
        "resources": ["modelversions/infer"],
        "resourceNames": ["m@v3"],
        "verbs": ["create"],
    }
    bodies: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": meta, "rules": [rule]},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "bot"},
            "subjects": [{"kind": "ServiceAccount", "name": "bot", "namespace": place}],
        },
    ]
    for body in bodies:
        await cluster.apply(body, dry_run=False)
    made: Any = await cluster.connection.request(
        "POST",
        f"/api/v1/namespaces/{place}/serviceaccounts/bot/token",
        doing="make a token",
        body={
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": [AUDIENCE], "expirationSeconds": 600},
        },
    )
    try:
        yield World(
            KubernetesReviews(cluster.connection),
            KubernetesReviews(nobody.connection),
            made["status"]["token"],
            f"system:serviceaccount:{place}:bot",
            Question(place, "infer", "m", "v3"),
        )
    finally:
        await cluster.close()
        await nobody.close()


def in_memory() -> World:
    name, right = "system:serviceaccount:team:bot", Question("team", "infer", "m", "v3")
    caller = Caller(name, audiences=(AUDIENCE,), credential="JTI=1")
    away = MemoryReviews(trouble=Unavailable("nobody answers"))
    return World(MemoryReviews({"token": caller}, {(name, right)}), away, "token", name, right)


@pytest.fixture
def memory_world() -> World:
    return in_memory()


@pytest.fixture
async def kubernetes_world(api_server, tmp_path) -> AsyncIterator[World]:
    async for made in real(api_server, tmp_path):
        yield made


@pytest.fixture(params=["memory", pytest.param("kubernetes", marks=pytest.mark.cluster)])
def world(request: pytest.FixtureRequest) -> World:
    made: World = request.getfixturevalue(f"{request.param}_world")
    return made


async def test_a_token_tells_whose_it_is_and_has_an_id(world: World) -> None:
    caller = await world.reviews.caller(world.token, (AUDIENCE, "other"))
    assert caller is not None
    assert (caller.username, caller.audiences) == (world.username, (AUDIENCE,))
    assert caller.credential.startswith("JTI=")


async def test_a_token_for_somebody_else_is_nobodys(world: World) -> None:
    assert await world.reviews.caller(world.token, ("other",)) is None
    assert await world.reviews.caller("no-token", (AUDIENCE,)) is None


async def test_only_what_was_granted_is_allowed(world: World) -> None:
    caller = await world.reviews.caller(world.token, (AUDIENCE,))
    assert caller is not None
    place = world.right.namespace
    assert await world.reviews.allowed(caller, world.right)
    for other in (
        Question(place, "infer", "m", "v4"),
        Question(place, "infer", "n", "v3"),
        Question(place, "retrain", "m", "v3"),
        Question("elsewhere", "infer", "m", "v3"),
    ):
        assert not await world.reviews.allowed(caller, other)


async def test_no_answer_is_neither_yes_nor_no(world: World) -> None:
    with pytest.raises(Unavailable):
        await world.away.caller(world.token, (AUDIENCE,))
    with pytest.raises(Unavailable):
        await world.away.allowed(Caller(world.username), world.right)

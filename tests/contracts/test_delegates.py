"""What is done in somebody's name, in memory and on a real API server."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.cluster_memory import MemoryCluster
from reconciler.core.authorship import Author
from reconciler.core.errors import Forbidden
from reconciler.core.identifiers import ClusterName
from reconciler.core.manifests import JsonObject
from reconciler.ports import Cluster

from .cluster_worlds import Body, RealWorld, config_map, key_of, owned_by, unique

RBAC = "rbac.authorization.k8s.io"


@dataclass
class Place:
    """A namespace in which alice may write ConfigMaps, and eve nothing."""

    cluster: Cluster
    namespace: str
    alice: Author
    eve: Author

    def map(self, value: str = "1") -> Body:
        return config_map("settings", self.namespace, {"value": value})

    async def live(self) -> JsonObject | None:
        return await self.cluster.get(key_of(self.map()), "v1")


def people() -> tuple[Author, Author]:
    mark = secrets.token_hex(4)
    alice = Author("alice@example.com", f"oidc:alice-{mark}", (f"oidc:writers-{mark}",))
    return alice, Author("eve@example.com", f"oidc:eve-{mark}")


async def memory(namespace: str) -> AsyncIterator[Place]:
    cluster = MemoryCluster(ClusterName("memory"), clock=SystemClock())
    alice, eve = people()

    def permits(asker: str, verb: str, body: JsonObject) -> None:
        if verb in ("apply", "delete") and asker not in ("", alice.user):
            raise Forbidden(f'{verb}: User "{asker}" cannot do it')

    cluster.permits = permits
    cluster.apply_as(
        "kubectl", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    )
    yield Place(cluster, namespace, alice, eve)
    await cluster.close()


async def real(namespace: str, api_server: Any) -> AsyncIterator[Place]:
    world = RealWorld(api_server)
    alice, eve = people()
    head: Any = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    await world.cluster.apply(head, dry_run=False)
    metadata = {"name": "writers", "namespace": namespace}
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create", "patch", "delete"]}
    api: Any = {"apiVersion": f"{RBAC}/v1", "metadata": metadata}
    await world.cluster.apply({**api, "kind": "Role", "rules": [rule]}, dry_run=False)
    binding = {
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "writers"},
        "subjects": [{"apiGroup": RBAC, "kind": "Group", "name": alice.groups[0]}],
    }
    await world.cluster.apply({**api, "kind": "RoleBinding", **binding}, dry_run=False)
    yield Place(world.cluster, namespace, alice, eve)
    await world.cluster.close()


@pytest.fixture(params=["memory", "real"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    namespace = unique("test")
    found = (
        memory(namespace)
        if request.param == "memory"
        else real(namespace, request.getfixturevalue("api_server"))
    )
    async for made in found:
        yield made


async def test_the_server_takes_the_daemon_for_whom_it_acts(place: Place) -> None:
    assert await place.cluster.on_behalf_of(place.alice).seen_as() == place.alice


async def test_what_somebody_may_is_written_under_the_one_field_manager(place: Place) -> None:
    applied = await place.cluster.on_behalf_of(place.alice).apply(place.map(), dry_run=False)
    assert owned_by(applied, "fairlead") == {"f:data/f:value"}
    assert await place.live() == applied


async def test_what_somebody_may_not_is_refused_in_their_name(place: Place) -> None:
    for dry_run in (True, False):
        with pytest.raises(Forbidden, match=place.eve.user):
            await place.cluster.on_behalf_of(place.eve).apply(place.map(), dry_run=dry_run)
    assert await place.live() is None


async def test_a_deletion_can_be_tried_by_whoever_may_and_by_nobody_else(place: Place) -> None:
    stored: Any = await place.cluster.apply(place.map(), dry_run=False)
    key, uid = key_of(place.map()), stored["metadata"]["uid"]
    as_alice, as_eve = (place.cluster.on_behalf_of(who) for who in (place.alice, place.eve))
    with pytest.raises(Forbidden, match=place.eve.user):
        await as_eve.delete(key, "v1", uid=uid, dry_run=True)
    assert await as_alice.delete(key, "v1", uid=uid, dry_run=True)
    assert await place.live() == stored
    assert await as_alice.delete(key, "v1", uid=uid)
    assert await place.live() is None

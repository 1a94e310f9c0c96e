"""A restriction counts as written when the API server acts by it, and nothing is given before."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from reconciler.adapters.cluster_memory import MemoryCluster
from reconciler.core.errors import Forbidden
from reconciler.core.identifiers import ObjectKey
from reconciler.core.manifests import JsonObject
from reconciler.core.probes import PROBE_NAME
from tests.engine.test_access import MODEL, PEOPLE
from tests.engine.world import World, policy

pytestmark = pytest.mark.looptime

RULES = policy(extra="  authorizer: {namespace: team-b}\n")
UNRESTRICTED = MODEL.replace(b"people", b"owners")
RESTRICTED = MODEL.replace(
    b"actions: [infer]}]}",
    b"actions: [infer]}], unless: [{labels: {tier: secret}, actions: [promote]}]}",
)
UNREAD = {"ValidatingAdmissionPolicyBinding", "ConfigMap"}
PROBE = ObjectKey("", "ConfigMap", "team-a", PROBE_NAME)


def files(model: bytes) -> dict[str, bytes | None]:
    return {
        "fairlead.yaml": RULES,
        "models.yaml": model.replace(b"agent/bot, ", b""),
        "apps/ns/ns.yaml": b"apiVersion: v1\nkind: Namespace\nmetadata: {name: team-a}\n",
    }


def unread(cluster: MemoryCluster, kinds: Iterable[str]) -> None:
    """The API server has accepted objects of these kinds, and does not act by them yet."""
    cluster.acts_by = lambda body: body["kind"] not in kinds


@pytest.mark.parametrize("kind", sorted({*UNREAD, "ValidatingAdmissionPolicy"}))
async def test_nothing_is_given_until_the_restriction_acts(kind: str) -> None:
    world = World()
    unread(world.cluster, {kind})
    first = world.start_repository(files(RESTRICTED))
    async with world.running() as engine:
        await world.until(lambda: world.cluster.count("dry-run") > 40)
        assert PEOPLE not in world.objects()
        assert first not in engine.books.position.applied.values()
        unread(world.cluster, ())
        await world.until_applied(engine, first)
        assert PEOPLE in world.objects()
    assert PROBE not in world.objects()


async def test_a_group_that_joins_waits_until_it_is_restricted() -> None:
    world = World()
    first = world.start_repository(files(RESTRICTED))
    async with world.running() as engine:
        await world.until_applied(engine, first)
        before = world.cluster.peek(PEOPLE)
        assert before is not None
        stale = [body for key in world.objects() if (body := world.cluster.peek(key))]
        known = {str(body["data"]) for body in stale if body["kind"] == "ConfigMap"}
        world.cluster.acts_by = lambda body: (
            body["kind"] != "ConfigMap" or str(body["data"]) in known
        )
        wider = RESTRICTED.replace(b"groups: [owners]", b"groups: [owners, others]")
        second = world.push(files(wider))
        asked = world.cluster.count("dry-run")
        await world.until(lambda: world.cluster.count("dry-run") > asked + 40)
        now = world.cluster.peek(PEOPLE)
        assert now is not None
        assert now["subjects"] == before["subjects"]
        unread(world.cluster, ())
        await world.until_applied(engine, second)
        assert "others" in str(world.cluster.peek(PEOPLE))


async def test_what_cannot_be_looked_at_is_held() -> None:
    world = World()

    def refuse(body: JsonObject) -> None:
        metadata = body["metadata"]
        if isinstance(metadata, dict) and metadata["name"] == PROBE_NAME:
            raise Forbidden("user daemon cannot patch configmaps")

    unread(world.cluster, UNREAD)
    world.cluster.admission = refuse
    world.start_repository(files(RESTRICTED))
    async with world.running() as engine:
        where = world.cluster.name
        await world.until(
            lambda: any(
                "is in force cannot be seen" in state.explanation
                for state in engine.books.ledger(where).units.values()
            )
        )
        assert PEOPLE not in world.objects()

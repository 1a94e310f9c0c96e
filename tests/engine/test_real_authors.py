"""In the names of people, on a real API server: its access rules and admission bind who wrote."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from reconciler.core.errors import Forbidden, Misconfigured
from reconciler.core.rights import excessive_rights
from reconciler.engine.guarding import RightsReview
from tests.engine.authored_world import RBAC, Authored, authored
from tests.engine.test_real_cluster import ONE
from tests.engine.world import deployment_key


@pytest.fixture
async def world(control_plane: Any) -> AsyncIterator[Authored]:
    async with authored(control_plane) as made:
        yield made


async def test_whoever_wrote_a_change_is_held_to_what_they_may(world: Authored) -> None:
    hers, his = "apps/web/open.yaml", "apps/db/closed.yaml"
    async with world.running() as engine:
        await world.begun(engine, {his: world.deployment("closed", "restricted")})
        await world.applied(engine, {hers: world.deployment("open", "open")}, world.alice)
        told = await world.refused(
            engine,
            {
                hers: world.deployment("open", "open", "b"),
                his: world.deployment("closed", "restricted", "b"),
            },
            world.alice,
        )
        assert f"{world.alice.signer} may not:" in told
        assert "Role researcher denies promote on models with tier=restricted" in told
        found = await world.real.get(deployment_key("open", world.team), "apps/v1")
        assert "b" * 64 not in str(found)
        again = {his: world.deployment("closed", "restricted", "b")}
        await world.applied(engine, again, world.peng)
    records = [r for r in await world.records() if r.object and r.object.name == "closed"]
    assert {record.detail.get("as") for record in records} == {world.peng.user}


async def test_the_rights_that_are_printed_are_neither_too_many_nor_for_more(
    world: Authored,
) -> None:
    assert excessive_rights(await world.own.rights(world.team)) == ()
    as_alice = world.own.on_behalf_of(world.alice)
    assert (await as_alice.seen_as()) == world.alice
    above = replace(world.alice, groups=(*world.alice.groups, "system:masters"))
    with pytest.raises(Forbidden, match="system:masters"):
        await world.own.on_behalf_of(above).seen_as()
    with pytest.raises(Forbidden):
        await world.own.on_behalf_of(replace(world.alice, user="oidc:somebody")).seen_as()
    # Alice may, and the daemon may not in her name: what it never writes.
    rule = {"apiGroups": [""], "resources": ["services"], "verbs": ["create", "patch"]}
    await world.bind("serves", [rule], {"kind": "User", "name": world.alice.user})
    service = {"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 80}]}}
    named = {**service, "metadata": {"name": "any", "namespace": world.team}}
    with pytest.raises(Forbidden, match="impersonate"):
        await as_alice.apply(named, dry_run=True)


async def test_a_daemon_that_may_not_act_for_its_people_does_not_begin(world: Authored) -> None:
    stranger = replace(world.alice, signer="eve@example.com", user="oidc:eve")
    people = replace(world.people, authors={stranger.signer: stranger})
    review = RightsReview({ONE: world.own}, world.clock, tolerant=False, people=people)
    with pytest.raises(Misconfigured, match="does not let the daemon act as oidc:eve") as caught:
        await review.require_authors(ONE)
    assert "Kubernetes 1.36" in caught.value.hint


@pytest.mark.parametrize(
    ("group", "resource", "verb", "told"),
    [
        ("", "secrets", "get", "get on secrets"),
        ("", "serviceaccounts/token", "create", "create on every one of serviceaccounts/token"),
        (RBAC, "roles", "escalate", "escalate on roles"),
        (RBAC, "clusterroles", "bind", "bind on every one of clusterroles"),
        ("apps", "*", "patch", "patch on every resource of apps"),
    ],
)
async def test_a_right_in_one_namespace_is_found_there(
    world: Authored, group: str, resource: str, verb: str, told: str
) -> None:
    review = RightsReview({ONE: world.own}, world.clock, tolerant=False)
    await review.require(ONE, [world.team])
    head: Any = {
        "apiVersion": f"{RBAC}/v1",
        "metadata": {"name": "much", "namespace": world.team},
    }
    rules = [{"apiGroups": [group], "resources": [resource], "verbs": [verb]}]
    await world.real.apply({**head, "kind": "Role", "rules": rules}, dry_run=False)
    subject = {"kind": "ServiceAccount", "namespace": world.team, "name": "fairlead"}
    reference = {"apiGroup": RBAC, "kind": "Role", "name": "much"}
    binding = {**head, "kind": "RoleBinding", "roleRef": reference, "subjects": [subject]}
    await world.real.apply(binding, dry_run=False)
    with pytest.raises(Misconfigured, match=re.escape(f"{told} in {world.team}")):
        await review_again_and_again(review, world.team)


async def review_again_and_again(review: RightsReview, namespace: str) -> None:
    """The server learns of its own bindings by watching them."""
    async with asyncio.timeout(10):
        while True:
            review.forget(ONE)
            await review.require(ONE, [namespace])

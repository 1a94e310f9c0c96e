"""A prober asks a real API server all the while that a daemon moves between states of access."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import pytest

from reconciler.adapters.cluster_kubernetes import KubernetesCluster
from reconciler.core.errors import Refused
from reconciler.core.identifiers import ObjectKey
from reconciler.core.manifests import JsonObject, Manifest
from tests.access.real import connected
from tests.attacks.objects import Act, allowed
from tests.attacks.states import (
    GROUPS,
    WITHOUT_WORKLOADS,
    State,
    acts,
    first_state,
    next_state,
    renamed,
    tree,
)
from tests.attacks.test_moving import RULES, manifests_of
from tests.engine.test_real_access import AsDaemon

SEED = 3
SKIPPED = 2
"""Moves after which these come: restrictions that end, and others that begin with what they
restrict. A daemon that does not wait for them to act is found out."""
MOVES = 2
AT_A_TIME = 24


@dataclass(frozen=True)
class Answer:
    act: Act
    allowed: bool


class Prober:
    """Reviews for what RBAC decides, and dry runs as members of a group for what admission does."""

    def __init__(self, world: AsDaemon, members: Mapping[str, KubernetesCluster]) -> None:
        self._world = world
        self._members = members
        self._limit = asyncio.Semaphore(AT_A_TIME)
        self.answers: set[Answer] = set()
        self.asked = 0
        self.rounds = 0

    async def ask(self, asked: Iterable[Act]) -> None:
        await asyncio.gather(*map(self._ask, asked))
        self.rounds += 1

    async def keep_asking(self, asked: tuple[Act, ...]) -> None:
        while True:
            await self.ask(asked)

    async def _ask(self, act: Act) -> None:
        async with self._limit:
            probe = self._dry_run if act.group == "apps" and act.labels else self._review
            self.answers.add(Answer(act, await probe(act)))
            self.asked += 1

    async def _review(self, act: Act) -> bool:
        kind, name = act.subject
        agent = name.replace("/", ":")
        who: JsonObject = {"user": "somebody", "groups": [name]}
        resource, _, subresource = act.resource.partition("/")
        attributes: JsonObject = {
            "namespace": act.namespace,
            "verb": act.verb,
            "group": act.group,
            "resource": resource,
            "subresource": subresource,
            "name": act.name,
        }
        if kind == "ServiceAccount":
            who = {"user": f"system:serviceaccount:{agent}"}
        answer: Any = await self._world.real.connection.request(
            "POST",
            "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            doing="ask",
            body={
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SubjectAccessReview",
                "spec": {**who, "resourceAttributes": attributes},
            },
        )
        return bool(answer["status"].get("allowed", False))

    async def _dry_run(self, act: Act) -> bool:
        body = deployment(act)
        path = f"/apis/apps/v1/namespaces/{act.namespace}/deployments"
        try:
            await self._members[act.subject[1]].connection.request(
                "POST", path, doing="try", query={"dryRun": "All"}, body=body
            )
        except Refused:
            return False
        return True


def deployment(act: Act) -> JsonObject:
    labels: JsonObject = dict(act.labels)
    template: JsonObject = {
        "metadata": {"labels": {"app": "probe"}},
        "spec": {"containers": [{"name": "one", "image": "r.example.com/probe"}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": act.name, "namespace": act.namespace, "labels": labels},
        "spec": {"selector": {"matchLabels": {"app": "probe"}}, "template": template},
    }


class Moving(AsDaemon):
    """The daemon with least rights, in a repository of states."""

    @property
    def mark(self) -> str:
        return self.team.removeprefix("team-")

    def files(self, state: State) -> dict[str, bytes | None]:
        own = {name: renamed(text, self.mark).encode() for name, text in tree(state).items()}
        rules = renamed(RULES.decode(), self.mark).replace("name: acme", f"name: {self.team}")
        return {"fairlead.yaml": rules.encode(), **own}

    def objects(self, state: State) -> dict[ObjectKey, Any]:
        found: dict[ObjectKey, Manifest] = manifests_of(
            {name: text.decode() for name, text in self.files(state).items() if text}
        )
        return {key: manifest.body for key, manifest in found.items()}


@pytest.fixture
async def world(control_plane: Any) -> AsyncIterator[Moving]:
    made = Moving(control_plane, f"team-{secrets.token_hex(4)}")
    await made.grant()
    try:
        yield made
    finally:
        await made.own.close()
        await made.real.close()
        await made.others.cluster.close()


def probed(mark: str) -> tuple[Act, ...]:
    """Dry runs can only create, and only as members of groups."""
    own = [
        replace(
            act,
            subject=(act.subject[0], renamed(act.subject[1], mark)),
            namespace=renamed(act.namespace, mark),
        )
        for act in acts()
    ]
    return tuple(
        act for act in own if not act.labels or (act.verb == "create" and act.subject[0] == "Group")
    )


async def test_nobody_has_more_on_the_way_than_both_ends_allow(
    world: Moving, control_plane: Any
) -> None:
    chance, rounds = random.Random(SEED), 0
    state, asked = first_state(chance), probed(world.mark)
    for _ in range(SKIPPED):
        state = next_state(chance, state, WITHOUT_WORKLOADS, least=2)
    async with AsyncExitStack() as stack:
        members = {
            f"oidc:{group}": await stack.enter_async_context(
                connected(control_plane, f"one-of-{group}", f"oidc:{group}")
            )
            for group in GROUPS
        }
        engine = await stack.enter_async_context(world.running())
        await world.until_applied(engine, world.start_repository(world.files(state)))
        before = await settled(world, members, state, asked)
        for _ in range(MOVES):
            state = next_state(chance, state, WITHOUT_WORKLOADS, least=2)
            prober = Prober(world, members)
            probing = asyncio.create_task(prober.keep_asking(asked))
            await world.until_applied(engine, world.push(world.files(state)))
            after = await settled(world, members, state, asked)
            probing.cancel()
            given = {answer.act for answer in prober.answers if answer.allowed}
            assert given <= before | after
            rounds += prober.rounds
            before = after
        assert rounds > MOVES


async def settled(
    world: Moving,
    members: Mapping[str, KubernetesCluster],
    state: State,
    asked: tuple[Act, ...],
) -> frozenset[Act]:
    """What the state allows, once the API server says the same."""
    expected = allowed(world.objects(state), asked)
    async with asyncio.timeout(20):
        while True:
            prober = Prober(world, members)
            await prober.ask(asked)
            if {answer.act for answer in prober.answers if answer.allowed} == expected:
                return expected

"""Access on its way to a real API server, by a daemon that may do no more than deploy/ gives it."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.adapters.cluster_credentials import Kubeconfig
from reconciler.adapters.cluster_kubernetes import KubernetesCluster
from reconciler.core.identifiers import ObjectKey
from tests.access.real import Case, answers
from tests.engine.test_access import MODEL, SCOPE
from tests.engine.test_real_cluster import ONE, OnRealCluster
from tests.engine.world import policy

RIGHTS = Path(__file__).parents[2] / "deploy" / "kubernetes" / "10-rbac.yaml"
REVOKED_SECONDS = 5.0
RESTRICTED = b", unless: [{labels: {tier: restricted}, actions: [promote]}]}"


class AsDaemon(OnRealCluster):
    """Names are its own, and the engine is a user with the rights of the deployment."""

    def __init__(self, plane: Any, team: str) -> None:
        super().__init__(plane, team)
        self.user = f"daemon-{team}"
        self.agent = f"bot-{team}"
        self.own = KubernetesCluster(
            ONE, Kubeconfig(plane.kubeconfig_for(self.user)), clock=self.clock
        )

    async def engine(self, **replaced: object):
        return await super().engine(**({"clusters": {ONE: self.own}} | replaced))

    async def grant(self) -> None:
        """What an administrator applies before: rights, and the namespaces that stand there."""
        for body in yaml.safe_load_all(RIGHTS.read_text()):
            if body["kind"] == "ClusterRole":
                await self.real.apply(body, dry_run=False)
                await self._bind(body["metadata"]["name"])
        made = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": f"namespaces-{self.team}"},
            "rules": [
                {
                    "apiGroups": [""],
                    "resources": ["namespaces"],
                    "verbs": ["create", "patch", "delete"],
                },
                {
                    # In deploy/ they are named after another repository.
                    "apiGroups": ["admissionregistration.k8s.io"],
                    "resources": [
                        "validatingadmissionpolicies",
                        "validatingadmissionpolicybindings",
                    ],
                    "verbs": ["create", "patch", "delete"],
                },
            ],
        }
        await self.real.apply(made, dry_run=False)
        await self._bind(f"namespaces-{self.team}")

    async def _bind(self, role: str) -> None:
        group = "rbac.authorization.k8s.io"
        await self.real.apply(
            {
                "apiVersion": f"{group}/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": f"{role}-{self.team}"},
                "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
                "subjects": [{"apiGroup": group, "kind": "User", "name": self.user}],
            },
            dry_run=False,
        )

    def files(self, *, listed: str, actions: str = "infer") -> dict[str, bytes | None]:
        rules = policy("one", extra=f"  authorizer: {{namespace: {self.team}}}\n")
        rules = rules.replace(b"name: acme", b"name: " + self.team.encode())
        model = MODEL.replace(b"agent/bot, owner", listed.encode())
        model = model.replace(b"actions: [infer]", f"actions: [{actions}]".encode())
        model = model.replace(b"actions: [infer]}]}", b"actions: [infer]}]" + RESTRICTED)
        return {
            "fairlead.yaml": rules.replace(b"[team-*]", b"[team-*, agent-*]"),
            "apps/ns/ns.yaml": f"apiVersion: v1\nkind: Namespace\n"
            f"metadata: {{name: {self.team}}}\n".encode(),
            "models.yaml": model.replace(b"team-a,", self.team.encode() + b","),
            "agents.yaml": SCOPE.replace(b"name: bot", f"name: {self.agent}".encode()).replace(
                b"2027-01-01", b"2099-01-01"
            ),
        }

    async def may_infer(self, subject: str) -> bool:
        case = Case(subject, "create", "fairlead.dev", "modelversions/infer", self.team, "fraud@v1")
        return (await answers(self.real.connection, [case]))[case]


@asynccontextmanager
async def daemon(plane: Any) -> AsyncIterator[AsDaemon]:
    world = AsDaemon(plane, f"team-{secrets.token_hex(4)}")
    await world.grant()
    try:
        yield world
    finally:
        await world.own.close()
        await world.real.close()
        await world.others.cluster.close()


@pytest.fixture
async def world(control_plane: Any) -> AsyncIterator[AsDaemon]:
    async with daemon(control_plane) as made:
        yield made


async def test_a_daemon_with_least_rights_applies_access_and_takes_it_back(
    world: AsDaemon,
) -> None:
    agent = f"agent/{world.agent}"
    first = world.start_repository(world.files(listed=f"agent/{world.agent}, owner"))
    async with world.running() as engine:
        await world.until_applied(engine, first)
        assert await world.may_infer(agent)
        assert await world.may_infer("owners")
        world.push({"models.yaml": world.files(listed="owner")["models.yaml"]})
        began = time.monotonic()
        while await world.may_infer(agent):
            assert time.monotonic() - began < REVOKED_SECONDS
            await asyncio.sleep(0.01)
        assert await world.may_infer("owners")


async def test_nobody_ever_has_more_than_the_old_and_the_new_state_give(world: AsDaemon) -> None:
    agent = f"agent/{world.agent}"
    first = world.start_repository(world.files(listed=agent))
    seen: list[tuple[bool, bool]] = []

    async def probe() -> None:
        while True:
            given = await world.may_infer("owners")
            seen.append((given, await world.may_infer(agent)))

    async with world.running() as engine:
        await world.until_applied(engine, first)
        probing = asyncio.create_task(probe())
        second = world.push({"models.yaml": world.files(listed="owner")["models.yaml"]})
        await world.until_applied(engine, second)
        while not seen or seen[-1] != (True, False):
            await asyncio.sleep(0.01)
        probing.cancel()
    assert (False, True) in seen
    # What is given is asked first: it must not be there while what is taken still is.
    assert (True, True) not in seen


async def test_a_removed_agent_leaves_nothing(world: AsDaemon) -> None:
    first = world.start_repository(world.files(listed=f"agent/{world.agent}, owner"))
    async with world.running() as engine:
        await world.until_applied(engine, first)
        gone = {"agents.yaml": None, "models.yaml": world.files(listed="owner")["models.yaml"]}
        await world.until_applied(engine, world.push(gone))
        home = ObjectKey("", "Namespace", "", f"agent-{world.agent}")
        assert await world.real.get(home, "v1") is None


async def test_a_role_gives_nothing_that_the_daemon_has_not(world: AsDaemon) -> None:
    first = world.start_repository(world.files(listed="owner"))
    greedy = b"""\
apiVersion: fairlead.dev/v1alpha1
kind: Role
metadata: {name: greedy}
spec:
  groups: [owners]
  allow: [{resources: [jobs, pods/exec], verbs: [create], namespaces: [team-*]}]
"""
    async with world.running() as engine:
        await world.until_applied(engine, first)
        await world.until_refused(engine, world.push({"greedy.yaml": greedy}))
        assert "fairlead:role:greedy" in engine.books.position.explanation
        assert "attempting to grant RBAC permissions" in engine.books.position.explanation
        case = Case("owners", "create", "", "pods/exec", world.team)
        assert not (await answers(world.real.connection, [case]))[case]


async def test_an_agent_mints_no_tokens_and_grants_nothing(world: AsDaemon) -> None:
    first = world.start_repository(world.files(listed=f"agent/{world.agent}, owner"))
    agent, rbac = f"agent/{world.agent}", "rbac.authorization.k8s.io"
    async with world.running() as engine:
        await world.until_applied(engine, first)
        cases = [
            Case(agent, verb, group, resource, namespace)
            for namespace in (f"agent-{world.agent}", world.team, "kube-system")
            for verb in ("create", "patch", "delete", "bind", "escalate", "impersonate")
            for group, resource in (
                ("", "serviceaccounts/token"),
                ("", "serviceaccounts"),
                ("", "secrets"),
                (rbac, "roles"),
                (rbac, "rolebindings"),
                ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"),
            )
        ]
        assert not any((await answers(world.real.connection, cases)).values())

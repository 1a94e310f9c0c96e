"""A real API server, a daemon with the rights that are generated for what is declared, and people.

Separate from the tests, because attacks begin here as well. Names are of one test alone.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from reconciler.adapters.cluster_credentials import Kubeconfig
from reconciler.adapters.cluster_kubernetes import KubernetesCluster
from reconciler.core.authorship import Author, People
from reconciler.core.identifiers import CommitSha
from reconciler.core.manifests import JsonObject
from reconciler.core.needed_rights import Setup, needed_rights
from reconciler.core.presenting.rights_text import rights_objects
from reconciler.engine.driving import Engine
from reconciler.engine.guarding import RightsReview
from tests.desired.builders import compiled
from tests.engine.test_real_cluster import ONE, OnRealCluster
from tests.engine.world import cluster_document, deployment, namespace, policy

RBAC = "rbac.authorization.k8s.io"
WRITES = "[get, create, patch, delete]"


class Authored(OnRealCluster):
    """Two people: alice, who may not touch what is restricted, and peng, who may."""

    def __init__(self, plane: Any, team: str) -> None:
        super().__init__(plane, team)
        self.user = f"system:serviceaccount:{team}:fairlead"
        self.own = KubernetesCluster(
            ONE, Kubeconfig(plane.kubeconfig_for(self.user)), clock=self.clock
        )
        self.alice = self._author("alice", "researchers")
        self.peng = self._author("peng", "platform")
        people = {author.signer: author for author in (self.alice, self.peng)}
        self.people = People(people, frozenset({ONE}))

    def _author(self, name: str, group: str) -> Author:
        return Author(
            f"{name}@example.com", f"oidc:{name}-{self.team}", (f"oidc:{group}-{self.team}",)
        )

    async def engine(self, **replaced: object) -> Engine:
        review = RightsReview({ONE: self.own}, self.clock, tolerant=False, people=self.people)
        given = {"clusters": {ONE: self.own}, "people": self.people, "review": review}
        return await super().engine(**(given | replaced))

    def role(self, name: str, group: str, unless: str = "[]", resources: str = "") -> bytes:
        given = resources or f"{{resources: [deployments], verbs: {WRITES}"
        return f"""\
apiVersion: fairlead.dev/v1alpha1
kind: Role
metadata: {{name: {name}}}
spec:
  groups: [{group}-{self.team}]
  allow: [{given}, namespaces: [{self.team}]}}]
  unless: {unless}
""".encode()

    def deployment(self, name: str, tier: str, digit: str = "a") -> bytes:
        """Of no pods: what has none is healthy at once."""
        made = deployment(name, digit, self.team).replace(b"replicas: 2", b"replicas: 0")
        labels = f"namespace: {self.team}, labels: {{tier: {tier}}}}}".encode()
        return made.replace(f"namespace: {self.team}}}".encode(), labels, 1)

    def first_files(self) -> dict[str, bytes | None]:
        rules = policy("one", extra=f"  authorizer: {{namespace: {self.team}}}\n")
        return {
            "fairlead.yaml": rules.replace(b"name: acme", b"name: " + self.team.encode()),
            "clusters/one.yaml": cluster_document("one", env="one"),
            "apps/ns/ns.yaml": namespace(self.team),
            "roles/researcher.yaml": self.role(
                "researcher", "researchers", "[{labels: {tier: restricted}, actions: [promote]}]"
            ),
            "roles/platform.yaml": self.role("platform", "platform"),
        }

    def scope(self, agent: str) -> bytes:
        return f"""\
apiVersion: fairlead.dev/v1alpha1
kind: AgentScope
metadata: {{name: {agent}}}
spec: {{purpose: evaluation, token: {{audience: models}}, expires: 2099-01-01}}
""".encode()

    async def grant(self, files: Mapping[str, bytes | None], *agents: str) -> None:
        """What an administrator applies before: the namespaces, and the rights that are printed."""
        head: JsonObject = {"apiVersion": "v1", "kind": "Namespace"}
        for name in (self.team, *(f"agent-{agent}" for agent in agents)):
            await self.real.apply({**head, "metadata": {"name": name}}, dry_run=False)
        tree = {path: content.decode() for path, content in files.items() if content}
        setup = Setup(ONE, people=self.people)
        features = needed_rights(compiled(tree).state, setup)
        for _, body in rights_objects(features, account=(self.team, "fairlead")):
            await self.real.apply(self._of_this_test(body), dry_run=False)
        await self.let_peng_keep_the_namespace()

    def _of_this_test(self, body: Any) -> Any:
        """Roles of the whole cluster are of every test."""
        for name in (body["metadata"], body.get("roleRef", {})):
            if "name" in name:
                name["name"] = f"{name['name']}-{self.team}"
        return body

    async def let_peng_keep_the_namespace(self) -> None:
        rule = {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["patch"]}
        named = {**rule, "resourceNames": [self.team]}
        await self.bind("keeps", [named], {"kind": "User", "name": self.peng.user})

    async def bind(self, name: str, rules: list[Any], subject: dict[str, str]) -> None:
        metadata = {"name": f"{name}-{self.team}"}
        head: dict[str, Any] = {"apiVersion": f"{RBAC}/v1", "metadata": metadata}
        reference = {"apiGroup": RBAC, "kind": "ClusterRole", **metadata}
        subject = {"apiGroup": RBAC, **subject}
        await self.real.apply({**head, "kind": "ClusterRole", "rules": rules}, dry_run=False)
        await self.real.apply(
            {**head, "kind": "ClusterRoleBinding", "roleRef": reference, "subjects": [subject]},
            dry_run=False,
        )

    async def begun(self, engine: Engine, more: Mapping[str, bytes | None]) -> CommitSha:
        """With roles in force, and then what peng deploys."""
        first = self.push(self.first_files(), signer=self.peng.signer)
        await self.until_applied(engine, first)
        return await self.applied(engine, more, self.peng)

    async def applied(
        self, engine: Engine, files: Mapping[str, bytes | None], author: Author
    ) -> CommitSha:
        head = self.push(files, signer=author.signer)
        engine.branch.hint()
        await self.until_applied(engine, head)
        return head

    async def refused(
        self, engine: Engine, files: Mapping[str, bytes | None], author: Author
    ) -> str:
        """Why; the commit is taken back, so that the next one begins where this one did."""
        head = self.push(files, signer=author.signer)
        engine.branch.hint()
        await self.until_refused(engine, head)
        told = engine.books.position.explanation
        before = {path: old for path, (old, _) in self.repository.changes(head).items()}
        await self.applied(engine, before, self.peng)
        return told


@asynccontextmanager
async def authored(plane: Any, *agents: str) -> AsyncIterator[Authored]:
    """Every one of `agents` stands for one that has its own name in each test."""
    world = Authored(plane, f"team-{secrets.token_hex(4)}")
    named = {f"{agent}-{world.team}" for agent in agents}
    granted = world.first_files() | {"apps/web/d.yaml": world.deployment("d", "open")}
    granted |= {f"agents/{name}.yaml": world.scope(name) for name in named}
    try:
        await world.grant(granted, *named)
        yield world
    finally:
        await asyncio.gather(world.own.close(), world.real.close(), world.others.cluster.close())

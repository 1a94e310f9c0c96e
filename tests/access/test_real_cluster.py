"""A real API server says of access what the documents say."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.adapters.cluster_kubernetes import KubernetesCluster
from reconciler.core.access.deciding import decide
from reconciler.core.access.permissions import ACTIONS
from reconciler.core.access.resources import parted
from reconciler.core.desired import DesiredState
from tests.access.builders import TODAY
from tests.access.real import Case, Names, disagreements, model, put, role, scope, tree_of
from tests.desired.builders import Tree


class Generated:
    """Models, roles and agents by chance, and every question about them."""

    def __init__(self, names: Names, seed: int, *, roles: int, models: int) -> None:
        self._random = random.Random(seed)
        self._names = names
        self.roles = {f"role-{n}": self._some(self.groups, 1, 2) for n in range(roles)}
        self.agents = [names.agent(f"bot-{n}") for n in range(2)]
        self.models = [f"m{n}-{names.mark}" for n in range(models)]
        self.homes = {name: self._pick(self.namespaces) for name in self.models}

    versions = ("v1", "v2", "v3")
    groups = ("red", "green", "blue", "unknown")

    @property
    def namespaces(self) -> tuple[str, str]:
        return self._names.team, f"other-{self._names.mark}"

    def tree(self) -> Tree:
        return tree_of(
            self._names,
            *(self._model(name) for name in self.models),
            *(self._role(name, groups) for name, groups in self.roles.items()),
            *(self._scope(name) for name in self.agents),
        )

    def questions(self) -> Iterator[Case]:
        for subject in (*self.groups, *(f"agent/{name}" for name in self.agents)):
            for namespace in self.namespaces:
                for name in self.models:
                    for version in (*self.versions, "v9", ""):
                        for action in ACTIONS:
                            yield Case(
                                subject,
                                "create",
                                "fairlead.dev",
                                f"modelversions/{action}",
                                namespace,
                                f"{name}@{version}" if version else "",
                            )
                for resource in ("pods", "pods/log", "deployments"):
                    group, plural = parted(resource)
                    for verb in ("get", "delete"):
                        yield Case(subject, verb, group or "", plural, namespace)

    def expected(self, state: DesiredState, case: Case) -> bool:
        """By the offline evaluator: a group may what one of its roles may."""
        roles = [name for name, groups in self.roles.items() if case.subject in groups]
        if case.group != "fairlead.dev":
            return any(self._resource(state, name, case) for name in roles)
        subjects = [case.subject] if case.subject.startswith("agent/") else roles
        name, _, version = case.name.partition("@")
        action: Any = case.resource.partition("/")[2]
        return self.homes.get(name) == case.namespace and any(
            decide(state.access, subject, action, name, version, today=TODAY).allowed
            for subject in subjects
        )

    def _resource(self, state: DesiredState, name: str, case: Case) -> bool:
        return any(
            case.verb in rule.verbs
            and case.resource in rule.resources
            and (case.namespace.startswith("team-") or "*" in rule.namespaces)
            for rule in state.roles[name].spec.allow
        )

    def _pick(self, among: Any) -> Any:
        return self._random.choice(among)

    def _some(self, among: Any, least: int, most: int) -> list[str]:
        return self._random.sample(list(among), self._random.randint(least, most))

    def _labels(self) -> str:
        return self._pick(["{team: risk}", "{team: search}", "{tier: restricted}"])

    def _model(self, name: str) -> str:
        labels = {
            "team": self._pick(["risk", "search"]),
            "tier": self._pick(["open", "restricted"]),
        }
        principals = [*self.roles, *(f"agent/{name}" for name in self.agents)]
        access = {
            version: f"{{inference: [{', '.join(self._some(principals, 0, len(principals)))}], "
            f"retraining: [{', '.join(self._some(principals, 0, len(principals)))}]}}"
            for version in self.versions
        }
        return model(name, labels, access, self.homes[name])

    def _role(self, name: str, groups: list[str]) -> str:
        on_models = f"{{models: {{labels: {self._labels()}}}, actions: [{self._actions()}]}}"
        where = self._pick(["team-*", '"*"'])
        on_resources = (
            f"{{resources: [{self._pick(['pods', 'pods/log', 'deployments'])}], "
            f"verbs: [{self._pick(['get', 'delete', 'get, delete'])}], namespaces: [{where}]}}"
        )
        unless = f"[{{labels: {self._labels()}, actions: [{self._actions()}]}}]"
        allow = f"[{on_models}, {on_resources}]"
        return role(name, ", ".join(groups), allow, self._pick(["[]", unless]))

    def _scope(self, name: str) -> str:
        listed = ", ".join(
            f"{{model: {found}, versions: [{', '.join(self._some(self.versions, 1, 3))}], "
            f"actions: [{self._actions()}]}}"
            for found in self._some(self.models, 0, len(self.models))
        )
        return scope(name, f"[{listed}]")

    def _actions(self) -> str:
        return ", ".join(self._some(ACTIONS, 1, 3))


async def agrees(cluster: KubernetesCluster, world: Generated) -> int:
    """How many questions the server answered as the evaluator does."""
    state = await put(cluster, world.tree())
    expected = {case: world.expected(state, case) for case in world.questions()}
    assert await disagreements(cluster.connection, expected) == []
    assert len(set(expected.values())) == 2, "a server that knows one answer proves nothing"
    return len(expected)


async def test_the_server_decides_as_the_documents_do(
    cluster: KubernetesCluster, names: Names
) -> None:
    assert await agrees(cluster, Generated(names, 1, roles=3, models=2)) > 300


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_the_server_decides_as_the_documents_do_in_ten_thousand_cases(
    cluster: KubernetesCluster,
) -> None:
    asked = 0
    for seed in range(6):
        world = Generated(Names(f"t{secrets.token_hex(3)}"), seed, roles=8, models=12)
        asked += await agrees(cluster, world)
    assert asked >= 10_000

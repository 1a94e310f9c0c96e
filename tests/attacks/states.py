"""States of access to move between: repositories of a few roles, agents, models and namespaces.

Separate from the tests, because a move is made in memory and on a real API server alike.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, TypeAlias

from reconciler.core.identifiers import ObjectKey
from reconciler.core.kinds import API_VERSION
from tests.attacks.objects import Act

DIGEST = "sha256:" + "ab" * 32
GROUPS = ("people", "others")
ROLES = ("owner", "researcher")
AGENT = "bot"
MODELS = ("embedder", "fraud")
VERSIONS = ("v1", "v2")
TEAMS = ("team-a", "team-b")
PARAMETERS = "parameters"
LABELS: tuple[Mapping[str, str], ...] = ({"tier": "restricted"}, {"team": "risk"})


def document(kind: str, name: str, spec: object, labels: Mapping[str, str] = {}) -> str:
    metadata = {"name": name, "labels": dict(labels)}
    return json.dumps({"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec})


PARTS = (
    "roles",
    "agents",
    "teams",
    *(f"{name} {part}" for name in ROLES for part in ("groups", "allow", "unless")),
    AGENT,
    *MODELS,
    "homes",
)
WITHOUT_WORKLOADS = tuple(part for part in PARTS if part not in ("teams", "homes"))
"""Parts that change access, and start or end no namespace and no workload."""
State: TypeAlias = "Mapping[str, int]"
"""A seed for each part, so that two states can differ in a few of them and agree in the others."""


def first_state(chance: random.Random) -> State:
    return {part: chance.getrandbits(32) for part in PARTS}


def next_state(
    chance: random.Random, state: State, among: Sequence[str] = PARTS, *, least: int = 1
) -> State:
    """One that differs from `state` in up to four parts."""
    changed = chance.sample(among, chance.randint(least, 4))
    return {**state, **{part: chance.getrandbits(32) for part in changed}}


def tree(state: State) -> dict[str, str]:
    """The files that say who may do what. Policy and clusters are the world's."""
    dice = {part: random.Random(seed) for part, seed in state.items()}
    roles = dice["roles"].choice([ROLES, ROLES, *([role] for role in ROLES), []])
    agents = dice["agents"].choice([[AGENT], [AGENT], []])
    subjects = [*roles, *(f"agent/{agent}" for agent in agents)]
    teams = dice["teams"].choice([TEAMS, TEAMS, TEAMS[:1], TEAMS[1:]])
    texts = [
        *(_role(dice, name) for name in roles),
        *(_agent(dice[name], name) for name in agents),
        *(
            text
            for name in MODELS
            for text in _model(dice[name], name, subjects, dice["homes"].choice(teams))
        ),
    ]
    namespaces = [
        json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        for name in (*teams, PARAMETERS)
    ]
    return {"access.yaml": "\n---\n".join(texts), "apps/ns/ns.yaml": "\n---\n".join(namespaces)}


def some(chance: random.Random, among: Sequence[str], *, least: int = 0) -> list[str]:
    return chance.sample(among, chance.randint(least, len(among)))


def _role(dice: Mapping[str, random.Random], name: str) -> str:
    rules = [_models_rule, _resources_rule, _resources_rule]
    allow, unless = dice[f"{name} allow"], dice[f"{name} unless"]
    spec = {
        "groups": some(dice[f"{name} groups"], GROUPS, least=1),
        "allow": [allow.choice(rules)(allow) for _ in range(allow.randint(1, 3))],
        "unless": [_restriction(unless) for _ in range(unless.randint(0, 2))],
    }
    return document("Role", name, spec)


def _models_rule(chance: random.Random) -> dict[str, Any]:
    actions = some(chance, ["infer", "retrain", "promote"], least=1)
    return {"models": {"labels": chance.choice(LABELS)}, "actions": actions}


def _resources_rule(chance: random.Random) -> dict[str, Any]:
    verbs = some(chance, ["get", "create", "delete"], least=1)
    return {
        "resources": ["deployments"],
        "verbs": verbs,
        "namespaces": [chance.choice(["team-*", "team-a", "team-b"])],
    }


def _restriction(chance: random.Random) -> dict[str, Any]:
    actions = chance.choice([["promote"], ["promote"], ["retrain"], ["infer", "promote"]])
    return {"labels": chance.choice(LABELS), "actions": actions}


def _agent(chance: random.Random, name: str) -> str:
    scoped = [
        {
            "model": model,
            "versions": some(chance, VERSIONS, least=1),
            "actions": some(chance, ["infer", "retrain"], least=1),
        }
        for model in some(chance, MODELS)
    ]
    spec = {"purpose": "evaluation", "models": scoped, "token": {"audience": "gateway"}}
    return document("AgentScope", name, {**spec, "expires": "2099-12-31"})


def _model(chance: random.Random, name: str, subjects: Sequence[str], home: str) -> Iterator[str]:
    versions = [
        {
            "name": version,
            "artifact": f"oci://r.example.com/m/{name}@{DIGEST}",
            "access": {"inference": some(chance, subjects), "retraining": some(chance, subjects)},
        }
        for version in VERSIONS
    ]
    container = {"image": f"r.example.com/s@{DIGEST}", "port": 8000}
    serving = {"runtime": "deployment", "container": container}
    spec = {"owner": "team-risk", "versions": versions, "serving": serving}
    yield document("Model", name, spec, chance.choice(LABELS))
    rollout = {"model": name, "version": "v1", "namespace": home}
    yield document("Rollout", name, {**rollout, "waves": [{"clusters": {"env": "one"}}]})


def acts(*, prefix: str = "oidc:") -> tuple[Act, ...]:
    """All that anybody may ever do in such a state, and as much that nobody may."""
    subjects = [
        *(("Group", f"{prefix}{group}") for group in GROUPS),
        ("ServiceAccount", f"agent-{AGENT}/{AGENT}"),
    ]
    named = [f"{model}@{version}" for model, version in product(MODELS, VERSIONS)]
    on_models = (
        Act(subject, "create", "fairlead.dev", f"modelversions/{action}", team, name)
        for subject, action, team, name in product(
            subjects, ("infer", "retrain", "promote"), TEAMS, named
        )
    )
    labelled = [(), *(tuple(labels.items()) for labels in LABELS)]
    on_objects = (
        Act(subject, verb, "apps", "deployments", team, "one", labels)
        for subject, verb, team, labels in product(
            subjects, ("get", "create", "delete"), TEAMS, labelled
        )
    )
    return (*on_models, *on_objects)


def renamed(text: str, mark: str) -> str:
    """With names that no other test on the same server has."""
    agent = f"{AGENT}-{mark}"
    names = {
        "team-a": f"team-{mark}-a",
        "team-b": f"team-{mark}-b",
        "team-*": f"team-{mark}-*",
        PARAMETERS: f"team-{mark}-p",
        f'"{AGENT}"': f'"{agent}"',
        f"agent/{AGENT}": f"agent/{agent}",
        f"agent-{AGENT}/{AGENT}": f"agent-{agent}/{agent}",
    }
    for name, own in names.items():
        text = text.replace(name, own)
    return text


def about_access(key: ObjectKey) -> bool:
    return key.group in ("rbac.authorization.k8s.io", "admissionregistration.k8s.io") or (
        key.kind == "ConfigMap" and key.namespace == PARAMETERS
    )

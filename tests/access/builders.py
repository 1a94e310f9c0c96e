"""Documents about access, as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from hypothesis import strategies as st

from reconciler.core.access.permissions import ACTIONS
from reconciler.core.access.policy import AccessPolicy, Place
from reconciler.core.access.subjects import agent_subject
from reconciler.core.identifiers import ClusterName
from reconciler.core.kinds import API_VERSION, AgentScope, Model, Role
from reconciler.core.manifests import JsonObject, JsonValue

TODAY = date(2026, 11, 25)
DIGEST = "sha256:" + "ab" * 32

ROLES = ("annotator", "owner", "researcher")
AGENTS = ("eval-bot", "train-bot")
SUBJECTS = (*ROLES, *map(agent_subject, AGENTS))
MODELS = ("embedder", "fraud")
VERSIONS = ("v1", "v2")
PLACES = tuple(
    Place(ClusterName(cluster), namespace)
    for cluster in ("production", "staging")
    for namespace in ("monitoring", "team-risk")
)


def role(
    name: str, *allow: JsonObject, groups: Sequence[str] = ("people",), **rest: object
) -> Role:
    spec = {"groups": list(groups), "allow": list(allow), **rest}
    return Role.model_validate(_document("Role", name, {}, spec))


def agent(
    name: str, *models: JsonObject, expires: str = "2027-06-30", **rest: object
) -> AgentScope:
    spec = {
        "purpose": "evaluation",
        "models": list(models),
        "token": {"audience": "gateway"},
        "expires": expires,
        **rest,
    }
    return AgentScope.model_validate(_document("AgentScope", name, {}, spec))


def model(name: str, labels: Mapping[str, str], **access: Mapping[str, Sequence[str]]) -> Model:
    """`access` says by version who may."""
    versions = [
        {"name": version, "artifact": f"oci://r.example.com/m/{name}@{DIGEST}", "access": given}
        for version, given in access.items()
    ]
    spec = {
        "owner": "team-risk",
        "versions": versions,
        "serving": {
            "runtime": "deployment",
            "container": {"image": f"r.example.com/s@{DIGEST}", "port": 8000},
        },
    }
    return Model.model_validate(_document("Model", name, labels, spec))


def on_models(labels: Mapping[str, str], *actions: str) -> JsonObject:
    return {"models": {"labels": dict(labels)}, "actions": list(actions)}


def on_resources(resources: str, verbs: str, namespaces: str) -> JsonObject:
    named: dict[str, JsonValue] = {
        "resources": list(resources.split()),
        "verbs": list(verbs.split()),
        "namespaces": list(namespaces.split()),
    }
    return named


def _document(
    kind: str, name: str, labels: Mapping[str, str], spec: Mapping[str, object]
) -> dict[str, object]:
    metadata = {"name": name, "labels": dict(labels)}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": dict(spec)}


labels = st.fixed_dictionaries(
    {}, optional={"team": st.sampled_from(["risk", "search"]), "tier": st.just("restricted")}
)
selectors = labels.filter(bool)
actions = st.lists(st.sampled_from(ACTIONS), min_size=1, unique=True)
model_rules = st.builds(lambda chosen, acts: on_models(chosen, *acts), selectors, actions)
resource_rules = st.builds(
    on_resources,
    st.sampled_from(["pods", "deployments", "pods deployments"]),
    st.sampled_from(["get", "get list", "delete"]),
    st.sampled_from(["team-*", "monitoring", "elsewhere", "*"]),
)
restrictions = st.builds(
    lambda chosen, acts: {"labels": chosen, "actions": acts}, selectors, actions
)
scoped_models = st.builds(
    lambda name, versions, acts: {"model": name, "versions": versions, "actions": acts},
    st.sampled_from(MODELS),
    st.lists(st.sampled_from(VERSIONS), min_size=1, unique=True),
    actions,
)


@st.composite
def policies(draw: st.DrawFn) -> AccessPolicy:
    named = st.lists(st.sampled_from(SUBJECTS), unique=True, max_size=4)
    access = st.fixed_dictionaries({"inference": named, "retraining": named})
    rules = st.lists(st.one_of(model_rules, resource_rules), min_size=1, max_size=3)
    groups = st.lists(st.sampled_from(["one", "two"]), min_size=1, unique=True)
    return AccessPolicy.of(
        roles=[
            role(
                name,
                *draw(rules),
                groups=draw(groups),
                unless=draw(st.lists(restrictions, max_size=2)),
            )
            for name in draw(st.lists(st.sampled_from(ROLES), unique=True))
        ],
        agents=[
            agent(
                name,
                *draw(st.lists(scoped_models, max_size=2)),
                expires=draw(st.sampled_from(["2026-11-24", "2026-11-25", "2027-06-30"])),
            )
            for name in draw(st.lists(st.sampled_from(AGENTS), unique=True))
        ],
        models=[
            model(name, draw(labels), **{version: draw(access) for version in VERSIONS})
            for name in draw(st.lists(st.sampled_from(MODELS), unique=True))
        ],
        places=PLACES,
    )

"""Who gains and who loses what between two commits, in sentences.

Separate from the order of waves, which only asks whether access is given at all. The invariants: a
sentence names who, what and where; and a change of access that has no better sentence still has one
that says which object to read.

Objects of RBAC act as soon as they are applied. Roles, agent scopes and the access of model
versions are declarations; where they do not act yet, the plan's notices say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, TypeAlias

from reconciler.core.access.authentication import groups_claim
from reconciler.core.desired import DesiredState
from reconciler.core.identifiers import ClusterName, ObjectKey
from reconciler.core.kinds import AgentScope, Cluster, Model, Role
from reconciler.core.manifests import JsonObject, JsonValue, Manifest, canonical_json
from reconciler.core.statuses import part, parts

_RBAC: Final = "rbac.authorization.k8s.io"
_BINDINGS: Final = frozenset({"RoleBinding", "ClusterRoleBinding"})


ChangedObject: TypeAlias = "tuple[ClusterName, Manifest | None, Manifest | None]"
"""Where, and an object before and after."""


@dataclass(frozen=True, slots=True)
class AccessChange:
    """`who` gains or loses `what`, in these clusters; everywhere when there are none."""

    gains: bool
    who: str
    what: str
    clusters: tuple[ClusterName, ...] = ()


def access_changes(
    before: DesiredState | None,
    after: DesiredState,
    objects: Iterable[ChangedObject],
) -> tuple[AccessChange, ...]:
    """What differs. `objects` are those that the commit changes, before and after."""
    where: dict[tuple[bool, _Right], list[ClusterName]] = {}
    for cluster, old, new in objects:
        for found in _compared(_rights(old), _rights(new)):
            where.setdefault(found, []).append(cluster)
    told = [(found, tuple(sorted(clusters))) for found, clusters in where.items()]
    told += [(found, ()) for found in _compared(_declared(before), _declared(after))]
    # A restriction that goes gives what it denied.
    told += [(found, ()) for found in _compared(_denied(after), _denied(before))]
    return _sentences(told)


class _Right(NamedTuple):
    """`action` is empty where `on` says it all."""

    who: str
    action: str
    on: str


_Rights: TypeAlias = "Mapping[_Right, None]"
"""Each once and in order."""


def _sentences(
    told: Iterable[tuple[tuple[bool, _Right], tuple[ClusterName, ...]]],
) -> tuple[AccessChange, ...]:
    """What one has to say of the same thing together, what is given before what is taken."""
    actions: dict[AccessChange, list[str]] = {}
    for (gains, right), clusters in told:
        change = AccessChange(gains, right.who, right.on, clusters)
        actions.setdefault(change, []).append(right.action)
    changes = [
        replace(change, what=f"{', '.join(sorted(found))} on {change.what}")
        if any(found)
        else change
        for change, found in actions.items()
    ]
    return tuple(sorted(changes, key=lambda c: (not c.gains, c.who, c.what, c.clusters)))


def _compared(old: _Rights, new: _Rights) -> Iterator[tuple[bool, _Right]]:
    for gains, rights, others in ((True, new, old), (False, old, new)):
        yield from ((gains, right) for right in rights if right not in others)


def _rights(manifest: Manifest | None) -> _Rights:
    if manifest is None or manifest.key.group != _RBAC:
        return {}
    key, body = manifest.key, manifest.body
    if key.kind in _BINDINGS:
        return dict.fromkeys(_bound(key, body))
    who = f"whoever has {key.kind} {_place(key)}"
    rights = dict.fromkeys(right for rule in parts(body, "rules") for right in _allowed(who, rule))
    if aggregated := part(body, "aggregationRule"):
        text = canonical_json(aggregated).decode()
        rights[_Right(who, "", f"the rules of roles selected by {text}")] = None
    return rights


def _bound(key: ObjectKey, body: JsonObject) -> Iterator[_Right]:
    role = part(body, "roleRef")
    reach = f"in namespace {key.namespace}" if key.namespace else "in every namespace"
    for subject in parts(body, "subjects"):
        kind = str(subject.get("kind"))
        words = "service account" if kind == "ServiceAccount" else kind.lower()
        home = f"{subject['namespace']}/" if subject.get("namespace") else ""
        who = f"{words} {home}{subject.get('name')}"
        yield _Right(who, "", f"{role.get('kind')} {role.get('name')} {reach}")


def _allowed(who: str, rule: JsonObject) -> Iterator[_Right]:
    """One for each verb and resource, so that one that is added is told alone."""
    only = _names(rule.get("resourceNames"))
    which = f" named {', '.join(only)}" if only else ""
    groups = ", ".join(group for group in _names(rule.get("apiGroups")) if group)
    of = f" of {groups}" if groups else ""
    things = [
        f"{_any(name, 'every resource')}{of}{which}" for name in _names(rule.get("resources"))
    ]
    for thing in (*things, *_names(rule.get("nonResourceURLs"))):
        for verb in _names(rule.get("verbs")):
            yield _Right(who, _any(verb, "every verb"), thing)


def _any(name: str, words: str) -> str:
    return words if name == "*" else name


def _place(key: ObjectKey) -> str:
    return f"{key.namespace}/{key.name}" if key.namespace else key.name


def _names(value: JsonValue) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def _declared(state: DesiredState | None) -> _Rights:
    if state is None:
        return {}
    roles = (right for name, role in state.roles.items() for right in _of_role(name, role))
    agents = (right for name, agent in state.agents.items() for right in _of_agent(name, agent))
    models = (right for model in state.models.values() for right in _of_model(model))
    people = (right for cluster in state.clusters.values() for right in _of_cluster(cluster))
    return dict.fromkeys((*roles, *agents, *models, *people))


def _denied(state: DesiredState | None) -> _Rights:
    """What roles take away again from what their rules allow."""
    roles = state.roles.items() if state else ()
    return dict.fromkeys(
        _Right(group, action, f"models with {_labels(restriction.labels)}")
        for name, role in roles
        for group in _groups(name, role)
        for restriction in role.spec.unless
        for action in restriction.actions
    )


def _groups(name: str, role: Role) -> list[str]:
    return [f"group {group} (Role {name})" for group in role.spec.groups]


def _labels(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _of_role(name: str, role: Role) -> Iterator[_Right]:
    for rule in role.spec.allow:
        if rule.models is not None:
            thing = f"models with {_labels(rule.models.labels)}"
            found = [(str(action), thing) for action in rule.actions]
        else:
            where = f"in namespaces {', '.join(rule.namespaces)}"
            found = [
                (str(verb), f"{thing} {where}") for thing in rule.resources for verb in rule.verbs
            ]
        for group in _groups(name, role):
            yield from (_Right(group, action, thing) for action, thing in found)


def _of_agent(name: str, agent: AgentScope) -> Iterator[_Right]:
    who = f"agent {name}"
    for scoped in agent.spec.models:
        for version in scoped.versions:
            for action in scoped.actions:
                yield _Right(who, action, f"{scoped.model}@{version}")
    for tool in agent.spec.tools:
        yield _Right(who, "", f"tool {tool.server}/{tool.name}")
    for secret in agent.spec.secrets:
        yield _Right(who, "", f"secrets {secret}")
    for target in agent.spec.egress:
        yield _Right(who, "", f"connections to {target}")


def _of_model(model: Model) -> Iterator[_Right]:
    for version in model.spec.versions:
        given = version.access
        for action, principals in (("infer", given.inference), ("retrain", given.retraining)):
            for principal in principals:
                yield _Right(str(principal), action, f"{model.name}@{version.name}")


def _of_cluster(cluster: Cluster) -> Iterator[_Right]:
    """Who may sign in, and as whom: another claim or prefix makes other people of them."""
    declared = cluster.spec.authentication
    if declared is None:
        return
    domain = f"{declared.hosted_domain} at " if declared.hosted_domain else ""
    groups = f", with groups by {claim}" if (claim := groups_claim(declared)) else ""
    trusted = ", trusting a certificate authority of its own" * bool(declared.certificate_authority)
    for audience in declared.audiences:
        yield _Right(
            f"people of {domain}{declared.issuer}",
            "",
            f"sign-in to cluster {cluster.name} by client {audience} as "
            f"{declared.prefix}{declared.username_claim}{groups}{trusted}",
        )

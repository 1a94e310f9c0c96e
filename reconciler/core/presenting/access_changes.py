"""Who gains and who loses what between two commits, in sentences.

Separate from the order of waves, which only asks whether access is given at all. The invariants: a
sentence names who, what and where; and a change of access that has no better sentence still has one
that says which object to read.

Objects of RBAC are told by what they say, roles and agent scopes by what follows from them and from
the versions together, on the days on which scopes hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Final, NamedTuple, TypeAlias

from reconciler.core.access.authentication import groups_claim
from reconciler.core.access.differences import difference
from reconciler.core.access.permissions import NOTHING, permissions
from reconciler.core.access.subjects import agent_subject, in_words
from reconciler.core.desired import DesiredState
from reconciler.core.identifiers import ClusterName, ObjectKey
from reconciler.core.kinds import AgentScope, BreakGlass, Cluster
from reconciler.core.kinds.break_glass import MOMENT
from reconciler.core.manifests import JsonObject, JsonValue, Manifest, canonical_json
from reconciler.core.statuses import part, parts

_RBAC: Final = "rbac.authorization.k8s.io"
_WHILE_SCOPES_HOLD: Final = date.min
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
    """What differs. `objects` are those that the commit changes, before and after, without those
    that roles and agent scopes become: these are told by what they allow."""
    where: dict[tuple[bool, _Right], list[ClusterName]] = {}
    for cluster, old, new in objects:
        for found in _compared(_rights(old), _rights(new)):
            where.setdefault(found, []).append(cluster)
    told = [(found, tuple(sorted(clusters))) for found, clusters in where.items()]
    told += [(found, ()) for found in _compared(_declared(before), _declared(after))]
    changes = (*_sentences(told), *_effective(before, after))
    return tuple(sorted(changes, key=lambda c: (not c.gains, c.who, c.what, c.clusters)))


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
    """What one has to say of the same thing together."""
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
    return tuple(changes)


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
    """What agents may have besides models, and who may sign in."""
    if state is None:
        return {}
    agents = (right for name, agent in state.agents.items() for right in _of_agent(name, agent))
    people = (right for cluster in state.clusters.values() for right in _of_cluster(cluster))
    glasses = (right for glass in state.emergencies.values() for right in _of_glass(glass))
    return dict.fromkeys((*agents, *people, *glasses))


def _of_agent(name: str, agent: AgentScope) -> Iterator[_Right]:
    who = in_words(agent_subject(name))
    for tool in agent.spec.tools:
        yield _Right(who, "", f"tool {tool.server}/{tool.name}")
    for target in agent.spec.egress:
        yield _Right(who, "", f"connections to {target}")
    yield _Right(who, "", f"tokens for {agent.spec.token.audience}")


def _of_glass(glass: BreakGlass) -> Iterator[_Right]:
    spec = glass.spec
    for person in spec.people:
        when = f"from {spec.starts.strftime(MOMENT)} until {spec.ends.strftime(MOMENT)}"
        yield _Right(f"user {person}", "", f"Role {spec.role} {when}, because {spec.because}")


def _effective(before: DesiredState | None, after: DesiredState) -> Iterator[AccessChange]:
    """What follows from roles, agent scopes and model versions together."""
    was, is_now = before.access if before else None, after.access
    if was == is_now:
        return  # As between most commits.
    old = permissions(was, _WHILE_SCOPES_HOLD) if was else NOTHING
    found = difference(old, permissions(is_now, _WHILE_SCOPES_HOLD))
    for change in (*found.gained, *found.lost):
        yield AccessChange(change.gains, change.who, change.what)


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

"""Roles and agent scopes to units: one for each of them and each cluster that it concerns.

Separate from rendering, which knows one subject, and from placing, which knows no kinds. The
invariant: a unit is made again exactly when its document or what follows for it from others has
changed; a subject that may do nothing in a cluster, and has no home there, has no unit there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import TypeAlias

from reconciler.core.access.authentication import names_prefix
from reconciler.core.access.permissions import OnModels, permissions
from reconciler.core.access.reach import Reach, reach
from reconciler.core.access.subjects import agent_namespace, agent_subject
from reconciler.core.declarations import declared_as
from reconciler.core.declared import Declared
from reconciler.core.desired import Unit
from reconciler.core.documents import Document
from reconciler.core.identifiers import ClusterName, UnitName
from reconciler.core.ignoring import without_ignored
from reconciler.core.kinds import AgentScope, Model, Role, Rollout
from reconciler.core.manifests import JsonObject, manifest_of
from reconciler.core.rendering.admission import restriction_objects
from reconciler.core.rendering.agent_secrets import (
    agent_secret_objects,
    agent_store_objects,
    vault_paths,
)
from reconciler.core.rendering.agents import home_objects
from reconciler.core.rendering.rbac import (
    account_subject,
    group_subject,
    rbac_objects,
    token_rbac,
)
from reconciler.core.rendering.release import unit_labels
from reconciler.core.rendering.secret_readers import NO_DELIVERY, Delivery
from reconciler.core.rollout_units import Environment

Namespaces: TypeAlias = "Mapping[ClusterName, frozenset[str]]"
"""Those that the repository declares in each cluster."""

_WHILE_SCOPES_HOLD = date.min
"""What is compiled is the same on every day; whoever applies it knows what is over."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """All that a unit is made of besides its document: how others concern it in one cluster.

    `prefix` stands before names of groups, `gateway` is the namespace of the gateway, `parameters`
    that for admission policies; `namespaces` are those in which restrictions hold. `minters` are
    the groups whose members may be given tokens of an agent. `delivery` is how secrets come to the
    agent; in a store, for which nothing else is given, it is that of the cluster that reads there.
    """

    reach: Mapping[str, Reach]
    prefix: str = ""
    gateway: str | None = None
    parameters: str | None = None
    namespaces: tuple[str, ...] = ()
    minters: tuple[str, ...] = ()
    delivery: Delivery = NO_DELIVERY


@dataclass(frozen=True, slots=True)
class RenderedSubject:
    """The units of a Role or an AgentScope, and the values that they were made of."""

    document: Document
    environment: Environment
    surroundings: Mapping[ClusterName, Surroundings]
    units: Mapping[ClusterName, Unit]


Subjects: TypeAlias = "Mapping[UnitName, RenderedSubject]"

NO_SUBJECTS: Subjects = MappingProxyType({})


def role_unit(name: str) -> UnitName:
    return UnitName(f"role/{name}")


def agent_unit(name: str) -> UnitName:
    return UnitName(f"agent/{name}")


def render_subjects(declared: Declared, namespaces: Namespaces, *, previous: Subjects) -> Subjects:
    """All of them. What nothing changed for is taken over from `previous`."""
    allowed = permissions(declared.access, _WHILE_SCOPES_HOLD).models
    clusters = [
        _Cluster.of(cluster, declared, namespaces.get(cluster, frozenset()))
        for cluster in declared.environment.estate.allowed_by(declared.policy)
    ]
    found: dict[UnitName, RenderedSubject] = {}
    for document in declared.subjects:
        around = {cluster.name: cluster.around(document, allowed) for cluster in clusters}
        around |= _in_stores(document, clusters)
        name, environment = _unit_name(document), declared.environment
        known = previous.get(name)
        if (
            known is not None
            and known.document is document
            and known.environment is environment
            and known.surroundings == around
        ):
            found[name] = known
            continue
        units = dict(_units(name, document, environment, around))
        found[name] = RenderedSubject(document, environment, around, units)
    return found


@dataclass(frozen=True, slots=True)
class _Cluster:
    """What all subjects meet in a cluster. `homes` are the namespaces that models run in, `groups`
    those of each Role, as the cluster calls them, and `delivery` is how secrets come there.
    """

    name: ClusterName
    homes: Mapping[str, frozenset[str]]
    groups: Mapping[str, tuple[str, ...]]
    namespaces: tuple[str, ...]
    prefix: str
    gateway: str | None
    parameters: str | None
    delivery: Delivery

    @classmethod
    def of(cls, name: ClusterName, declared: Declared, namespaces: frozenset[str]) -> _Cluster:
        gateway = declared.environment.gateway(name)
        authorizer = declared.policy.own.authorizer
        prefix = names_prefix(declared.environment.estate.clusters[name])
        return cls(
            name,
            homes=_homes(declared, name),
            groups={
                role.name: tuple(f"{prefix}{group}" for group in role.spec.groups)
                for role in declared.roles.values()
            },
            namespaces=tuple(sorted(namespaces)),
            prefix=prefix,
            gateway=gateway.namespace if gateway else None,
            parameters=authorizer.namespace if authorizer else None,
            delivery=declared.environment.delivery(name),
        )

    def around(
        self, document: Document, allowed: Mapping[OnModels, frozenset[str]]
    ) -> Surroundings:
        role = document.declaration
        if isinstance(role, AgentScope):
            within = reach(agent_subject(document.name), allowed, homes=self.homes)
            asking = {group for name in role.spec.token.by for group in self.groups.get(name, ())}
            return Surroundings(
                within,
                gateway=self.gateway,
                minters=tuple(sorted(asking)),
                delivery=self.delivery if vault_paths(role) else NO_DELIVERY,
            )
        assert isinstance(role, Role), "there are no other subjects"
        found = reach(role.name, allowed, homes=self.homes, role=role, namespaces=self.namespaces)
        restricted = bool(role.spec.unless) and self.parameters is not None
        return Surroundings(
            found,
            prefix=self.prefix,
            parameters=self.parameters if restricted else None,
            namespaces=self.namespaces if restricted else (),
        )


def _in_stores(document: Document, clusters: list[_Cluster]) -> Mapping[ClusterName, Surroundings]:
    """The stores that an agent reads, from whichever cluster."""
    scope = document.declaration
    if not isinstance(scope, AgentScope) or not vault_paths(scope):
        return {}
    return {
        cluster.delivery.store_name: Surroundings({}, delivery=cluster.delivery)
        for cluster in clusters
        if cluster.delivery.serves("vault")
    }


def _unit_name(document: Document) -> UnitName:
    is_role = isinstance(document.declaration, Role)
    return role_unit(document.name) if is_role else agent_unit(document.name)


def _homes(declared: Declared, cluster: ClusterName) -> Mapping[str, frozenset[str]]:
    """The namespaces of the cluster in which rollouts of a model are, by model."""
    found: dict[str, set[str]] = {}
    for entry in declared.rendered.values():
        subject = entry.subject.declaration
        if cluster in entry.units and isinstance(subject, Model):
            namespace = declared_as(Rollout, entry.rollout).spec.namespace
            found.setdefault(subject.name, set()).add(namespace)
    return {model: frozenset(names) for model, names in found.items()}


def _units(
    name: UnitName,
    document: Document,
    environment: Environment,
    around: Mapping[ClusterName, Surroundings],
) -> Iterator[tuple[ClusterName, Unit]]:
    subject = document.declaration
    assert isinstance(subject, Role | AgentScope), "there are no other subjects"
    labels: JsonObject = {
        **subject.metadata.labels,
        "app.kubernetes.io/name": subject.name,
        "app.kubernetes.io/managed-by": "fairlead",
        "app.kubernetes.io/part-of": environment.repository,
        **unit_labels(environment.repository, name),
    }
    repository = environment.repository
    for cluster, found in around.items():
        store = environment.estate.clusters[cluster].spec.vault
        if isinstance(subject, Role):
            bodies = _of_role(subject, found, repository, labels)
        elif store is not None:
            bodies = agent_store_objects(subject, repository, store, labels)
        else:
            bodies = _of_agent(subject, found, repository, labels)
        rendered = (manifest_of(body, document.source) for body in bodies)
        manifests = {m.key: without_ignored(m, environment.ignore) for m in rendered}
        if manifests:
            yield cluster, Unit(name, cluster, 0, manifests)


def _of_role(
    role: Role, found: Surroundings, repository: str, labels: JsonObject
) -> Iterator[JsonObject]:
    groups = [f"{found.prefix}{group}" for group in role.spec.groups]
    subjects = [group_subject(group) for group in groups]
    yield from rbac_objects(f"fairlead:role:{role.name}", found.reach, subjects, labels)
    for restriction in role.spec.unless if found.parameters else ():
        yield from restriction_objects(
            repository,
            role.name,
            restriction,
            groups=groups,
            parameters=found.parameters or "",
            namespaces=found.namespaces,
            labels=labels,
        )


def _of_agent(
    scope: AgentScope, found: Surroundings, repository: str, labels: JsonObject
) -> Iterator[JsonObject]:
    account = account_subject(agent_namespace(scope.name), scope.name)
    delivery = found.delivery
    reading = delivery.store.audience if delivery.store and delivery.vault_method else None
    yield from home_objects(scope, labels, gateway=found.gateway, reading=reading)
    yield from agent_secret_objects(scope, repository, delivery, labels)
    yield from rbac_objects(f"fairlead:agent:{scope.name}", found.reach, [account], labels)
    if found.minters:
        minters = [group_subject(group) for group in found.minters]
        yield from token_rbac(scope.name, minters, labels)

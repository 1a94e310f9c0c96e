"""The unit `access` of each cluster: what the authorizer goes by, and what all subjects share.

Separate from the rendering, which knows one route and one agent, and from placing, which knows no
kinds. The invariant: every cluster gets the routes that lead to models there, and every agent; a
policy that subjects bind is there wherever they may be; and model servers are shut wherever they
are, once the policy says to whom they are open.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciler.core.authorizing.rules import ModelRoute
from reconciler.core.declarations import declared_as
from reconciler.core.declared import Declared
from reconciler.core.desired import Unit
from reconciler.core.identifiers import ClusterName, DocumentPath, UnitName
from reconciler.core.ignoring import without_ignored
from reconciler.core.kinds import Model, Rollout
from reconciler.core.layout import POLICY_PATH
from reconciler.core.manifests import JsonObject, Source, manifest_of
from reconciler.core.problems import Span
from reconciler.core.rendering.admission import shared_restriction, token_policy
from reconciler.core.rendering.authorization import agent_rules, model_route, rules_map
from reconciler.core.rendering.model_access import model_servers_policy
from reconciler.core.rendering.release import unit_labels

ACCESS_UNIT = UnitName("access")


def access_units(declared: Declared) -> Mapping[ClusterName, Unit]:
    """None where nothing in it is needed."""
    environment = declared.environment
    units = {}
    for cluster in environment.estate.allowed_by(declared.policy):
        source = Source(DocumentPath(POLICY_PATH), Span(1, 1))
        rendered = [manifest_of(body, source) for body in _objects(declared, cluster)]
        manifests = {m.key: without_ignored(m, environment.ignore) for m in rendered}
        if manifests:
            units[cluster] = Unit(ACCESS_UNIT, cluster, 0, manifests)
    return units


def _objects(declared: Declared, cluster: ClusterName) -> Iterator[JsonObject]:
    """Rules and restrictions need the place that the policy names for them."""
    repository = declared.environment.repository
    reference = declared.policy.own.authorizer
    labels: JsonObject = {
        "app.kubernetes.io/managed-by": "fairlead",
        "app.kubernetes.io/part-of": repository,
        **unit_labels(repository, ACCESS_UNIT),
    }
    if declared.agents:
        yield from token_policy(repository, labels)
    if reference is None:
        return
    yield from shared_restriction(repository, reference.namespace, labels)
    if reference.admit is not None:
        gateway = declared.environment.gateway(cluster)
        for namespace in sorted(_homes(declared, cluster)):
            yield model_servers_policy(
                namespace, reference.admit, labels, gateway=gateway.namespace if gateway else None
            )
    yield rules_map(
        repository,
        ACCESS_UNIT,
        reference.namespace,
        routes=_routes(declared, cluster),
        agents=[agent_rules(scope) for scope in declared.agents.values()],
    )


def _homes(declared: Declared, cluster: ClusterName) -> frozenset[str]:
    """The namespaces with model servers."""
    return frozenset(
        declared_as(Rollout, entry.rollout).spec.namespace
        for entry in declared.rendered.values()
        if cluster in entry.units
    )


def _routes(declared: Declared, cluster: ClusterName) -> Iterator[ModelRoute]:
    for entry in declared.rendered.values():
        subject = entry.subject.declaration
        if cluster not in entry.units or not isinstance(subject, Model):
            continue
        server = declared_as(Model, entry.server.model) if entry.server is not None else None
        route = model_route(declared_as(Rollout, entry.rollout), subject, server)
        if route is not None and not entry.divides_itself:
            yield route

"""The unit `access` of each cluster: what the authorizer there goes by.

Separate from the rendering, which knows one route and one agent, and from placing, which knows no
kinds. The invariant: every cluster gets the routes that lead to models there, and every agent; the
same object as before when nothing in it changed.
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
from reconciler.core.manifests import Source, manifest_of
from reconciler.core.problems import Span
from reconciler.core.rendering.authorization import agent_rules, model_route, rules_map

ACCESS_UNIT = UnitName("access")


def access_units(declared: Declared) -> Mapping[ClusterName, Unit]:
    """None at all where the policy names no authorizer."""
    reference = declared.policy.own.authorizer
    if reference is None:
        return {}
    environment = declared.environment
    agents = [agent_rules(scope) for scope in declared.agents.values()]
    units = {}
    for cluster in environment.estate.allowed_by(declared.policy):
        body = rules_map(
            environment.repository,
            ACCESS_UNIT,
            reference.namespace,
            routes=_routes(declared, cluster),
            agents=agents,
        )
        manifest = manifest_of(body, Source(DocumentPath(POLICY_PATH), Span(1, 1)))
        manifests = {manifest.key: without_ignored(manifest, environment.ignore)}
        units[cluster] = Unit(ACCESS_UNIT, cluster, 0, manifests)
    return units


def _routes(declared: Declared, cluster: ClusterName) -> Iterator[ModelRoute]:
    for entry in declared.rendered.values():
        subject = entry.subject.declaration
        if cluster not in entry.units or not isinstance(subject, Model):
            continue
        server = declared_as(Model, entry.server.model) if entry.server is not None else None
        route = model_route(declared_as(Rollout, entry.rollout), subject, server)
        if route is not None and not entry.divides_itself:
            yield route

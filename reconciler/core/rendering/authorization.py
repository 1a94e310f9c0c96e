"""Render what the authorizer goes by: a ConfigMap with routes, agents and their limits.

Separate from RBAC, which says who may do what: here is what RBAC has no words for. The invariant:
it follows from the documents alone, and two commits that mean the same give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.core.access.subjects import agent_namespace
from reconciler.core.authorizing.rules import (
    RULES_KEY,
    RULES_NAME,
    Agent,
    AllowedModel,
    AllowedTool,
    Limits,
    ModelRoute,
    Rules,
)
from reconciler.core.identifiers import UnitName
from reconciler.core.kinds import AgentScope, Model, Rollout
from reconciler.core.manifests import JsonObject, bounded_name, canonical_json
from reconciler.core.quantities import Quantity
from reconciler.core.rendering.aliases import loaded_name
from reconciler.core.rendering.release import unit_labels


def model_route(rollout: Rollout, model: Model, server: Model | None) -> ModelRoute | None:
    """None where no route of ours leads to the model. `server` is that of an adapter."""
    route = (server or model).spec.serving.route
    if route is None:
        return None
    lora = model.spec.serving.lora
    versions = model.spec.versions
    if lora is not None:
        backends = {loaded_name(lora.alias, v.artifact.digest): v.name for v in versions}
    else:
        backends = {bounded_name(f"{rollout.name}-{v.name}"): v.name for v in versions}
    return ModelRoute(
        namespace=rollout.spec.namespace,
        name=rollout.name,
        model=model.name,
        called=lora.alias if lora is not None else model.name,
        hostnames=tuple(sorted(route.hostnames)),
        prefix=route.path_prefix,
        backends=dict(sorted(backends.items())),
        selected=lora is not None,
    )


def agent_rules(scope: AgentScope) -> Agent:
    spec = scope.spec
    return Agent(
        name=scope.name,
        namespace=agent_namespace(scope.name),
        audience=spec.token.audience,
        expires=spec.expires,
        models=tuple(
            AllowedModel(model=m.model, versions=m.versions, actions=m.actions) for m in spec.models
        ),
        tools=tuple(
            AllowedTool(server=t.server, name=t.name, digest=t.schema_digest) for t in spec.tools
        ),
        limits=Limits(
            call_seconds=spec.limits.call_seconds,
            calls_per_minute=spec.limits.calls_per_minute,
            tokens_per_day=_whole(spec.limits.tokens_per_day),
        ),
    )


def rules_map(
    repository: str,
    unit: UnitName,
    namespace: str,
    *,
    routes: Iterable[ModelRoute],
    agents: Iterable[Agent],
) -> JsonObject:
    rules = Rules(
        version=1,
        repository=repository,
        routes=tuple(sorted(routes, key=lambda route: (route.namespace, route.name))),
        agents=tuple(sorted(agents, key=lambda agent: agent.name)),
    )
    body: JsonObject = rules.model_dump(mode="json")
    labels: JsonObject = {
        "app.kubernetes.io/managed-by": "fairlead",
        "app.kubernetes.io/part-of": repository,
        **unit_labels(repository, unit),
    }
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": RULES_NAME, "namespace": namespace, "labels": labels},
        "data": {RULES_KEY: canonical_json(body).decode()},
    }


def _whole(quantity: Quantity | None) -> int | None:
    """Rounded down: a limit is never more than what was written."""
    return None if quantity is None else int(quantity.amount)

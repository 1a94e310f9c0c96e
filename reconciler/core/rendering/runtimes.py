"""The registry: which objects a runtime needs.

Separate so that a new runtime is one entry here and its own modules. The invariant: a runtime
without an entry is refused with a sentence; nothing is ever half rendered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from reconciler.core.manifests import JsonObject, Manifest, Source, manifest_of
from reconciler.core.rendering.availability import disruption_budget, service_account
from reconciler.core.rendering.deployment import deployment
from reconciler.core.rendering.kserve import inference_service, shared_disruption_budget
from reconciler.core.rendering.lora import render_adapter
from reconciler.core.rendering.networking import http_route, stable_service, version_service
from reconciler.core.rendering.prompts import render_prompt
from reconciler.core.rendering.release import Release
from reconciler.core.rendering.secret_delivery import delivery_objects

Renderer: TypeAlias = Callable[[Release], tuple[JsonObject, ...]]


def render(release: Release, source: Source) -> tuple[Manifest, ...]:
    """The objects that the release needs, in no particular order."""
    renderer = RUNTIMES[release.model.spec.serving.runtime]
    bodies = renderer(release) if release.prompt is None else render_prompt(release)
    return tuple(manifest_of(body, source) for body in bodies)


def _render_deployment(release: Release) -> tuple[JsonObject, ...]:
    bodies = [
        service_account(release),
        deployment(release),
        version_service(release),
        stable_service(release),
        *delivery_objects(release),
    ]
    if release.replicas > 1:
        bodies.append(disruption_budget(release.metadata(), release.selector()))
    route = release.model.spec.serving.route
    if route is not None and release.gateway is not None:
        bodies.append(http_route(release, route, release.gateway))
    return tuple(bodies)


def _render_kserve(release: Release) -> tuple[JsonObject, ...]:
    bodies = [
        service_account(release),
        inference_service(release),
        *delivery_objects(release),
    ]
    if release.replicas > 1:
        bodies.append(shared_disruption_budget(release))
    return tuple(bodies)


RUNTIMES: Mapping[str, Renderer] = MappingProxyType(
    {"deployment": _render_deployment, "kserve": _render_kserve, "lora": render_adapter}
)
"""Renderers by the name that `serving.runtime` gives."""

"""Rollouts to units: one for each rollout and cluster, rendered once for each change.

Separate from rendering, which knows nothing of clusters other than its own. The invariant: a
rollout is rendered again exactly when a document that it reads has changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from reconciler.core.admission.findings import Pointer
from reconciler.core.declarations import Declarations, declared_as
from reconciler.core.desired import Unit
from reconciler.core.documents import Document
from reconciler.core.identifiers import ClusterName
from reconciler.core.ignoring import without_ignored
from reconciler.core.kinds import Model, Prompt, Rollout
from reconciler.core.kinds.repository import Defaults, IgnoredFields
from reconciler.core.kinds.rollout import ALL, Strategy
from reconciler.core.kinds.serving import GatewayReference, Route
from reconciler.core.kserve_rules import kserve_problems
from reconciler.core.placement import Estate
from reconciler.core.policy import Policy
from reconciler.core.problems import Problem
from reconciler.core.rendering.release import Release, rollout_unit
from reconciler.core.rendering.runtimes import RUNTIMES, render
from reconciler.core.rendering.secret_readers import Delivery, delivery_in
from reconciler.core.rollouts.loadables import Sort
from reconciler.core.rollouts.placing import gradual
from reconciler.core.secret_versions import PinBook, PinsByStore, pins_in
from reconciler.core.server_rules import (
    Server,
    loadable_of,
    server_of,
    server_problems,
    unserved_problems,
)


@dataclass(frozen=True, slots=True)
class Environment:
    """What every rollout reads besides its own documents."""

    repository: str
    defaults: Defaults
    ignore: tuple[IgnoredFields, ...]
    estate: Estate

    def gateway(self, cluster: ClusterName) -> GatewayReference | None:
        """The gateway to which routes attach in that cluster."""
        return self.estate.clusters[cluster].spec.gateway or self.defaults.gateway

    def delivery(self, cluster: ClusterName) -> Delivery:
        """How secrets come to workloads in that cluster."""
        return delivery_in(cluster, self.estate.clusters, self.defaults)


@dataclass(frozen=True, slots=True)
class RenderedRollout:
    """The units of a rollout, and the values that they were made of.

    `subject` is the Model or the Prompt that is rolled out.
    """

    rollout: Document
    subject: Document
    server: Server | None
    environment: Environment
    pins: PinsByStore
    units: Mapping[ClusterName, Unit]

    def was_made_of(
        self,
        rollout: Document,
        subject: Document,
        server: Server | None,
        environment: Environment,
        pins: PinsByStore,
    ) -> bool:
        """By identity: documents and environment stay the same objects until they change."""
        before, now = self.server, server
        return (
            self.rollout is rollout
            and self.subject is subject
            and self.environment is environment
            and self.pins == pins
            and (before and before.rollout) is (now and now.rollout)
            and (before and before.model) is (now and now.model)
        )

    @property
    def lacks_server(self) -> bool:
        return self.server is None and _needs_server(self.subject)

    @property
    def divides_itself(self) -> bool:
        """Whether what runs it divides the requests, too, so that no gateway of ours need."""
        subject = self.subject.declaration
        return isinstance(subject, Model) and subject.spec.serving.runtime == "kserve"

    @property
    def gateway_route(self) -> Route | None:
        """The route by which requests come: that of the server, where there is one."""
        if self.lacks_server:
            return None
        return declared_as(Model, self.serving).spec.serving.route

    @property
    def serving(self) -> Document:
        """The Model whose replicas answer: that of the server, where there is one."""
        return self.server.model if self.server is not None else self.subject


@dataclass(frozen=True, slots=True)
class RolloutUnits:
    """All rollouts by name, with what is wrong with how they fit together."""

    rendered: Mapping[str, RenderedRollout]
    problems: tuple[Problem, ...]


def render_rollouts(
    declarations: Declarations,
    environment: Environment,
    policy: Policy,
    *,
    previous: Mapping[str, RenderedRollout],
    pins: PinBook,
) -> RolloutUnits:
    rendered: dict[str, RenderedRollout] = {}
    problems: list[Problem] = []
    for document, rollout in declarations.all(Rollout):
        problems.extend(_namespace_problems(document, rollout, policy))
        problems.extend(_cluster_problems(document, rollout, environment.estate))
        subject = _subject(declarations, rollout)
        if subject is None:
            continue
        server = server_of(subject, declarations)
        given = pins.of(rollout.spec.model, rollout.spec.version)
        known = previous.get(rollout.name)
        if known is not None and known.was_made_of(document, subject, server, environment, given):
            rendered[rollout.name] = known
            continue
        problems.extend(_runtime_problems(document, subject))
        problems.extend(unserved_problems(document, subject))
        units = _units(document, subject, server, environment, given)
        entry = RenderedRollout(document, subject, server, environment, given, units)
        rendered[rollout.name] = entry
        problems.extend(_server_problems(entry))
        if entry.divides_itself:
            problems.extend(kserve_problems(document, subject))
        problems.extend(_traffic_problems(entry))
    problems.extend(_rivals(rendered))
    problems.extend(_rival_routes(rendered))
    return RolloutUnits(rendered, tuple(problems))


def _subject(declarations: Declarations, rollout: Rollout) -> Document | None:
    """The Model or the Prompt that is rolled out; None when it, or its version, is not declared."""
    spec = rollout.spec
    found = declarations.of(Prompt if spec.prompt else Model).get(spec.subject)
    declared = found.declaration if found is not None else None
    if not isinstance(declared, Model | Prompt) or declared.spec.version(spec.version) is None:
        return None
    return found


def _needs_server(subject: Document) -> bool:
    return isinstance(subject.declaration, Prompt) or loadable_of(subject) is not None


def _units(
    document: Document,
    subject: Document,
    server: Server | None,
    environment: Environment,
    pins: PinsByStore,
) -> Mapping[ClusterName, Unit]:
    rollout = declared_as(Rollout, document)
    if _needs_server(subject) and server is None:
        return {}
    prompt = subject.declaration if isinstance(subject.declaration, Prompt) else None
    if server is not None and prompt is not None:
        model = declared_as(Model, server.model)
        version = model.spec.version(declared_as(Rollout, server.rollout).spec.version)
    else:
        model = declared_as(Model, subject)
        version = model.spec.version(rollout.spec.version)
    if version is None or model.spec.serving.runtime not in RUNTIMES:
        return {}
    units = {}
    for cluster, stage in _stages(rollout, environment.estate).items():
        release = Release(
            repository=environment.repository,
            rollout=rollout,
            model=model,
            version=version,
            defaults=environment.defaults,
            gateway=environment.gateway(cluster),
            server=declared_as(Model, server.model) if server is not None else None,
            prompt=prompt,
            delivery=(delivery := environment.delivery(cluster)),
            pins=pins_in(pins, delivery.declared),
        )
        rendered = render(release, document.source)
        manifests = {m.key: without_ignored(m, environment.ignore) for m in rendered}
        units[cluster] = Unit(rollout_unit(rollout.name), cluster, stage, manifests)
    return units


def _stages(rollout: Rollout, estate: Estate) -> Mapping[ClusterName, int]:
    """The wave of each cluster. One that several waves select changes with the first of them."""
    stages: dict[ClusterName, int] = {}
    for stage, wave in enumerate(rollout.spec.waves):
        for cluster in estate.select(wave.clusters):
            stages.setdefault(cluster, stage)
    return stages


def _namespace_problems(document: Document, rollout: Rollout, policy: Policy) -> Iterator[Problem]:
    objection = policy.namespace_objection(rollout.spec.namespace, ("spec", "namespace"))
    if objection is not None:
        where = document.span_at(objection.pointer)
        yield Problem(document.path, where, objection.code, objection.message, objection.hint)


def _cluster_problems(document: Document, rollout: Rollout, estate: Estate) -> Iterator[Problem]:
    for index, wave in enumerate(rollout.spec.waves):
        at: Pointer = ("spec", "waves", index, "clusters")
        yield from estate.problems(document, at, estate.select(wave.clusters))


def _runtime_problems(document: Document, subject: Document) -> Iterator[Problem]:
    model = subject.declaration
    if isinstance(model, Model) and (runtime := model.spec.serving.runtime) not in RUNTIMES:
        yield Problem(
            document.path,
            document.span_at(("spec", "model")),
            "runtime-not-supported",
            f"Model {model.name} is served by runtime {runtime}, which cannot be rolled out yet",
            f"use runtime {', '.join(sorted(RUNTIMES))}, or remove the Rollout for now",
        )


def _server_problems(entry: RenderedRollout) -> Iterator[Problem]:
    """What the server of an adapter or a prompt cannot be."""
    if entry.server is None:
        return
    estate = entry.environment.estate
    served = _stages(declared_as(Rollout, entry.server.rollout), estate)
    missing = [cluster for cluster in entry.units if cluster not in served]
    yield from server_problems(entry.rollout, entry.subject, entry.server, missing=missing)


def _traffic_problems(entry: RenderedRollout) -> Iterator[Problem]:
    """Strategies that divide traffic where there is nothing to divide it with."""
    document = entry.rollout
    strategy = declared_as(Rollout, document).spec.strategy
    if strategy is None or gradual(strategy) is None or entry.lacks_server:
        return
    where = document.span_at(("spec", "strategy"))
    if declared_as(Rollout, document).spec.gates and not _is_measured(strategy):
        yield Problem(
            document.path,
            where,
            "gates-without-requests",
            "the rollout has gates, and a canary without a step that gives them requests to judge",
            'begin with a smaller step, such as "- weight: 5%"',
        )
    if entry.divides_itself:
        return
    words = strategy.chosen.replace("_", " ")
    if entry.gateway_route is None:
        yield Problem(
            document.path,
            where,
            "strategy-without-route",
            f"the strategy {words} divides requests, but Model {entry.serving.name} has no route",
            "give the model serving.route, or leave the strategy out",
        )
        return
    for name in entry.units:
        if entry.environment.gateway(name) is None:
            yield Problem(
                document.path,
                where,
                "strategy-without-gateway",
                f"the strategy {words} divides requests, but cluster {name} has no gateway",
                "set spec.gateway of the Cluster or spec.defaults.gateway in fairlead.yaml, or "
                "leave the strategy out",
            )


def _is_measured(strategy: Strategy) -> bool:
    """Whether the new version gets some requests before it gets all."""
    canary = strategy.canary
    return canary is None or any(
        step.cohort or step.mirror or step.weight not in (None, ALL) for step in canary.steps
    )


def _rivals(rendered: Mapping[str, RenderedRollout]) -> Iterator[Problem]:
    """Rollouts that would run the same model or prompt side by side in one namespace."""
    seen: dict[tuple[str, str, str, ClusterName], Document] = {}
    for entry in rendered.values():
        namespace = declared_as(Rollout, entry.rollout).spec.namespace
        kind, name = entry.subject.type.kind, entry.subject.name
        for cluster in entry.units:
            first = seen.setdefault((kind, name, namespace, cluster), entry.rollout)
            if first is not entry.rollout:
                yield Problem(
                    entry.rollout.path,
                    entry.rollout.span_at(("spec", kind.lower())),
                    "rival-rollouts",
                    f"Rollout {first.name} at {first.source} already runs {kind} {name} in "
                    f"namespace {namespace} of cluster {cluster}",
                    "keep one of the two, or give one another namespace or other clusters",
                )


def _rival_routes(rendered: Mapping[str, RenderedRollout]) -> Iterator[Problem]:
    """Rollouts that would get the same requests: the gateway would choose one by its age."""
    seen: dict[_Match, Document] = {}
    for entry in rendered.values():
        for match in _matches(entry):
            first = seen.setdefault(match, entry.rollout)
            if first is not entry.rollout:
                for_alias = f" for {match.alias}" if match.alias else ""
                yield Problem(
                    entry.rollout.path,
                    entry.rollout.span_at(("spec", entry.subject.type.kind.lower())),
                    "rival-routes",
                    f"Rollout {first.name} at {first.source} already gets the requests to "
                    f"{match.host or 'any host'}{match.prefix}{for_alias} at the gateway of "
                    f"cluster {match.cluster}",
                    f"give one of them another hostname, pathPrefix or alias: "
                    f"{entry.subject.name} or {first.name}",
                )


class _Match(NamedTuple):
    """Which requests, at which gateway of which cluster, a rollout is to get."""

    cluster: ClusterName
    gateway: GatewayReference
    host: str
    prefix: str
    alias: str


def _matches(entry: RenderedRollout) -> Iterator[_Match]:
    route = entry.gateway_route
    if route is None:
        return
    loadable = loadable_of(entry.subject)
    alias = loadable.alias if loadable is not None else ""
    if loadable is not None and loadable.sort is Sort.PROMPT:
        alias = f"prompt {alias}"  # asked for by another header
    for cluster in entry.units:
        if gateway := entry.environment.gateway(cluster):
            for host in route.hostnames or ("",):
                yield _Match(cluster, gateway, host, route.path_prefix, alias)

"""Bypasses: what a repository may not declare beside an authorizer, as it would lead round it.

Separate from the policy of objects, which knows no models. The invariant: once the policy says whom
model servers admit, no plain manifest lets anybody else in, no route of others leads to a model,
and no role gives a way through the API server. What a cluster has from elsewhere is not seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, cast

from reconciler.core.access.connections import Endpoint, governs_ingress
from reconciler.core.access.resources import parted
from reconciler.core.admission.findings import mapping, member, sequence
from reconciler.core.admission.pods import pod_spec
from reconciler.core.declarations import Declarations
from reconciler.core.kinds import Model, Role, Rollout
from reconciler.core.kinds.authorizer import AdmittedPeers
from reconciler.core.manifests import JsonObject, JsonValue, Manifest, bounded_name
from reconciler.core.problems import Problem
from reconciler.core.rendering.release import MODEL_LABEL, ROLLOUT_LABEL, VERSION_LABEL

_ROUTES: Final = frozenset(
    {
        ("gateway.networking.k8s.io", "GRPCRoute"),
        ("gateway.networking.k8s.io", "HTTPRoute"),
        ("gateway.networking.k8s.io", "TCPRoute"),
        ("gateway.networking.k8s.io", "TLSRoute"),
        ("gateway.networking.k8s.io", "UDPRoute"),
        ("networking.k8s.io", "Ingress"),
        ("projectcontour.io", "HTTPProxy"),
    }
)
_BY_ADDRESS: Final = frozenset({("", "Endpoints"), ("discovery.k8s.io", "EndpointSlice")})
_OPENING: Final = frozenset(
    {*_ROUTES, *_BY_ADDRESS, ("", "Service"), ("networking.k8s.io", "NetworkPolicy")}
)

_ADDED_LABELS: Final = frozenset(
    {
        "controller-revision-hash",
        "pod-template-hash",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    }
)
_ADDED_PREFIXES: Final = (
    "apps.kubernetes.io/",
    "serving.kserve.io/",
    "serving.knative.dev/",
    "statefulset.kubernetes.io/",
)
"""What controllers put on pods: a selector may name it, with whatever value they will have."""

_THROUGH_THE_SERVER: Final = frozenset(
    {
        "pods/attach",
        "pods/ephemeralcontainers",
        "pods/exec",
        "pods/portforward",
        "pods/proxy",
        "services/proxy",
    }
)


@dataclass(frozen=True, slots=True)
class ModelServers:
    """Those of one namespace: their pods, and the Services that lead to them."""

    pods: tuple[Endpoint, ...]
    services: frozenset[str]


def could_open(manifest: Manifest) -> bool:
    """Whether a plain manifest is of a kind that could lead to model servers."""
    kind = (manifest.key.group, manifest.key.kind)
    return kind in _OPENING or bool(_host_network(manifest))


def model_servers(
    rollouts: Mapping[str, Rollout], models: Mapping[str, Model]
) -> Mapping[str, ModelServers]:
    """By namespace, whatever version is or will be there."""
    pods: dict[str, list[Endpoint]] = {}
    services: dict[str, set[str]] = {}
    for rollout in rollouts.values():
        model, home = models.get(rollout.spec.model), rollout.spec.namespace
        services.setdefault(home, set()).add(rollout.name)
        for version in model.spec.versions if model else ():
            services[home].add(bounded_name(f"{rollout.name}-{version.name}"))
            labels = {
                "app.kubernetes.io/name": rollout.spec.model,
                "app.kubernetes.io/instance": rollout.name,
                "app.kubernetes.io/component": "model-server",
                "app.kubernetes.io/managed-by": "fairlead",
                "app.kubernetes.io/version": version.name,
                MODEL_LABEL: rollout.spec.model,
                ROLLOUT_LABEL: rollout.name,
                VERSION_LABEL: version.name,
            }
            pods.setdefault(home, []).append(Endpoint(home, labels))
    return {
        home: ModelServers(tuple(pods.get(home, ())), frozenset(names))
        for home, names in services.items()
    }


def manifest_problems(
    manifests: Iterable[Manifest],
    servers: Mapping[str, ModelServers],
    admitted: AdmittedPeers,
    gateways: frozenset[str],
) -> Iterator[Problem]:
    """`manifests` are those that could open something, `gateways` the namespaces of gateways."""
    manifests = tuple(manifests)
    opened = _with_their_own(manifests, servers)
    for manifest in manifests:
        key = (manifest.key.group, manifest.key.kind)
        found: str | None = None
        if key in _ROUTES:
            found = _routed(manifest, opened)
        elif key in _BY_ADDRESS:
            found = _addressed(manifest, servers)
        elif key == ("", "Service"):
            found = _exposed(manifest, servers)
        elif key == ("networking.k8s.io", "NetworkPolicy"):
            found = _let_in(manifest, servers, admitted, gateways)
        else:
            found = "runs in the network of its node, which network policies let pass"
        if found is not None:
            message = f"{manifest.key.kind} {manifest.key.name} {found}"
            source = manifest.source
            yield Problem(
                source.path, source.span, "past-authorizer", message, _HINTS.get(key, _HOST_HINT)
            )


def role_problems(declarations: Declarations) -> Iterator[Problem]:
    """Rules that would let a person reach a model server through the API server."""
    for document, role in declarations.all(Role):
        for number, rule in enumerate(role.spec.allow):
            for place, resource in enumerate(rule.resources):
                group, name = parted(resource)
                if not group and name in _THROUGH_THE_SERVER:
                    span = document.span_at(("spec", "allow", number, "resources", place))
                    message = f"{resource} leads to model servers past the authorizer"
                    yield Problem(document.path, span, "past-authorizer", message, "remove it")


def _with_their_own(
    manifests: Iterable[Manifest], servers: Mapping[str, ModelServers]
) -> Mapping[str, frozenset[str]]:
    """By namespace, the Services that lead to model servers, those of plain manifests included."""
    found = {home: set(here.services) for home, here in servers.items()}
    services = [one for one in manifests if (one.key.group, one.key.kind) == ("", "Service")]
    seen = -1
    while (known := sum(map(len, found.values()))) > seen:  # a name may be one of another name
        seen = known
        for service in services:
            home = service.key.namespace
            if _selects(service, servers.get(home)) or _renames(service, found):
                found.setdefault(home, set()).add(service.key.name)
    return {home: frozenset(names) for home, names in found.items()}


def _selects(service: Manifest, servers: ModelServers | None) -> bool:
    selector = mapping(member(service.body, ("spec", "selector")))
    own = {key: value for key, value in selector.items() if not _is_added(key)}
    return bool(selector and servers) and any(
        all(pod.labels.get(key) == value for key, value in own.items())
        for pod in (servers.pods if servers else ())
    )


def _is_added(key: str) -> bool:
    return key in _ADDED_LABELS or key.startswith(_ADDED_PREFIXES)


def _renames(service: Manifest, known: Mapping[str, set[str]]) -> bool:
    """Whether it is another name of a Service that leads to a model."""
    name, _, rest = str(member(service.body, ("spec", "externalName")) or "").partition(".")
    return name in known.get(rest.partition(".")[0], ())


def _addressed(manifest: Manifest, servers: Mapping[str, ModelServers]) -> str | None:
    if manifest.key.namespace in servers:
        return "names addresses by hand, which may be those of model servers"
    return None


def _exposed(service: Manifest, servers: Mapping[str, ModelServers]) -> str | None:
    spec = mapping(service.body.get("spec"))
    outside = spec.get("type") in ("LoadBalancer", "NodePort") or spec.get("externalIPs")
    if outside and _selects(service, servers.get(service.key.namespace)):
        return "leads from outside the cluster to model servers"
    return None


def _routed(route: Manifest, services: Mapping[str, frozenset[str]]) -> str | None:
    for name, namespace in _backends(route.body.get("spec")):
        home = namespace or route.key.namespace
        if name in services.get(home, ()):
            return f"leads to Service {home}/{name} of a model, which the authorizer does not know"
    return None


def _backends(value: JsonValue) -> Iterator[tuple[str, str]]:
    """Whatever is named like a Service, in any kind of route."""
    for item in sequence(value):
        yield from _backends(item)
    for key, part in mapping(value).items():
        if key in ("backendRefs", "services"):
            for entry in map(mapping, sequence(part)):
                yield str(entry.get("name", "")), str(entry.get("namespace", ""))
        elif key in ("backendRef", "service"):
            yield str(mapping(part).get("name", "")), str(mapping(part).get("namespace", ""))
        yield from _backends(part)


def _let_in(
    policy: Manifest,
    servers: Mapping[str, ModelServers],
    admitted: AdmittedPeers,
    gateways: frozenset[str],
) -> str | None:
    here = servers.get(policy.key.namespace)
    shown = _without_added(policy.body)
    if here is None or not any(governs_ingress(shown, pod) for pod in here.pods):
        return None
    allowed = {*admitted.namespaces, *gateways}
    for rule in map(mapping, sequence(member(policy.body, ("spec", "ingress")))):
        peers = sequence(rule.get("from"))
        if not peers or not all(_is_admitted(mapping(p), allowed, admitted) for p in peers):
            return "lets more than authorizer.admit into model servers"
    return None


def _without_added(policy: JsonObject) -> JsonObject:
    """The policy with a selector that asks for nothing that a controller puts on pods."""
    spec = mapping(policy.get("spec"))
    selector = mapping(spec.get("podSelector"))
    asked = {
        "matchLabels": {
            key: value
            for key, value in mapping(selector.get("matchLabels")).items()
            if not _is_added(key)
        },
        "matchExpressions": [
            one
            for one in map(mapping, sequence(selector.get("matchExpressions")))
            if not _is_added(str(one.get("key")))
        ],
    }
    return {**policy, "spec": {**spec, "podSelector": cast(JsonObject, asked)}}


def _is_admitted(peer: JsonObject, namespaces: set[str], admitted: AdmittedPeers) -> bool:
    if "ipBlock" in peer:
        return str(mapping(peer["ipBlock"]).get("cidr")) in admitted.addresses
    selector = mapping(peer.get("namespaceSelector"))
    named = mapping(selector.get("matchLabels")).get("kubernetes.io/metadata.name")
    return isinstance(named, str) and named in namespaces


def _host_network(manifest: Manifest) -> bool:
    return pod_spec(manifest.type, manifest.body).get("hostNetwork") is True


_HOST_HINT: Final = "remove hostNetwork"
_ROUTE_HINT: Final = "declare the route on the Model, under serving.route"
_HINTS: Final[Mapping[tuple[str, str], str]] = {
    **dict.fromkeys(_ROUTES, _ROUTE_HINT),
    **dict.fromkeys(_BY_ADDRESS, "let a Service select what it leads to"),
    ("", "Service"): "let callers come through the gateway: make it a ClusterIP Service",
    ("networking.k8s.io", "NetworkPolicy"): (
        "remove it, or admit them under spec.authorizer.admit of fairlead.yaml"
    ),
}

"""What the in-memory cluster knows about built-in kinds: list keys, defaults, fixed fields.

Separate because it is data about Kubernetes, not behaviour. It holds what our renderers and the
example repository use. The invariant: where it says something, a real API server says the same;
where it says nothing, a list is atomic and a map is granular, as for custom resources without
annotations.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias, cast

from reconciler.core.identifiers import GroupVersionKind
from reconciler.core.manifests import JsonObject, JsonValue
from reconciler.ports import ApiResource

Names: TypeAlias = "tuple[str, ...]"

POD_CARRIERS = frozenset(
    {"Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob"}
)

KEY_DEFAULTS = {"protocol": "TCP"}
"""Defaults of key fields: a port without protocol is the same item as one with TCP."""

_CONTAINER_LISTS = frozenset({"containers", "initContainers", "ephemeralContainers"})

_POD_LISTS: dict[str, Names] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "volumes": ("name",),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}

# x-kubernetes-map-type: atomic in the OpenAPI schema of the built-in kinds.
_ATOMIC_MAPS = frozenset(
    {
        "selector",
        "labelSelector",
        "podSelector",
        "namespaceSelector",
        "nodeSelector",
        "configMapKeyRef",
        "secretKeyRef",
        "fieldRef",
        "resourceFieldRef",
        "roleRef",
    }
)

_BUILT_IN_WITH_SELECTORS = POD_CARRIERS | {
    "Service",
    "PodDisruptionBudget",
    "NetworkPolicy",
    "PersistentVolumeClaim",
    "RoleBinding",
    "ClusterRoleBinding",
}


def list_keys(kind: str, names: Names) -> Names | None:
    """Key fields of a list's items; empty for a set; None for an atomic list."""
    if names == ("metadata", "finalizers"):
        return ()
    if names == ("metadata", "ownerReferences"):
        return ("uid",)
    if kind == "Service" and names == ("spec", "ports"):
        return ("port", "protocol")
    if kind == "ServiceAccount" and names[0] in {"secrets", "imagePullSecrets"}:
        return ("name",)
    if kind in POD_CARRIERS and len(names) > 1:
        if names[-1] == "ports" and names[-2] in _CONTAINER_LISTS:
            return ("containerPort", "protocol")
        return _POD_LISTS.get(names[-1])
    return None


def is_atomic_map(kind: str, names: Names) -> bool:
    return bool(names) and names[-1] in _ATOMIC_MAPS and kind in _BUILT_IN_WITH_SELECTORS


_FIXED: dict[str, tuple[tuple[Names, str], ...]] = {
    "Deployment": ((("spec", "selector"), "field is immutable"),),
    "DaemonSet": ((("spec", "selector"), "field is immutable"),),
    "StatefulSet": (
        (("spec", "selector"), "field is immutable"),
        (("spec", "serviceName"), "field is immutable"),
        (("spec", "volumeClaimTemplates"), "field is immutable"),
    ),
    "Job": (
        (("spec", "selector"), "field is immutable"),
        (("spec", "template"), "field is immutable"),
    ),
    "Service": ((("spec", "clusterIP"), "may not change once set"),),
    "RoleBinding": ((("roleRef",), "cannot change roleRef"),),
    "ClusterRoleBinding": ((("roleRef",), "cannot change roleRef"),),
    "PersistentVolumeClaim": (
        (("spec", "storageClassName"), "spec is immutable after creation"),
        (("spec", "accessModes"), "spec is immutable after creation"),
    ),
}

_FIXED_IF_MARKED = ("data", "binaryData", "immutable")


def fixed_fields_changed(before: JsonObject, after: JsonObject) -> Iterator[tuple[str, str]]:
    """Path and explanation of each field that may not change and did."""
    kind = str(after.get("kind"))
    for names, explanation in _FIXED.get(kind, ()):
        old = _at(before, names)
        if old is not None and old != _at(after, names):
            yield "." + ".".join(names), f"Invalid value: …: {explanation}"
    if kind in {"ConfigMap", "Secret"} and before.get("immutable") is True:
        for field in _FIXED_IF_MARKED:
            if before.get(field) != after.get(field):
                yield (
                    f".{field}",
                    "Forbidden: field is immutable when `immutable` is set",
                )


def unfit_fields(body: JsonObject) -> Iterator[tuple[str, str]]:
    """Path and explanation of each field that the schema does not allow to be so, or to lack."""
    kind = body.get("kind")
    if kind == "ConfigMap":
        for name, value in sorted(cast(JsonObject, body.get("data") or {}).items()):
            if not isinstance(value, str):
                yield f".data.{name}", "expected string"
    if kind in {"Deployment", "StatefulSet", "DaemonSet"}:
        if _at(body, ("spec", "selector")) is None:
            yield ".spec.selector", "Required value"
        containers = _at(body, ("spec", "template", "spec", "containers"))
        for index, container in enumerate(cast("list[JsonObject]", containers or [])):
            if not container.get("image"):
                yield f".spec.template.spec.containers[{index}].image", "Required value"


def _at(body: JsonObject, names: Names) -> JsonValue:
    value: JsonValue = body
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


_NO_GENERATION = frozenset({"Service", "Namespace", "PersistentVolumeClaim", "ResourceQuota"})


def has_generation(body: JsonObject) -> bool:
    return "spec" in body and body.get("kind") not in _NO_GENERATION


def add_defaults(body: JsonObject) -> None:
    """Fill in what the API server would; nobody owns these fields."""
    kind = body.get("kind")
    spec = body.get("spec")
    if not isinstance(spec, dict):
        return
    if kind == "Deployment":
        _default(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)
        rolling: JsonObject = {"maxSurge": "25%", "maxUnavailable": "25%"}
        _default(spec, strategy={"type": "RollingUpdate", "rollingUpdate": rolling})
    elif kind == "StatefulSet":
        _default(spec, replicas=1, revisionHistoryLimit=10, podManagementPolicy="OrderedReady")
    elif kind == "Service":
        _default(spec, type="ClusterIP", sessionAffinity="None", internalTrafficPolicy="Cluster")
        for port in cast("list[JsonObject]", spec.get("ports") or []):
            _default(port, protocol="TCP", targetPort=port.get("port"))
    template = spec.get("template")
    if kind in POD_CARRIERS and isinstance(template, dict):
        pod = template.setdefault("spec", {})
        if isinstance(pod, dict):
            _add_pod_defaults(pod)


def _add_pod_defaults(pod: JsonObject) -> None:
    _default(
        pod,
        restartPolicy="Always",
        dnsPolicy="ClusterFirst",
        schedulerName="default-scheduler",
        terminationGracePeriodSeconds=30,
        securityContext={},
    )
    for container in cast("list[JsonObject]", pod.get("containers") or []):
        _default(
            container,
            imagePullPolicy=_pull_policy(str(container.get("image", ""))),
            terminationMessagePath="/dev/termination-log",
            terminationMessagePolicy="File",
            resources={},
        )
        for port in cast("list[JsonObject]", container.get("ports") or []):
            _default(port, protocol="TCP")


def _pull_policy(image: str) -> str:
    _, _, tag = image.rpartition("/")[2].partition(":")
    return "Always" if "@" not in image and tag in {"", "latest"} else "IfNotPresent"


def _default(target: JsonObject, **values: JsonValue) -> None:
    for name, value in values.items():
        target.setdefault(name, value)


_VERBS = frozenset(
    {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
)

# group/version, kind, plural; cluster-scoped ones begin with a star.
_SERVED = """
v1 ConfigMap configmaps
v1 Secret secrets
v1 Service services
v1 ServiceAccount serviceaccounts
v1 Pod pods
v1 PersistentVolumeClaim persistentvolumeclaims
v1 ResourceQuota resourcequotas
v1 LimitRange limitranges
v1 *Namespace namespaces
apps/v1 Deployment deployments
apps/v1 StatefulSet statefulsets
apps/v1 DaemonSet daemonsets
apps/v1 ReplicaSet replicasets
batch/v1 Job jobs
batch/v1 CronJob cronjobs
autoscaling/v2 HorizontalPodAutoscaler horizontalpodautoscalers
policy/v1 PodDisruptionBudget poddisruptionbudgets
networking.k8s.io/v1 NetworkPolicy networkpolicies
networking.k8s.io/v1 Ingress ingresses
coordination.k8s.io/v1 Lease leases
rbac.authorization.k8s.io/v1 Role roles
rbac.authorization.k8s.io/v1 RoleBinding rolebindings
rbac.authorization.k8s.io/v1 *ClusterRole clusterroles
rbac.authorization.k8s.io/v1 *ClusterRoleBinding clusterrolebindings
admissionregistration.k8s.io/v1 *ValidatingAdmissionPolicy validatingadmissionpolicies
admissionregistration.k8s.io/v1 *ValidatingAdmissionPolicyBinding validatingadmissionpolicybindings
apiextensions.k8s.io/v1 *CustomResourceDefinition customresourcedefinitions
scheduling.k8s.io/v1 *PriorityClass priorityclasses
gateway.networking.k8s.io/v1 HTTPRoute httproutes
gateway.networking.k8s.io/v1 Gateway gateways
"""


def served_types() -> dict[GroupVersionKind, ApiResource]:
    """Built-in types and those of the Gateway API."""
    return {
        resource.type: resource
        for api_version, kind, plural in (line.split() for line in _SERVED.strip().splitlines())
        for resource in (api_resource(api_version, kind, plural),)
    }


def api_resource(api_version: str, kind: str, plural: str) -> ApiResource:
    return ApiResource(
        type=GroupVersionKind.of(api_version, kind.lstrip("*")),
        plural=plural,
        namespaced=not kind.startswith("*"),
        verbs=_VERBS,
    )


def types_defined_by(definition: JsonObject) -> Iterator[ApiResource]:
    """The types that a CustomResourceDefinition adds."""
    spec = cast("dict[str, JsonValue]", definition["spec"])
    names = cast("dict[str, str]", spec["names"])
    for version in cast("list[JsonObject]", spec["versions"]):
        if version.get("served"):
            star = "" if spec["scope"] == "Namespaced" else "*"
            api_version = f"{spec['group']}/{version['name']}"
            yield api_resource(api_version, f"{star}{names['kind']}", names["plural"])

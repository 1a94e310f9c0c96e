"""Waves: which change goes before which.

Separate because the order is a promise to people who read a plan, and must not depend on how it
is carried out. The invariant: a change that only takes access or traffic away is in an earlier
wave than any change that gives some, and a workload in a later one than what it reads when it
starts. Each wave is applied, and seen to hold, before the next begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Final, TypeAlias

from reconciler.core.grants import (
    BOTH,
    Direction,
    binding_direction,
    common_binding,
    common_network,
    common_role,
    network_direction,
    role_direction,
)
from reconciler.core.identifiers import ObjectKey
from reconciler.core.manifests import JsonObject, JsonValue, Manifest, manifest_of
from reconciler.core.restrictions import (
    is_restriction,
    joined_parameters,
    joined_scope,
    parameters_direction,
    scope_direction,
)
from reconciler.core.store_grants import (
    common_policy,
    common_sign_in,
    policy_direction,
    sign_in_direction,
)


class Wave(IntEnum):
    """The order of a plan."""

    FOUNDATION = 0
    """What other objects cannot exist without: namespaces and definitions of kinds."""
    TIGHTENING = 1
    """What takes access or traffic away."""
    CONFIGURATION = 2
    """What workloads read when they start, and what needs no order."""
    WORKLOADS = 3
    WIDENING = 4
    """What gives access or traffic, once the workloads that it leads to are healthy."""
    DELETION = 5
    """What nothing wanted needs any longer."""


Type: TypeAlias = "tuple[str, str]"
"""Group and kind."""

_RBAC: Final = "rbac.authorization.k8s.io"
_ADMISSION: Final = "admissionregistration.k8s.io"
_GATEWAY: Final = "gateway.networking.k8s.io"
_VAULT: Final = "vault.fairlead.dev"
_EXTERNAL_SECRETS: Final = "external-secrets.io"

# The server refuses an object whose namespace or kind it does not know.
_FOUNDATION: Final[frozenset[Type]] = frozenset(
    {("", "Namespace"), ("apiextensions.k8s.io", "CustomResourceDefinition")}
)

# They restrict by being there. A changed one is applied early, whatever its direction: a limit
# that is raised is capacity, neither access nor traffic, and the workloads that need it could
# not become healthy before; a limit that is lowered must hold before anything is given.
_RESTRICTIONS: Final[frozenset[Type]] = frozenset(
    {
        ("networking.k8s.io", "NetworkPolicy"),
        ("", "ResourceQuota"),
        ("", "LimitRange"),
        (_ADMISSION, "ValidatingAdmissionPolicy"),
        (_ADMISSION, "ValidatingAdmissionPolicyBinding"),
        ("policy", "PodDisruptionBudget"),
    }
)

# They give access by being there.
_GRANTS: Final[frozenset[Type]] = frozenset(
    {
        (_RBAC, "Role"),
        (_RBAC, "ClusterRole"),
        (_RBAC, "RoleBinding"),
        (_RBAC, "ClusterRoleBinding"),
        (_GATEWAY, "ReferenceGrant"),
        (_VAULT, "VaultPolicy"),
        (_VAULT, "VaultKubernetesRole"),
    }
)

_AGGREGATES: Final = f"{_RBAC}/aggregate-to-"
"""Labels by which the default user-facing roles take in a ClusterRole."""

# They lead traffic to workloads: there when those are healthy, gone before those are.
_TRAFFIC: Final[frozenset[Type]] = frozenset(
    {
        (_GATEWAY, "Gateway"),
        (_GATEWAY, "HTTPRoute"),
        (_GATEWAY, "GRPCRoute"),
        (_GATEWAY, "TLSRoute"),
        (_GATEWAY, "TCPRoute"),
        (_GATEWAY, "UDPRoute"),
        ("networking.k8s.io", "Ingress"),
    }
)

# The API server calls workloads through them. Registered before those answer, a webhook that
# fails closed would refuse the very pods that are to answer it.
_CALLBACKS: Final[frozenset[Type]] = frozenset(
    {
        (_ADMISSION, "ValidatingWebhookConfiguration"),
        (_ADMISSION, "MutatingWebhookConfiguration"),
        ("apiregistration.k8s.io", "APIService"),
    }
)

# Pods read them when they start or are scheduled. A Service is here because endpoints follow the
# pods by themselves, and because pods find a Service in their environment only if it was first.
_CONFIGURATION: Final[frozenset[Type]] = frozenset(
    {
        ("", "ConfigMap"),
        ("", "Service"),
        ("", "ServiceAccount"),
        ("", "PersistentVolume"),
        ("", "PersistentVolumeClaim"),
        ("discovery.k8s.io", "EndpointSlice"),
        ("scheduling.k8s.io", "PriorityClass"),
        ("storage.k8s.io", "StorageClass"),
        ("node.k8s.io", "RuntimeClass"),
        ("resource.k8s.io", "DeviceClass"),
        ("resource.k8s.io", "ResourceClaimTemplate"),
        ("resource.k8s.io", "ResourceClaim"),
        ("networking.k8s.io", "IngressClass"),
        (_GATEWAY, "GatewayClass"),
        (_GATEWAY, "BackendTLSPolicy"),
        (_ADMISSION, "MutatingAdmissionPolicy"),
        (_ADMISSION, "MutatingAdmissionPolicyBinding"),
        (_EXTERNAL_SECRETS, "SecretStore"),
        (_EXTERNAL_SECRETS, "ClusterSecretStore"),
        (_EXTERNAL_SECRETS, "ExternalSecret"),
        ("secrets-store.csi.x-k8s.io", "SecretProviderClass"),
        ("serving.kserve.io", "ServingRuntime"),
        ("serving.kserve.io", "ClusterServingRuntime"),
    }
)

_Directed: TypeAlias = """tuple[
    Callable[[JsonObject, JsonObject], Direction],
    Callable[[JsonObject, JsonObject], JsonObject | None],
]"""
"""Which way a change goes, and the state that gives no more than either side of it."""

_DIRECTED: Final[dict[Type, _Directed]] = {
    (_RBAC, "Role"): (role_direction, common_role),
    (_RBAC, "ClusterRole"): (role_direction, common_role),
    (_RBAC, "RoleBinding"): (binding_direction, common_binding),
    (_RBAC, "ClusterRoleBinding"): (binding_direction, common_binding),
    ("networking.k8s.io", "NetworkPolicy"): (network_direction, common_network),
    (_VAULT, "VaultPolicy"): (policy_direction, common_policy),
    (_VAULT, "VaultKubernetesRole"): (sign_in_direction, common_sign_in),
}

# Those of our own making only: of the others nobody can tell what more in them means.
_RESTRICTIVE: Final[dict[Type, _Directed]] = {
    ("", "ConfigMap"): (parameters_direction, joined_parameters),
    (_ADMISSION, "ValidatingAdmissionPolicyBinding"): (scope_direction, joined_scope),
}


def wave_of(*, before: Manifest | None, after: Manifest | None) -> Wave:
    """The wave of one change: of a creation without `before`, of a deletion without `after`."""
    if after is None:
        assert before is not None, "a change has a state before or after"
        return _wave_of_deletion(_type(before.key))
    kind = _type(after.key)
    if kind in _FOUNDATION:
        return Wave.FOUNDATION
    if kind in _RESTRICTIONS or kind in _GRANTS or (before and _directed(after)):
        return _wave_of_access(kind, before, after)
    if kind in _TRAFFIC or kind in _CALLBACKS or _redirects(kind, before, after):
        return Wave.WIDENING
    # Kinds we do not know are mostly custom resources that run something.
    return Wave.CONFIGURATION if kind in _CONFIGURATION else Wave.WORKLOADS


def _redirects(kind: Type, before: Manifest | None, after: Manifest) -> bool:
    """Whether a Service sends its traffic to other pods than before: those must be healthy."""
    return kind == ("", "Service") and before is not None and _selector(before) != _selector(after)


def _selector(service: Manifest) -> JsonValue:
    spec = service.body.get("spec")
    return spec.get("selector") if isinstance(spec, dict) else None


def _wave_of_deletion(kind: Type) -> Wave:
    if kind in _RESTRICTIONS:
        return Wave.WIDENING
    return Wave.TIGHTENING if kind in _GRANTS or kind in _TRAFFIC else Wave.DELETION


def _wave_of_access(kind: Type, before: Manifest | None, after: Manifest) -> Wave:
    if before is None:
        if kind not in _GRANTS:
            return Wave.CONFIGURATION if _reads_parameters(after) else Wave.TIGHTENING
        return Wave.CONFIGURATION if _serves_workloads(after) else Wave.WIDENING
    if (directed := _directed(after)) is None:
        return Wave.WIDENING if kind in _GRANTS else Wave.TIGHTENING
    direction, _ = directed
    if not direction(before.body, after.body).gives:
        return Wave.TIGHTENING
    return Wave.CONFIGURATION if after.key.group == _VAULT else Wave.WIDENING


def _directed(manifest: Manifest) -> _Directed | None:
    kind = _type(manifest.key)
    if kind in _RESTRICTIVE:
        return _RESTRICTIVE[kind] if is_restriction(manifest.body) else None
    return _DIRECTED.get(kind)


def _reads_parameters(restriction: Manifest) -> bool:
    """Whether it refuses everything, our own writes too, until its ConfigMap is there."""
    spec = restriction.body.get("spec")
    return binds(restriction.key) and isinstance(spec, dict) and "paramRef" in spec


def _serves_workloads(grant: Manifest) -> bool:
    """Whether a new grant is something that pods may need to become healthy.

    An operator that elects a leader is not ready without its own RoleBinding. A role alone gives
    nobody anything, unless it is aggregated into one that is bound already. What is given to
    people waits until everything runs. In a secret store it is pods that sign in, before they
    start, so there it is the same for what is changed.
    """
    if grant.key.group == _VAULT:
        return True
    if grant.key.kind in ("Role", "ClusterRole"):
        metadata = grant.body["metadata"]
        assert isinstance(metadata, dict)
        labels = metadata.get("labels") or {}
        assert isinstance(labels, dict)
        return not any(label.startswith(_AGGREGATES) for label in labels)
    subjects = grant.body.get("subjects")
    return isinstance(subjects, list) and all(
        isinstance(subject, dict) and subject.get("kind") == "ServiceAccount"
        for subject in subjects
    )


def binds(key: ObjectKey) -> bool:
    """Whether it names a role or a policy that has to be there first, though in the same wave.

    An API server looks at what is bound, unless whoever binds it may do everything.
    """
    return key.group in (_RBAC, _ADMISSION) and key.kind.endswith("Binding")


def stepping_stone(before: Manifest | None, after: Manifest | None) -> Manifest | None:
    """What to apply while tightening when a change both takes and gives: what both states allow.

    The full change follows while widening. None when one step is enough, or when no state of
    the object lies between.
    """
    if before is None or after is None:
        return None
    if (directed := _directed(after)) is None:
        return None
    direction, common = directed
    old, new = before.body, after.body
    if direction(old, new) != BOTH:
        return None
    body = common(old, new)
    return manifest_of(body, after.source) if body else None


def write_order(keys: Iterable[ObjectKey], wave: Wave) -> tuple[tuple[ObjectKey, ...], ...]:
    """The keys of one wave in groups: each may be written at once, one group after the other."""
    if wave is Wave.DELETION:
        return deletion_order(keys)
    listed = tuple(keys)
    first = tuple(key for key in listed if not binds(key))
    return first, tuple(key for key in listed if binds(key))


def deletion_order(keys: Iterable[ObjectKey]) -> tuple[tuple[ObjectKey, ...], ...]:
    """Keys in groups, each to be gone before the next is deleted: the reverse of creation.

    Access and restrictions go with the configuration: what still runs needs the one to end
    cleanly, and must stay under the other while it does.
    """
    groups: dict[int, list[ObjectKey]] = {}
    for key in sorted(set(keys)):
        groups.setdefault(_deletion_rank(_type(key)), []).append(key)
    return tuple(tuple(groups[rank]) for rank in sorted(groups))


def _deletion_rank(kind: Type) -> int:
    if kind in _TRAFFIC or kind in _CALLBACKS:
        return 0
    if kind in _FOUNDATION:
        return 3
    return 2 if kind in _CONFIGURATION | _GRANTS | _RESTRICTIONS else 1


def _type(key: ObjectKey) -> Type:
    return key.group, key.kind

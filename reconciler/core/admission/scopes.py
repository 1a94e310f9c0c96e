"""Which kinds live in a namespace, as far as that is known without asking a cluster.

Separate because validation runs offline: a pull request is judged before any API server is
asked. The invariant: UNKNOWN is never guessed to be one of the others; the server decides then.
"""

from __future__ import annotations

from enum import StrEnum

from reconciler.core.identifiers import GroupVersionKind

# kube-apiserver 1.36 and Gateway API 1.6: `kubectl api-resources --namespaced=false`.
_CLUSTER_SCOPED: dict[str, frozenset[str]] = {
    "": frozenset({"Namespace", "Node", "PersistentVolume", "ComponentStatus"}),
    "admissionregistration.k8s.io": frozenset(
        {
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
        }
    ),
    "apiextensions.k8s.io": frozenset({"CustomResourceDefinition"}),
    "apiregistration.k8s.io": frozenset({"APIService"}),
    "certificates.k8s.io": frozenset({"CertificateSigningRequest", "ClusterTrustBundle"}),
    "flowcontrol.apiserver.k8s.io": frozenset({"FlowSchema", "PriorityLevelConfiguration"}),
    "gateway.networking.k8s.io": frozenset({"GatewayClass"}),
    "internal.apiserver.k8s.io": frozenset({"StorageVersion"}),
    "networking.k8s.io": frozenset({"IPAddress", "IngressClass", "ServiceCIDR"}),
    "node.k8s.io": frozenset({"RuntimeClass"}),
    "rbac.authorization.k8s.io": frozenset({"ClusterRole", "ClusterRoleBinding"}),
    "resource.k8s.io": frozenset({"DeviceClass", "DeviceTaintRule", "ResourceSlice"}),
    "scheduling.k8s.io": frozenset({"PriorityClass"}),
    "storage.k8s.io": frozenset(
        {"CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass"}
    ),
    "storagemigration.k8s.io": frozenset({"StorageVersionMigration"}),
    # Of a secret store: adapters/vault_objects.py.
    "vault.fairlead.dev": frozenset({"VaultPolicy", "VaultKubernetesRole"}),
}
# Groups of which every kind that is not listed above is namespaced.
_KNOWN_GROUPS = frozenset(_CLUSTER_SCOPED) | frozenset(
    {
        "apps",
        "autoscaling",
        "batch",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "policy",
    }
)


class Scope(StrEnum):
    """Where the objects of a kind live."""

    CLUSTER = "cluster"
    NAMESPACE = "namespace"
    UNKNOWN = "unknown"


def scope_of(kind: GroupVersionKind) -> Scope:
    if kind.kind in _CLUSTER_SCOPED.get(kind.group, ()):
        return Scope.CLUSTER
    return Scope.NAMESPACE if kind.group in _KNOWN_GROUPS else Scope.UNKNOWN

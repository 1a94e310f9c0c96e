"""Render what protects a model's replicas: the disruption budget and the identity.

Separate from the Deployment, because both outlive its pods.
"""

from __future__ import annotations

from reconciler.core.manifests import JsonObject
from reconciler.core.rendering.release import Release
from reconciler.core.rendering.secret_delivery import account_annotations


def disruption_budget(metadata: JsonObject, selector: JsonObject) -> JsonObject:
    """At most one replica at a time may be evicted; a broken one never blocks a node's drain."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata,
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": selector},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def service_account(release: Release) -> JsonObject:
    """An identity of the model's own, without a token: it has no business with the API server."""
    metadata = release.shared_metadata()
    if annotations := account_annotations(release):
        metadata["annotations"] = annotations
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata,
        "automountServiceAccountToken": False,
    }

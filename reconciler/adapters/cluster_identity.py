"""Which object a body is about.

Separate because the real cluster and the one in memory must agree on it.
"""

from __future__ import annotations

from reconciler.core.errors import Invalid
from reconciler.core.identifiers import ObjectKey
from reconciler.core.manifests import JsonObject


def identity_of(body: JsonObject) -> tuple[ObjectKey, str]:
    """Key and apiVersion of a complete object. Raises Invalid when it lacks either."""
    metadata = body.get("metadata")
    api_version, kind = body.get("apiVersion"), body.get("kind")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not (isinstance(api_version, str) and isinstance(kind, str) and isinstance(name, str)):
        raise Invalid("apply: the object lacks apiVersion, kind or metadata.name")
    assert isinstance(metadata, dict)
    group, _, _ = api_version.rpartition("/")
    namespace = metadata.get("namespace")
    key = ObjectKey(group, kind, namespace if isinstance(namespace, str) else "", name)
    return key, api_version

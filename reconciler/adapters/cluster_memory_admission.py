"""How an API server answers a probe for one of our admission policies.

Separate so that the in-memory cluster stays small. The invariant: nothing but probes is refused
here; what policies refuse of other objects takes the language that they are written in.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from reconciler.adapters.cluster_identity import identity_of
from reconciler.core.errors import Forbidden
from reconciler.core.identifiers import ClusterName
from reconciler.core.manifests import JsonObject
from reconciler.core.probes import PROBE_NAME, refusal_of
from reconciler.core.snapshots import FrozenSnapshot, live_object

_READ: Final = frozenset(
    {
        "ConfigMap",
        "Namespace",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    }
)


def refuse_probe(body: JsonObject, read: Iterable[JsonObject]) -> None:
    """Raise Forbidden as a server that has `read` these objects refuses the probe."""
    key, _ = identity_of(body)
    if (key.kind, key.name) != ("ConfigMap", PROBE_NAME):
        return
    known = (live_object(found) for found in read if found["kind"] in _READ)
    if said := refusal_of(body, FrozenSnapshot(ClusterName("memory"), known)):
        raise Forbidden(f"{key}: {said}")

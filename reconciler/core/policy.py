"""Judge objects and clusters by the policy of the repository.

Separate from finding out what a commit asks for. Two policies judge: the one in force, which is
that of the last accepted commit, and the candidate's own. The invariant: nobody can allow
something and use it in the same commit, and nobody can forbid what the same commit still has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.core.admission.findings import Pointer
from reconciler.core.identifiers import ClusterName, ObjectKey
from reconciler.core.kinds import Cluster
from reconciler.core.kinds.repository import Allowance, RepositorySpec, kind_name
from reconciler.core.layout import POLICY_PATH
from reconciler.core.manifests import Manifest

_MERGE_FIRST = "the policy that allows it must be merged and applied first, in a commit of its own"


@dataclass(frozen=True, slots=True)
class Objection:
    """Why something is not allowed; `pointer` is the field of the object that decides."""

    pointer: Pointer
    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Policy:
    """The two policies. They are the same for the first commit."""

    in_force: RepositorySpec
    own: RepositorySpec

    @property
    def allowances(self) -> tuple[Allowance, ...]:
        same = self.in_force.allow == self.own.allow
        return (self.own.allow,) if same else (self.in_force.allow, self.own.allow)

    def object_objection(self, manifest: Manifest) -> Objection | None:
        """Why the object may not be declared."""
        if objection := _object_objection(self.own.allow, manifest, hint=_widen("allow")):
            return objection
        return _object_objection(self.in_force.allow, manifest, hint=_MERGE_FIRST)

    def namespace_objection(self, namespace: str, pointer: Pointer) -> Objection | None:
        """Why nothing may be put into the namespace."""
        if not self.own.allow.permits_namespace(namespace):
            return _namespace_objection(namespace, pointer, hint=_widen("allow.namespaces"))
        if not self.in_force.allow.permits_namespace(namespace):
            return _namespace_objection(namespace, pointer, hint=_MERGE_FIRST)
        return None

    def secret_objection(self, namespace: str, place: str, pointer: Pointer) -> Objection | None:
        """Why nothing in the namespace may read the place, such as `vault:kv/risk/fraud`."""
        for allow, hint in (
            (self.own.allow, _widen("allow.secrets")),
            (self.in_force.allow, _MERGE_FIRST),
        ):
            if not allow.permits_secret(namespace, place):
                message = (
                    f"the policy does not allow that {place} is read from namespace {namespace}"
                )
                return Objection(pointer, "secret-not-allowed", message, hint)
        return None

    def refused_clusters(
        self, clusters: Mapping[ClusterName, Cluster]
    ) -> Mapping[ClusterName, str]:
        """The clusters that may not be targeted, each with what to do about it."""
        refused = {}
        for name, cluster in clusters.items():
            labels = cluster.metadata.labels
            if not self.own.clusters.include(name, labels):
                refused[name] = _widen("clusters")
            elif not self.in_force.clusters.include(name, labels):
                refused[name] = _MERGE_FIRST
        return refused


def _widen(field: str) -> str:
    return f"change it, or allow it under spec.{field} of {POLICY_PATH} in a commit before"


def _object_objection(allow: Allowance, manifest: Manifest, *, hint: str) -> Objection | None:
    key = manifest.key
    kind = kind_name(key.group, key.kind)
    if not allow.permits_kind(manifest.type):
        message = f"the policy does not allow objects of kind {kind}"
        return Objection(("kind",), "kind-not-allowed", message, hint)
    namespace = _namespace_of(key)
    if namespace is None:
        if kind in allow.kinds:
            return None
        message = f"the {key.kind} is in no namespace, and the policy does not list kind {kind}"
        advice = f"give metadata.namespace; for a kind of the whole cluster, {hint}"
        return Objection(("kind",), "kind-not-allowed", message, advice)
    if allow.permits_namespace(namespace):
        return None
    pointer: Pointer = ("metadata", "namespace" if key.namespace else "name")
    return _namespace_objection(namespace, pointer, hint=hint)


def _namespace_of(key: ObjectKey) -> str | None:
    """The namespace that the object is in, or is."""
    if key.namespace:
        return key.namespace
    return key.name if (key.group, key.kind) == ("", "Namespace") else None


def _namespace_objection(namespace: str, pointer: Pointer, *, hint: str) -> Objection:
    message = f"the policy does not allow namespace {namespace}"
    return Objection(pointer, "namespace-not-allowed", message, hint)

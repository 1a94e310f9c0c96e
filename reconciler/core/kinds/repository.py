"""Kind Repository: the policy of a config repository.

Separate because it judges all the other documents, and is itself read from the last applied
commit, never from the candidate. The invariant: what it does not allow is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import Field, model_validator

from reconciler.core.identifiers import GroupVersionKind
from reconciler.core.kinds.authorizer import AuthorizerReference
from reconciler.core.kinds.common import Declaration, Part, refusal
from reconciler.core.kinds.scalars import (
    Count,
    DnsLabel,
    Duration,
    Flag,
    ForgeLogin,
    JsonPointer,
    KindName,
    LabelMap,
    Maybe,
    NamePattern,
    PathPattern,
    PercentText,
    PositiveCount,
    Principal,
    Sha256,
)
from reconciler.core.kinds.secret_delivery import AllowedPlace, SecretDelivery
from reconciler.core.kinds.serving import GatewayReference, Resources
from reconciler.core.quantities import Percent

PRIVILEGED_GROUPS = frozenset(
    {
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "certificates.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "node.k8s.io",
        "rbac.authorization.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
        "vault.fairlead.dev",
    }
)
"""API groups whose objects change what others may do or how the whole cluster behaves."""

PRIVILEGED_CORE_KINDS = frozenset({"Node", "PersistentVolume"})

IDENTITY_FIELDS = frozenset(
    {
        "/apiVersion",
        "/kind",
        "/metadata",
        "/metadata/labels",
        "/metadata/name",
        "/metadata/namespace",
    }
)
"""JSON pointers to what makes an object that object, and ours."""

STATEFUL_KINDS = frozenset(
    {
        "CustomResourceDefinition.apiextensions.k8s.io",
        "Namespace",
        "PersistentVolumeClaim",
        "StatefulSet.apps",
    }
)
"""Kinds whose deletion loses data, or deletes what they contain."""


def kind_name(group: str, kind: str) -> str:
    """The form in which `allow.kinds` names a type: `Kind`, or `Kind.group`."""
    return f"{kind}.{group}" if group else kind


class AllowedClusters(Part):
    """Clusters that this repository may target: those named, and those with all the labels."""

    names: tuple[DnsLabel, ...] = ()
    """Names of Cluster documents."""
    labels: LabelMap = Field(default_factory=dict)
    """Labels of which a Cluster document must have all."""

    def include(self, name: str, labels: Mapping[str, str]) -> bool:
        selected = bool(self.labels) and self.labels.items() <= labels.items()
        return name in self.names or selected

    @model_validator(mode="after")
    def _require_any(self) -> AllowedClusters:
        if not self.names and not self.labels:
            raise refusal("allows no cluster", hint="give names, labels or both")
        return self


class ManifestSource(Part):
    """Directories of plain Kubernetes manifests. Each matching directory is one unit."""

    path: PathPattern
    """Pattern of directories relative to the root, such as `platform/*`.

    All .yaml, .yml and .json files below a matching directory belong to it.
    """
    clusters: LabelMap = Field(default_factory=dict)
    """Labels of the clusters to apply them to; all the allowed ones when left out."""


class AllowedSecrets(Part):
    """Secrets that may be read from some namespaces."""

    namespaces: tuple[NamePattern, ...] = Field(min_length=1)
    """Namespaces of the readers, or patterns such as `team-*`; agents are in `agent-NAME`."""
    places: tuple[AllowedPlace, ...] = Field(alias="from", min_length=1)
    """Where the secrets lie, by store and path; `*` at the end is everything below."""

    def permit(self, namespace: str, place: str) -> bool:
        """Whether something in the namespace may read a place, which may end with `*` itself."""
        return any(fnmatchcase(namespace, pattern) for pattern in self.namespaces) and any(
            place == known or (known.endswith("*") and place.startswith(known[:-1]))
            for known in self.places
        )


class Allowance(Part):
    """What documents of this repository may put into a cluster. Secrets never."""

    namespaces: tuple[NamePattern, ...] = Field(min_length=1)
    """Namespaces, or patterns such as `team-*`, that may be created and written to."""
    kinds: tuple[KindName, ...] = ()
    """Kinds that are refused unless listed, because they change what others may do.

    These are the kinds of RBAC, admission, custom resources, API services, storage, scheduling,
    nodes and their like. Ordinary kinds need no entry. `Secret` cannot be listed.
    """
    secrets: tuple[AllowedSecrets, ...] = ()
    """Which secrets models and agents may name. Any, while the list is empty."""

    @model_validator(mode="after")
    def _refuse_secrets(self) -> Allowance:
        if "Secret" in self.kinds:
            raise refusal(
                "lists Secret in kinds", hint="keep values in a secret store and refer to them"
            )
        return self

    def permits_namespace(self, namespace: str) -> bool:
        return any(fnmatchcase(namespace, pattern) for pattern in self.namespaces)

    def permits_secret(self, namespace: str, place: str) -> bool:
        return not self.secrets or any(known.permit(namespace, place) for known in self.secrets)

    def permits_kind(self, type: GroupVersionKind) -> bool:
        if (type.group, type.kind) == ("", "Secret"):
            return False
        privileged = type.group in PRIVILEGED_GROUPS or (
            not type.group and type.kind in PRIVILEGED_CORE_KINDS
        )
        return not privileged or kind_name(type.group, type.kind) in self.kinds


StatefulKind = Literal[
    "CustomResourceDefinition.apiextensions.k8s.io",
    "Namespace",
    "PersistentVolumeClaim",
    "StatefulSet.apps",
]


class DeletionBudget(Part):
    """How much one plan may delete from one cluster. A plan beyond it is refused whole."""

    percent: PercentText = Percent.parse("10%")
    """Share of the objects that this repository owns in the cluster, rounded up to an object."""
    objects: Count = 20
    """Number of objects. Where both limits apply, the stricter decides."""
    allow_stateful: tuple[StatefulKind, ...] = ()
    """Kinds that hold data or contain other objects, and may be deleted within the budget."""

    def limit(self, owned: int) -> int:
        """Most objects that may be deleted where `owned` exist.

        The share is rounded up, so that a small estate can still lose one object.
        """
        return min(self.objects, math.ceil(owned * self.percent.share))

    def permits_kind(self, group: str, kind: str) -> bool:
        name = kind_name(group, kind)
        return name not in STATEFUL_KINDS or name in self.allow_stateful


class Signatures(Part):
    """Signatures of commits. The allowed signers are in the daemon's settings."""

    required: Flag = False
    """Whether every commit must be signed by an allowed signer."""


class ApprovalRule(Part):
    """Approvals that a commit needs, given by others than those who signed it."""

    count: PositiveCount
    """How many people."""
    by: tuple[Principal, ...] = Field(min_length=1)
    """Roles of which each of them has one."""


class Approvals(Part):
    """When a commit needs approvals, and who may give them."""

    wider_access: Maybe[ApprovalRule] = None
    """For a commit that gives anybody more access than before, a revert included."""
    break_glass: Maybe[ApprovalRule] = None
    """For a commit that does nothing but add BreakGlass documents, instead of all other approvals.

    Without it, such a commit needs what any other does that gives as much.
    """
    people: Mapping[Principal, tuple[ForgeLogin, ...]] = Field(default_factory=dict)
    """Who has a role, by role: the logins on the forge whose reviews count, and the names in the
    daemon's allowed signers whose signed approvals do.

    A role that is not listed has nobody, so that what needs its approval waits.
    """

    def roles_of(self, login: str) -> frozenset[str]:
        """The roles of a person; forges do not tell capital letters from small ones."""
        wanted = login.casefold()
        return frozenset(
            role
            for role, logins in self.people.items()
            if wanted in {known.casefold() for known in logins}
        )


class Ownership(Part):
    """Who answers for a part of the repository."""

    path: PathPattern
    """Pattern of files or directories relative to the root."""
    owners: tuple[Principal, ...] = Field(min_length=1)
    """Roles whose members own it."""


class IgnoredFields(Part):
    """Fields that others manage, such as replicas under an autoscaler.

    They are left out of what is declared, also when an object is created. One that nobody else
    has written falls back to its default.
    """

    kind: KindName
    """Kind of the objects, with its group when it has one: `Deployment.apps`."""
    namespace: NamePattern = "*"
    """Namespace of the objects, or a pattern."""
    name: NamePattern = "*"
    """Name of the objects, or a pattern."""
    fields: tuple[JsonPointer, ...] = Field(min_length=1)
    """JSON pointers such as `/spec/replicas`."""

    @model_validator(mode="after")
    def _keep_identity(self) -> IgnoredFields:
        """Without them it would be another object, or one that we could not find again."""
        for pointer in self.fields:
            if pointer in IDENTITY_FIELDS or "/fairlead.dev~1" in pointer:
                raise refusal(
                    f"fields has {pointer}, by which the object is known",
                    hint="name a field below it, or another one",
                )
        return self

    def match(self, *, group: str, kind: str, namespace: str, name: str) -> bool:
        return (
            self.kind == kind_name(group, kind)
            and fnmatchcase(namespace, self.namespace)
            and fnmatchcase(name, self.name)
        )


class Defaults(Part):
    """What documents get that do not say otherwise."""

    resources: Resources = Field(default_factory=Resources)
    """Resources of a model's container."""
    gateway: Maybe[GatewayReference] = None
    """Gateway to which the routes of models attach."""
    secret_delivery: Maybe[SecretDelivery] = None
    """How secrets come to workloads."""
    health_timeout: Duration = timedelta(minutes=10)
    """How long an applied object may take to become healthy."""
    replicas: PositiveCount = 2
    """Replicas of a model."""


class RepositorySpec(Part):
    """Policy of the repository."""

    clusters: AllowedClusters
    """Clusters that it may target."""
    manifests: tuple[ManifestSource, ...] = ()
    """Where plain Kubernetes manifests lie. Others are refused."""
    exclude: tuple[PathPattern, ...] = ()
    """Files and directories that are not for Fairlead, such as `docs` or `mkdocs.yml`.

    Every other .yaml, .yml and .json file must hold documents; hidden ones are left alone.
    """
    allow: Allowance
    """What may be put into a cluster."""
    deletion_budget: DeletionBudget = Field(default_factory=DeletionBudget)
    """How much one plan may delete."""
    release: Maybe[Sha256] = None
    """Identity of deletions that may go beyond the deletion budget.

    Copy it from the refused plan. It lets exactly these objects of that cluster go, for as long as
    it stands here; other deletions have another identity.
    """
    signatures: Signatures = Field(default_factory=Signatures)
    """Whether commits must be signed."""
    approvals: Approvals = Field(default_factory=Approvals)
    """When commits need approvals."""
    owners: tuple[Ownership, ...] = ()
    """Who answers for which path; of several that match, the last."""
    defaults: Defaults = Field(default_factory=Defaults)
    """What documents get that do not say otherwise."""
    authorizer: Maybe[AuthorizerReference] = None
    """The authorizer of the request path. Without it, it is given no rules."""
    ignore: tuple[IgnoredFields, ...] = ()
    """Fields that are not ours to manage."""


class Repository(Declaration):
    """Policy of a config repository; the one document of this kind is fairlead.yaml."""

    kind: Literal["Repository"]
    """What this document declares."""
    spec: RepositorySpec
    """Policy of the repository."""

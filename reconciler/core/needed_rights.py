"""What the daemon has to be allowed in a cluster, for what one commit declares and no more.

Separate from judging the rights that it has (rights.py), and from writing them down as objects.
The invariant: every right is there for something that is declared or set, which the feature that it
belongs to says; none is for secrets, for every name, or for everything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from reconciler.core.authorship import AUTHORED, People
from reconciler.core.desired import DesiredState, Unit
from reconciler.core.identifiers import ClusterName, GroupVersionKind
from reconciler.core.kinds import API_GROUP
from reconciler.core.manifests import JsonObject, Manifest
from reconciler.core.probes import PROBE_NAME
from reconciler.core.restrictions import governed_namespaces

WHOLE_CLUSTER: Final = ""
"""Where a right holds, beside the namespaces."""

RBAC: Final = "rbac.authorization.k8s.io"
ADMISSION: Final = "admissionregistration.k8s.io"
AUTHENTICATION: Final = "authentication.k8s.io"

_LOOK: Final = ("get", "list", "watch")
_WRITE: Final = ("create", "patch", "delete")


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """A rule of RBAC about one API group."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Feature:
    """Rights that one thing takes, by where they hold."""

    name: str
    purpose: str
    rules: Mapping[str, tuple[Rule, ...]]


@dataclass(frozen=True, slots=True)
class Setup:
    """What settings say about a cluster, as far as rights follow from it.

    `leases` are the namespace of the daemon's leases in it, and their names. `proxied` says that
    model servers are asked through the API server, `people` who the authors are in whose name is
    written.
    """

    cluster: ClusterName
    leases: tuple[str, tuple[str, ...]] = ("", ())
    proxied: bool = True
    people: People | None = None


@dataclass(slots=True)
class _Draft:
    """Rights as they are found: names by verb, resource and place; None stands for all names."""

    found: dict[tuple[str, str, str, str], set[str | None]] = field(
        default_factory=lambda: defaultdict(set)
    )

    def allow(
        self, where: str, group: str, resource: str, verbs: Iterable[str], *names: str
    ) -> None:
        for verb in verbs:
            self.found[where, group, resource, verb] |= {*names} or {None}

    def rules(self) -> Mapping[str, tuple[Rule, ...]]:
        """What differs in verbs or resources alone is one rule."""
        verbs_of: dict[tuple[str, str, str, tuple[str, ...]], list[str]] = defaultdict(list)
        for (where, group, resource, verb), names in self.found.items():
            named = () if None in names else tuple(sorted(map(str, names)))
            verbs_of[where, group, resource, named].append(verb)
        resources_of: dict[tuple[str, str, tuple[str, ...], tuple[str, ...]], list[str]]
        resources_of = defaultdict(list)
        for (where, group, resource, named), verbs in verbs_of.items():
            resources_of[where, group, named, _in_order(verbs)].append(resource)
        by_place: dict[str, list[Rule]] = defaultdict(list)
        for (where, group, named, ordered), resources in resources_of.items():
            by_place[where].append(Rule(group, tuple(sorted(resources)), ordered, named))
        return {where: tuple(sorted(rules)) for where, rules in sorted(by_place.items())}


def needed_rights(state: DesiredState, setup: Setup) -> tuple[Feature, ...]:
    """The rights that the daemon needs in one cluster, feature by feature."""
    units = [unit for (cluster, _), unit in state.units.items() if cluster == setup.cluster]
    drafts = {
        "watch": ("To see what is there: its objects, over the whole cluster by label.", _watching),
        "apply": (
            "To write what is declared: server-side apply is `patch`, and `create` of new ones.\n"
            "Namespaces have to exist: what Git may reach is widened by another pair of hands.",
            _applying,
        ),
        "access": (
            "To give what Roles and AgentScopes give: an API server lets nobody grant what they do "
            "not have.",
            _granting,
        ),
        "admission": (
            "To refuse what Roles and AgentScopes keep from people and agents, and to see that it "
            "is refused.\nEach policy is named: whoever may write any could forbid everybody "
            "everything.",
            _admitting,
        ),
    }
    found = [_feature(name, text, find(units)) for name, (text, find) in drafts.items()]
    found += _of_settings(state, units, setup)
    return tuple(feature for feature in found if feature.rules)


def resource_of(kind: str) -> str:
    """The plural by which an API server knows a kind, as Kubernetes guesses it itself."""
    lower = kind.lower()
    if lower.endswith("endpoints"):
        return lower
    if lower.endswith("y"):
        return f"{lower[:-1]}ies"
    return f"{lower}es" if lower.endswith("s") else f"{lower}s"


def _feature(name: str, purpose: str, draft: _Draft) -> Feature:
    return Feature(name, purpose, draft.rules())


def _of_settings(state: DesiredState, units: Collection[Unit], setup: Setup) -> Iterator[Feature]:
    signals = _Draft()
    for rollout in state.rollouts:
        for (cluster, _), unit in state.places_of(rollout):
            for namespace in unit.namespaces if cluster == setup.cluster else ():
                signals.allow(namespace, "", "pods", ("get", "list"))
                if setup.proxied:
                    signals.allow(namespace, "", "pods/proxy", ("get", "create"))
    yield _feature(
        "signals",
        "To judge rollouts: model servers are found by their pods, and asked through the API "
        "server's proxy.\nIt reaches every port of every pod there; `replicas: direct` does "
        "without.",
        signals,
    )
    lease = _Draft()
    namespace, names = setup.leases
    if names:
        lease.allow(namespace, "coordination.k8s.io", "leases", ("get", "update"), *names)
        lease.allow(namespace, "coordination.k8s.io", "leases", ("create",))
    yield _feature("lease", "To be the one writer. `create` cannot be bound to a name.", lease)
    people = setup.people
    if people is not None and setup.cluster in people.clusters:
        yield _feature(
            "authors",
            "To write in the name of whoever signed a change, and of nobody else: each person and "
            "group\nis named, and what may be done as them is what the daemon writes (constrained "
            "impersonation).",
            _authoring(units, people),
        )


def _watching(units: Iterable[Unit]) -> _Draft:
    draft = _Draft()
    for type_ in _types(units):
        draft.allow(WHOLE_CLUSTER, type_.group, resource_of(type_.kind), _LOOK)
    return draft


def _applying(units: Iterable[Unit]) -> _Draft:
    draft = _Draft()
    for manifest in _manifests(units):
        if manifest.key.group not in (RBAC, ADMISSION):
            _allow_to_write(draft, manifest, _verbs_on(manifest))
    return draft


def _granting(units: Iterable[Unit]) -> _Draft:
    draft = _Draft()
    for manifest in _manifests(units):
        if manifest.key.group != RBAC:
            continue
        _allow_to_write(draft, manifest, _WRITE)
        body = manifest.body
        for rule in cast("list[JsonObject]", body.get("rules") or []):
            _hold(draft, manifest.key.namespace, rule)
        reference = cast(JsonObject, body.get("roleRef") or {})
        if reference.get("kind") == "ClusterRole":
            name = str(reference["name"])
            draft.allow(manifest.key.namespace, RBAC, "clusterroles", ("bind",), name)
    return draft


def _hold(draft: _Draft, where: str, rule: JsonObject) -> None:
    groups, resources, verbs, names = (
        cast("list[str]", rule.get(part) or ())
        for part in ("apiGroups", "resources", "verbs", "resourceNames")
    )
    for group in groups:
        for resource in resources:
            # The versions of models come and go with every commit.
            draft.allow(where, group, resource, verbs, *(() if group == API_GROUP else names))


def _admitting(units: Iterable[Unit]) -> _Draft:
    draft = _Draft()
    for manifest in _manifests(units):
        if manifest.key.group != ADMISSION:
            continue
        _allow_to_write(draft, manifest, _WRITE)
        for namespace in governed_namespaces(manifest.body):
            draft.allow(namespace, "", "configmaps", ("create", "patch"), PROBE_NAME)
    return draft


def _authoring(units: Iterable[Unit], people: People) -> _Draft:
    draft = _Draft()
    users = {author.user for author in people.authors.values()}
    groups = {group for author in people.authors.values() for group in author.groups}
    for resource, names in (("users", users), ("groups", groups)):
        if names:
            draft.allow(WHOLE_CLUSTER, AUTHENTICATION, resource, ("impersonate:user-info",), *names)
    draft.allow(
        WHOLE_CLUSTER, AUTHENTICATION, "selfsubjectreviews", ("impersonate-on:user-info:create",)
    )
    for manifest in _manifests(unit for unit in units if unit.name.startswith(AUTHORED)):
        verbs = (f"impersonate-on:user-info:{verb}" for verb in _WRITE)
        _allow_to_write(draft, manifest, verbs)
    return draft


def _verbs_on(manifest: Manifest) -> Iterable[str]:
    is_namespace = (manifest.key.group, manifest.key.kind) == ("", "Namespace")
    return ("patch",) if is_namespace else _WRITE


def _allow_to_write(draft: _Draft, manifest: Manifest, verbs: Iterable[str]) -> None:
    """In its namespace; an object of the whole cluster only by its name."""
    key = manifest.key
    names = () if key.namespace else (key.name,)
    draft.allow(key.namespace, key.group, resource_of(key.kind), verbs, *names)


def _types(units: Iterable[Unit]) -> frozenset[GroupVersionKind]:
    return frozenset(type_ for unit in units for type_ in unit.types)


def _manifests(units: Iterable[Unit]) -> Iterator[Manifest]:
    for unit in units:
        yield from unit.manifests.values()


def _in_order(verbs: Iterable[str]) -> tuple[str, ...]:
    known = (*_LOOK, "create", "patch", "update", "delete")
    rank = {verb: number for number, verb in enumerate(known)}
    return tuple(sorted(verbs, key=lambda verb: (rank.get(verb.rpartition(":")[2], 99), verb)))

"""Probes: how to see that an API server has read an admission policy, and acts by it.

Separate from what the policies refuse (rendering/admission.py). An API server learns of its own
policies by watching them, a second or so after it has accepted them; until then it refuses
nothing. So each of our policies refuses one thing more: a ConfigMap of one name, which is only ever
sent as a dry run, when it says what the server can compare once it has read policy, binding and
parameters. The invariant: a probe is refused by its binding only in the version that was written
last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, cast

from reconciler.core.identifiers import ObjectKey
from reconciler.core.manifests import JsonObject, JsonValue, Manifest, canonical_json, digest_of
from reconciler.core.restrictions import REVISION, governed_namespaces
from reconciler.core.snapshots import ClusterSnapshot

PROBE_ANNOTATION: Final = "fairlead.dev/probe"
"""On a policy: the digest that it compares with. On a probe: what is to be compared."""

PROBE_NAME: Final = "fairlead-admission-probe"

_IN_FORCE: Final = "the policy is in force"
_GROUP: Final = "admissionregistration.k8s.io"
_POLICY: Final = "ValidatingAdmissionPolicy"
_BINDING: Final = "ValidatingAdmissionPolicyBinding"
_ANNOTATIONS: Final = "object.metadata.annotations"


@dataclass(frozen=True, slots=True)
class Probe:
    """What to send into any of the namespaces, to be refused by the binding."""

    binding: str
    namespaces: tuple[str, ...]
    expected: str

    def body(self, namespace: str) -> JsonObject:
        annotations: JsonObject = {PROBE_ANNOTATION: self.expected}
        metadata: JsonObject = {
            "name": PROBE_NAME,
            "namespace": namespace,
            "annotations": annotations,
        }
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}

    def concerns(self, message: str) -> bool:
        """Whether an API server refuses something by that binding."""
        return f"with binding '{self.binding}'" in message

    def succeeded(self, message: str) -> bool:
        """Whether it does so because it is in force, and not because it lacks its parameters."""
        return self.concerns(message) and _IN_FORCE in message


def refusal_of(probe: JsonObject, snapshot: ClusterSnapshot) -> str:
    """What an API server that has read the snapshot says of a probe; empty to let it pass."""
    metadata = cast(JsonObject, probe["metadata"])
    asked = cast(JsonObject, metadata.get("annotations") or {}).get(PROBE_ANNOTATION)
    if asked is None or metadata["name"] != PROBE_NAME:
        return ""
    for binding in _bindings(snapshot):
        governs = str(metadata["namespace"]) in _namespaces(binding, snapshot)
        if governs and _expected_of(binding, snapshot) == asked:
            name = cast(JsonObject, binding["metadata"])["name"]
            return f"with binding '{name}' denied request: {_IN_FORCE}"
    return ""


def with_probe(policy: JsonObject) -> JsonObject:
    """A policy that refuses probes as well. Its other rules must let ConfigMaps pass."""
    spec, metadata = cast(JsonObject, policy["spec"]), cast(JsonObject, policy["metadata"])
    # With the name: policies of two repositories may say the same, and one must not answer for
    # the other.
    digest = digest_of(canonical_json([metadata["name"], spec]))
    expected = f"'{digest}'"
    if "paramKind" in spec:
        expected = f"'{digest} ' + params.data.{REVISION}"
    constraints = cast(JsonObject, spec["matchConstraints"])
    rules = cast("list[JsonValue]", constraints["resourceRules"])
    validation: JsonObject = {
        "expression": f"!(request.resource.resource == 'configmaps' && has({_ANNOTATIONS}) && "
        f"'{PROBE_ANNOTATION}' in {_ANNOTATIONS} && "
        f"{_ANNOTATIONS}['{PROBE_ANNOTATION}'] == {expected})",
        "message": _IN_FORCE,
        "reason": "Forbidden",
    }
    probed: JsonObject = {
        **spec,
        "matchConstraints": {**constraints, "resourceRules": [*rules, _rule()]},
        "validations": [*cast("list[JsonValue]", spec["validations"]), validation],
    }
    return {
        **policy,
        "metadata": {**metadata, "annotations": {PROBE_ANNOTATION: digest}},
        "spec": probed,
    }


def _rule() -> JsonObject:
    return {
        "apiGroups": [""],
        "apiVersions": ["*"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["configmaps"],
        "resourceNames": [PROBE_NAME],
    }


def probes_of(
    written: Manifest, previous: Manifest | None, snapshot: ClusterSnapshot
) -> Iterator[Probe]:
    """What shows that an object that was written has its effect. Nothing for most objects."""
    key = written.key
    earlier = frozenset(governed_namespaces(previous.body)) if previous else frozenset()
    if (key.group, key.kind) == (_GROUP, _BINDING):
        yield from _probes([written.body], snapshot, earlier)
    elif (key.group, key.kind) == (_GROUP, _POLICY):
        bound = [body for body in _bindings(snapshot) if _spec(body).get("policyName") == key.name]
        yield from _probes(bound, snapshot)
    elif not key.group and key.kind == "ConfigMap":
        bound = [body for body in _bindings(snapshot) if _reads(body, key)]
        yield from _probes(bound, snapshot)


def _bindings(snapshot: ClusterSnapshot) -> Iterator[JsonObject]:
    for live in snapshot:
        if (live.key.group, live.key.kind) == (_GROUP, _BINDING):
            yield live.body


def _reads(binding: JsonObject, parameters: ObjectKey) -> bool:
    reference = cast(JsonObject, _spec(binding).get("paramRef") or {})
    return (reference.get("namespace"), reference.get("name")) == (
        parameters.namespace,
        parameters.name,
    )


def _probes(
    bindings: Iterable[JsonObject],
    snapshot: ClusterSnapshot,
    earlier: frozenset[str] = frozenset(),
) -> Iterator[Probe]:
    for binding in bindings:
        expected = _expected_of(binding, snapshot)
        if expected is not None:
            # Where it did not restrict before, a refusal can only be that of the new binding.
            namespaces = sorted(_namespaces(binding, snapshot), key=lambda name: name in earlier)
            name = cast(str, cast(JsonObject, binding["metadata"])["name"])
            yield Probe(name, tuple(namespaces), expected)


def _expected_of(binding: JsonObject, snapshot: ClusterSnapshot) -> str | None:
    """What a probe has to say; None when the policy is none of ours, or something lacks."""
    spec = _spec(binding)
    policy = snapshot.get(ObjectKey(_GROUP, _POLICY, "", str(spec.get("policyName"))))
    if policy is None:
        return None
    metadata = cast(JsonObject, policy.body["metadata"])
    digest = cast(JsonObject, metadata.get("annotations") or {}).get(PROBE_ANNOTATION)
    reference = cast(JsonObject, spec.get("paramRef") or {})
    if digest is None or not reference:
        return cast("str | None", digest)
    place, name = str(reference.get("namespace")), str(reference.get("name"))
    parameters = snapshot.get(ObjectKey("", "ConfigMap", place, name))
    if parameters is None:
        return None
    return f"{digest} {cast(JsonObject, parameters.body.get('data') or {}).get(REVISION)}"


def _namespaces(binding: JsonObject, snapshot: ClusterSnapshot) -> Iterator[str]:
    """Those that it governs: listed by name, or found by a label."""
    listed = governed_namespaces(binding)
    yield from sorted(listed)
    if listed:
        return
    for live in snapshot:
        if (live.key.group, live.key.kind) == ("", "Namespace") and _selects(binding, live.body):
            yield live.key.name


def _selects(binding: JsonObject, namespace: JsonObject) -> bool:
    metadata = cast(JsonObject, namespace["metadata"])
    labels = cast(JsonObject, metadata.get("labels") or {})
    matched = cast(JsonObject, _spec(binding).get("matchResources") or {})
    selector = cast(JsonObject, matched.get("namespaceSelector") or {})
    expressions = cast("list[JsonObject]", selector.get("matchExpressions") or [])
    return all(expression.get("key") in labels for expression in expressions)


def _spec(body: JsonObject) -> JsonObject:
    return cast(JsonObject, body.get("spec") or {})

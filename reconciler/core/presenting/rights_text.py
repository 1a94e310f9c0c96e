"""The rights that a daemon needs, as the objects that give them, with the reason for each.

Separate from finding out which they are. The invariant: the text is what an administrator applies,
so a comment in it says only why, and takes nothing back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from reconciler.core.manifests import JsonObject, JsonValue
from reconciler.core.needed_rights import RBAC, WHOLE_CLUSTER, Feature, Rule


def rights_objects(
    features: Sequence[Feature], *, account: tuple[str, str]
) -> Iterator[tuple[Feature, JsonObject]]:
    """Roles and their bindings. `account` is namespace and name of the daemon's ServiceAccount."""
    for feature in features:
        for where, rules in feature.rules.items():
            yield feature, _role(f"fairlead-{feature.name}", where, rules)
            yield feature, _binding(f"fairlead-{feature.name}", where, account)


def rights_text(features: Sequence[Feature], *, account: tuple[str, str]) -> str:
    """YAML documents, each feature below what it is for."""
    parts: list[str] = []
    last: Feature | None = None
    for feature, body in rights_objects(features, account=account):
        said = "" if feature is last else "".join(f"# {x}\n" for x in feature.purpose.split("\n"))
        parts.append(said + "".join(f"{line}\n" for line in _lines(body)))
        last = feature
    return "---\n".join(parts)


def _role(name: str, where: str, rules: Sequence[Rule]) -> JsonObject:
    return {**_head("Role", name, where), "rules": [_rule(rule) for rule in rules]}


def _binding(name: str, where: str, account: tuple[str, str]) -> JsonObject:
    role = "Role" if where else "ClusterRole"
    return {
        **_head("RoleBinding", name, where),
        "roleRef": {"apiGroup": RBAC, "kind": role, "name": name},
        "subjects": [{"kind": "ServiceAccount", "namespace": account[0], "name": account[1]}],
    }


def _head(kind: str, name: str, where: str) -> JsonObject:
    metadata: JsonObject = {"name": name}
    if where != WHOLE_CLUSTER:
        metadata["namespace"] = where
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": kind if where else f"Cluster{kind}",
        "metadata": metadata,
    }


def _rule(rule: Rule) -> JsonObject:
    named: JsonObject = {"resourceNames": list(rule.names)} if rule.names else {}
    return {
        "apiGroups": [rule.group],
        "resources": list(rule.resources),
        **named,
        "verbs": list(rule.verbs),
    }


def _lines(body: JsonObject) -> Iterator[str]:
    for name, value in body.items():
        if isinstance(value, list):
            yield f"{name}:"
            for item in value:
                yield f"- {_flow(item)}"
        else:
            yield f"{name}: {_flow(value) if isinstance(value, dict) else value}"


def _flow(value: JsonValue) -> str:
    """In one line, which JSON is and YAML takes; a name in quotes only where it needs them."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_flow(part)}" for name, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    text = str(value)
    plain = text[:1].isalpha() and all(c.isalnum() or c in "-_./@" for c in text)
    return text if plain and text not in _WORDS else json.dumps(text)


_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})

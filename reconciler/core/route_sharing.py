"""An HTTPRoute of ours in which others keep rules: what of it is whose, and the body to apply.

Separate from difference and ownership, which go by managed fields: the lists of an HTTPRoute are
atomic, so the server knows one owner of all rules and cannot tell ours from theirs. The invariant:
what is applied holds ours exactly as declared, and what is of others as it was found.

Ours is what leads to a backend that we name, have named, or are marked as naming. The mark is on
the object itself, so it tells of our last write even when nobody lived to record that.
https://gateway-api.sigs.k8s.io/reference/spec/#httproutespec
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Any, Final, cast

from reconciler.core.ledger import Applied
from reconciler.core.manifests import (
    BACKENDS_ANNOTATION,
    COMMIT_ANNOTATION,
    JsonObject,
    JsonValue,
    Manifest,
)
from reconciler.core.rendering.release import ROLLOUT_LABEL
from reconciler.core.route_merging import Item, RuleMerge, backend_name, backends_of, same, united

_UNITED: Final = ("hostnames", "parentRefs")


def is_shared(manifest: Manifest) -> bool:
    """Whether others may keep rules in the object: the route of a rollout, and no other."""
    group, kind = manifest.key.group, manifest.key.kind
    return (group, kind) == ("gateway.networking.k8s.io", "HTTPRoute") and (
        ROLLOUT_LABEL in _metadata(manifest.body, "labels")
    )


def shared(ours: JsonObject, previous: JsonObject | None, live: JsonObject) -> JsonObject:
    """The body to apply: `ours`, with what others keep in `live`.

    `previous` is what was applied last, or None when that is not known: then no host name and no
    gateway of `live` counts as somebody else's, for it may be one that was given up.
    """
    spec, before, found = _spec(ours), _spec(previous or {}), _spec(live)
    merge = RuleMerge(own_backends(ours, previous, live), _namespace(ours))
    rules = merge.merged(spec["rules"], before.get("rules") or (), found.get("rules") or ())
    merged = {**spec, "rules": rules}
    for name in _UNITED:
        if previous is not None and name in spec:
            merged[name] = united(spec[name], before.get(name) or (), found.get(name) or ())
    return {**ours, "spec": cast(JsonValue, merged)}


def stands(applied: Applied, live: JsonObject) -> bool:
    """Whether `live` is as applying the same again would leave it, whoever owns its fields."""
    ours = applied.manifest.body
    wanted, found = _spec(shared(ours, last_applied(applied, live), live)), _spec(live)
    return all(same(found.get(name), part) for name, part in wanted.items()) and all(
        _metadata(ours, name).items() <= _metadata(live, name).items()
        for name in ("labels", "annotations")
    )


def last_applied(applied: Applied | None, live: JsonObject) -> JsonObject | None:
    """What we applied last, unless the object shows a later write that was never recorded."""
    if applied is None:
        return None
    commit = _metadata(live, "annotations").get(COMMIT_ANNOTATION)
    return applied.manifest.body if commit == applied.commit else None


def own_backends(ours: JsonObject, previous: JsonObject | None, live: JsonObject) -> frozenset[str]:
    """Backends of ours: those that are declared, and those that the live object is marked with."""
    mark = _metadata(live, "annotations").get(BACKENDS_ANNOTATION) or ""
    return frozenset({*_named(ours), *_named(previous or {}), *str(mark).split()})


def mark_of(ours: JsonObject) -> str:
    """The value of the annotation that says which backends are ours."""
    return " ".join(sorted(set(_named(ours))))


def own_part(body: JsonObject, own: AbstractSet[str]) -> JsonObject:
    """The body without rules and backends of others: what people are shown."""
    merge = RuleMerge(own, _namespace(body))
    rules = [
        {**rule, "backendRefs": _own_references(rule, merge)}
        for rule in _spec(body).get("rules") or ()
        if merge.is_ours(rule)
    ]
    return {**body, "spec": cast(JsonValue, {**_spec(body), "rules": rules})}


def _own_references(rule: Item, merge: RuleMerge) -> list[Item]:
    return [
        reference
        for reference in rule.get("backendRefs") or ()
        if backend_name(reference, merge.namespace) in merge.own
    ]


def _named(body: JsonObject) -> Iterator[str]:
    for rule in _spec(body).get("rules") or ():
        yield from backends_of(rule, _namespace(body))


def _spec(body: JsonObject) -> dict[str, Any]:
    return cast("dict[str, Any]", body.get("spec") or {})


def _metadata(body: JsonObject, part: str) -> JsonObject:
    metadata = cast(JsonObject, body.get("metadata") or {})
    return cast(JsonObject, metadata.get(part) or {})


def _namespace(body: JsonObject) -> str:
    metadata = cast(JsonObject, body.get("metadata") or {})
    return cast(str, metadata.get("namespace") or "")

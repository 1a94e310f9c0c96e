"""Render how requests reach what a server has loaded beside others: a route with its name on it.

Separate from networking.py, because here versions share a Service and differ by a header alone.
The invariant: a loaded name holds the digest of what it names, so that it never comes to mean
anything else, and a request is marked with exactly one such name.

Servers keep what they computed for a name (https://github.com/vllm-project/vllm/issues/42125): a
name that was used again would be answered from what it meant before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from reconciler.core.identifiers import Digest
from reconciler.core.manifests import JsonObject
from reconciler.core.rendering.networking import http_route
from reconciler.core.rendering.release import Release

_DIGITS_IN_NAME = 12


@dataclass(frozen=True, slots=True)
class AliasHeaders:
    """By `asked`, callers say what they ask for; by `told`, the gateway says what is to answer."""

    asked: str
    told: str


def loaded_name(alias: str, digest: Digest) -> str:
    """The name under which servers know what has this digest."""
    return f"{alias}@{hexadecimal(digest)[:_DIGITS_IN_NAME]}"


def hexadecimal(digest: Digest) -> str:
    return digest.removeprefix("sha256:")


def alias_route(
    release: Release, *, server: str, alias: str, digest: Digest, headers: AliasHeaders
) -> tuple[JsonObject, ...]:
    """The route of the alias, if the server has one: with one header more, this one wins."""
    assert release.server is not None, "the caller has found it"
    route = release.server.spec.serving.route
    if route is None or release.gateway is None:
        return ()
    body: dict[str, Any] = http_route(release, route, release.gateway)
    (rule,) = body["spec"]["rules"]
    (backend,) = rule["backendRefs"]
    header = {"type": "Exact", "name": headers.asked, "value": alias}
    matches = [{**match, "headers": [header]} for match in rule["matches"]]
    mark = _filter(headers.told, loaded_name(alias, digest))
    backends = [{**backend, "name": server, "filters": [mark]}]
    rules = [{"matches": matches, "backendRefs": backends}]
    return ({**body, "spec": {**body["spec"], "rules": rules}},)


def marked(backend: JsonObject, name: str) -> JsonObject:
    """A reference of such a route, marked so that another name answers."""
    return {**backend, "filters": [_filter(str(_header(backend)["name"]), name)]}


def mark_of(backend: JsonObject) -> str:
    """The name that a reference of such a route is marked with."""
    return str(_header(backend)["value"])


def _filter(header: str, value: str) -> JsonObject:
    setting: JsonObject = {"name": header, "value": value}
    return {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [setting]}}


def _header(backend: JsonObject) -> JsonObject:
    (mark,) = cast("list[dict[str, Any]]", backend["filters"])
    return cast(JsonObject, mark["requestHeaderModifier"]["set"][0])

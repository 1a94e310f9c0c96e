"""Render how requests reach a LoRA adapter: a route to its server, with the adapter's name on it.

Separate from networking.py, because here versions share a Service and differ by a header alone.
The invariant: the name of an adapter holds the digest of its artifact, so that it never comes to
mean other weights, and a request is marked with exactly one such name.

Servers keep what they computed for a name (https://github.com/vllm-project/vllm/issues/42125): a
name that was used again would be answered from the weights of before.
"""

from __future__ import annotations

from typing import Any, cast

from reconciler.core.identifiers import Digest
from reconciler.core.kinds.lora import Lora
from reconciler.core.kinds.serving import GatewayReference, Route
from reconciler.core.manifests import JsonObject
from reconciler.core.rendering.networking import http_route
from reconciler.core.rendering.release import Release

MODEL_HEADER = "x-model"
"""By which callers say what model they ask for."""

ADAPTER_HEADER = "x-model-adapter"
"""By which the gateway tells the server which adapter is to answer."""

_DIGITS_IN_NAME = 12


def adapter_name(alias: str, digest: Digest) -> str:
    """The name under which servers know the adapter with this artifact."""
    return f"{alias}@{hexadecimal(digest)[:_DIGITS_IN_NAME]}"


def adapter_path(lora: Lora, digest: Digest) -> str:
    """Where the server finds it."""
    return lora.path.replace("{digest}", hexadecimal(digest))


def hexadecimal(digest: Digest) -> str:
    return digest.removeprefix("sha256:")


def adapter_route(release: Release, route: Route, gateway: GatewayReference) -> JsonObject:
    """The route of the alias. `route` is the server's own: with one header more, this one wins."""
    lora = release.model.spec.serving.lora
    assert lora is not None, "checked by Serving for this runtime"
    body: dict[str, Any] = http_route(release, route, gateway)
    (rule,) = body["spec"]["rules"]
    (backend,) = rule["backendRefs"]
    header = {"type": "Exact", "name": MODEL_HEADER, "value": lora.alias}
    matches = [{**match, "headers": [header]} for match in rule["matches"]]
    name = adapter_name(lora.alias, release.version.artifact.digest)
    backends = [to_adapter({**backend, "name": lora.server}, name)]
    rules = [{"matches": matches, "backendRefs": backends}]
    return {**body, "spec": {**body["spec"], "rules": rules}}


def to_adapter(backend: JsonObject, adapter: str) -> JsonObject:
    """The reference to a Service, marked so that this adapter answers."""
    header: JsonObject = {"name": ADAPTER_HEADER, "value": adapter}
    filters: JsonObject = {
        "type": "RequestHeaderModifier",
        "requestHeaderModifier": {"set": [header]},
    }
    return {**backend, "filters": [filters]}


def adapter_of(backend: JsonObject) -> str:
    """What `to_adapter` marked the reference with."""
    (marked,) = cast("list[dict[str, Any]]", backend["filters"])
    return str(marked["requestHeaderModifier"]["set"][0]["value"])

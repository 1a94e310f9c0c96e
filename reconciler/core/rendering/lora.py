"""Render a LoRA adapter: the route of its alias, and where a server finds it.

Separate from aliases.py, which prompts share. The invariant: the adapter itself is no object of a
cluster, so its route is all there is to apply.
"""

from __future__ import annotations

from reconciler.core.identifiers import Digest
from reconciler.core.kinds.lora import Lora
from reconciler.core.manifests import JsonObject
from reconciler.core.rendering.aliases import AliasHeaders, alias_route, hexadecimal
from reconciler.core.rendering.release import Release

MODEL_HEADER = "x-model"
"""By which callers say what model they ask for."""

ADAPTER_HEADER = "x-model-adapter"
"""By which the gateway tells the server which adapter is to answer."""


def adapter_path(lora: Lora, digest: Digest) -> str:
    """Where the server finds it."""
    return lora.path.replace("{digest}", hexadecimal(digest))


def render_adapter(release: Release) -> tuple[JsonObject, ...]:
    """The daemon has the server load the adapter, which is no object."""
    lora = release.model.spec.serving.lora
    assert lora is not None, "checked by Serving for this runtime"
    return alias_route(
        release,
        server=lora.server,
        alias=lora.alias,
        digest=release.version.artifact.digest,
        headers=AliasHeaders(MODEL_HEADER, ADAPTER_HEADER),
    )

"""Render a prompt: the route of its alias.

Separate from aliases.py, which adapters share. The invariant: the text is in no object of a
cluster; only its digest is, in a name.
"""

from __future__ import annotations

from reconciler.core.manifests import JsonObject
from reconciler.core.rendering.aliases import AliasHeaders, alias_route
from reconciler.core.rendering.release import Release

PROMPT_HEADER = "x-prompt"
"""By which callers say what prompt they ask for."""

PROMPT_VERSION_HEADER = "x-prompt-version"
"""By which the gateway tells the server which text is to go before the request."""


def render_prompt(release: Release) -> tuple[JsonObject, ...]:
    """The daemon gives the text to the server."""
    prompt = release.prompt
    assert prompt is not None, "the caller has looked"
    assert prompt.spec.serving is not None, "the caller has looked"
    version = prompt.spec.version(release.rollout.spec.version)
    assert version is not None, "references were resolved"
    return alias_route(
        release,
        server=prompt.spec.serving.server,
        alias=prompt.spec.serving.alias,
        digest=version.digest,
        headers=AliasHeaders(PROMPT_HEADER, PROMPT_VERSION_HEADER),
    )

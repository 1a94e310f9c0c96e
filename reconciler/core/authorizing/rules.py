"""What the request path knows of the repository: routes and agents, as JSON that a cluster keeps.

Separate from the documents, which the process on the request path never sees. The invariant:
text of any other shape is Corrupt as a whole, so that half of it never decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from reconciler.core.errors import Corrupt
from reconciler.core.kinds.access_rules import ModelAction

RULES_KEY = "rules.json"
"""In the data of the ConfigMap."""

RULES_NAME = "fairlead-authorize"
"""Of the ConfigMap."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelRoute(_Part):
    """Where requests for one model come in, and the Services that may answer them.

    `backends` says which version each Service serves. `selected` is set where the gateway tells
    the model from others of the same path by the header that names it.
    """

    namespace: str
    name: str
    """Of the HTTPRoute."""
    model: str
    """Name of the Model."""
    called: str
    """The name by which requests ask for it."""
    hostnames: tuple[str, ...]
    prefix: str
    backends: Mapping[str, str]
    selected: bool = False

    def takes(self, host: str, path: str) -> bool:
        prefix = self.prefix.rstrip("/")
        under = path == prefix or path.startswith(f"{prefix}/")
        return under and (not self.hostnames or any(_fits(host, name) for name in self.hostnames))


class Limits(_Part):
    call_seconds: int | None = None
    calls_per_minute: int | None = None
    tokens_per_day: int | None = None


class AllowedModel(_Part):
    model: str
    versions: tuple[str, ...]
    actions: tuple[ModelAction, ...]


class AllowedTool(_Part):
    server: str
    name: str
    digest: str


class Agent(_Part):
    """What an AgentScope says that RBAC cannot."""

    name: str
    namespace: str
    audience: str
    expires: date
    """Its last day, in UTC."""
    models: tuple[AllowedModel, ...] = ()
    tools: tuple[AllowedTool, ...] = ()
    limits: Limits = Limits()

    @property
    def username(self) -> str:
        """As the API server calls its ServiceAccount."""
        return f"system:serviceaccount:{self.namespace}:{self.name}"

    def may(self, action: ModelAction, model: str, version: str) -> bool:
        return any(
            allowed.model == model and version in allowed.versions and action in allowed.actions
            for allowed in self.models
        )


class Rules(_Part):
    """All of it. `version` is that of the form."""

    version: Literal[1]
    repository: str
    routes: tuple[ModelRoute, ...] = ()
    agents: tuple[Agent, ...] = ()

    def agent(self, username: str) -> Agent | None:
        return next((agent for agent in self.agents if agent.username == username), None)

    def route(self, host: str, path: str, selected: str) -> ModelRoute | None:
        """The one that the gateway takes: exact hosts, long paths and headers go first."""
        found = [
            route
            for route in self.routes
            if route.takes(host, path) and (not route.selected or route.called == selected)
        ]
        if not found:
            return None
        ranks = [_rank(route, host) for route in found]
        best = max(ranks)
        # Two of the same rank are one too many: which one the gateway takes is a matter of age.
        return found[ranks.index(best)] if ranks.count(best) == 1 else None


def rules_of(text: str) -> Rules:
    """Raises Corrupt."""
    try:
        return Rules.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        raise Corrupt(
            f"the rules of the request path are not understood at {place or 'their beginning'}",
            hint="let the daemon and the authorizer be of the same version",
        ) from None


def _rank(route: ModelRoute, host: str) -> tuple[bool, int, int, bool]:
    named = max((len(name) for name in route.hostnames if _fits(host, name)), default=0)
    return host in route.hostnames, named, len(route.prefix.rstrip("/")), route.selected


def _fits(host: str, pattern: str) -> bool:
    """A wildcard stands for one label or more, as in the Gateway API."""
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) >= len(pattern)
    return host == pattern

"""Kind AgentScope: all that one agent may do, and for how long.

Separate from Role because an agent is no person: it has no group, its access ends by itself, and
it has limits. The invariant: what is not listed is denied.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field, model_validator

from reconciler.core.kinds.access_rules import AccessTest, ModelAction
from reconciler.core.kinds.common import Declaration, Part, refusal
from reconciler.core.kinds.scalars import (
    CalendarDate,
    Count,
    DnsLabel,
    Duration,
    Maybe,
    PositiveCount,
    QuantityText,
    SecretPattern,
    Sha256,
    Text,
)

SHORTEST_TOKEN = timedelta(minutes=10)
LONGEST_TOKEN = timedelta(minutes=15)

LONGEST_NAME = 57
"""Characters: its namespace is called agent-NAME, and has 63 at most."""


class ScopedModel(Part):
    """Versions of one model that the agent may use."""

    model: DnsLabel
    """Name of the Model."""
    versions: tuple[DnsLabel, ...] = Field(min_length=1)
    """Names of its versions."""
    actions: tuple[ModelAction, ...] = Field(min_length=1)
    """What the agent may do with them."""


class Tool(Part):
    """A tool that the agent may call."""

    server: DnsLabel
    """Name of the tool server."""
    name: Text
    """Name of the tool."""
    schema_digest: Sha256 = Field(alias="schema")
    """Digest of the tool's schema: a tool that changes must be allowed again."""


class Token(Part):
    """The agent's own credential."""

    ttl: Duration = SHORTEST_TOKEN
    """How long one token lasts: 10 to 15 minutes. No API server gives shorter ones."""
    audience: Text
    """Who accepts it. The Kubernetes API server does not."""
    by: tuple[DnsLabel, ...] = ()
    """Roles whose members may be given one: `fairlead access token`."""

    @model_validator(mode="after")
    def _require_short_life(self) -> Token:
        if not SHORTEST_TOKEN <= self.ttl <= LONGEST_TOKEN:
            raise refusal("has a ttl that is not of 10 to 15 minutes", hint="write ttl: 10m")
        return self


class Limits(Part):
    """How much the agent may use. What is left out is not limited here."""

    call_seconds: Maybe[PositiveCount] = None
    """Longest call, in seconds."""
    calls_per_minute: Maybe[PositiveCount] = None
    """Calls in a minute."""
    tokens_per_day: Maybe[QuantityText] = None
    """Tokens of language models in a day."""
    pods: Maybe[Count] = None
    """Pods at a time."""
    gpus: Maybe[Count] = None
    """GPUs at a time."""


class AgentScopeSpec(Part):
    """All that the agent may do, and for how long."""

    purpose: Text
    """What the agent is for, in words."""
    models: tuple[ScopedModel, ...] = ()
    """Model versions it may use."""
    tools: tuple[Tool, ...] = ()
    """Tools it may call."""
    secrets: tuple[SecretPattern, ...] = ()
    """Secrets it may read, by store and path."""
    token: Token
    """Its own credential."""
    limits: Limits = Field(default_factory=Limits)
    """How much it may use."""
    egress: tuple[DnsLabel, ...] = ()
    """Where its pods may connect to; `gateway` is the model gateway."""
    expires: CalendarDate
    """Last day on which the scope is valid, in UTC."""
    tests: tuple[AccessTest, ...] = ()
    """Claims that validation proves."""


class AgentScope(Declaration):
    """All that one agent may do, and for how long."""

    kind: Literal["AgentScope"]
    """What this document declares."""
    spec: AgentScopeSpec
    """All that the agent may do, and for how long."""

    @model_validator(mode="after")
    def _leave_room_for_the_namespace(self) -> AgentScope:
        if len(self.name) > LONGEST_NAME:
            raise refusal(
                f"has a name of more than {LONGEST_NAME} characters, too long for a namespace "
                "agent-NAME",
                hint="choose a shorter name",
            )
        return self

"""Tokens of agents: for what an agent may be given one now, and what came of asking.

Separate from asking, which takes an API server. The invariants: what a token is for and how long
it is good follows from the scope in force alone, never from who asks; and a token is not in the
text of any value here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import cast

from reconciler.core.access.subjects import agent_namespace
from reconciler.core.errors import Corrupt, Missing, Refused
from reconciler.core.kinds.agent_scope import LONGEST_TOKEN
from reconciler.core.manifests import JsonObject
from reconciler.core.rendering.agents import (
    AGENT_LABEL,
    AUDIENCE_ANNOTATION,
    EXPIRES_ANNOTATION,
    SECONDS_ANNOTATION,
)


@dataclass(frozen=True, slots=True)
class TokenTerms:
    """For whom a token of the agent is, and for how long."""

    agent: str
    audience: str
    lifetime: timedelta

    @property
    def namespace(self) -> str:
        return agent_namespace(self.agent)


@dataclass(frozen=True, slots=True)
class AgentToken:
    """`identifier` is the token's own id, by which logs may name it."""

    value: str = field(repr=False)
    identifier: str
    expires: datetime
    audience: str


def terms_of(agent: str, home: JsonObject | None, today: date) -> TokenTerms:
    """From the namespace of the agent, which says what its scope says.

    Raises Missing, Refused or Corrupt.
    """
    metadata = cast(JsonObject, (home or {}).get("metadata") or {})
    labels = cast("dict[str, str]", metadata.get("labels") or {})
    if labels.get(AGENT_LABEL) != agent:
        raise Missing(
            f"there is no agent {agent} in this cluster",
            hint="name an AgentScope that is in force here, or another --context",
        )
    notes = cast("dict[str, str]", metadata.get("annotations") or {})
    try:
        audience, last = notes[AUDIENCE_ANNOTATION], date.fromisoformat(notes[EXPIRES_ANNOTATION])
        lifetime = timedelta(seconds=int(notes[SECONDS_ANNOTATION]))
    except (KeyError, ValueError) as error:
        raise Corrupt(
            f"the namespace of agent {agent} does not say what its tokens are for",
            hint="the daemon puts its annotations back; see fairlead status",
        ) from error
    if today > last:
        raise Refused(
            f"AgentScope {agent} ended with {last.isoformat()}",
            hint="give it a later day under expires",
        )
    return TokenTerms(agent, audience, min(lifetime, LONGEST_TOKEN))


def require_terms(token: AgentToken, terms: TokenTerms, asked: datetime) -> None:
    """A server may give more than was asked for. Raises Refused then."""
    slack = timedelta(seconds=30)
    if token.expires > asked + terms.lifetime + slack:
        raise Refused(
            f"the API server made a token that is good until {token.expires.isoformat()}, longer "
            f"than agent {terms.agent} may have one",
            hint="it was thrown away; ask whoever runs the API server what lengthens tokens there",
        )

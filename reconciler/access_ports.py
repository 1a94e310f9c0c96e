"""Whom is asked about callers, tools and tokens, in our words.

Separate from ports.py, because only the authorizer and `fairlead access token` need it. The
invariant is that of ports.py: a port raises only the errors of core/errors.py, and speaks in values
of core.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from reconciler.core.access.tokens import AgentToken, TokenTerms
from reconciler.core.authorizing.deciding import Caller, Question


class Reviews(Protocol):
    """Who somebody is and what they may do, as the API server says. Unavailable otherwise."""

    async def caller(self, token: str, audiences: tuple[str, ...]) -> Caller | None:
        """Whose token it is; None unless it is valid and for one of the audiences."""
        ...

    async def allowed(self, caller: Caller, question: Question) -> bool:
        """Whether the caller may create that version's subresource of the action."""
        ...

    async def close(self) -> None: ...


class AgentTokens(Protocol):
    """Tokens of agents, as one API server gives them to whoever asks."""

    async def terms(self, agent: str) -> TokenTerms:
        """By the scope in force. Missing, Forbidden, or Refused once it has ended."""
        ...

    async def mint(self, terms: TokenTerms, *, pod: str = "") -> AgentToken:
        """Good for no longer than the pod is there, if one is named."""
        ...

    async def close(self) -> None: ...


class ToolServers(Protocol):
    """The tool servers that the settings name."""

    async def digests(self, server: str) -> Mapping[str, str]:
        """By tool, the digest of its definition as the server gives it now.

        Missing for a server that the settings do not name.
        """
        ...

    async def close(self) -> None: ...

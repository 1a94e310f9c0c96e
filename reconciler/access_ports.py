"""Whom the request path asks about callers and tools, in our words.

Separate from ports.py, because only the authorizer needs it. The invariant is that of ports.py: a
port raises only the errors of core/errors.py, and speaks in values of core.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

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


class ToolServers(Protocol):
    """The tool servers that the settings name."""

    async def digests(self, server: str) -> Mapping[str, str]:
        """By tool, the digest of its definition as the server gives it now.

        Missing for a server that the settings do not name.
        """
        ...

    async def close(self) -> None: ...

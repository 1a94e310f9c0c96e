"""Whom the page asks who somebody is, in our words.

Separate from ports.py, because only the page needs it. The invariant is that of ports.py: a port
raises only the errors of core/errors.py, and speaks in values of core.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from reconciler.core.viewers import Identity


@dataclass(frozen=True, slots=True)
class SignInAttempt:
    """What must be remembered from sending a person to the provider until they come back."""

    state: str
    nonce: str
    verifier: str
    redirect_uri: str
    url: str = ""
    """Where to send them."""

    def at(self, url: str) -> SignInAttempt:
        return replace(self, url=url)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who came back. `proof` tells the provider at sign-out whose session ends; it is a secret."""

    person: Identity
    proof: str


class IdentityProvider(Protocol):
    """Somebody who knows people. Unavailable when nobody answers, Misconfigured when the settings
    do not fit."""

    async def begin(self, redirect_uri: str) -> SignInAttempt: ...

    async def finish(self, attempt: SignInAttempt, code: str, *, issuer: str = "") -> SignedIn:
        """Raises Untrusted unless all that came back belongs to this attempt and is genuine."""
        ...

    async def sign_out_url(self, id_token: str, return_to: str) -> str:
        """Where to send a person who signs out; empty where the provider has no such place."""
        ...

    async def close(self) -> None: ...

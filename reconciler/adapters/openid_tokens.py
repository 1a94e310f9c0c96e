"""Verification of ID tokens, and the keys that they are signed with.

Separate from the flow, because this is what an attack would go for. The invariant: claims come out
only of a token that the issuer signed with an asymmetric key of its own, for this client, for this
attempt, and that is valid now.

https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation; RFC 7515, 7517, 7519
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias, TypeGuard

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from reconciler.core.errors import Unavailable, Untrusted
from reconciler.ports import Clock

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
"""Never `none`, and no HMAC: a public key must not serve as a shared secret."""

LEEWAY_SECONDS = 60
LONGEST_TOKEN = 64 * 1024
REFETCH_SECONDS = 30.0
"""How long an unknown key id fetches no keys again: anybody can send one."""

FetchKeys: TypeAlias = Callable[[], Awaitable[Mapping[str, Any]]]


class KeyRing:
    """The issuer's keys, fetched when first needed and when a token names one that is new."""

    def __init__(self, fetch: FetchKeys, clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keys: KeySet | None = None
        self._fetched_at = 0.0

    async def for_token(self, key_id: str | None) -> KeySet:
        """All keys; Unavailable when they cannot be fetched."""
        if self._keys is None or (self._lacks(key_id) and self._may_fetch()):
            self._fetched_at = self._clock.monotonic()
            self._keys = _imported(await self._fetch())
        return self._keys

    def _lacks(self, key_id: str | None) -> bool:
        return key_id is not None and all(key.kid != key_id for key in self._keys or ())

    def _may_fetch(self) -> bool:
        return self._clock.monotonic() - self._fetched_at >= REFETCH_SECONDS


def _imported(document: Mapping[str, Any]) -> KeySet:
    found = document.get("keys")
    keys = [key for key in found if isinstance(key, dict)] if isinstance(found, list) else []
    # Keys for encryption, and symmetric ones, are no business of ours.
    signing = [k for k in keys if k.get("use", "sig") == "sig" and k.get("kty") != "oct"]
    try:
        return KeySet.import_key_set({"keys": signing})
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise Unavailable(f"the provider's keys cannot be read: {type(error).__name__}") from None


async def verified_claims(
    token: str,
    keys: KeyRing,
    *,
    issuer: str,
    client_id: str,
    nonce: str,
    now: float,
    access_token: str,
) -> dict[str, Any]:
    """The claims of an ID token. Raises Untrusted, saying which check failed and no part of it."""
    if len(token) > LONGEST_TOKEN:
        raise Untrusted("the ID token is too long")
    header = _header(token)
    key_id = header.get("kid")
    ring = await keys.for_token(key_id if isinstance(key_id, str) else None)
    try:
        decoded = jwt.decode(token, ring, algorithms=list(ALGORITHMS))
    except (JoseError, ValueError, TypeError) as error:
        raise Untrusted(f"the ID token's signature is no good: {type(error).__name__}") from None
    claims = decoded.claims
    _require(isinstance(claims.get("sub"), str) and bool(claims["sub"]), "has no subject")
    _require(claims.get("iss") == issuer, "is of another issuer")
    _check_audience(claims, client_id)
    _check_times(claims, now)
    given = claims.get("nonce")
    _require(
        isinstance(given, str) and hmac.compare_digest(given.encode(), nonce.encode()),
        "belongs to another attempt to sign in",
    )
    _check_access_token(claims, str(header.get("alg")), access_token)
    return claims


def _header(token: str) -> Mapping[str, Any]:
    try:
        return jws.extract_compact(token.encode()).headers()
    except (JoseError, ValueError, TypeError, AttributeError):
        raise Untrusted("the ID token is not a signed token") from None


def _check_audience(claims: Mapping[str, Any], client_id: str) -> None:
    audience = claims.get("aud")
    listed = audience if isinstance(audience, list) else [audience]
    _require(client_id in listed, "is for another client")
    party = claims.get("azp")
    _require(len(listed) == 1 or party is not None, "is for several clients and names none")
    _require(party is None or party == client_id, "was given to another client")


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    expires, issued, before = (claims.get(name) for name in ("exp", "iat", "nbf"))
    _require(_is_number(expires) and expires > now - LEEWAY_SECONDS, "has expired")
    _require(_is_number(issued) and issued < now + LEEWAY_SECONDS, "is from the future")
    _require(
        before is None or (_is_number(before) and before < now + LEEWAY_SECONDS),
        "is not valid yet",
    )


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_access_token(claims: Mapping[str, Any], algorithm: str, access_token: str) -> None:
    """Core, section 3.1.3.8: the left half of the digest that the algorithm names."""
    expected = claims.get("at_hash")
    if expected is None or not access_token:
        return
    name = {"256": "sha256", "384": "sha384", "512": "sha512"}.get(algorithm[-3:], "sha512")
    digest = hashlib.new(name, access_token.encode()).digest()
    half = base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
    _require(
        isinstance(expected, str) and hmac.compare_digest(expected.encode(), half.encode()),
        "came with another access token",
    )


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Untrusted(f"the ID token {otherwise}")

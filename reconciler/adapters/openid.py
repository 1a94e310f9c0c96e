"""Sign-in by OpenID Connect: the authorization code flow with PKCE, as a relying party.

Separate from sessions, which know no provider, and from the tokens' verification. The invariants:
nothing is asked of any address but those that the issuer's discovery document names, which all
travel over https or the loopback; a token goes nowhere else, and into no error or log.

https://openid.net/specs/openid-connect-core-1_0.html, RFC 7636 (PKCE), RFC 9207 (issuer in answers)
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import orjson
from yarl import URL

from reconciler.adapters.cluster_connection import read_up_to, unavailable
from reconciler.adapters.http_sessions import plain_session
from reconciler.adapters.openid_tokens import KeyRing, verified_claims
from reconciler.adapters.secret_files import secret_in
from reconciler.adapters.tls_trust import trusting
from reconciler.core.errors import Misconfigured, Unavailable, Untrusted
from reconciler.core.loopback import LOOPBACK
from reconciler.core.problems import printable
from reconciler.core.viewers import Identity
from reconciler.ports import Clock
from reconciler.sign_in_ports import SignedIn, SignInAttempt

ANSWER_SECONDS = 10.0
LARGEST_ANSWER = 2**20
DISCOVERY_SECONDS = 3600.0
"""How long a discovery document is believed."""

_WELL_KNOWN = "/.well-known/openid-configuration"

Claims: TypeAlias = Mapping[str, Any]


class OpenIdProvider:
    """One issuer, and this page as its client.

    Raises:
        Misconfigured: the certificates or the client's secret are no use.
    """

    def __init__(
        self,
        issuer: str,
        client_id: str,
        clock: Clock,
        *,
        secret_file: Path | None = None,
        scopes: tuple[str, ...] = ("openid", "email", "profile"),
        groups_claim: str = "groups",
        ca_file: Path | None = None,
    ) -> None:
        self._place = issuer
        self._issuer = issuer
        self._client_id = client_id
        self._clock = clock
        self._secret_file = secret_file
        self._scopes = scopes
        self._groups_claim = groups_claim
        self._tls = trusting(ca_file)
        self._session: aiohttp.ClientSession | None = None
        self._discovered: tuple[float, dict[str, Any]] | None = None
        self._keys = KeyRing(self._fetched_keys, clock)

    async def begin(self, redirect_uri: str) -> SignInAttempt:
        found = await self._discovery()
        attempt = SignInAttempt(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(64),
            redirect_uri=redirect_uri,
        )
        digest = hashlib.sha256(attempt.verifier.encode()).digest()
        query = urlencode(
            {
                "response_type": "code",
                "client_id": self._client_id,
                "redirect_uri": redirect_uri,
                "scope": " ".join(self._scopes),
                "state": attempt.state,
                "nonce": attempt.nonce,
                "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
                "code_challenge_method": "S256",
            },
            quote_via=quote,
        )
        endpoint = _endpoint(found, "authorization_endpoint")
        joint = "&" if urlsplit(endpoint).query else "?"
        return attempt.at(f"{endpoint}{joint}{query}")

    async def finish(self, attempt: SignInAttempt, code: str, *, issuer: str = "") -> SignedIn:
        if issuer and issuer != self._issuer:
            raise Untrusted("the answer comes from another issuer than the one that was asked")
        found = await self._discovery()
        tokens = await self._exchange(found, attempt, code)
        id_token = tokens.get("id_token")
        if not isinstance(id_token, str):
            raise Untrusted("the provider sent no ID token")
        access = tokens.get("access_token")
        access_token = access if isinstance(access, str) else ""
        claims = await verified_claims(
            id_token,
            self._keys,
            issuer=self._issuer,
            client_id=self._client_id,
            nonce=attempt.nonce,
            now=self._clock.now().timestamp(),
            access_token=access_token,
        )
        if self._groups_claim not in claims and found.get("userinfo_endpoint") and access_token:
            claims = {**await self._user_info(found, access_token, claims), **claims}
        return SignedIn(self._identity(claims), id_token)

    async def sign_out_url(self, id_token: str, return_to: str) -> str:
        found = await self._discovery()
        endpoint = found.get("end_session_endpoint")
        if not isinstance(endpoint, str) or not _is_safe(endpoint):
            return ""
        query = {"id_token_hint": id_token, "post_logout_redirect_uri": return_to}
        query["client_id"] = self._client_id
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(query)}"

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _identity(self, claims: Claims) -> Identity:
        groups = claims.get(self._groups_claim)
        listed = [groups] if isinstance(groups, str) else groups
        names = listed if isinstance(listed, list) else []
        email = claims.get("email") if claims.get("email_verified") is True else ""
        name = claims.get("name") or claims.get("preferred_username") or claims["sub"]
        return Identity(
            issuer=self._issuer,
            subject=printable(str(claims["sub"]), limit=255),
            name=printable(str(name), limit=200),
            email=printable(email, limit=254) if isinstance(email, str) else "",
            groups=frozenset(item for item in names if isinstance(item, str)),
        )

    async def _exchange(
        self, found: Mapping[str, Any], attempt: SignInAttempt, code: str
    ) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": attempt.redirect_uri,
            "code_verifier": attempt.verifier,
        }
        headers = {}
        secret = self._secret()
        methods = found.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if secret and "client_secret_basic" in methods:
            # RFC 6749, section 2.3.1: both are form-encoded first.
            pair = f"{quote(self._client_id, safe='')}:{quote(secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form["client_id"] = self._client_id
            if secret:
                form["client_secret"] = secret
        endpoint = _endpoint(found, "token_endpoint")
        return await self._ask("POST", endpoint, doing="exchange the code", form=form, more=headers)

    async def _user_info(
        self, found: Mapping[str, Any], access_token: str, claims: Claims
    ) -> dict[str, Any]:
        told = await self._ask(
            "GET",
            _endpoint(found, "userinfo_endpoint"),
            doing="ask for the user info",
            more={"Authorization": f"Bearer {access_token}"},
        )
        # Core, section 5.3.2: otherwise these could be the claims of somebody else.
        if told.get("sub") != claims["sub"]:
            raise Untrusted("the user info is about another person than the ID token")
        return told

    async def _discovery(self) -> Mapping[str, Any]:
        now = self._clock.monotonic()
        if self._discovered is not None and now - self._discovered[0] < DISCOVERY_SECONDS:
            return self._discovered[1]
        url = f"{self._place}{_WELL_KNOWN}"
        found = await self._ask("GET", url, doing=f"read {url}")
        if str(found.get("issuer", "")).rstrip("/") != self._place:
            raise Misconfigured(
                f"{url} is of the issuer {printable(str(found.get('issuer')), limit=200)}",
                hint="set page.signIn.issuer to what the provider calls itself",
            )
        # Tokens name it to the letter, and some issuers end with a slash.
        self._issuer = str(found["issuer"])
        self._discovered = (now, found)
        return found

    async def _fetched_keys(self) -> Mapping[str, Any]:
        endpoint = _endpoint(await self._discovery(), "jwks_uri")
        return await self._ask("GET", endpoint, doing="read the provider's keys")

    async def _ask(
        self,
        method: str,
        url: str,
        *,
        doing: str,
        form: Mapping[str, str] | None = None,
        more: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        try:
            async with self._opened().request(
                method,
                URL(url, encoded=True),
                data=form,
                headers={"Accept": "application/json", **(more or {})},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS),
            ) as response:
                content = await read_up_to(LARGEST_ANSWER, response, doing=doing)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise unavailable(error, doing=doing) from error
        if response.status >= 500:
            raise Unavailable(f"cannot {doing}: the provider answered {response.status}")
        answer = _object(content)
        if response.status != 200:
            said = printable(str(answer.get("error", "")), limit=100) or response.status
            raise Untrusted(f"cannot {doing}: the provider refused: {said}")
        return answer

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = plain_session(self._tls)
        return self._session

    def _secret(self) -> str:
        """As its file has it now: secrets are renewed."""
        return secret_in(self._secret_file) if self._secret_file is not None else ""


def _object(content: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(content)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _endpoint(found: Mapping[str, Any], name: str) -> str:
    url = found.get(name)
    if not isinstance(url, str) or not _is_safe(url):
        raise Misconfigured(
            f"the provider's discovery document has no {name} that can be used",
            hint="it must be an https:// URL",
        )
    return url


def _is_safe(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)

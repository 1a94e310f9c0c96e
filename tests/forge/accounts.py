"""Who may ask the stand-in for GitHub what: holders of tokens, an App, and its installation.

Separate because real signatures are checked here. The invariant: as on GitHub, what one may not see
is not there (404), and what one may not do is forbidden (403).
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from .description import Operation

APP_ID = 7
INSTALLATION = 8
SLUG = "fairlead"

_NEEDED = {
    "pulls": "pull_requests",
    "issues": "pull_requests",
    "check-runs": "checks",
    "statuses": "statuses",
    "deployments": "deployments",
    "git": "contents",
}


@cache
def _key() -> rsa.RSAPrivateKey:
    """One for all, since making one takes a tenth of a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Refused(Exception):
    """GitHub's answer to who may not."""

    def __init__(self, status: int, message: str, errors: list[Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.content: dict[str, Any] = {"message": message, "documentation_url": "https://x.test"}
        if errors is not None:
            self.content["errors"] = errors


class Accounts:
    """`tokens` are of people, by their login; the App's are given out and end."""

    def __init__(self) -> None:
        self.key = _key()
        self.tokens: dict[str, str] = {}
        self.permissions = {"pull_requests", "checks", "statuses", "deployments", "contents"}
        self.lasting = timedelta(hours=1)
        self.exchanges = 0
        self._installed: dict[str, datetime] = {}
        self._asking = ""

    def private_key(self) -> bytes:
        """As GitHub gives it for download."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )

    def revoke(self) -> None:
        """Every token of the installation ends now."""
        self._installed.clear()

    def granted(self) -> tuple[str, str]:
        self.exchanges += 1
        token, until = f"ghs_{secrets.token_hex(18)}", datetime.now(UTC) + self.lasting
        self._installed[token] = until
        return token, until.strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def login(self) -> str:
        """Of whoever asks."""
        return self.tokens.get(self._asking, f"{SLUG}[bot]")

    def admit(self, operation: Operation, headers: dict[str, str], repository: str) -> None:
        word, _, credential = headers.get("authorization", "").partition(" ")
        if word.lower() not in ("bearer", "token"):
            raise Refused(401, "Requires authentication")
        self._asking = credential
        if operation.template.startswith("/app"):
            self._admit_app(operation, credential)
            return
        person = credential in self.tokens
        if not person and self._installed.get(credential, datetime.min.replace(tzinfo=UTC)) < (
            datetime.now(UTC)
        ):
            raise Refused(401, "Bad credentials")
        self._admit(operation, repository, person=person)

    def _admit(self, operation: Operation, repository: str, *, person: bool) -> None:
        if operation.template == "/user":
            if not person:
                raise Refused(403, "Resource not accessible by integration")
            return
        where = f"{operation.parameters['owner']}/{operation.parameters['repo']}"
        if where != repository:
            raise Refused(404, "Not Found")
        if person and operation.template.endswith("/check-runs") and operation.method == "post":
            raise Refused(403, "You must authenticate via a GitHub App.")
        parts = operation.template.split("/")
        needed = next((_NEEDED[part] for part in reversed(parts) if part in _NEEDED), None)
        if needed is not None and needed not in self.permissions:
            by = "personal access token" if person else "integration"
            raise Refused(403, f"Resource not accessible by {by}")

    def _admit_app(self, operation: Operation, assertion: str) -> None:
        try:
            claims = jwt.decode(
                assertion,
                self.key.public_key(),
                algorithms=["RS256"],
                options={"require": ["iat", "exp", "iss"]},
            )
        except jwt.PyJWTError:
            raise Refused(401, "A JSON web token could not be decoded") from None
        if claims["iss"] != str(APP_ID):
            raise Refused(404, "Integration not found")
        if claims["exp"] > datetime.now(UTC).timestamp() + 600:
            raise Refused(401, "'Expiration time' claim ('exp') is too far in the future")
        if operation.parameters.get("installation_id", str(INSTALLATION)) != str(INSTALLATION):
            raise Refused(404, "Not Found")

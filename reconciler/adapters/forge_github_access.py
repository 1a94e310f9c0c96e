"""As whom GitHub is asked: the holder of a token, or an installation of an App.

Separate from the requests, which need not know where a token comes from. The invariants: files are
read at every use, since what they hold is renewed; a token of an installation is good for the one
repository only; and nothing of either is in a message, an address or a log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import jwt

from reconciler.adapters.secret_files import text_of
from reconciler.core.errors import Forbidden, Misconfigured, Unavailable
from reconciler.ports import Clock

RENEWED_BEFORE = 300.0
"""Seconds before its end that a token is not used any more: an hour is what it lasts."""

_SKEW = 60
"""Seconds that our clock may be ahead of GitHub's, which believes no time to come."""

_ASSERTED = 540
"""Seconds that an assertion lasts; GitHub takes ten minutes at most."""


@dataclass(frozen=True, slots=True)
class GitHubApp:
    """Which App, where it is installed, and the file with a private key of it."""

    id: int
    installation: int
    private_key_file: Path


class Exchange(Protocol):
    """Asks GitHub something as the App itself, by an assertion."""

    def __call__(
        self, method: str, path: str, body: Mapping[str, Any] | None, *, assertion: str
    ) -> dict[str, Any]: ...


class TokenAccess:
    """The holder of a token, which a file holds."""

    app_id: int | None = None

    def __init__(self, file: Path) -> None:
        self._file = file
        if not text_of(file).strip():
            raise Misconfigured(f"{file} holds no token", hint="write the access token into it")

    def token(self, _: Exchange) -> str:
        token = _in_use(self._file).strip()
        # What requests would refuse to send, it would also quote.
        if not re.fullmatch(r"[\x21-\x7e]+", token):
            raise Forbidden(f"{self._file} holds no token", hint="write the access token into it")
        return token

    def forget(self) -> bool:
        """Whether asking again may help after a token was refused."""
        return False


class AppAccess:
    """An installation of an App, which gets a token for an hour by its private key."""

    def __init__(self, app: GitHubApp, repository: str, clock: Clock) -> None:
        self.app_id: int | None = app.id
        self._app = app
        self._name = repository.partition("/")[2]
        self._clock = clock
        self._token = ""
        self._until = 0.0
        try:
            self.assertion()
        except Forbidden as error:
            raise Misconfigured(error.message, hint=error.hint) from None

    def token(self, exchange: Exchange) -> str:
        now = self._clock.now().timestamp()
        if now + RENEWED_BEFORE >= self._until:
            path = f"app/installations/{self._app.installation}/access_tokens"
            told = exchange(
                "POST", path, {"repositories": [self._name]}, assertion=self.assertion()
            )
            self._token, self._until = _token_in(told)
        return self._token

    def forget(self) -> bool:
        had = bool(self._token)
        self._token, self._until = "", 0.0
        return had

    def assertion(self) -> str:
        """That we are the App, signed; as text, since recent releases of PyJWT take no number."""
        now = int(self._clock.now().timestamp())
        claims = {"iat": now - _SKEW, "exp": now + _ASSERTED, "iss": str(self._app.id)}
        file = self._app.private_key_file
        key = _in_use(file)
        try:
            return jwt.encode(claims, key, algorithm="RS256")
        except (ValueError, TypeError, jwt.PyJWTError):
            pass
        raise Forbidden(
            f"{file} holds no private key of an App",
            hint="make one on the page of the App, and give the file as it was downloaded",
        )


def _token_in(told: Mapping[str, Any]) -> tuple[str, float]:
    token, until = told.get("token"), told.get("expires_at")
    if isinstance(token, str) and token.isascii() and isinstance(until, str):
        try:
            return token, datetime.fromisoformat(until).timestamp()
        except ValueError:
            pass
    raise Unavailable("cannot get a token for the installation: GitHub's answer has none")


def _in_use(file: Path) -> str:
    try:
        return text_of(file)
    except Misconfigured as error:
        raise Forbidden(error.message, hint=error.hint) from None

"""The conversation with one Vault or OpenBao server.

Separate because this is where the paths are that may be asked for. The invariant: no request goes
to a path that has a secret's value; policies, roles of one Kubernetes auth mount and metadata of
one key-value mount are all that is ever asked for, beside signing in.
"""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import hvac
import requests
from hvac import exceptions

from reconciler.core.errors import (
    FairleadError,
    Forbidden,
    Invalid,
    Refused,
    Throttled,
    Unavailable,
)
from reconciler.core.manifests import JsonObject
from reconciler.core.secrecy import replace_known_formats
from reconciler.ports import Clock

REQUEST_SECONDS = 10.0
SIGNED_IN_SHARE = 0.5
"""Part of a token's life after which a new one is got."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class KubernetesSignIn:
    """Sign in with the token of a service account that is mounted as a file."""

    role: str
    token_file: Path


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A file with a token that something else keeps fresh, such as the agent."""

    path: Path


@dataclass(frozen=True, slots=True)
class VaultAccess:
    """Where the server is and who we are there. Mounts are paths without slashes at their ends."""

    address: str
    sign_in: KubernetesSignIn | TokenFile
    namespace: str = ""
    ca_file: Path | None = None
    kubernetes_mount: str = "kubernetes"
    kv_mount: str = "kv"


class VaultConnection:
    """Requests to one server, one at a time; each in a thread, because hvac waits."""

    def __init__(self, access: VaultAccess, clock: Clock) -> None:
        self._access = access
        self._clock = clock
        self._session = requests.Session()
        # Proxies and bundles of the environment are not ours to follow with a token in hand.
        self._session.trust_env = False
        verify = str(access.ca_file) if access.ca_file else True
        self._session.verify = verify
        self._client: Any = hvac.Client(
            url=access.address,
            namespace=access.namespace or None,
            verify=verify,
            timeout=REQUEST_SECONDS,
            session=self._session,
        )
        self._signed_in_until = float("-inf")
        self._one_at_a_time = asyncio.Lock()
        mount = access.kubernetes_mount
        self.kv_mount = access.kv_mount
        self.policies = "sys/policies/acl"
        self.roles = f"auth/{mount}/role"
        self.metadata = f"{access.kv_mount}/metadata"
        self._readable = (self.policies, self.roles, self.metadata)
        self._writable = (self.policies, self.roles)

    async def names(self, path: str) -> tuple[str, ...]:
        """Names below a path, in order; none when there is no such path."""
        answer = await self._ask(f"list {path}", lambda: self._client.list(self._may_read(path)))
        data = cast("dict[str, list[str]]", (answer or {}).get("data") or {})
        return tuple(sorted(data.get("keys") or ()))

    async def read(self, path: str) -> JsonObject | None:
        answer = await self._ask(f"read {path}", lambda: self._client.read(self._may_read(path)))
        return None if answer is None else cast(JsonObject, answer.get("data") or {})

    async def write(self, path: str, data: JsonObject) -> None:
        where = self._may_write(path)
        await self._ask(f"write {path}", lambda: self._client.write_data(where, data=data))

    async def delete(self, path: str) -> None:
        await self._ask(f"delete {path}", lambda: self._client.delete(self._may_write(path)))

    async def capabilities(self, paths: tuple[str, ...]) -> dict[str, list[str]]:
        """What our token may do at the paths; none of them is asked for."""
        answer = await self._ask(
            "ask for our rights", lambda: self._client.sys.get_capabilities(paths=list(paths))
        )
        data = cast("dict[str, list[str]]", answer.get("data") or {})
        return {path: sorted(set(data.get(path) or ()) - {"deny"}) for path in paths}

    async def close(self) -> None:
        self._session.close()

    def _may_read(self, path: str) -> str:
        return _within(path, self._readable)

    def _may_write(self, path: str) -> str:
        return _within(path, self._writable)

    async def _ask(self, doing: str, call: Callable[[], T]) -> T:
        async with self._one_at_a_time:
            try:
                async with asyncio.timeout(3 * REQUEST_SECONDS):
                    return await asyncio.to_thread(self._answered, doing, call)
            except TimeoutError as error:
                raise Unavailable(f"{doing}: the secret store does not answer") from error

    def _answered(self, doing: str, call: Callable[[], T]) -> T:
        try:
            return self._signed_in(call)
        except (exceptions.VaultError, requests.RequestException, OSError) as error:
            # Whoever took the token back, the next request signs in anew.
            self._signed_in_until = float("-inf")
            raise _translated(error, doing=doing) from None

    def _signed_in(self, call: Callable[[], T]) -> T:
        now = self._clock.monotonic()
        if now >= self._signed_in_until:
            self._signed_in_until = now + self._sign_in()
        return call()

    def _sign_in(self) -> float:
        """Get a token; returns how many seconds it is used."""
        given = self._access.sign_in
        if isinstance(given, TokenFile):
            self._client.token = given.path.read_text().strip()
            return 0.0
        answer = self._client.auth.kubernetes.login(
            role=given.role,
            jwt=given.token_file.read_text().strip(),
            mount_point=self._access.kubernetes_mount,
        )
        return float(answer["auth"]["lease_duration"]) * SIGNED_IN_SHARE


def _within(path: str, allowed: tuple[str, ...]) -> str:
    """`path`, when it is what it seems to be and lies below one of the allowed ones."""
    below = any(path == parent or path.startswith(f"{parent}/") for parent in allowed)
    # `..` and encoded characters would be resolved by the server, after this was asked.
    plain = posixpath.normpath(path) == path and not set(path) & set("%?#\\") and path.isprintable()
    if not (below and plain):
        raise Refused(f"{path!r} of the secret store is no place for the daemon")
    return path


def _translated(error: Exception, *, doing: str) -> FairleadError:
    match error:
        case exceptions.Forbidden() | exceptions.Unauthorized():
            return Forbidden(
                f"{doing}: the secret store does not let the daemon",
                hint="docs/secrets.md has the policy that the daemon needs",
            )
        case exceptions.RateLimitExceeded():
            return Throttled(f"{doing}: too many requests", retry_after=1.0)
        case exceptions.InvalidRequest() | exceptions.ParamValidationError():
            said = "; ".join(str(text) for text in getattr(error, "errors", None) or ())[:300]
            told = replace_known_formats(said, lambda _: "[redacted]")
            return Invalid(f"{doing}: the secret store refused it: {told or 'without a reason'}")
        case exceptions.VaultError():
            return Unavailable(f"{doing}: the secret store cannot answer now")
        case _:
            return Unavailable(f"{doing}: {type(error).__name__}")

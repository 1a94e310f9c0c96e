"""From a kubeconfig or a pod's service account to what a connection needs.

Separate because credentials are the one thing here that must not leak. The invariant: reading a
kubeconfig runs no program unless the settings allow it, and no private key stays on the disk.

The kubernetes package reads both as well, and costs a process 10 MiB; of it only what runs a
program for credentials is used, where there is one: see cluster_plugins.py.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from reconciler.adapters.tls_trust import trusting
from reconciler.core.errors import Misconfigured, Unavailable
from reconciler.core.problems import printable
from reconciler.ports import Clock

TOKEN_LIFETIME = 60.0
"""Seconds for which a token that was read from a file or a plug-in is used without asking again."""

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")

_INLINE = ("client-certificate", "client-key")

Authorization: TypeAlias = Callable[[], Awaitable[str | None]]
"""The value of the header as of now."""


class Unusable(Exception):
    """Why credentials cannot be used, in words that hold none of them."""


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """Where the API server is, by a file of the operator's.

    A kubeconfig may name a program that prints a token (`exec`). Whoever can write the file could
    run programs as the daemon, so that has to be allowed.
    """

    path: Path
    context: str = ""
    allow_exec: bool = False


@dataclass(frozen=True, slots=True)
class InCluster:
    """The API server of the cluster that the daemon runs in, by its pod's service account."""

    account: Path = SERVICE_ACCOUNT


ClusterAccess = Kubeconfig | InCluster


@dataclass(frozen=True, slots=True)
class Credentials:
    """An address, a TLS context that already holds keys, and how to get the bearer token."""

    host: str
    trust: ssl.SSLContext
    authorization: Authorization
    server_name: str | None = None
    proxy: str | None = None


async def credentials_of(access: ClusterAccess, clock: Clock) -> Credentials:
    """Read credentials once; tokens are read again as they age.

    Raises Misconfigured.
    """
    try:
        if isinstance(access, InCluster):
            return _of_service_account(access.account, clock)
        return await _of_kubeconfig(access, clock)
    except (Unusable, KeyError, TypeError, OSError, ValueError, yaml.YAMLError) as error:
        # The text of YAML and Base64 errors can hold what they could not read.
        told = str(error) if isinstance(error, Unusable | OSError) else type(error).__name__
        raise Misconfigured(
            f"the credentials of {_described(access)} cannot be used: {printable(told)}",
            hint="check that `kubectl --kubeconfig … get --raw /version` works with this file",
        ) from error


def _described(access: ClusterAccess) -> str:
    return str(access.path) if isinstance(access, Kubeconfig) else "the pod's service account"


def _of_service_account(account: Path, clock: Clock) -> Credentials:
    host, port = (os.environ.get(f"KUBERNETES_SERVICE_{part}") for part in ("HOST", "PORT"))
    if not host or not port:
        raise Unusable("KUBERNETES_SERVICE_HOST and _PORT are not set")
    return Credentials(
        host=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        trust=trusting(account / "ca.crt"),
        authorization=_FileToken(account / "token", clock),
    )


async def _of_kubeconfig(access: Kubeconfig, clock: Clock) -> Credentials:
    content = yaml.safe_load(access.path.read_text())
    if not isinstance(content, dict):
        raise Unusable("it is not a mapping")
    context = access.context or content.get("current-context")
    if not context:
        raise Unusable("it names no current-context, and the settings name none")
    user = _user_of(content, context)
    _refuse_plugins(user, access)
    folder = access.path.parent
    cluster = _named(content, "clusters", _named(content, "contexts", context)["cluster"])
    trust = _trust_in(cluster, folder)
    authorization = await _authorization_of(user, folder, trust, clock)
    _show_certificate(user, folder, trust)
    return Credentials(
        host=str(cluster["server"]).rstrip("/"),
        trust=trust,
        authorization=authorization,
        server_name=cluster.get("tls-server-name"),
        proxy=cluster.get("proxy-url"),
    )


def _trust_in(cluster: dict[str, Any], folder: Path) -> ssl.SSLContext:
    if authority := cluster.get("certificate-authority-data"):
        trust = ssl.create_default_context(cadata=base64.b64decode(authority).decode("ascii"))
    else:
        file = cluster.get("certificate-authority")
        trust = trusting(folder / file if file else None)
    if cluster.get("insecure-skip-tls-verify"):
        trust.check_hostname = False
        trust.verify_mode = ssl.CERT_NONE
    return trust


async def _authorization_of(
    user: dict[str, Any], folder: Path, trust: ssl.SSLContext, clock: Clock
) -> Authorization:
    if "exec" in user:
        # 10 MiB, which only those who run a program for credentials need.
        from reconciler.adapters.cluster_plugins import PluginToken  # noqa: PLC0415

        return await PluginToken.first(user["exec"], trust, clock)
    if token := user.get("token"):
        return _Fixed(f"Bearer {token}".strip())
    if file := user.get("tokenFile"):
        return _FileToken(folder / file, clock)
    if "username" in user and "password" in user:
        pair = f"{user['username']}:{user['password']}".encode()
        return _Fixed(f"Basic {base64.b64encode(pair).decode()}")
    return _Fixed(None)


class _Fixed:
    def __init__(self, value: str | None) -> None:
        self._value = value

    async def __call__(self) -> str | None:
        return self._value


class _FileToken:
    """A token in a file that somebody else renews."""

    def __init__(self, file: Path, clock: Clock) -> None:
        self._file = file
        self._clock = clock
        self._token, self._read_at = self._read(), clock.monotonic()

    async def __call__(self) -> str | None:
        if self._clock.monotonic() - self._read_at >= TOKEN_LIFETIME:
            try:
                self._token = self._read()
            except (Unusable, OSError, ValueError) as error:
                raise Unavailable(
                    f"cannot read the token in {self._file}: {type(error).__name__}",
                    hint="whoever renews the file has to put it back",
                ) from error
            self._read_at = self._clock.monotonic()
        return f"Bearer {self._token}"

    def _read(self) -> str:
        token = self._file.read_text().strip()
        if not token:
            raise Unusable(f"{self._file} is empty")
        return token


def _named(content: dict[str, Any], section: str, name: str) -> dict[str, Any]:
    for entry in content.get(section) or []:
        if entry["name"] == name:
            found: dict[str, Any] = entry[section.removesuffix("s")] or {}
            return found
    raise Unusable(f"{section} has no entry named {name}")


def _user_of(content: dict[str, Any], context: str) -> dict[str, Any]:
    name = _named(content, "contexts", context).get("user")
    return _named(content, "users", name) if name else {}


def _refuse_plugins(user: dict[str, Any], access: Kubeconfig) -> None:
    if "auth-provider" in user:
        raise Misconfigured(
            f"{access.path} asks for an auth-provider, which Kubernetes has removed",
            hint="use a token, a client certificate or an exec plug-in",
        )
    if "exec" in user and not access.allow_exec:
        raise Misconfigured(
            f"{access.path} asks to run a program for credentials, which the settings forbid",
            hint="use a token or a client certificate, or allow exec for this cluster",
        )


def _show_certificate(user: dict[str, Any], folder: Path, trust: ssl.SSLContext) -> None:
    """Make `trust` show the client certificate of `user`, if there is one."""
    # OpenSSL reads keys from files only. These live until it has read them.
    with tempfile.TemporaryDirectory(prefix="fairlead-") as temporary:
        certificate, key = (_file_of(user, name, folder, Path(temporary)) for name in _INLINE)
        if certificate:
            trust.load_cert_chain(certificate, keyfile=key)


def _file_of(user: dict[str, Any], name: str, folder: Path, temporary: Path) -> Path | None:
    if data := user.get(f"{name}-data"):
        try:
            content = base64.b64decode(data, validate=True)
        except binascii.Error as error:
            raise Unusable(f"{name}-data is not Base64") from error
        (temporary / name).write_bytes(content)
        return temporary / name
    if not user.get(name):
        return None
    file: Path = folder / user[name]
    if not file.is_file():
        raise Unusable(f"{file} is not a file")
    return file

"""From a kubeconfig or a pod's service account to what a connection needs.

Separate because credentials are the one thing here that must not leak. The invariant: reading a
kubeconfig runs no program unless the settings allow it, and no private key stays on the disk.
"""

# The kubernetes package says that it is typed, but its kubeconfig loader has no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import base64
import binascii
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import ConfigException, load_incluster_config
from kubernetes.aio.config.kube_config import KubeConfigLoader

from reconciler.core.errors import Misconfigured
from reconciler.core.problems import printable
from reconciler.ports import Clock

TOKEN_LIFETIME = 60.0
"""Seconds for which a token that was read from a file or a plug-in is used without asking again."""

_INLINE = ("client-certificate", "client-key")


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


ClusterAccess = Kubeconfig | InCluster


@dataclass(frozen=True, slots=True)
class Credentials:
    """An address, a TLS context that already holds keys, and how to get the bearer token."""

    rest: RESTClientObject
    authorization: Callable[[], Awaitable[str | None]]

    @property
    def host(self) -> str:
        return str(self.rest.configuration.host).rstrip("/")


async def credentials_of(access: ClusterAccess, clock: Clock) -> Credentials:
    """Read credentials once; tokens are read again as they age.

    Raises Misconfigured.
    """
    # trust_env looks for proxies and .netrc at every request: 0.4 ms of CPU, and a surprise.
    configuration = Configuration(client_session_kwargs={"trust_env": False})
    try:
        if isinstance(access, InCluster):
            load_incluster_config(configuration)
            rest = RESTClientObject(configuration)
        else:
            rest = await _from_kubeconfig(access, configuration, clock)
    except (ConfigException, KeyError, TypeError, OSError, ValueError, yaml.YAMLError) as error:
        # The text of YAML and Base64 errors can hold what they could not read.
        told = str(error) if isinstance(error, ConfigException | OSError) else type(error).__name__
        raise Misconfigured(
            f"the credentials of {_described(access)} cannot be used: {printable(told)}",
            hint="check that `kubectl --kubeconfig … get --raw /version` works with this file",
        ) from error

    async def authorization() -> str | None:
        value: str | None = await configuration.get_api_key_with_prefix("BearerToken")
        return value.strip() if value else None

    return Credentials(rest=rest, authorization=authorization)


def _described(access: ClusterAccess) -> str:
    return str(access.path) if isinstance(access, Kubeconfig) else "the pod's service account"


async def _from_kubeconfig(
    access: Kubeconfig, configuration: Configuration, clock: Clock
) -> RESTClientObject:
    content = yaml.safe_load(access.path.read_text())
    if not isinstance(content, dict):
        raise ConfigException("it is not a mapping")
    context = access.context or content.get("current-context")
    if not context:
        raise ConfigException("it names no current-context, and the settings name none")
    user = _user_of(content, context)
    _refuse_plugins(user, access)
    # The library writes inline keys to files that live as long as the process, or longer when
    # that is killed. These live until the TLS context has read them.
    with tempfile.TemporaryDirectory(prefix="fairlead-") as folder:
        _write_inline(user, Path(folder))
        cluster = _named(content, "clusters", _named(content, "contexts", context)["cluster"])
        loader = KubeConfigLoader(
            config_dict=content, active_context=context, config_base_path=str(access.path.parent)
        )
        if authority := cluster.pop("certificate-authority-data", None):
            configuration.ca_cert_data = base64.b64decode(authority).decode("ascii")
        await loader.load_and_set(configuration)
        _refresh_tokens(loader, configuration, clock=clock, user=user, access=access)
        return RESTClientObject(configuration)


def _named(content: dict[str, Any], section: str, name: str) -> dict[str, Any]:
    for entry in content.get(section) or []:
        if entry["name"] == name:
            found: dict[str, Any] = entry[section.removesuffix("s")] or {}
            return found
    raise ConfigException(f"{section} has no entry named {name}")


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


def _write_inline(user: dict[str, Any], folder: Path) -> None:
    for field in _INLINE:
        if data := user.pop(f"{field}-data", None):
            try:
                content = base64.b64decode(data, validate=True)
            except binascii.Error as error:
                raise ConfigException(f"{field}-data is not Base64") from error
            target = folder / field
            target.write_bytes(content)
            user[field] = str(target)


def _refresh_tokens(
    loader: KubeConfigLoader,
    configuration: Configuration,
    *,
    clock: Clock,
    user: dict[str, Any],
    access: Kubeconfig,
) -> None:
    """Make `configuration` ask again for tokens that have an end."""
    read_at = clock.monotonic()
    token_file = user.get("tokenFile")

    async def refresh(configuration: Configuration) -> None:
        nonlocal read_at
        if clock.monotonic() - read_at < TOKEN_LIFETIME:
            return
        read_at = clock.monotonic()
        if token_file:
            token = (access.path.parent / token_file).read_text().strip()
            configuration.api_key["BearerToken"] = f"Bearer {token}"
        elif await loader.load_from_exec_plugin():
            configuration.api_key["BearerToken"] = loader.token

    if (token_file and "token" not in user) or "exec" in user:
        cast(Any, configuration).refresh_api_key_hook = refresh

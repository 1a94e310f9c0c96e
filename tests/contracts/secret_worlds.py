"""Secret stores to run one suite on, with those who write values to them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import requests
from vault.memory_server import MemoryVault

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.secret_versions_memory import MemorySecretVersions
from reconciler.adapters.secret_versions_vault import VaultSecretVersions
from reconciler.adapters.vault_connection import TokenFile, VaultAccess, VaultConnection
from reconciler.secret_ports import SecretVersions

PLANTED = "planted-value-that-nobody-may-ask-for"


class World(Protocol):
    """A store and the people who write to it. Paths are as the port takes them."""

    @property
    def store(self) -> SecretVersions: ...

    def path(self, name: str) -> str: ...

    def write(self, name: str) -> str:
        """A new value; returns its version."""
        ...

    def delete(self, name: str) -> None: ...

    def values_asked(self) -> list[str]:
        """Requests that would have been answered with a value."""
        ...


class MemoryWorld:
    def __init__(self) -> None:
        self.store = MemorySecretVersions()

    def path(self, name: str) -> str:
        return f"kv/{name}"

    def write(self, name: str) -> str:
        self.store.rotate(self.path(name))
        return str(self.store.current_versions[self.path(name)])

    def delete(self, name: str) -> None:
        self.store.delete(self.path(name))

    def values_asked(self) -> list[str]:
        return []


class VaultWorld:
    """Vault as its HTTP interface shows it, in memory or real. `token` may do everything."""

    def __init__(self, address: str, token: str, ours: Path) -> None:
        self._address, self._token = address, token
        clock = SystemClock()
        connection = VaultConnection(VaultAccess(address, TokenFile(ours)), clock)
        self.store = VaultSecretVersions(connection, clock)

    def path(self, name: str) -> str:
        return f"kv/{name}"

    def write(self, name: str) -> str:
        answer = self._request("POST", f"kv/data/{name}", {"data": {"token": PLANTED}})
        return str(answer["data"]["version"])

    def delete(self, name: str) -> None:
        self._request("DELETE", f"kv/data/{name}")

    def values_asked(self) -> list[str]:
        return []

    def _request(self, verb: str, path: str, body: Any = None) -> Any:
        headers = {"X-Vault-Token": self._token}
        answer = requests.request(
            verb, f"{self._address}/v1/{path}", json=body, headers=headers, timeout=10
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None


class MemoryVaultWorld(VaultWorld):
    def __init__(self, vault: MemoryVault, ours: Path) -> None:
        super().__init__(vault.address, vault.token, ours)
        self._vault = vault

    def values_asked(self) -> list[str]:
        asked = [path for verb, path in self._vault.requests if verb == "GET"]
        return [path for path in asked if path.startswith("kv/data/")]


class AwsWorld:
    """Its modules take a second to load, which only its tests should."""

    def __init__(self, endpoint: str) -> None:
        import boto3

        from reconciler.adapters.secret_versions_aws import AwsSecretVersions

        self.store = AwsSecretVersions(endpoint)
        self._people = boto3.client(
            "secretsmanager", region_name="eu-west-1", endpoint_url=endpoint
        )

    def path(self, name: str) -> str:
        # Without the six characters that Secrets Manager adds, which no document knows.
        return f"arn:aws:secretsmanager:eu-west-1:123456789012:secret:{name}"

    def write(self, name: str) -> str:
        text = json.dumps({"token": PLANTED})
        try:
            answer = self._people.put_secret_value(SecretId=name, SecretString=text)
        except self._people.exceptions.ResourceNotFoundException:
            answer = self._people.create_secret(Name=name, SecretString=text)
        return str(answer["VersionId"])

    def delete(self, name: str) -> None:
        self._people.delete_secret(SecretId=name)

    def values_asked(self) -> list[str]:
        return []


@contextmanager
def secrets_manager() -> Iterator[str]:
    """The URL of an emulator of AWS."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()

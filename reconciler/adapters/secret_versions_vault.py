"""Versions of secrets in a key-value engine of Vault or OpenBao, version 2.

Separate from the connection, which knows paths and no meanings. The invariant: `metadata` is the
one thing that is read, and Vault has no values there.
https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#read-secret-metadata
"""

from __future__ import annotations

from datetime import UTC, datetime

from reconciler.adapters.vault_connection import VaultConnection
from reconciler.core.errors import Missing, Refused
from reconciler.core.manifests import JsonObject
from reconciler.ports import Clock


class VaultSecretVersions:
    """One mount of one server."""

    def __init__(self, connection: VaultConnection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    async def current(self, path: str) -> str:
        mount = self._connection.kv_mount
        if not path.startswith(f"{mount}/"):
            raise Refused(
                f"{path} is not below {mount}, the mount that the daemon was told of",
                hint="write the mount before the path, or name it as kvMount in the settings",
            )
        name = path.removeprefix(f"{mount}/")
        found = await self._connection.read(f"{self._connection.metadata}/{name}")
        if found is None:
            raise Missing(f"there is no secret {path} in the store", hint=_HINT)
        current = str(found.get("current_version") or "")
        if not current or self._is_gone(_version(found, current)):
            raise Missing(f"secret {path} has no version that could be read", hint=_HINT)
        return current

    async def close(self) -> None:
        await self._connection.close()

    def _is_gone(self, version: JsonObject) -> bool:
        deleted = str(version.get("deletion_time") or "")
        # In the future for a secret whose versions end by themselves.
        over = bool(deleted) and _moment(deleted) <= self._clock.now()
        return bool(version.get("destroyed")) or over


_HINT = "write it to the store; the daemon looks again by itself"


def _version(metadata: JsonObject, name: str) -> JsonObject:
    versions = metadata.get("versions")
    found = versions.get(name) if isinstance(versions, dict) else None
    return found if isinstance(found, dict) else {}


def _moment(text: str) -> datetime:
    """Vault writes nanoseconds, and nine digits are more than Python reads."""
    whole = text.partition(".")[0].removesuffix("Z")
    return datetime.fromisoformat(whole).replace(tzinfo=UTC)

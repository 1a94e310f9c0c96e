"""Whom is asked about versions of secrets, in our words.

Separate from ports.py, because only the pinning of versions needs it. The invariants are that of
ports.py, and that no call here has a value for an answer: a store tells which version it would
give, never what is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from reconciler.core.identifiers import ClusterName


class SecretVersions(Protocol):
    """The versions in one store."""

    async def current(self, path: str) -> str:
        """The version that whoever names none would get.

        Missing when there is no such secret, or its current version was deleted; Refused for a path
        that this store does not have; Forbidden; Transient.
        """
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class SecretStores:
    """The stores that the settings name: Vault servers by name, and Secrets Manager."""

    vaults: Mapping[ClusterName, SecretVersions] = field(default_factory=dict)
    aws: SecretVersions | None = None

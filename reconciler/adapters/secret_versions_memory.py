"""SecretVersions in memory.

Separate from the real ones so that simulations and tests need no store. The invariant: it answers
as a key-value engine of Vault does, and has no values at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from reconciler.core.errors import Missing, Unavailable


@dataclass(slots=True)
class MemorySecretVersions:
    """`current_versions` is what it holds, `asked` every path it was asked for."""

    current_versions: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    away: bool = False

    def rotate(self, path: str) -> None:
        """As whoever writes a new value does."""
        self.current_versions[path] = self.current_versions.get(path, 0) + 1

    def delete(self, path: str) -> None:
        self.current_versions.pop(path, None)

    async def current(self, path: str) -> str:
        self.asked.append(path)
        if self.away:
            raise Unavailable(f"read the versions of {path}: the secret store does not answer")
        if path not in self.current_versions:
            raise Missing(f"there is no secret {path} in the store")
        return str(self.current_versions[path])

    async def close(self) -> None:
        """Nothing to let go of."""

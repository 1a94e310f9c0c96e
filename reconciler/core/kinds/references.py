"""What documents refer to outside the repository: artifacts and secrets.

Separate from the text they are written in, because rendering and adapters need their parts. The
invariant: a reference names one thing for ever, and never holds what it refers to.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.core.identifiers import Digest


@dataclass(frozen=True, slots=True)
class OciArtifact:
    """An artifact in an OCI registry, named by what it contains."""

    repository: str
    digest: Digest

    @property
    def reference(self) -> str:
        """As an image reference, for a volume of the artifact."""
        return f"{self.repository}@{self.digest}"

    def __str__(self) -> str:
        return f"oci://{self.reference}"

    @classmethod
    def parse(cls, text: str) -> OciArtifact:
        repository, _, digest = text.removeprefix("oci://").rpartition("@")
        return cls(repository, Digest(digest))


@dataclass(frozen=True, slots=True)
class SecretReference:
    """Where a secret lies in a store. The value never enters this process.

    `version` is empty where the document names none.
    """

    store: str
    path: str
    key: str
    version: str = ""

    def __str__(self) -> str:
        version = f"@{self.version}" if self.version else ""
        return f"{self.store}:{self.path}#{self.key}{version}"

    @property
    def place(self) -> str:
        """What a store lets somebody read or not: it knows no rights to single keys."""
        return f"{self.store}:{self.path}"

    @classmethod
    def parse(cls, text: str) -> SecretReference:
        store, _, rest = text.partition(":")
        path, _, named = rest.rpartition("#")
        key, _, version = named.partition("@")
        return cls(store, path, key, version)

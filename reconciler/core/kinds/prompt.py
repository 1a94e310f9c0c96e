"""Kind Prompt: versioned prompt text, rolled out and audited as a model version is.

Separate from Model because the text itself is in Git; its digest is its identity.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue, field_validator

from reconciler.core.identifiers import Digest
from reconciler.core.kinds.common import Declaration, Part, unique
from reconciler.core.kinds.scalars import DnsLabel, Text
from reconciler.core.manifests import digest_of


class PromptVersion(Part):
    """One version of the prompt."""

    name: DnsLabel
    """Name, unique within the prompt."""
    text: Text
    """The prompt."""
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    """Free form, kept with the version."""

    @property
    def digest(self) -> Digest:
        return digest_of(self.text.encode())


class PromptSpec(Part):
    """Owner and versions of the prompt."""

    owner: DnsLabel
    """Team that answers for the prompt."""
    model: DnsLabel
    """Name of the Model that it is written for."""
    versions: tuple[PromptVersion, ...] = Field(min_length=1)
    """Versions of the text."""

    @field_validator("versions")
    @classmethod
    def _refuse_repeated_versions(
        cls, versions: tuple[PromptVersion, ...]
    ) -> tuple[PromptVersion, ...]:
        return unique(versions, name=lambda version: version.name)


class Prompt(Declaration):
    """Versioned prompt text."""

    kind: Literal["Prompt"]
    """What this document declares."""
    spec: PromptSpec
    """Owner and versions of the prompt."""

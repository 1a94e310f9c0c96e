"""Kind Prompt: versioned prompt text, rolled out and audited as a model version is.

Separate from Model because the text itself is in Git; its digest is its identity. The invariant: a
prompt is served by replicas that run already, and asked for by a name of its own.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue, field_validator

from reconciler.core.identifiers import Digest
from reconciler.core.kinds.common import Declaration, Part, unique
from reconciler.core.kinds.lora import ModelAlias
from reconciler.core.kinds.scalars import DnsLabel, Maybe, Text
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


class PromptServing(Part):
    """Who is given the prompt, and how callers ask for it."""

    server: DnsLabel
    """Name of the Rollout whose replicas take the prompt: of the model that it is written for, of
    runtime deployment, and in the namespace and all the clusters of the Rollout of the prompt."""
    alias: ModelAlias
    """Name by which callers ask for the prompt, in the header `x-prompt`."""


class PromptSpec(Part):
    """Owner, versions and serving of the prompt."""

    owner: DnsLabel
    """Team that answers for the prompt."""
    model: DnsLabel
    """Name of the Model that it is written for."""
    versions: tuple[PromptVersion, ...] = Field(min_length=1)
    """Versions of the text. Keep those that a rollout may go back to."""
    serving: Maybe[PromptServing] = None
    """Who is given the prompt; needed to roll it out, and only kept on record when left out."""

    @field_validator("versions")
    @classmethod
    def _refuse_repeated_versions(
        cls, versions: tuple[PromptVersion, ...]
    ) -> tuple[PromptVersion, ...]:
        return unique(versions, name=lambda version: version.name)

    def version(self, name: str) -> PromptVersion | None:
        return next((version for version in self.versions if version.name == name), None)


class Prompt(Declaration):
    """Versioned prompt text."""

    kind: Literal["Prompt"]
    """What this document declares."""
    spec: PromptSpec
    """Owner, versions and serving of the prompt."""

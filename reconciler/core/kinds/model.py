"""Kind Model: the registry record of a model, its versions and how they are served.

Separate from Rollout, which says which version runs where. The invariant: a version is named by
the digest of its artifact, so that the same name always means the same weights.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue, field_validator

from reconciler.core.kinds.common import Declaration, Part, unique
from reconciler.core.kinds.scalars import Artifact, DnsLabel, Principal
from reconciler.core.kinds.serving import Serving


class Access(Part):
    """Who may use a version. Nobody else may."""

    inference: tuple[Principal, ...] = ()
    """Roles and agents that may send it requests."""
    retraining: tuple[Principal, ...] = ()
    """Roles and agents that may train it further."""


class ModelVersion(Part):
    """One version of the model."""

    name: DnsLabel
    """Name, unique within the model."""
    artifact: Artifact
    """The weights, as an OCI artifact pinned by digest."""
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    """Free form, kept with the version: framework, data set, license, evaluation."""
    access: Access = Field(default_factory=Access)
    """Who may use this version."""


class ModelSpec(Part):
    """Owner, versions and serving of the model."""

    owner: DnsLabel
    """Team that answers for the model."""
    description: str = ""
    """What the model does, in words."""
    versions: tuple[ModelVersion, ...] = Field(min_length=1)
    """Versions, each with its artifact. Keep those that a rollout may go back to."""
    serving: Serving
    """How a version runs."""

    @field_validator("versions")
    @classmethod
    def _refuse_repeated_versions(
        cls, versions: tuple[ModelVersion, ...]
    ) -> tuple[ModelVersion, ...]:
        return unique(versions, name=lambda version: version.name)

    def version(self, name: str) -> ModelVersion | None:
        return next((version for version in self.versions if version.name == name), None)


class Model(Declaration):
    """The registry record of a model."""

    kind: Literal["Model"]
    """What this document declares."""
    spec: ModelSpec
    """Owner, versions and serving of the model."""

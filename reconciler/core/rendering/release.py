"""Release: one version of a model or a prompt, as one rollout runs it in one cluster.

Separate because every renderer reads the same values under the same names. The invariant: names
and selectors hold rollout and version and nothing that changes without them, so that two versions
can stand side by side, traffic moves by pointing elsewhere, and nothing is built again for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from reconciler.core.access.subjects import READER_UNITS, ROLLOUT_PREFIX
from reconciler.core.identifiers import UnitName
from reconciler.core.kinds import API_GROUP, Model, Prompt, Rollout
from reconciler.core.kinds.model import ModelVersion
from reconciler.core.kinds.repository import Defaults
from reconciler.core.kinds.serving import Container, GatewayReference
from reconciler.core.manifests import (
    REPOSITORY_LABEL,
    UNIT_LABEL,
    JsonObject,
    bounded_name,
    label_value,
)
from reconciler.core.rendering.secret_readers import NO_DELIVERY, Delivery
from reconciler.core.secret_versions import Pins

ROLLOUT_LABEL = f"{API_GROUP}/rollout"
MODEL_LABEL = f"{API_GROUP}/model"
VERSION_LABEL = f"{API_GROUP}/model-version"
OWNER_LABEL = f"{API_GROUP}/owner"


@dataclass(frozen=True, slots=True)
class Release:
    """What renderers read. `repository` is the name of the Repository document, `pins` has the
    versions of secrets that the documents do not name.

    `server` is the model of the Rollout whose replicas load an adapter or a prompt. `prompt` is
    what is rolled out where it is one; model and version are then those of its server.
    """

    repository: str
    rollout: Rollout
    model: Model
    version: ModelVersion
    defaults: Defaults
    gateway: GatewayReference | None
    pins: Pins = field(default_factory=dict)
    server: Model | None = None
    prompt: Prompt | None = None
    delivery: Delivery = NO_DELIVERY

    @property
    def subject(self) -> Model | Prompt:
        """What is rolled out."""
        return self.prompt or self.model

    @property
    def unit(self) -> UnitName:
        return rollout_unit(self.rollout.name)

    @property
    def namespace(self) -> str:
        return self.rollout.spec.namespace

    @property
    def name(self) -> str:
        """Name of what belongs to this version alone."""
        return bounded_name(f"{self.rollout.name}-{self.version.name}")

    @property
    def container(self) -> Container:
        container = self.model.spec.serving.container
        assert container is not None, "checked by Serving for the runtimes that have one"
        return container

    @property
    def replicas(self) -> int:
        return self.model.spec.serving.replicas or self.defaults.replicas

    def selector(self) -> JsonObject:
        """Labels of the pods of this version. A Deployment's selector can never be changed."""
        return {ROLLOUT_LABEL: self.rollout.name, VERSION_LABEL: self.version.name}

    def pod_labels(self) -> JsonObject:
        """Labels of pods.

        Neither unit nor repository: pods are the workload's, not ours, and watches that filter
        by those labels must not see them.
        """
        return {
            **self._identity(),
            "app.kubernetes.io/version": self.version.name,
            **self.selector(),
        }

    def metadata(self) -> JsonObject:
        """Of what belongs to this version alone."""
        labels = {**self._labels(), "app.kubernetes.io/version": self.version.name}
        return {
            "name": self.name,
            "namespace": self.namespace,
            "labels": {**labels, **self.selector()},
        }

    def shared_metadata(self) -> JsonObject:
        """Of what all versions share: nothing in it changes when the version does."""
        return {"name": self.rollout.name, "namespace": self.namespace, "labels": self._labels()}

    def _identity(self) -> JsonObject:
        return {
            "app.kubernetes.io/name": self.subject.name,
            "app.kubernetes.io/instance": self.rollout.name,
            "app.kubernetes.io/component": "model-server",
            "app.kubernetes.io/managed-by": "fairlead",
            MODEL_LABEL: self.model.name,
            ROLLOUT_LABEL: self.rollout.name,
        }

    def _labels(self) -> JsonObject:
        """The subject's own labels, and those that identify it and us."""
        return {
            **self.subject.metadata.labels,
            **self._identity(),
            "app.kubernetes.io/part-of": self.repository,
            OWNER_LABEL: self.subject.spec.owner,
            **unit_labels(self.repository, self.unit),
        }


def rollout_unit(rollout: str) -> UnitName:
    return UnitName(f"{ROLLOUT_PREFIX}{rollout}")


def secrets_unit(rollout: str) -> UnitName:
    """What a store has of a rollout. Not the rollout's own unit: a store has no position."""
    return UnitName(f"{READER_UNITS}{rollout}")


def unit_labels(repository: str, unit: UnitName) -> JsonObject:
    """The labels by which every object that we apply is found again."""
    return {REPOSITORY_LABEL: label_value(repository), UNIT_LABEL: label_value(unit)}

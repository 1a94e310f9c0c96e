"""AccessPolicy: all that the documents of one commit say about access.

Separate from deciding, which asks it one question, and from the permissions, which are all the
answers. The invariant: it holds what was declared and adds nothing; without a declaration there is
no access.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from reconciler.core.access.subjects import agent_subject
from reconciler.core.identifiers import ClusterName
from reconciler.core.kinds import AgentScope, Model, Role


class Place(NamedTuple):
    """A namespace of a cluster."""

    cluster: ClusterName
    namespace: str


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """Roles, agents and models by name, and the places in which rules about resources can hold.

    `readers` are agents and rollouts with the secrets that they may read.
    """

    roles: Mapping[str, Role]
    agents: Mapping[str, AgentScope]
    models: Mapping[str, Model]
    places: frozenset[Place] = frozenset()
    readers: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        *,
        roles: Iterable[Role] = (),
        agents: Iterable[AgentScope] = (),
        models: Iterable[Model] = (),
        places: Iterable[Place] = (),
    ) -> AccessPolicy:
        return cls(
            roles={role.name: role for role in roles},
            agents={agent.name: agent for agent in agents},
            models={model.name: model for model in models},
            places=frozenset(places),
        )

    @property
    def subjects(self) -> tuple[str, ...]:
        """All that may be given access, roles first."""
        return (*sorted(self.roles), *(agent_subject(name) for name in sorted(self.agents)))

    @property
    def versions(self) -> tuple[str, ...]:
        """All versions of all models, written MODEL@VERSION."""
        return tuple(
            f"{name}@{version.name}"
            for name, model in sorted(self.models.items())
            for version in model.spec.versions
        )


def selects(labels: Mapping[str, str], model: Model) -> bool:
    """Whether the model has all the labels."""
    return labels.items() <= model.metadata.labels.items()


def listed(model: Model, version: str, action: str) -> tuple[str, ...] | None:
    """Whom the version lists for the action; None where it does not say who may."""
    found = model.spec.version(version)
    if found is None or action == "promote":
        return None
    return found.access.inference if action == "infer" else found.access.retraining

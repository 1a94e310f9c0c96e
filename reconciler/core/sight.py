"""Sight: which of the things that a commit declares somebody may see.

Separate from viewers.py, which knows teams, and from the pages, which know things. The invariant:
what has no team is seen only by who sees everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.core.access.subjects import READER_UNITS, agent_name
from reconciler.core.desired import DesiredState
from reconciler.core.identifiers import UnitName
from reconciler.core.viewers import Viewer

TEAM_LABEL = "team"
ROLLOUT_UNITS = "rollout/"


@dataclass(frozen=True, slots=True)
class Sight:
    """What `viewer` sees of `desired`; without a commit in force, what it can see of nothing."""

    viewer: Viewer
    desired: DesiredState | None

    @property
    def everything(self) -> bool:
        return self.viewer.sees_everything

    def labelled(self, labels: Mapping[str, str]) -> bool:
        return self.viewer.may_see(labels.get(TEAM_LABEL, ""))

    def model(self, name: str) -> bool:
        found = self.desired.models.get(name) if self.desired else None
        return self.labelled(found.metadata.labels if found else {})

    def rollout(self, name: str) -> bool:
        """Whoever sees the model or the prompt sees its rollouts."""
        found = self.desired.rollouts.get(name) if self.desired else None
        if self.desired is None or found is None:
            return self.everything
        return self.prompt(found.spec.prompt) if found.spec.prompt else self.model(found.spec.model)

    def prompt(self, name: str) -> bool:
        found = self.desired.prompts.get(name) if self.desired else None
        return self.labelled(found.metadata.labels if found else {})

    def subject(self, subject: str) -> bool:
        """A Role or an agent, by the name that it has wherever either may be named."""
        if self.desired is None:
            return self.everything
        agent = agent_name(subject)
        if agent is None:
            role = self.desired.roles.get(subject)
            return self.labelled(role.metadata.labels if role else {})
        scope = self.desired.agents.get(agent)
        return self.labelled(scope.metadata.labels if scope else {})

    def unit(self, name: UnitName) -> bool:
        for prefix in (ROLLOUT_UNITS, READER_UNITS):
            if name.startswith(prefix):
                return self.rollout(name.removeprefix(prefix))
        return self.everything

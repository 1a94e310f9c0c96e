"""Kind Role: a persona, as RBAC for a group of the identity provider and ABAC by labels.

Separate from what it compiles to (core/access/). The invariant: a role allows only what a rule
names, and `unless` is stronger than `allow`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from reconciler.core.kinds.access_rules import AccessTest, ModelAction
from reconciler.core.kinds.common import Declaration, Part, refusal
from reconciler.core.kinds.scalars import GroupName, Maybe, NamePattern, ResourceName, Selector

Verb = Literal["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"]


class ModelSelector(Part):
    """Models by their labels."""

    labels: Selector
    """Labels of which a model must have all."""


class Rule(Part):
    """Either actions on models, or verbs on Kubernetes resources in namespaces."""

    models: Maybe[ModelSelector] = None
    """Models on which the actions are allowed."""
    actions: tuple[ModelAction, ...] = ()
    """What may be done with those models."""
    resources: tuple[ResourceName, ...] = ()
    """Kubernetes resources, in the plural."""
    verbs: tuple[Verb, ...] = ()
    """What may be done with those resources."""
    namespaces: tuple[NamePattern, ...] = ()
    """Where they may be."""

    @model_validator(mode="after")
    def _require_one_form(self) -> Rule:
        model_part = (self.models is not None, bool(self.actions))
        resource_part = (bool(self.resources), bool(self.verbs), bool(self.namespaces))
        if all(model_part) and not any(resource_part):
            return self
        if all(resource_part) and not any(model_part):
            return self
        raise refusal(
            "is neither a rule for models nor one for resources",
            hint="give models and actions, or resources, verbs and namespaces",
        )


class Restriction(Part):
    """What is denied although a rule allows it."""

    labels: Selector
    """Labels of the models concerned."""
    actions: tuple[ModelAction, ...] = Field(min_length=1)
    """What may not be done with them."""


class RoleSpec(Part):
    """Who has the role, and what it allows."""

    description: str = ""
    """Whom it is for, in words."""
    groups: tuple[GroupName, ...] = Field(min_length=1)
    """Groups of the identity provider whose members have the role."""
    allow: tuple[Rule, ...] = Field(min_length=1)
    """What the role allows."""
    unless: tuple[Restriction, ...] = ()
    """What it denies all the same."""
    tests: tuple[AccessTest, ...] = ()
    """Claims that validation proves."""


class Role(Declaration):
    """A persona: what the members of a group may do."""

    kind: Literal["Role"]
    """What this document declares."""
    spec: RoleSpec
    """Who has the role, and what it allows."""

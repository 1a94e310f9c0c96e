"""Deciding: may this subject do that with this version, and why.

Separate from the permissions, which are computed for all at once and say no reasons; a property
test holds the two together. The invariants: two sides must agree, the subject's own document and
the version; `unless` is stronger than both; what nothing allows is denied.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from reconciler.core.access.policy import AccessPolicy, listed, selects
from reconciler.core.access.subjects import agent_name
from reconciler.core.kinds import AgentScope, Model, Role
from reconciler.core.kinds.access_rules import ModelAction

_FIELDS = {"infer": "access.inference", "retrain": "access.retraining"}
"""Where a version lists who may."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer with its reason, a clause; `hint` says what would have to change, in the
    imperative, and is empty where nothing was denied."""

    allowed: bool
    reason: str
    hint: str = ""


def decide(
    policy: AccessPolicy,
    subject: str,
    action: ModelAction,
    model: str,
    version: str,
    *,
    today: date,
) -> Decision:
    """Whether the subject may do it on that day, counted in UTC."""
    own = own_side(policy, subject, action, model, version, today=today)
    if not own.allowed:
        return own
    named = listed(policy.models[model], version, action)
    if named is None:
        return own
    field, name = _FIELDS[action], f"{model}@{version}"
    if subject not in named:
        return _denied(
            f"{name} does not list {subject} under {field}",
            f"add {subject} to {field} of version {version} of Model {model}",
        )
    return Decision(True, f"{own.reason}, and {name} lists {subject} under {field}")


def own_side(
    policy: AccessPolicy,
    subject: str,
    action: ModelAction,
    model: str,
    version: str,
    *,
    today: date,
) -> Decision:
    """What the subject's own document says, whatever the version says of it."""
    declared = policy.models.get(model)
    if declared is None:
        return _denied(f"no Model {model} is declared", "name a model that is declared")
    if declared.spec.version(version) is None:
        known = ", ".join(found.name for found in declared.spec.versions)
        return _denied(f"Model {model} has no version {version}", f"name one of {known}")
    agent = agent_name(subject)
    if agent is None:
        return _by_role(policy.roles.get(subject), subject, action, declared)
    return _by_scope(policy.agents.get(agent), agent, action, f"{model}@{version}", today)


def split(name: str) -> tuple[str, str]:
    """Model and version of MODEL@VERSION."""
    model, _, version = name.partition("@")
    return model, version


def labels_in_words(labels: dict[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _by_role(role: Role | None, name: str, action: ModelAction, model: Model) -> Decision:
    if role is None:
        return _denied(f"no Role {name} is declared", "name a Role that is declared")
    for restriction in role.spec.unless:
        if action in restriction.actions and selects(restriction.labels, model):
            labels = labels_in_words(dict(restriction.labels))
            return _denied(
                f"Role {name} denies {action} on models with {labels}, as {model.name} is",
                f"change unless of Role {name}, or the labels of Model {model.name}",
            )
    for rule in role.spec.allow:
        if rule.models and action in rule.actions and selects(rule.models.labels, model):
            labels = labels_in_words(dict(rule.models.labels))
            return Decision(True, f"Role {name} allows {action} on models with {labels}")
    return _denied(
        f"no rule of Role {name} allows {action} on a model with the labels of {model.name}",
        f"add a rule for models and {action} to allow of Role {name}",
    )


def _by_scope(
    scope: AgentScope | None, name: str, action: ModelAction, version: str, today: date
) -> Decision:
    if scope is None:
        return _denied(f"no AgentScope {name} is declared", "name an AgentScope that is declared")
    if is_over(scope, today):
        return _denied(
            f"AgentScope {name} ended with {scope.spec.expires.isoformat()}",
            f"give AgentScope {name} a later day under expires",
        )
    if (version, action) not in scoped(scope):
        return _denied(
            f"AgentScope {name} does not list {action} on {version}",
            f"add model, version and {action} to models of AgentScope {name}",
        )
    return Decision(True, f"AgentScope {name} lists {action} on {version}")


def is_over(scope: AgentScope, today: date) -> bool:
    """Whether the scope's last day has passed."""
    return today > scope.spec.expires


def scoped(scope: AgentScope) -> frozenset[tuple[str, str]]:
    """MODEL@VERSION and action of everything that the scope lists."""
    return frozenset(
        (f"{entry.model}@{version}", action)
        for entry in scope.spec.models
        for version in entry.versions
        for action in entry.actions
    )


def _denied(reason: str, hint: str) -> Decision:
    return Decision(False, reason, hint)

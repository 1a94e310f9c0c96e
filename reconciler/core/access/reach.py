"""Reach: what a subject may do in each namespace of one cluster.

Separate from the permissions, which are about model versions wherever they run, and from the
objects of RBAC, which have namespaces. The invariant: a model is in reach exactly where a rollout
of it is; rules about resources hold in namespaces that the repository declares, and in no others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from reconciler.core.access.permissions import ACTIONS, OnModels
from reconciler.core.access.resources import parted
from reconciler.core.kinds import Role


@dataclass(frozen=True, slots=True)
class ModelRule:
    """These actions on these versions, written MODEL@VERSION."""

    actions: tuple[str, ...]
    versions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ResourceRule:
    """These verbs on these resources of one API group."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reach:
    """What a subject may do in one namespace."""

    models: tuple[ModelRule, ...] = ()
    resources: tuple[ResourceRule, ...] = ()


def reach(
    subject: str,
    allowed: Mapping[OnModels, frozenset[str]],
    *,
    homes: Mapping[str, frozenset[str]],
    role: Role | None = None,
    namespaces: Iterable[str] = (),
) -> Mapping[str, Reach]:
    """By namespace, where there is anything. `homes` are the namespaces that a model runs in."""
    models = _models(subject, allowed, homes)
    resources = _resources(role, namespaces) if role else {}
    return {
        name: Reach(models.get(name, ()), resources.get(name, ()))
        for name in sorted({*models, *resources})
    }


def _models(
    subject: str,
    allowed: Mapping[OnModels, frozenset[str]],
    homes: Mapping[str, frozenset[str]],
) -> Mapping[str, tuple[ModelRule, ...]]:
    found: dict[str, dict[str, list[str]]] = {}
    for action in ACTIONS:
        for version in sorted(allowed.get(OnModels(subject, action), ())):
            for namespace in homes.get(version.partition("@")[0], ()):
                found.setdefault(namespace, {}).setdefault(action, []).append(version)
    return {namespace: tuple(_joined(versions)) for namespace, versions in found.items()}


def _joined(versions: Mapping[str, list[str]]) -> Iterable[ModelRule]:
    """Actions on the very same versions are one rule."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for action, names in versions.items():
        alike.setdefault(tuple(names), []).append(action)
    return (ModelRule(tuple(actions), names) for names, actions in alike.items())


def _resources(role: Role, namespaces: Iterable[str]) -> Mapping[str, tuple[ResourceRule, ...]]:
    found: dict[str, tuple[ResourceRule, ...]] = {}
    for rule in role.spec.allow:
        matching = [
            name
            for name in namespaces
            if any(fnmatchcase(name, pattern) for pattern in rule.namespaces)
        ]
        if matching:
            rules = tuple(_by_group(rule.resources, rule.verbs))
            for name in matching:
                found[name] = (*found.get(name, ()), *rules)
    return found


def _by_group(resources: Iterable[str], verbs: tuple[str, ...]) -> Iterable[ResourceRule]:
    groups: dict[str, list[str]] = {}
    for resource in resources:
        group, name = parted(resource)
        if group is not None:  # Else it was refused.
            groups.setdefault(group, []).append(name)
    return (ResourceRule(group, tuple(names), verbs) for group, names in sorted(groups.items()))

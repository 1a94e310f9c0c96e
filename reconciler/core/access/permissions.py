"""Permissions: everything that everybody may do on one day.

Separate from deciding, which answers one question and gives reasons: a thousand subjects and
hundreds of models are too many to ask one by one. The invariant: it has exactly what `decide`
would allow.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from fnmatch import fnmatchcase
from functools import cache
from typing import NamedTuple, get_args

from reconciler.core.access.deciding import is_over, scoped
from reconciler.core.access.policy import AccessPolicy, Place, listed
from reconciler.core.access.subjects import agent_name, agent_subject
from reconciler.core.kinds import AgentScope, Model, Role
from reconciler.core.kinds.access_rules import ModelAction

ACTIONS: tuple[ModelAction, ...] = get_args(ModelAction)


class OnModels(NamedTuple):
    """A subject may do this with model versions."""

    subject: str
    action: ModelAction


class OnResources(NamedTuple):
    """A subject may do this with Kubernetes resources."""

    subject: str
    verb: str
    resource: str


@dataclass(frozen=True, slots=True)
class Permissions:
    """Who may do what, and nothing that is empty. `members` are the groups that have a Role."""

    models: Mapping[OnModels, frozenset[str]]
    """The versions, written MODEL@VERSION."""
    resources: Mapping[OnResources, frozenset[Place]]
    members: Mapping[str, frozenset[str]]
    ends: Mapping[str, date] = field(default_factory=dict)
    """The last day of each agent's scope."""
    secrets: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """What agents and rollouts may read, as `vault:kv/risk/fraud`, by subject."""
    tokens: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The agents whose tokens its members may be given, by Role."""

    def on_models(self) -> Iterator[tuple[str, ModelAction, str]]:
        """Each single permission: subject, action and MODEL@VERSION."""
        for (subject, action), versions in self.models.items():
            yield from ((subject, action, version) for version in versions)

    def on_resources(self) -> Iterator[tuple[str, str, str, Place]]:
        """Each single permission: subject, verb, resource and where."""
        for (subject, verb, resource), places in self.resources.items():
            yield from ((subject, verb, resource, place) for place in places)


NOTHING = Permissions({}, {}, {})


def permissions(policy: AccessPolicy, today: date) -> Permissions:
    """All that the policy allows on that day, counted in UTC."""
    registry = _Registry.of(policy.models)
    found = _places_of(policy.places)
    models: dict[OnModels, frozenset[str]] = {}
    resources: dict[OnResources, frozenset[Place]] = {}
    for name, role in policy.roles.items():
        models.update(_of_role(name, role, registry))
        for right, places in _resources(name, role, found):
            resources[right] = resources.get(right, frozenset()) | places
    for name, scope in policy.agents.items():
        if not is_over(scope, today):
            models.update(_of_scope(name, scope, registry))
    return Permissions(
        models={right: versions for right, versions in models.items() if versions},
        resources={right: places for right, places in resources.items() if places},
        members={name: frozenset(role.spec.groups) for name, role in policy.roles.items()},
        ends={name: scope.spec.expires for name, scope in policy.agents.items()},
        secrets={
            subject: places
            for subject, places in policy.readers.items()
            if not _has_ended(policy.agents.get(agent_name(subject) or ""), today)
        },
        tokens=_tokens(policy, today),
    )


def _tokens(policy: AccessPolicy, today: date) -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for name, scope in policy.agents.items():
        for role in scope.spec.token.by if not is_over(scope, today) else ():
            found[role].add(name)
    return {role: frozenset(names) for role, names in found.items()}


def _has_ended(scope: AgentScope | None, today: date) -> bool:
    return scope is not None and is_over(scope, today)


_NO_NAMES: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Registry:
    """The models, arranged so that each question costs what it selects."""

    models: Mapping[tuple[str, str], frozenset[str]]
    """By label, the models that have it."""
    versions: Callable[[frozenset[str]], frozenset[str]]
    """The versions of models, written MODEL@VERSION."""
    listed: Mapping[OnModels, frozenset[str]]
    """The versions that list the subject for the action."""

    @classmethod
    def of(cls, models: Mapping[str, Model]) -> _Registry:
        with_label: dict[tuple[str, str], set[str]] = {}
        named: dict[str, frozenset[str]] = {}
        for name, model in models.items():
            for item in model.metadata.labels.items():
                with_label.setdefault(item, set()).add(name)
            named[name] = frozenset(f"{name}@{found.name}" for found in model.spec.versions)

        @cache
        def versions(names: frozenset[str]) -> frozenset[str]:
            return _NO_NAMES.union(*(named.get(name, _NO_NAMES) for name in names))

        labelled = {item: frozenset(names) for item, names in with_label.items()}
        return cls(labelled, versions, _lists(models.values()))

    def selected(self, labels: Mapping[str, str]) -> frozenset[str]:
        """The models that have all the labels, of which there is at least one."""
        return frozenset.intersection(
            *(self.models.get(item, _NO_NAMES) for item in labels.items())
        )

    def agreed(self, right: OnModels, wanted: frozenset[str]) -> frozenset[str]:
        """Of the versions that the subject's own document allows, those that allow it, too."""
        return wanted if right.action == "promote" else wanted & self.listed.get(right, _NO_NAMES)


def _lists(models: Iterable[Model]) -> Mapping[OnModels, frozenset[str]]:
    found: Mapping[ModelAction, dict[str, list[str]]]
    found = {action: defaultdict(list) for action in ACTIONS}
    for model in models:
        for version in model.spec.versions:
            name = f"{model.name}@{version.name}"
            for action, listing in found.items():
                for subject in listed(model, version.name, action) or ():
                    listing[subject].append(name)
    return {
        OnModels(subject, action): frozenset(names)
        for action, listing in found.items()
        for subject, names in listing.items()
    }


def _of_role(
    name: str, role: Role, registry: _Registry
) -> Iterator[tuple[OnModels, frozenset[str]]]:
    for action in ACTIONS:
        allowed = (r.models.labels for r in role.spec.allow if r.models and action in r.actions)
        selected = _NO_NAMES.union(*map(registry.selected, allowed))
        denied = (r.labels for r in role.spec.unless if action in r.actions)
        models = selected.difference(*map(registry.selected, denied))
        right = OnModels(name, action)
        yield right, registry.agreed(right, registry.versions(models))


def _of_scope(
    name: str, scope: AgentScope, registry: _Registry
) -> Iterator[tuple[OnModels, frozenset[str]]]:
    own = scoped(scope)
    declared = registry.versions(frozenset(entry.model for entry in scope.spec.models))
    for action in ACTIONS:
        wanted = frozenset(version for version, named in own if named == action)
        right = OnModels(agent_subject(name), action)
        yield right, registry.agreed(right, wanted & declared)


_Find = Callable[[str], frozenset[Place]]
"""The places whose namespace matches a pattern."""


def _places_of(places: frozenset[Place]) -> _Find:
    @cache
    def find(pattern: str) -> frozenset[Place]:
        return frozenset(place for place in places if fnmatchcase(place.namespace, pattern))

    return find


def _resources(
    name: str, role: Role, find: _Find
) -> Iterator[tuple[OnResources, frozenset[Place]]]:
    for rule in role.spec.allow:
        if rule.resources:
            places: frozenset[Place] = frozenset().union(*map(find, rule.namespaces))
            for resource in rule.resources:
                for verb in rule.verbs:
                    yield OnResources(name, verb, resource), places

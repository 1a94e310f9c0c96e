"""Everything that follows from Fairlead's own documents: who is where, and what rollouts need.

Separate from plain manifests, which are many and depend on none of this but the clusters. The
invariant: it is computed anew only when one of these documents, or the policy, has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from reconciler.core.access.checking import access_problems
from reconciler.core.access.policy import AccessPolicy
from reconciler.core.access.subjects import agent_subject
from reconciler.core.declarations import Declarations, index
from reconciler.core.delivery_rules import delivery_problems
from reconciler.core.documents import Document
from reconciler.core.identifiers import ClusterName
from reconciler.core.kinds import (
    AgentScope,
    BreakGlass,
    Cluster,
    Evaluation,
    Gate,
    Model,
    Prompt,
    Repository,
    Role,
    Rollout,
)
from reconciler.core.kinds.repository import ManifestSource
from reconciler.core.manifests import Source
from reconciler.core.notices import notices
from reconciler.core.placement import Estate
from reconciler.core.policy import Policy
from reconciler.core.problems import Problem, Severity
from reconciler.core.references import reference_problems
from reconciler.core.rollout_units import Environment, RenderedRollout, render_rollouts
from reconciler.core.secret_readers import Readers, readers
from reconciler.core.secret_versions import PinBook


@dataclass(frozen=True, slots=True)
class Declared:
    """What the documents of one commit say together. `subjects` are roles and agent scopes."""

    policy: Policy
    pins: PinBook
    environment: Environment
    rollouts: Mapping[str, Rollout]
    models: Mapping[str, Model]
    gates: Mapping[str, Gate]
    evaluations: Mapping[str, Evaluation]
    prompts: Mapping[str, Prompt]
    roles: Mapping[str, Role]
    agents: Mapping[str, AgentScope]
    emergencies: tuple[tuple[Document, BreakGlass], ...]
    subjects: tuple[Document, ...]
    rendered: Mapping[str, RenderedRollout]
    readers: Readers
    notices: tuple[str, ...]
    warnings: tuple[Problem, ...] = ()
    """What refuses no commit, and is said of every commit that has it."""

    @property
    def access(self) -> AccessPolicy:
        """What the documents say about access to models."""
        return AccessPolicy(self.roles, self.agents, self.models, readers=self.readers)

    @property
    def sources(self) -> Mapping[str, Source]:
        """Where roles and agent scopes are declared, by subject."""
        return {
            agent_subject(document.name)
            if isinstance(document.declaration, AgentScope)
            else document.name: document.source
            for document in self.subjects
        }

    def clusters_of(self, source: ManifestSource) -> tuple[ClusterName, ...]:
        """The clusters that the plain manifests of `source` go to."""
        estate = self.environment.estate
        return estate.select(source.clusters) if source.clusters else estate.allowed_by(self.policy)


def declare(
    documents: Iterable[Document],
    policy: Policy,
    *,
    refused: frozenset[tuple[str, str]],
    previous: Declared | None,
    pins: PinBook,
) -> tuple[Declared, tuple[Problem, ...]]:
    """Put the documents together. What did not change is taken over from `previous`."""
    declarations, problems = index(documents, refused=refused)
    environment = _environment(declarations, policy, previous)
    rendered = previous.rendered if previous else {}
    rollouts = render_rollouts(declarations, environment, policy, previous=rendered, pins=pins)
    agents = {document.name: agent for document, agent in declarations.all(AgentScope)}
    homes = environment.estate.allowed_by(policy)
    declared = Declared(
        policy=policy,
        pins=pins,
        environment=environment,
        rollouts={document.name: rollout for document, rollout in declarations.all(Rollout)},
        models={document.name: model for document, model in declarations.all(Model)},
        gates={document.name: gate for document, gate in declarations.all(Gate)},
        evaluations={document.name: found for document, found in declarations.all(Evaluation)},
        prompts={document.name: prompt for document, prompt in declarations.all(Prompt)},
        roles={document.name: role for document, role in declarations.all(Role)},
        agents=agents,
        emergencies=tuple(declarations.all(BreakGlass)),
        subjects=tuple(
            document for kind in (AgentScope, Role) for document, _ in declarations.all(kind)
        ),
        rendered=rollouts.rendered,
        readers=readers(environment, homes, rollouts.rendered.values(), agents),
        notices=notices(declarations, policy.own, environment, homes, rollouts.rendered.values()),
    )
    found = (*problems, *rollouts.problems, *_problems(declarations, declared, policy))
    warnings = tuple(p for p in found if p.severity is Severity.WARNING)
    return replace(declared, warnings=warnings), found


def _problems(declarations: Declarations, declared: Declared, policy: Policy) -> Iterator[Problem]:
    """What is wrong with documents beside each other."""
    yield from reference_problems(declarations)
    yield from access_problems(declarations, declared.access, policy)
    yield from _source_problems(declarations, declared)
    yield from _authorizer_problems(declarations, policy)
    yield from delivery_problems(declarations, declared.environment, policy)


def _environment(
    declarations: Declarations, policy: Policy, previous: Declared | None
) -> Environment:
    """The same object as before when nothing in it changed: rollouts compare it by identity."""
    clusters = (cluster for _, cluster in declarations.all(Cluster))
    name = next(iter(declarations.of(Repository)))
    own = policy.own
    environment = Environment(name, own.defaults, own.ignore, Estate.of(clusters, policy))
    if previous is not None and previous.environment == environment:
        return previous.environment
    return environment


def _source_problems(declarations: Declarations, declared: Declared) -> Iterator[Problem]:
    for document, repository in declarations.all(Repository):
        for place, source in enumerate(repository.spec.manifests):
            at = ("spec", "manifests", place, "clusters")
            selected = declared.clusters_of(source)
            yield from declared.environment.estate.problems(document, at, selected)


def _authorizer_problems(declarations: Declarations, policy: Policy) -> Iterator[Problem]:
    """Its rules are an object like any other: the policy in force must allow the namespace."""
    for document, repository in declarations.all(Repository):
        named = repository.spec.authorizer
        at = ("spec", "authorizer", "namespace")
        objection = policy.namespace_objection(named.namespace, at) if named else None
        if objection is not None:
            where = document.span_at(at)
            yield Problem(document.path, where, objection.code, objection.message, objection.hint)

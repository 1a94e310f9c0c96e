"""Sentences about what is declared and does not act yet.

Separate from problems: nothing is wrong. The invariant: whoever reads a plan is told of every
promise in the repository that this version of Fairlead does not keep.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from reconciler.core.access.authentication import file_digest, groups_claim
from reconciler.core.declarations import Declarations
from reconciler.core.identifiers import ClusterName
from reconciler.core.kinds import AgentScope, Cluster, Model, Prompt, Role, Rollout
from reconciler.core.kinds.repository import RepositorySpec
from reconciler.core.rollout_units import Environment, RenderedRollout
from reconciler.core.rollouts.placing import gradual
from reconciler.core.secret_readers import undelivered

_DIGEST_LENGTH = len("sha256:") + 12
"""Enough for a person to tell two files apart."""

_UNNAMED = "the policy names no authorizer"
_UNSHUT = "the policy does not say whom they admit (authorizer.admit)"
_UNASKED = f"nobody asks when they are called: {_UNNAMED}"


def notices(
    declarations: Declarations,
    policy: RepositorySpec,
    environment: Environment,
    clusters: Collection[ClusterName],
    rollouts: Collection[RenderedRollout],
) -> tuple[str, ...]:
    """All notices of a commit, sorted, each once. `clusters` are those that agents are in."""
    agents = {scope.name: scope for _, scope in declarations.all(AgentScope)}
    return tuple(
        sorted(
            {
                *_access_notices(declarations, policy),
                *_prompt_notices(declarations),
                *_policy_notices(declarations, policy),
                *_sign_in_notices(declarations),
                *undelivered(environment, clusters, rollouts, agents),
                *_strategy_notices(declarations),
                *_route_notices(rollouts),
            }
        )
    )


def _access_notices(declarations: Declarations, policy: RepositorySpec) -> Iterator[str]:
    """What RBAC alone cannot hold anybody to."""
    if policy.authorizer is not None:
        if policy.authorizer.admit is None and declarations.of(Rollout):
            yield f"model servers can be asked past the gateway: {_UNSHUT}"
        return
    for _, role in declarations.all(Role):
        if any(rule.models for rule in role.spec.allow):
            yield f"Role {role.name} says who may use models, and {_UNASKED}"
        if role.spec.unless:
            yield f"unless of Role {role.name} is not enforced on objects: {_UNNAMED}"
    for _, scope in declarations.all(AgentScope):
        yield f"AgentScope {scope.name} limits calls, models and tools, and {_UNASKED}"


def _prompt_notices(declarations: Declarations) -> Iterator[str]:
    """Prompts that are kept, and that nobody is given."""
    rolled_out = {rollout.spec.prompt for _, rollout in declarations.all(Rollout)}
    for name in declarations.of(Prompt).keys() - rolled_out:
        yield f"Prompt {name} is declared but not yet enforced"


def _policy_notices(declarations: Declarations, policy: RepositorySpec) -> Iterator[str]:
    asks = policy.approvals.wider_access is not None or policy.owners
    if asks and not policy.signatures.required:
        yield (
            "owners and approvals are asked for on pull requests: what is pushed past is applied,"
            " for commits need no signature"
        )
    for name in policy.clusters.names:
        if not declarations.knows(Cluster, name):
            yield f"the policy allows cluster {name}, which no file declares"


def _sign_in_notices(declarations: Declarations) -> Iterator[str]:
    """A file of an API server is no object: nobody but its operator can change it."""
    for _, cluster in declarations.all(Cluster):
        authentication = cluster.spec.authentication
        if authentication is None:
            continue
        digest = file_digest(cluster.name, authentication)[:_DIGEST_LENGTH]
        yield (
            f"people sign in to cluster {cluster.name} once its API server has the file {digest}: "
            f"fairlead access authentication {cluster.name}"
        )
        if groups_claim(authentication) is None and declarations.of(Role):
            yield f"nobody has a Role in cluster {cluster.name}: Google tells it no groups"


def _strategy_notices(declarations: Declarations) -> Iterator[str]:
    for _, rollout in declarations.all(Rollout):
        strategy = rollout.spec.strategy
        if strategy is not None and gradual(strategy) is None:
            yield (
                f"Rollout {rollout.name} declares a strategy ({strategy.chosen.replace('_', ' ')}) "
                "that is not carried out yet: its version changes at once"
            )
        elif strategy is None and rollout.spec.gates:
            yield (
                f"Rollout {rollout.name} names gates, but has no strategy: its version changes at "
                "once, and nothing judges it"
            )


def _route_notices(rollouts: Iterable[RenderedRollout]) -> Iterator[str]:
    for rollout in rollouts:
        model = rollout.subject.declaration
        if not isinstance(model, Model):
            continue
        for name in rollout.units if model.spec.serving.route is not None else ():
            if rollout.environment.gateway(name) is None:
                yield f"Model {model.name} has a route, but cluster {name} has no gateway"

"""Widening: whether what one commit declares gives anybody more than what another does.

Separate from the sentences of a plan, which it takes over, because more is asked here: also what is
no permission of a person or agent, such as a limit that is raised or a restriction that goes. The
invariants: it is a function of two declared states, so that a revert is judged as any other commit;
and what cannot be told counts as given.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from reconciler.core.access.subjects import SUBJECT_UNITS, agent_subject, in_words
from reconciler.core.approvals.loosening import loosened
from reconciler.core.desired import DesiredState
from reconciler.core.grants import network_direction
from reconciler.core.kinds import AgentScope, Cluster, Model
from reconciler.core.kinds.agent_scope import Limits
from reconciler.core.manifests import JsonObject, Manifest
from reconciler.core.presenting.access_changes import AccessChange
from reconciler.core.presenting.impact import state_access_changes
from reconciler.core.request_path import ACCESS_UNIT
from reconciler.core.statuses import part

_ADMISSION: Final = "admissionregistration.k8s.io"
_RBAC: Final = "rbac.authorization.k8s.io"
_NETWORK: Final = "networking.k8s.io"
_RESTRICTING: Final = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
"""Kinds of admission that can do nothing but refuse; a webhook sees what it is asked about."""

_OURS: Final = ("app.kubernetes.io/", "fairlead.dev/")


def widenings(before: DesiredState, after: DesiredState) -> tuple[str, ...]:
    """What is given by going from the one to the other, in sentences, each once."""
    found = (
        *(_sentence(change) for change in state_access_changes(before, after) if change.gains),
        *_of_agents(before, after),
        *_of_clusters(before, after),
        *_of_restrictions(before, after),
        *_of_objects(before, after),
        *loosened(before.policy, after.policy),
    )
    return tuple(dict.fromkeys(found))


def only_narrows(before: DesiredState, after: DesiredState) -> bool:
    """Whether all that changes is access, and all of that is taken away."""
    same = _same_but_access(before, after) and _same_models_but_access(before, after)
    if not same or not all(map(_is_about_access, _changed(before, after))):
        return False
    changes = state_access_changes(before, after)
    return bool(changes) and not widenings(before, after)


def only_breaks_glass(before: DesiredState, after: DesiredState) -> bool:
    """Whether all that changes is that there is another BreakGlass, or one less."""
    return (
        before.emergencies != after.emergencies
        and _same_but_access(before, after)
        and before.models == after.models
        and before.roles == after.roles
        and before.agents == after.agents
        and not any(_changed(before, after))
    )


def _same_but_access(before: DesiredState, after: DesiredState) -> bool:
    return (
        before.policy == after.policy
        and before.clusters == after.clusters
        and before.rollouts == after.rollouts
        and before.gates == after.gates
        and before.evaluations == after.evaluations
        and before.prompts == after.prompts
    )


def _sentence(change: AccessChange) -> str:
    where = f" in {', '.join(change.clusters)}" if change.clusters else ""
    return f"{change.who} gains {change.what}{where}"


def _same_models_but_access(before: DesiredState, after: DesiredState) -> bool:
    """Whether the models are alike apart from who may use which version."""
    if before.models.keys() != after.models.keys():
        return False
    pairs = ((model, after.models[name]) for name, model in before.models.items())
    return all(old == new or _but_access(old) == _but_access(new) for old, new in pairs)


def _but_access(model: Model) -> Model:
    versions = (version.model_copy(update={"access": None}) for version in model.spec.versions)
    spec = model.spec.model_copy(update={"versions": tuple(versions)})
    return model.model_copy(update={"spec": spec})


_Pair = tuple[Manifest | None, Manifest | None]


def _changed(before: DesiredState, after: DesiredState) -> Iterator[_Pair]:
    """Objects that differ, without those that roles and agent scopes become."""
    for place in sorted({*before.units, *after.units}):
        old, new = before.units.get(place), after.units.get(place)
        if old is new or place[1].startswith(SUBJECT_UNITS) or place[1] == ACCESS_UNIT:
            continue
        one, other = (unit.manifests if unit else {} for unit in (old, new))
        for key in sorted({*one, *other}):
            if one.get(key) != other.get(key):
                yield one.get(key), other.get(key)


def _is_about_access(pair: _Pair) -> bool:
    return all(one is None or _carries_access(one.key.group, one.key.kind) for one in pair)


def _carries_access(group: str, kind: str) -> bool:
    return (
        group in (_RBAC, "vault.fairlead.dev")
        or (group, kind) == (_NETWORK, "NetworkPolicy")
        or (group == _ADMISSION and kind in _RESTRICTING)
    )


def _of_objects(before: DesiredState, after: DesiredState) -> Iterator[str]:
    for old, new in _changed(before, after):
        found = new or old
        assert found is not None, "an object is on one of the sides"
        if _gives(old, new):
            yield f"{found.key} lets through more than before"


def _gives(old: Manifest | None, new: Manifest | None) -> bool:
    """Of what no sentence about access tells."""
    found = new or old
    assert found is not None, "an object is on one of the sides"
    match found.key.group, found.key.kind:
        case (group, "NetworkPolicy") if group == _NETWORK:
            if old is None or new is None:
                # Policies add up: a new one with rules opens what another shut.
                return new is None or _has_rules(new.body)
            return network_direction(old.body, new.body).gives
        case (group, kind) if group == _ADMISSION:
            return old is not None or kind not in _RESTRICTING
        case ("gateway.networking.k8s.io", "ReferenceGrant") | ("vault.fairlead.dev", _):
            return new is not None
        case (group, "ClusterRole") if group == _RBAC:
            return new is not None and bool(_joins(new.body) - (_joins(old.body) if old else set()))
    return False


def _has_rules(policy: JsonObject) -> bool:
    spec = part(policy, "spec")
    return bool(spec.get("ingress") or spec.get("egress"))


def _joins(role: JsonObject) -> set[tuple[str, str]]:
    """The labels by which this role may add its rules to another one. Any may be selected."""
    labels = part(part(role, "metadata"), "labels")
    return {(name, str(value)) for name, value in labels.items() if not name.startswith(_OURS)}


def _of_restrictions(before: DesiredState, after: DesiredState) -> Iterator[str]:
    """Whom an `unless` binds no more. What else they may, from wherever, nothing here can tell."""
    for group, action, labels in sorted(_restrictions(before) - _restrictions(after)):
        kept = ", ".join(f"{name}={value}" for name, value in labels)
        yield f"group {group} is no longer kept from {action} on models with {kept}"


def _restrictions(state: DesiredState) -> set[tuple[str, str, tuple[tuple[str, str], ...]]]:
    return {
        (group, str(action), tuple(sorted(rule.labels.items())))
        for role in state.roles.values()
        for rule in role.spec.unless
        for action in rule.actions
        for group in role.spec.groups
    }


def _of_agents(before: DesiredState, after: DesiredState) -> Iterator[str]:
    """Limits that are raised, and tools that are not what they were."""
    for name, scope in after.agents.items():
        known = before.agents.get(name)
        if known is None or known == scope:
            continue
        who = in_words(agent_subject(name))
        for limit in Limits.model_fields:
            was, now = (getattr(one.spec.limits, limit) for one in (known, scope))
            if was is not None and (now is None or now > was):
                yield f"{who} has a higher limit of {limit.replace('_', ' ')}"
        if _ttl(scope) > _ttl(known):
            yield f"{who} has tokens that last longer"
        digests = {(tool.server, tool.name): tool.schema_digest for tool in known.spec.tools}
        for tool in scope.spec.tools:
            if digests.get((tool.server, tool.name), tool.schema_digest) != tool.schema_digest:
                yield f"{who} gains another definition of tool {tool.server}/{tool.name}"


def _of_clusters(before: DesiredState, after: DesiredState) -> Iterator[str]:
    """Another way for secrets: who can read them on it, nothing here can tell."""
    for name, cluster in after.clusters.items():
        known = before.clusters.get(name)
        if known is not None and _delivery(known) != _delivery(cluster):
            yield f"secrets come to cluster {name} another way"


def _delivery(cluster: Cluster) -> tuple[object, object]:
    return cluster.spec.secret_delivery, cluster.spec.vault


def _ttl(scope: AgentScope) -> timedelta:
    return scope.spec.token.ttl

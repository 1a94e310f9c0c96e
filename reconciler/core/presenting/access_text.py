"""Answers about access, as lines for a terminal and as values for JSON.

Separate from deciding, so that wording is in one place. The invariant: both forms say the same, and
neither leaves anything out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date

from reconciler.core.access.deciding import Decision, decide, split
from reconciler.core.access.differences import GET_TOKENS, READ_SECRETS, AccessDifference
from reconciler.core.access.permissions import Permissions
from reconciler.core.access.policy import AccessPolicy, Place
from reconciler.core.access.subjects import agent_name, in_words, rollout_name
from reconciler.core.kinds.access_rules import ModelAction
from reconciler.core.manifests import JsonObject, JsonValue
from reconciler.core.presenting.lines import Line, Tone, line, piece

READ = "read"
"""What is asked about secrets, in place of an action on models."""


def who_can(policy: AccessPolicy, action: ModelAction, name: str, today: date) -> tuple[str, ...]:
    """The subjects that may do it to MODEL@VERSION."""
    model, version = split(name)
    return tuple(
        subject
        for subject in policy.subjects
        if decide(policy, subject, action, model, version, today=today).allowed
    )


def who_reads(allowed: Permissions, wanted: str) -> tuple[str, ...]:
    """The subjects that may read what lies at `wanted`, such as `vault:kv/risk/fraud`."""
    return tuple(
        subject
        for subject, places in sorted(allowed.secrets.items())
        if any(_has(place, wanted) for place in places)
    )


def _has(place: str, wanted: str) -> bool:
    """A place that ends with `*` is everything below it."""
    return wanted == place or (place.endswith("*") and wanted.startswith(place[:-1]))


def who_lines(
    policy: AccessPolicy, subjects: Iterable[str], action: str, name: str
) -> Iterator[Line]:
    told = [
        line(piece(in_words(subject), Tone.STRONG), f" ({holders(policy, subject)})")
        for subject in subjects
    ]
    yield from told or [line(f"nobody may {action} {'' if action == READ else 'on '}{name}")]


def who_json(policy: AccessPolicy, subjects: Iterable[str]) -> list[JsonValue]:
    return [{"subject": subject, **_holders_json(policy, subject)} for subject in subjects]


def what_lines(policy: AccessPolicy, allowed: Permissions, subject: str) -> Iterator[Line]:
    """All that one subject may do."""
    yield line(piece(in_words(subject), Tone.STRONG), f" ({holders(policy, subject)})")
    found = [*_on_models(allowed, subject), *_on_resources(allowed, subject)]
    places = allowed.secrets.get(subject, frozenset())
    found += [f"{READ_SECRETS} {place}" for place in sorted(places)]
    if agents := allowed.tokens.get(subject):
        found.append(f"{GET_TOKENS} {', '.join(sorted(agents))}")
    agent = policy.agents.get(agent_name(subject) or "")
    if agent is not None:
        found += [f"call tool {tool.server}/{tool.name}" for tool in agent.spec.tools]
        lacking = (place for place in agent.spec.secrets if place not in places)
        found += [f"{READ_SECRETS} {place}, once they are delivered" for place in lacking]
        found += [f"connect to {target}" for target in agent.spec.egress]
    for text in found or ["nothing"]:
        yield line(text, indent=1)


def what_json(policy: AccessPolicy, allowed: Permissions, subject: str) -> JsonObject:
    models: dict[str, JsonValue] = {
        action: [*sorted(versions)]
        for (who, action), versions in allowed.models.items()
        if who == subject
    }
    resources: list[JsonValue] = [
        {"verb": verb, "resource": resource, "places": _places_json(places)}
        for (who, verb, resource), places in allowed.resources.items()
        if who == subject
    ]
    held = _holders_json(policy, subject)
    secrets: list[JsonValue] = [*sorted(allowed.secrets.get(subject, ()))]
    tokens: list[JsonValue] = [*sorted(allowed.tokens.get(subject, ()))]
    return {
        "subject": subject,
        **held,
        "models": models,
        "resources": resources,
        "secrets": secrets,
        "tokens": tokens,
    }


def explain_lines(decision: Decision) -> Iterator[Line]:
    answer = piece("allowed", Tone.GOOD) if decision.allowed else piece("denied", Tone.BAD)
    yield line(answer, f": {decision.reason}")
    if decision.hint:
        yield line(f"to change that: {decision.hint}", indent=1)


def explain_json(decision: Decision) -> JsonObject:
    hint: JsonObject = {"hint": decision.hint} if decision.hint else {}
    return {"allowed": decision.allowed, "reason": decision.reason, **hint}


def difference_lines(found: AccessDifference) -> Iterator[Line]:
    for change in (*found.gained, *found.lost):
        sign = piece("+ ", Tone.ADDED) if change.gains else piece("- ", Tone.REMOVED)
        yield line(sign, change.sentence)
    if not found:
        yield line("nobody gains or loses access")


def difference_json(found: AccessDifference) -> JsonObject:
    changes: list[JsonValue] = [
        {
            "gains": change.gains,
            "subject": change.subject,
            "actions": list(change.actions),
            "things": list(change.things),
            "places": _places_json(change.places),
            "sentence": change.sentence,
        }
        for change in (*found.gained, *found.lost)
    ]
    return {"widens": found.widens, "changes": changes}


def _on_models(allowed: Permissions, subject: str) -> Iterator[str]:
    for (who, action), versions in allowed.models.items():
        if who == subject:
            yield f"{action} on {', '.join(sorted(versions))}"


def _on_resources(allowed: Permissions, subject: str) -> Iterator[str]:
    alike: dict[tuple[str, frozenset[Place]], list[str]] = {}
    for (who, verb, resource), places in allowed.resources.items():
        if who == subject:
            alike.setdefault((resource, places), []).append(verb)
    for (resource, places), verbs in alike.items():
        yield f"{', '.join(verbs)} on {resource} in {_places(places)}"


def _places(places: frozenset[Place]) -> str:
    clusters: dict[str, list[str]] = {}
    for place in sorted(places):
        clusters.setdefault(place.cluster, []).append(place.namespace)
    return "; ".join(f"{', '.join(names)} of {cluster}" for cluster, names in clusters.items())


def _places_json(places: Iterable[Place]) -> list[JsonValue]:
    return [{"cluster": p.cluster, "namespace": p.namespace} for p in sorted(places)]


def holders(policy: AccessPolicy, subject: str) -> str:
    """The groups that have a Role, or the day until which an agent's scope holds."""
    agent = agent_name(subject)
    if agent is not None:
        return f"until {policy.agents[agent].spec.expires.isoformat()}"
    if rollout_name(subject):
        return "its replicas"
    groups = policy.roles[subject].spec.groups
    return f"group{'s' if len(groups) > 1 else ''} {', '.join(groups)}"


def _holders_json(policy: AccessPolicy, subject: str) -> Mapping[str, JsonValue]:
    agent = agent_name(subject)
    if agent is not None:
        return {"expires": policy.agents[agent].spec.expires.isoformat()}
    if rollout_name(subject):
        return {}
    return {"groups": list(policy.roles[subject].spec.groups)}

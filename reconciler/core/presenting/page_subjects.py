"""Roles and agents as people see them: what they may do with which version, where, and why not.

Separate from the documents, which say what is meant, and from the plain answers of
access_text.py. The invariants: what is shown is what `decide` answers on that day; and models that
the viewer does not see are counted, unless the subject's own document names them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from reconciler.core.access.deciding import Decision, decide, labels_in_words, own_side, split
from reconciler.core.access.permissions import ACTIONS, OnModels
from reconciler.core.access.policy import AccessPolicy, listed
from reconciler.core.access.reach import Reach, reach
from reconciler.core.access.subjects import agent_name, agent_subject
from reconciler.core.desired import DesiredState
from reconciler.core.identifiers import ClusterName
from reconciler.core.kinds import AgentScope, Model, Role
from reconciler.core.kinds.access_rules import AccessTest, ModelAction
from reconciler.core.kinds.role import Rule
from reconciler.core.presenting.lines import all_of
from reconciler.core.presenting.page_marks import ALLOWED, DENIED, Mark
from reconciler.core.sight import Sight

MOST_VERSIONS = 5
"""Versions that are named of what may be done in one namespace."""
SOON_DAYS = 14
"""Days before the end of a scope from which on it is told as something to look after."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is decided about one action, and why."""

    action: ModelAction
    decision: Decision

    @property
    def mark(self) -> Mark:
        return ALLOWED if self.decision.allowed else DENIED

    def allows(self, action: ModelAction) -> bool:
        return self.action == action and self.decision.allowed


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One version, with an answer for each action."""

    model: str
    version: str
    answers: tuple[Answer, ...]

    @property
    def name(self) -> str:
        return f"{self.model}@{self.version}"


@dataclass(frozen=True, slots=True)
class Effective:
    """What a subject may do with models.

    `rows` are the versions of which either side says that it may, or could until its scope ended;
    of `others` neither does. `foreign` are versions that it may use, of models that the viewer does
    not see.
    """

    rows: tuple[VersionRow, ...]
    others: int
    foreign: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A test of the document, and how it came out."""

    test: AccessTest
    decision: Decision

    @property
    def holds(self) -> bool:
        return self.decision.allowed == (self.test.expect == "allowed")


@dataclass(frozen=True, slots=True)
class NamespaceRights:
    """What may be done in one namespace, in words."""

    namespace: str
    rights: tuple[str, ...]


def answers(
    policy: AccessPolicy, subject: str, model: str, version: str, today: date
) -> tuple[Answer, ...]:
    """One for each action."""
    return tuple(
        Answer(action, decide(policy, subject, action, model, version, today=today))
        for action in ACTIONS
    )


def effective(policy: AccessPolicy, subject: str, sight: Sight, today: date) -> Effective:
    """Everything that is so for the subject on that day, by name and the newest version first."""
    rows, others, foreign = [], 0, 0
    named = _named(policy, subject)
    for name, model in sorted(policy.models.items()):
        is_seen = name in named or sight.model(name)
        for version in reversed(model.spec.versions):
            found = answers(policy, subject, name, version.name, today)
            is_allowed = any(answer.decision.allowed for answer in found)
            if not (is_allowed or _is_concerned(policy, subject, model, version.name, today)):
                others += 1
            elif is_seen:
                rows.append(VersionRow(name, version.name, found))
            else:
                foreign += is_allowed
    return Effective(tuple(rows), others, foreign)


def _named(policy: AccessPolicy, subject: str) -> frozenset[str]:
    """Models that the subject's own document has by name."""
    scope = policy.agents.get(agent_name(subject) or "")
    return frozenset(entry.model for entry in scope.spec.models) if scope else frozenset()


def _is_concerned(
    policy: AccessPolicy, subject: str, model: Model, version: str, today: date
) -> bool:
    """Whether one side lets the subject in and the other does not, or no longer."""
    scope = policy.agents.get(agent_name(subject) or "")
    if scope and any(e.model == model.name and version in e.versions for e in scope.spec.models):
        return True
    return any(
        subject in (listed(model, version, action) or ())
        or own_side(policy, subject, action, model.name, version, today=today).allowed
        for action in ACTIONS
    )


def claims(policy: AccessPolicy, subject: str) -> tuple[Claim, ...]:
    """The tests of the subject's document, on the days that they are about."""
    agent = agent_name(subject)
    document = policy.roles[subject] if agent is None else policy.agents[agent]
    day = document.spec.expires if isinstance(document, AgentScope) else date.min
    return tuple(
        Claim(test, decide(policy, subject, test.can, *split(test.model), today=day))
        for test in document.spec.tests
    )


def rules_in_words(role: Role) -> tuple[str, ...]:
    """What the role allows, each rule as the end of a sentence that begins with `May`."""
    return tuple(_rule_in_words(rule) for rule in role.spec.allow)


def restrictions_in_words(role: Role) -> tuple[str, ...]:
    """What it denies, each as the end of a sentence that begins with `May not`."""
    return tuple(
        f"{all_of(each.actions)} models with {labels_in_words(dict(each.labels))}, "
        "whatever it allows besides"
        for each in role.spec.unless
    )


def _rule_in_words(rule: Rule) -> str:
    if rule.models is None:
        where = all_of(rule.namespaces, last="or")
        word = "namespace" if len(rule.namespaces) == 1 else "namespaces"
        like = f"{word} like" if any("*" in name for name in rule.namespaces) else word
        return f"{all_of(rule.verbs)} {all_of(rule.resources)} in {like} {where}"
    labels = labels_in_words(dict(rule.models.labels))
    return f"{all_of(rule.actions)} models with {labels}{_condition(rule.actions)}"


def _condition(actions: Sequence[ModelAction]) -> str:
    """What the version has to say, too."""
    asked = [action for action in actions if action != "promote"]
    if not asked:
        return ""
    to = "" if len(asked) == len(actions) else f" to {all_of(asked)}"
    return f", where the version lists it{to}"


def rights_in(
    desired: DesiredState, subject: str, rows: Sequence[VersionRow]
) -> Mapping[ClusterName, tuple[NamespaceRights, ...]]:
    """What the subject may do in each namespace, of what is shown of it; by cluster."""
    allowed = {
        OnModels(subject, action): frozenset(
            row.name for row in rows for found in row.answers if found.allows(action)
        )
        for action in ACTIONS
    }
    homes = _homes(desired)
    found = {}
    for cluster in map(ClusterName, sorted(desired.clusters)):
        within = reach(
            subject,
            allowed,
            homes=homes.get(cluster, {}),
            role=desired.roles.get(subject),
            namespaces=sorted(desired.namespaces.get(cluster, ())),
        )
        found[cluster] = tuple(
            NamespaceRights(name, tuple(_rights(there))) for name, there in within.items()
        )
    return found


def _homes(desired: DesiredState) -> Mapping[ClusterName, Mapping[str, frozenset[str]]]:
    """The namespaces in which rollouts of a model are: by cluster and model."""
    found: dict[ClusterName, dict[str, frozenset[str]]] = {}
    for name, rollout in desired.rollouts.items():
        model, here = rollout.spec.model, frozenset({rollout.spec.namespace})
        for (cluster, _), _ in desired.places_of(name) if model else ():
            known = found.setdefault(cluster, {})
            known[model] = known.get(model, frozenset()) | here
    return found


def _rights(there: Reach) -> Iterator[str]:
    for rule in there.models:
        yield f"{all_of(rule.actions)} {all_of(rule.versions, most=MOST_VERSIONS)}"
    for allowed in there.resources:
        of = f" of {allowed.group}" if allowed.group else ""
        yield f"{all_of(allowed.verbs)} {all_of(allowed.resources)}{of}"


def ending(scope: AgentScope, today: date) -> Mark:
    """How long a scope still holds."""
    left = (scope.spec.expires - today).days
    last = scope.spec.expires.isoformat()
    if left < 0:
        return Mark("bad", "clock", f"ended with {last}")
    if left == 0:
        return Mark("warning", "clock", "today is its last day")
    days = "1 day" if left == 1 else f"{left:,} days"
    soon = left <= SOON_DAYS
    return Mark("warning" if soon else "good", "clock" if soon else "check", f"{days} left")


def subject_path(subject: str) -> str:
    """The page about a Role or an agent."""
    agent = agent_name(subject)
    return f"/roles/{subject}" if agent is None else f"/agents/{agent}"


def role_or_agent(desired: DesiredState | None, subject: str) -> Role | AgentScope | None:
    """The document of a subject."""
    if desired is None:
        return None
    agent = agent_name(subject)
    return desired.roles.get(subject) if agent is None else desired.agents.get(agent)


def known_subject(policy: AccessPolicy, name: str) -> str:
    """The subject that somebody means: an agent may be named without its prefix where no role has
    the name."""
    if name not in policy.roles and name in policy.agents:
        return agent_subject(name)
    return name

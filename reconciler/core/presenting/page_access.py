"""Who may do what, over all roles and agents: lists with counts, one version, and what changed.

Separate from page_subjects.py, which is about one of them. The invariants: nobody is named whom
the viewer does not see, unless a document names them that the viewer sees; and a list has as many
rows as there are subjects or versions, never as many as there are pairs of both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from reconciler.core.access.deciding import Decision, decide, is_over, split
from reconciler.core.access.permissions import ACTIONS, OnModels, Permissions
from reconciler.core.access.policy import AccessPolicy, listed
from reconciler.core.access.subjects import agent_name, agent_subject
from reconciler.core.chronicle import CommitStory, Telling
from reconciler.core.identifiers import CommitSha
from reconciler.core.kinds import AgentScope, Model, Role
from reconciler.core.kinds.access_rules import ModelAction
from reconciler.core.presenting.access_changes import AccessChange
from reconciler.core.presenting.access_text import holders
from reconciler.core.presenting.access_told import AccessTold
from reconciler.core.presenting.page_marks import Mark
from reconciler.core.presenting.page_subjects import SOON_DAYS, ending, subject_path
from reconciler.core.sight import Sight

_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Wanted:
    """Filters of the list; what is empty leaves nothing out. `version` may be a model alone."""

    text: str = ""
    kind: str = ""
    action: str = ""
    version: str = ""
    state: str = ""

    def __bool__(self) -> bool:
        return bool(self.text or self.kind or self.action or self.version or self.state)


@dataclass(frozen=True, slots=True)
class SubjectRow:
    """One Role or agent. `counts` are the versions for each action, `resources` those of rules."""

    subject: str
    words: str
    held: str
    mark: Mark | None
    counts: Mapping[ModelAction, int]
    resources: int

    @property
    def path(self) -> str:
        return subject_path(self.subject)

    @property
    def name(self) -> str:
        return agent_name(self.subject) or self.subject

    @property
    def is_agent(self) -> bool:
        return agent_name(self.subject) is not None


@dataclass(frozen=True, slots=True)
class VersionLine:
    """One version, and how many may do what with it."""

    model: str
    version: str
    counts: Mapping[ModelAction, int]


@dataclass(frozen=True, slots=True)
class Holder:
    """Somebody who may. `held` says who that is, `path` leads there; empty for who is not seen."""

    subject: str
    held: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Unfit:
    """Somebody whom the version lists, and who may not all the same."""

    holder: Holder
    decision: Decision


@dataclass(frozen=True, slots=True)
class ActionAccess:
    """Who may do one thing with one version. `foreign` may as well, and are not to be named."""

    action: ModelAction
    allowed: tuple[Holder, ...]
    foreign: int
    unfit: tuple[Unfit, ...]


@dataclass(frozen=True, slots=True)
class Touch:
    """A commit that wrote to a subject's objects, or by which it gained or lost.

    `hidden` changes are about models that the viewer does not see.
    """

    commit: CommitSha
    time: datetime
    index: int
    changes: tuple[AccessChange, ...]
    hidden: int


def subjects_seen(policy: AccessPolicy, sight: Sight) -> tuple[str, ...]:
    return tuple(subject for subject in policy.subjects if sight.subject(subject))


def matching(
    policy: AccessPolicy,
    allowed: Permissions,
    subjects: Iterable[str],
    wanted: Wanted,
    today: date,
) -> tuple[str, ...]:
    """The subjects that the filters leave."""
    needle = wanted.text.strip().lower()
    return tuple(
        subject
        for subject in subjects
        if (not needle or any(needle in text.lower() for text in _texts(policy, subject)))
        and (not wanted.kind or (agent_name(subject) is not None) == (wanted.kind == "agent"))
        and (not wanted.state or _is_in(policy, subject, wanted.state, today))
        and (not (wanted.action or wanted.version) or _may(allowed, subject, wanted))
    )


def _document(policy: AccessPolicy, subject: str) -> Role | AgentScope:
    agent = agent_name(subject)
    return policy.roles[subject] if agent is None else policy.agents[agent]


def _texts(policy: AccessPolicy, subject: str) -> tuple[str, ...]:
    document = _document(policy, subject)
    if isinstance(document, AgentScope):
        return (document.name, document.spec.purpose)
    return (document.name, document.spec.description, *document.spec.groups)


def _is_in(policy: AccessPolicy, subject: str, state: str, today: date) -> bool:
    """Whether a scope is over, or is soon; a Role is neither."""
    document = _document(policy, subject)
    if not isinstance(document, AgentScope):
        return False
    if state == "ended":
        return is_over(document, today)
    return 0 <= (document.spec.expires - today).days <= SOON_DAYS


def _may(allowed: Permissions, subject: str, wanted: Wanted) -> bool:
    """Whether the subject may do the action with the version or, where one is not given, any."""
    whole = "@" in wanted.version
    for action in ACTIONS:
        if wanted.action in ("", action):
            versions = allowed.models.get(OnModels(subject, action), _NONE)
            if not wanted.version and versions:
                return True
            if whole and wanted.version in versions:
                return True
            if not whole and any(v.startswith(f"{wanted.version}@") for v in versions):
                return True
    return False


def subject_rows(
    policy: AccessPolicy, allowed: Permissions, subjects: Iterable[str], today: date
) -> tuple[SubjectRow, ...]:
    return tuple(_row(policy, allowed, subject, today) for subject in subjects)


def _row(policy: AccessPolicy, allowed: Permissions, subject: str, today: date) -> SubjectRow:
    document = _document(policy, subject)
    counts = {
        action: len(allowed.models.get(OnModels(subject, action), _NONE)) for action in ACTIONS
    }
    if isinstance(document, AgentScope):
        words, mark = document.spec.purpose, ending(document, today)
        return SubjectRow(subject, words, holders(policy, subject), mark, counts, 0)
    resources = {name for rule in document.spec.allow for name in rule.resources}
    words, held = document.spec.description, ", ".join(document.spec.groups)
    return SubjectRow(subject, words, held, None, counts, len(resources))


def version_lines(names: Iterable[str], allowed: Permissions) -> tuple[VersionLine, ...]:
    """By the names MODEL@VERSION. Costs a look at each subject for each of them."""
    sets: dict[ModelAction, list[frozenset[str]]] = {action: [] for action in ACTIONS}
    for right, versions in allowed.models.items():
        sets[right.action].append(versions)
    return tuple(
        VersionLine(
            *split(name),
            {action: sum(name in versions for versions in sets[action]) for action in ACTIONS},
        )
        for name in names
    )


def version_access(
    policy: AccessPolicy, model: Model, version: str, sight: Sight, today: date
) -> tuple[ActionAccess, ...]:
    """For each action, who may, and who is listed in vain."""
    return tuple(
        _action_access(policy, model, version, action, sight=sight, today=today)
        for action in ACTIONS
    )


def _action_access(
    policy: AccessPolicy,
    model: Model,
    version: str,
    action: ModelAction,
    *,
    sight: Sight,
    today: date,
) -> ActionAccess:
    """Whom the version lists is named, for who sees the version sees the list."""
    allowed, unfit, foreign = [], [], 0
    only = listed(model, version, action)
    for subject in _candidates(policy, model) if only is None else sorted(only, key=_roles_first):
        found = decide(policy, subject, action, model.name, version, today=today)
        if only is None and not sight.subject(subject):
            foreign += found.allowed
        elif found.allowed:
            allowed.append(_holder(policy, subject, sight))
        elif only is not None:
            unfit.append(Unfit(_holder(policy, subject, sight), found))
    return ActionAccess(action, tuple(allowed), foreign, tuple(unfit))


def _roles_first(subject: str) -> tuple[bool, str]:
    return agent_name(subject) is not None, subject


def _candidates(policy: AccessPolicy, model: Model) -> Iterator[str]:
    """Who could have something to do with a model: every Role, and agents that name it."""
    yield from sorted(policy.roles)
    for name, scope in sorted(policy.agents.items()):
        if any(entry.model == model.name for entry in scope.spec.models):
            yield agent_subject(name)


def _holder(policy: AccessPolicy, subject: str, sight: Sight) -> Holder:
    if not sight.subject(subject):
        return Holder(subject)
    return Holder(subject, holders(policy, subject), subject_path(subject))


def touches(
    subject: str, tellings: Sequence[Telling], stories: Sequence[CommitStory], sight: Sight
) -> tuple[Touch, ...]:
    """The past of a subject, newest first."""
    told = {telling.commit: telling for telling in tellings}
    found = []
    for story in stories:
        # A commit that waits, or was refused, gave nobody anything.
        access = story.access if story.verdict == "accepted" else AccessTold()
        changes, seen = access.about(subject), access.seen_by(sight).about(subject)
        telling = told.pop(story.commit, None)
        if changes or telling:
            time, index = (telling.time, telling.index) if telling else (story.began, story.first)
            hidden = len(changes) - len(seen)
            found.append(Touch(story.commit, time, index, seen, hidden))
    found += [
        Touch(telling.commit, telling.time, telling.index, (), 0) for telling in told.values()
    ]
    return tuple(sorted(found, key=lambda touch: -touch.index))

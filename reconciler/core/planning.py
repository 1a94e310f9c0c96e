"""The one function that makes plans.

Separate from everything that talks to a server: it is given what is declared, what is known of
each cluster and what the dry runs answered, and returns the Plan that every surface shows and the
executor follows. The invariant: it chooses, and nobody after it does; what it was not told, it
does not assume.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias, cast

from reconciler.core.audit.records import Reason
from reconciler.core.authorship import NOBODY, Attribution, Unattributed
from reconciler.core.budget import deletions_within
from reconciler.core.desired import DesiredState
from reconciler.core.diffing import (
    field_changes,
    intent_changes,
    owned_digest,
    restarts,
)
from reconciler.core.errors import Cause
from reconciler.core.identifiers import ClusterName, CommitSha, ObjectKey
from reconciler.core.kinds.repository import RepositorySpec
from reconciler.core.manifests import ON_IMMUTABLE_ANNOTATION, JsonObject, Manifest
from reconciler.core.ordering import Wave, stepping_stone, wave_of
from reconciler.core.outstanding import Candidate, ClusterView, Outstanding, is_ours
from reconciler.core.plans import (
    Action,
    Change,
    ClusterPlan,
    Plan,
    Refusal,
    Unverified,
    Waiting,
    WaitReason,
)
from reconciler.core.route_sharing import is_shared, own_backends, own_part
from reconciler.core.snapshots import LiveObject


@dataclass(frozen=True, slots=True)
class Accepted:
    """The dry run passed; `body` is the object as the server would store it.

    It is absent for a creation: there is nothing to compare with, and ten thousand answers would
    not fit in memory.
    """

    body: JsonObject | None = None
    forced: bool = False
    found: LiveObject | None = None
    """The object as it is now, also when it lacks our label and no watch shows it."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The dry run did not pass. `code` is that of the error in core/errors.py."""

    code: str
    explanation: str
    causes: tuple[Cause, ...] = ()
    replaceable: bool = False
    """The same object passed a dry run under another name."""


Preview: TypeAlias = "Accepted | Rejected"
Previews: TypeAlias = "Mapping[tuple[ClusterName, ObjectKey], Preview]"


def plan(
    desired: DesiredState,
    *,
    base: CommitSha | None,
    rules: RepositorySpec,
    views: Sequence[ClusterView],
    work: Sequence[Outstanding],
    previews: Previews,
    authors: Attribution = NOBODY,
) -> Plan:
    """Decide what making `desired` true takes.

    `rules` is the policy of the last accepted commit. `work` is what `outstanding` found, and
    `previews` holds an answer for each of its candidates that is to be written. What is written in
    the name of `authors` was asked in their name.
    """
    known = {view.cluster: view for view in views}
    return Plan(
        repository=desired.repository,
        base=base,
        head=desired.commit,
        clusters=tuple(
            _cluster_plan(
                desired, rules, known[item.cluster], item, previews=previews, authors=authors
            )
            for item in work
        ),
        notices=desired.notices,
        rolling=desired.rolling,
    )


def _cluster_plan(
    desired: DesiredState,
    rules: RepositorySpec,
    view: ClusterView,
    work: Outstanding,
    *,
    previews: Previews,
    authors: Attribution,
) -> ClusterPlan:
    draft = _Draft(desired.commit, _Founded.by(work.candidates))
    for candidate in work.candidates:
        if candidate.key in view.contested and candidate.reason is Reason.DRIFT:
            draft.waiting.append(_contested(candidate))
        elif candidate.desired is None:
            draft.judge_removal(candidate, previews.get((work.cluster, candidate.key)))
        else:
            draft.judge(candidate, previews[work.cluster, candidate.key])
    draft.changes = [_in_the_name_of(authors, work.cluster, change) for change in draft.changes]
    draft.changes.sort(key=lambda change: (change.stage, change.wave, change.unit, change.key))
    return ClusterPlan(
        cluster=work.cluster,
        changes=tuple(c for c in draft.changes if c.reason is not Reason.DRIFT),
        drift=tuple(c for c in draft.changes if c.reason is Reason.DRIFT),
        refusals=tuple(sorted(draft.refusals, key=lambda refusal: refusal.key)),
        unverified=tuple(sorted(draft.unverified, key=lambda item: item.key)),
        waiting=tuple(
            sorted([*work.waiting, *draft.waiting], key=lambda item: (item.unit, item.explanation))
        ),
        deletions=deletions_within(
            rules,
            released=desired.policy.release,
            cluster=work.cluster,
            changes=draft.changes,
            of=_owned(view),
        ),
    )


@dataclass(slots=True)
class _Draft:
    """The plan of one cluster as it grows."""

    head: CommitSha
    founded: _Founded
    changes: list[Change] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    unverified: list[Unverified] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)

    def judge(self, candidate: Candidate, preview: Preview) -> None:
        """Decide about an object that is declared, by what its dry run said."""
        if isinstance(preview, Accepted):
            self.changes.extend(_writes(candidate, preview, self.head))
        elif missing := self.founded.explains(candidate, preview):
            self.unverified.append(Unverified(candidate.unit, candidate.key, missing))
            self.changes.extend(_writes(candidate, None, self.head))
        elif preview.replaceable and _may_replace(candidate):
            self.changes.append(_replacement(candidate, self.head))
        else:
            self.refusals.append(_refusal(candidate, preview))

    def judge_removal(self, candidate: Candidate, preview: Preview | None) -> None:
        """Decide about an object that is to go: it was asked about only if somebody wants it to."""
        if isinstance(preview, Rejected):
            self.refusals.append(_refusal(candidate, preview))
        else:
            self.changes.append(_removal(candidate, self.head))


def _in_the_name_of(authors: Attribution, cluster: ClusterName, change: Change) -> Change:
    found = authors.get((cluster, change.key), ())
    if isinstance(found, Unattributed) or change.reason is not Reason.COMMIT:
        return change
    return replace(change, authors=found) if found else change


def _owned(view: ClusterView) -> int:
    """How many objects are ours: also those that the ledger lacks, as after the loss of it."""
    known = view.ledger.entries
    unknown = (o for o in view.snapshot if o.key not in known and is_ours(o))
    return len(known) + sum(1 for _ in unknown)


@dataclass(frozen=True, slots=True)
class _Founded:
    """Namespaces, types, roles and admission policies that this very plan brings: what needs them
    cannot be dry-run yet."""

    namespaces: frozenset[str]
    kinds: frozenset[tuple[str, str]]
    policies: frozenset[str]
    roles: frozenset[tuple[str, str]]

    @classmethod
    def by(cls, candidates: Iterable[Candidate]) -> _Founded:
        namespaces, kinds, policies, roles = set(), set(), set(), set()
        for candidate in candidates:
            if candidate.desired is None or candidate.live is not None:
                continue
            if candidate.key.kind == "Namespace" and not candidate.key.group:
                namespaces.add(candidate.key.name)
            if candidate.key.kind == "ValidatingAdmissionPolicy":
                policies.add(candidate.key.name)
            if candidate.key.kind in ("Role", "ClusterRole"):
                roles.add((candidate.key.namespace, candidate.key.name))
            if candidate.key.kind == "CustomResourceDefinition":
                spec = cast(JsonObject, candidate.desired.body.get("spec") or {})
                names = cast(JsonObject, spec.get("names") or {})
                kinds.add((cast(str, spec.get("group")), cast(str, names.get("kind"))))
        return cls(frozenset(namespaces), frozenset(kinds), frozenset(policies), frozenset(roles))

    def explains(self, candidate: Candidate, preview: Rejected) -> str:
        """Why the dry run could not pass; empty where that is the object's own fault."""
        key = candidate.key
        if preview.code == "invalid" and key.kind == "ValidatingAdmissionPolicyBinding":
            # Whoever may not do everything is asked for the policy that the parameters are of.
            return self._lacks_policy(candidate)
        if preview.code != "missing":
            return ""
        if key.kind in ("RoleBinding", "ClusterRoleBinding"):
            # Whoever may not grant everything is asked for the role, to see what it grants.
            reference = _part_of(candidate, "roleRef")
            role = str(reference.get("name"))
            where = key.namespace if reference.get("kind") == "Role" else ""
            if (where, role) in self.roles:
                return f"the plan creates role {role}"
        if (key.group, key.kind) in self.kinds:
            return f"the plan brings the type {key.kind} of {key.group}"
        if key.namespace in self.namespaces:
            return f"the plan creates namespace {key.namespace}"
        return ""

    def _lacks_policy(self, candidate: Candidate) -> str:
        name = _part_of(candidate, "spec").get("policyName")
        return f"the plan creates admission policy {name}" if name in self.policies else ""


def _part_of(candidate: Candidate, field: str) -> JsonObject:
    assert candidate.desired is not None, "it was dry-run"
    return cast(JsonObject, candidate.desired.body.get(field) or {})


def _writes(candidate: Candidate, accepted: Accepted | None, head: CommitSha) -> Iterable[Change]:
    """The change to one object: two where access must be taken before it may be given."""
    desired = candidate.desired
    live = candidate.live or (accepted.found if accepted else None)
    assert desired is not None
    whole = replace(
        _write(candidate, desired, live, candidate.commit(head)),
        force=accepted.forced if accepted else False,
    )
    if live is not None and accepted is not None and accepted.body is not None:
        fields, hidden = field_changes(*_shown(candidate, live.body, accepted.body))
        same = live.owned == owned_digest(accepted.body)
        whole = replace(
            whole,
            action=Action.ADOPT if same else Action.UPDATE,
            fields=fields,
            hidden=hidden,
            restarts=restarts(fields),
        )
    stone = stepping_stone(candidate.previous, desired) if candidate.previous and live else None
    if stone is None or not whole.action.writes:
        return (whole,)
    narrowed = replace(
        _write(candidate, stone, live, head), action=Action.UPDATE, wave=Wave.TIGHTENING
    )
    return (narrowed, whole)


def _shown(
    candidate: Candidate, before: JsonObject, after: JsonObject
) -> tuple[JsonObject, JsonObject]:
    """Both states without what of a shared object is none of ours."""
    desired, previous = candidate.desired, candidate.previous
    assert desired is not None
    if not is_shared(desired):
        return before, after
    own = own_backends(desired.body, previous.body if previous else None, before)
    return own_part(before, own), own_part(after, own)


def _write(
    candidate: Candidate, desired: Manifest, live: LiveObject | None, commit: CommitSha
) -> Change:
    return Change(
        unit=candidate.unit,
        key=candidate.key,
        api_version=desired.type.api_version,
        action=Action.CREATE,
        reason=candidate.reason,
        wave=wave_of(before=candidate.previous, after=desired),
        stage=candidate.stage,
        commit=commit,
        desired=desired,
        previous=candidate.previous,
        uid=live.uid if live else "",
    )


def _removal(candidate: Candidate, head: CommitSha) -> Change:
    live, entry, previous = candidate.live, candidate.entry, candidate.previous
    return Change(
        unit=candidate.unit,
        key=candidate.key,
        api_version=live.api_version if live else entry.api_version if entry else "",
        action=Action.DELETE if live else Action.FORGET,
        reason=Reason.COMMIT,
        # Of an orphan, or a creation that was never confirmed, the key is all we know.
        wave=wave_of(before=previous, after=None) if previous else Wave.DELETION,
        stage=candidate.stage,
        commit=head,
        previous=previous,
        uid=live.uid if live else "",
    )


def _replacement(candidate: Candidate, head: CommitSha) -> Change:
    desired, live = candidate.desired, candidate.live
    assert desired is not None
    assert live is not None
    return replace(
        _write(candidate, desired, live, head),
        action=Action.REPLACE,
        fields=intent_changes(candidate.previous, desired),
        restarts=True,
    )


def _may_replace(candidate: Candidate) -> bool:
    """People opted in, and the object is ours: that of somebody else is not deleted."""
    assert candidate.desired is not None
    if candidate.live is None:
        return False
    metadata = cast(JsonObject, candidate.desired.body["metadata"])
    annotations = cast(JsonObject, metadata.get("annotations") or {})
    return annotations.get(ON_IMMUTABLE_ANNOTATION) == "replace"


def _contested(candidate: Candidate) -> Waiting:
    return Waiting(
        candidate.unit,
        WaitReason.CONTESTED,
        f"{candidate.key} is changed again and again by somebody else and left alone for now",
    )


def _refusal(candidate: Candidate, rejected: Rejected) -> Refusal:
    manifest = candidate.desired or candidate.previous
    return Refusal(
        unit=candidate.unit,
        key=candidate.key,
        code=rejected.code,
        explanation=rejected.explanation,
        causes=rejected.causes,
        source=str(manifest.source) if manifest else "",
    )

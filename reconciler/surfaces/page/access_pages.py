"""Pages about access: the list, one Role or agent, and who may use one version of a model.

Separate from the pages about how things stand. The invariants: they say what `fairlead access`
says of the commit in force, today; and who may not see a Role or an agent cannot find out whether
there is one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from reconciler.core.access.subjects import agent_namespace, agent_subject
from reconciler.core.chronicle import Correction
from reconciler.core.desired import DesiredState
from reconciler.core.errors import Missing
from reconciler.core.identifiers import ClusterName, UnitName
from reconciler.core.kinds import AgentScope, BreakGlass, Model, Role
from reconciler.core.ledger import Ledger
from reconciler.core.presenting import page_access, page_subjects
from reconciler.core.presenting.page_access import Wanted
from reconciler.core.presenting.page_marks import CLUSTERS, LENT, NOT_THERE, TO_COME, Mark
from reconciler.core.presenting.page_overview import unit_state
from reconciler.core.presenting.page_subjects import NamespaceRights
from reconciler.core.standing import ClusterState, ClusterStatus
from reconciler.surfaces.page.facts import Facts
from reconciler.surfaces.page.sheets import Ask, Sheet, paged

ROWS_A_PAGE = 50
MOST_NAMED = 100
"""Roles and agents that are named for one action on one version."""
MOST_NAMESPACES = 20
"""Namespaces of one cluster that are shown with what may be done there."""
MOST_TOUCHES = 20
LONGEST_FILTER = 130
SECTION = "access"


@dataclass(frozen=True, slots=True)
class SubjectPlace:
    """A subject in one cluster: how its unit stands, and what it may do there by namespace."""

    cluster: ClusterName
    mark: Mark
    words: str
    objects: int
    corrected: Correction | None
    rights: tuple[NamespaceRights, ...]


class AccessPages:
    """Makes the sheets."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    async def access(self, ask: Ask) -> Sheet:
        desired = self._facts.desired
        wanted = Wanted(
            *(
                ask.query.get(name, "").strip()[:LONGEST_FILTER]
                for name in ("q", "kind", "can", "on", "state")
            )
        )
        by_version = ask.query.get("by") == "version"
        values: dict[str, object] = {
            "wanted": wanted,
            "by_version": by_version,
            "soon_days": page_subjects.SOON_DAYS,
        }
        if desired is None:
            values |= {**paged((), ask, ROWS_A_PAGE).facts, "counts": None}
        else:
            values |= self._versions(desired, wanted, ask) if by_version else {}
            values |= {} if by_version else self._subjects(desired, wanted, ask)
            values["counts"] = self._counts(desired, ask)
        return Sheet("access.html", "Roles and agents", SECTION, values)

    def _counts(self, desired: DesiredState, ask: Ask) -> dict[str, int]:
        """What there is in all, of what the viewer sees."""
        policy, today = desired.access, self._facts.today
        agents = [a for name, a in policy.agents.items() if ask.sight.subject(agent_subject(name))]
        endings = [page_subjects.ending(agent, today).tone for agent in agents]
        return {
            "roles": sum(map(ask.sight.subject, policy.roles)),
            "agents": len(agents),
            "ended": endings.count("bad"),
            "ending": endings.count("warning"),
            "versions": len(_versions_seen(desired, ask)),
        }

    def _subjects(self, desired: DesiredState, wanted: Wanted, ask: Ask) -> dict[str, object]:
        policy, today = desired.access, self._facts.today
        allowed = self._facts.allowed(desired)
        if wanted.version and not ask.sight.model(wanted.version.partition("@")[0]):
            return paged((), ask, ROWS_A_PAGE).facts
        seen = page_access.subjects_seen(policy, ask.sight)
        found = paged(page_access.matching(policy, allowed, seen, wanted, today), ask, ROWS_A_PAGE)
        shown = page_access.subject_rows(policy, allowed, found.rows, today)
        return {**found.facts, "rows": shown}

    def _versions(self, desired: DesiredState, wanted: Wanted, ask: Ask) -> dict[str, object]:
        needle = wanted.text.lower()
        names = tuple(name for name in _versions_seen(desired, ask) if needle in name.lower())
        found = paged(names, ask, ROWS_A_PAGE)
        shown = page_access.version_lines(found.rows, self._facts.allowed(desired))
        return {**found.facts, "rows": shown}

    async def role(self, ask: Ask) -> Sheet:
        name = ask.params["name"]
        desired, found = self._found(ask, name, "role")
        assert isinstance(found, Role), "its subject has no prefix"
        values = {
            "allows": page_subjects.rules_in_words(found),
            "denies": page_subjects.restrictions_in_words(found),
            "is_enforced": desired.policy.authorizer is not None,
            "lent": self._lent(desired, name),
            "kind": "role",
            **await self._subject(desired, found, name, ask),
        }
        return Sheet("subject.html", name, SECTION, values)

    def _lent(self, desired: DesiredState, role: str) -> list[tuple[BreakGlass, Mark]]:
        """Who has the Role for a while, or is to have it."""
        now = self._facts.clock.now().timestamp()
        glasses = [glass for glass in desired.emergencies.values() if glass.spec.role == role]
        return [
            (glass, LENT if glass.spec.holds(now) else TO_COME)
            for glass in sorted(glasses, key=lambda glass: glass.spec.starts)
            if now < glass.spec.ends.timestamp()
        ]

    async def agent(self, ask: Ask) -> Sheet:
        name = ask.params["name"]
        subject = agent_subject(name)
        desired, found = self._found(ask, subject, "agent")
        assert isinstance(found, AgentScope), "its subject has the prefix of agents"
        values = {
            "ending": page_subjects.ending(found, self._facts.today),
            "namespace": agent_namespace(name),
            "delivered": desired.readers.get(subject, frozenset()),
            "requests": self._facts.requests(name),
            "kind": "agent",
            **await self._subject(desired, found, subject, ask),
        }
        return Sheet("subject.html", name, SECTION, values)

    def _found(self, ask: Ask, subject: str, kind: str) -> tuple[DesiredState, Role | AgentScope]:
        desired, is_seen = self._facts.desired, ask.sight.subject(subject)
        found = page_subjects.role_or_agent(desired, subject) if is_seen else None
        if desired is None or found is None:
            raise Missing(f"no {kind} {ask.params['name']} is declared in the commit in force")
        return desired, found

    async def _subject(
        self, desired: DesiredState, found: Role | AgentScope, subject: str, ask: Ask
    ) -> dict[str, object]:
        """What the pages of roles and agents have in common."""
        facts, policy = self._facts, desired.access
        seen = page_subjects.effective(policy, subject, ask.sight, facts.today)
        unit = UnitName(subject if isinstance(found, AgentScope) else f"role/{subject}")
        touches = page_access.touches(
            subject, facts.chronicle.tellings(unit), facts.chronicle.commits(), ask.sight
        )[:MOST_TOUCHES]
        source = desired.sources.get(subject)
        return {
            "subject": subject,
            "document": found,
            "effective": seen,
            **paged(seen.rows, ask, ROWS_A_PAGE).facts,
            "claims": page_subjects.claims(policy, subject),
            "places": self._places(desired, subject, unit, seen),
            "most_namespaces": MOST_NAMESPACES,
            "touches": touches,
            "commits": {touch.commit: await facts.commit(touch.commit) for touch in touches},
            "source": source,
            "source_url": facts.document_url(desired.commit, source) if source else "",
            "commit": desired.commit,
            "notices": _notices_about(desired, found),
            "everything": ask.sight.everything,
            "links": {row.model for row in seen.rows if ask.sight.model(row.model)},
        }

    def _places(
        self, desired: DesiredState, subject: str, unit: UnitName, seen: page_subjects.Effective
    ) -> list[SubjectPlace]:
        statuses = {status.cluster: status for status in self._facts.status().clusters}
        ledgers, rights = (
            self._facts.ledgers(),
            page_subjects.rights_in(desired, subject, seen.rows),
        )
        corrections = self._facts.chronicle.corrections(unit)
        found = []
        for cluster, status in statuses.items():
            ledger = ledgers.get(cluster) or Ledger(cluster)
            if (cluster, unit) not in desired.units and unit not in ledger.units:
                continue
            mark, words = _standing(desired, unit, status, ledger)
            found.append(
                SubjectPlace(
                    cluster,
                    mark,
                    words,
                    sum(entry.unit == unit for entry in ledger.entries.values()),
                    corrections.get(cluster),
                    rights.get(cluster, ()),
                )
            )
        return found

    async def version(self, ask: Ask) -> Sheet:
        desired, model = self._model(ask)
        version, policy, today = ask.params["version"], desired.access, self._facts.today
        if model.spec.version(version) is None:
            raise Missing(f"Model {model.name} has no version {version}")
        name = ask.query.get("subject", "").strip()[:LONGEST_FILTER]
        subject = page_subjects.known_subject(policy, name)
        is_known = bool(name) and subject in policy.subjects and ask.sight.subject(subject)
        values = {
            "model": model.name,
            "version": version,
            "versions": [found.name for found in model.spec.versions],
            "access": page_access.version_access(policy, model, version, ask.sight, today),
            "most": MOST_NAMED,
            "asked": name,
            "answers": page_subjects.answers(policy, subject, model.name, version, today)
            if is_known
            else (),
            "subject": subject,
            "subject_path": page_subjects.subject_path(subject),
        }
        return Sheet("version_access.html", f"{model.name}@{version}", "models", values)

    def _model(self, ask: Ask) -> tuple[DesiredState, Model]:
        desired, name = self._facts.desired, ask.params["name"]
        found = desired.models.get(name) if desired and ask.sight.model(name) else None
        if desired is None or found is None:
            raise Missing(f"no model {name} is declared in the commit in force")
        return desired, found


def _versions_seen(desired: DesiredState, ask: Ask) -> list[str]:
    """MODEL@VERSION of models that the viewer sees, the newest of each first."""
    return [
        f"{name}@{version.name}"
        for name, model in sorted(desired.models.items())
        if ask.sight.model(name)
        for version in reversed(model.spec.versions)
    ]


def _standing(
    desired: DesiredState, unit: UnitName, status: ClusterStatus, ledger: Ledger
) -> tuple[Mark, str]:
    """How the unit stands in a cluster that has it or is to have it."""
    if status.state is ClusterState.STALE:
        return CLUSTERS[ClusterState.STALE], "cannot be seen now"
    declared = desired.units.get((status.cluster, unit))
    contested = set(status.contested)
    if declared is not None and any(str(key) in contested for key in declared.manifests):
        return CLUSTERS[ClusterState.CONTESTED], "another manager keeps changing it"
    mark, words = unit_state(unit, status, ledger)
    return (mark, words) if mark is not None else (NOT_THERE, "")


def _notices_about(desired: DesiredState, found: Role | AgentScope) -> list[str]:
    """What of the document holds nobody to anything yet."""
    named = re.compile(rf"\b{found.kind} {re.escape(found.name)}(?![a-z0-9-])")
    return [notice for notice in desired.notices if named.search(notice)]

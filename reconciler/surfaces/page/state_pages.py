"""Pages about how things stand: overview, clusters, models, rollouts, and search.

Separate from the pages about access, changes and records. The invariant: a thing that its viewer
may not see is not there, for them.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.core.errors import Missing
from reconciler.core.identifiers import ClusterName, UnitName
from reconciler.core.ledger import Ledger
from reconciler.core.presenting.page_access import version_access
from reconciler.core.presenting.page_marks import CLUSTERS, Mark
from reconciler.core.presenting.page_models import (
    RolloutLine,
    model_rows,
    model_view,
    rollout_lines,
)
from reconciler.core.presenting.page_overview import overview, unit_path, unit_state
from reconciler.core.presenting.page_rollout import rollout_view
from reconciler.core.presenting.page_search import LONGEST, Haystack, search
from reconciler.core.sight import Sight
from reconciler.core.standing import ClusterStatus
from reconciler.surfaces.page.facts import Facts
from reconciler.surfaces.page.sheets import Ask, Sheet, paged

UNITS_A_PAGE = 50
MOST_OBJECTS = 200
MOST_MOVES = 30
MOST_NAMED = 5
"""Roles and agents that are named for one action on one version of a model."""
ROWS_A_PAGE = 50
"""Models, or rollouts, of one page of their list."""


@dataclass(frozen=True, slots=True)
class UnitLine:
    """One unit of a cluster."""

    unit: UnitName
    mark: Mark
    words: str
    commit: str
    path: str


class StatePages:
    """Makes the sheets."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    async def overview(self, ask: Ask) -> Sheet:
        facts = self._facts
        seen = overview(
            facts.status(),
            facts.ledgers(),
            facts.problems,
            sight=ask.sight,
            starting=facts.starting(),
        )
        head = await facts.commit(seen.status.head) if seen.status.head else None
        recent = [n for n in facts.chronicle.recent(40) if _may_read(ask.sight, n.subject)]
        values = {
            "view": seen,
            "head": head,
            "recent": recent[:8],
            "cluster_marks": CLUSTERS,
            "viewer_sees_all": ask.sight.everything,
        }
        return Sheet("overview.html", "Overview", "overview", values)

    async def cluster(self, ask: Ask) -> Sheet:
        name = ClusterName(ask.params["name"])
        status = next((c for c in self._facts.status().clusters if c.cluster == name), None)
        if status is None:
            raise Missing(f"no cluster {name} is declared, and the daemon has no settings for one")
        ledger = self._facts.ledgers().get(name) or Ledger(name)
        lines = _unit_lines(status, ledger, ask.sight)
        page = ask.number("page", 1)
        shown = lines[(page - 1) * UNITS_A_PAGE : page * UNITS_A_PAGE] if page else []
        values = {
            "cluster": status,
            "mark": CLUSTERS[status.state],
            "lines": shown,
            "total": len(lines),
            "page": page,
            "pages": -(-len(lines) // UNITS_A_PAGE),
            "everything": ask.sight.everything,
            **_objects(ledger, ask),
        }
        return Sheet("cluster.html", name, "overview", values)

    async def models(self, ask: Ask) -> Sheet:
        desired = self._facts.desired
        rows = model_rows(desired, self._facts.standpoint(), ask.sight) if desired else ()
        prompts = sorted(desired.prompts.items()) if desired else ()
        seen = [prompt for name, prompt in prompts if ask.sight.prompt(name)]
        values = {**paged(rows, ask, ROWS_A_PAGE).facts, "prompts": seen}
        return Sheet("models.html", "Models", "models", values)

    async def model(self, ask: Ask) -> Sheet:
        name, facts = ask.params["name"], self._facts
        desired = facts.desired
        found = desired.models.get(name) if desired and ask.sight.model(name) else None
        if desired is None or found is None:
            raise Missing(f"no model {name} is declared in the commit in force")
        rollouts = [r.name for r in desired.rollouts.values() if r.spec.model == name]
        units = facts.units_named(rollouts)
        tellings = [telling for unit in units for telling in facts.chronicle.tellings(unit)]
        tellings.sort(key=lambda telling: -telling.index)
        view = model_view(
            found,
            desired,
            facts.standpoint(),
            moves=facts.moves_of(rollouts, most=MOST_MOVES),
            tellings=tellings[:MOST_MOVES],
        )
        policy = desired.access
        values = {
            "kind": "model",
            "document": found,
            "lead": found.spec.description,
            "rollouts": view.rollouts,
            "versions": view.versions,
            "uses": {
                version.name: version_access(policy, found, version.name, ask.sight, facts.today)
                for version in found.spec.versions
            },
            "most_named": MOST_NAMED,
            "moves": view.moves,
            "tellings": view.tellings,
            "commits": {t.commit: await facts.commit(t.commit) for t in view.tellings},
        }
        return Sheet("registered.html", name, "models", values)

    async def prompt(self, ask: Ask) -> Sheet:
        name, facts = ask.params["name"], self._facts
        desired = facts.desired
        found = desired.prompts.get(name) if desired and ask.sight.prompt(name) else None
        if desired is None or found is None:
            raise Missing(f"no prompt {name} is declared in the commit in force")
        rollouts = [r for r in desired.rollouts.values() if r.spec.prompt == name]
        values = {
            "kind": "prompt",
            "document": found,
            "lead": "",
            "rollouts": rollout_lines(rollouts, desired, facts.standpoint()),
            "versions": tuple(reversed(found.spec.versions)),
            "moves": facts.moves_of([r.name for r in rollouts], most=MOST_MOVES),
            "tellings": (),
        }
        return Sheet("registered.html", name, "models", values)

    async def rollouts(self, ask: Ask) -> Sheet:
        desired = self._facts.desired
        lines: tuple[RolloutLine, ...] = ()
        if desired:
            seen = [r for name, r in sorted(desired.rollouts.items()) if ask.sight.rollout(name)]
            lines = rollout_lines(seen, desired, self._facts.standpoint())
        busy = sorted(lines, key=lambda found: found.mark.tone not in ("bad", "active"))
        specs = {name: r.spec for name, r in desired.rollouts.items()} if desired else {}
        values = {**paged(busy, ask, ROWS_A_PAGE).facts, "specs": specs}
        return Sheet("rollouts.html", "Rollouts", "rollouts", values)

    async def rollout(self, ask: Ask) -> Sheet:
        name, facts = ask.params["name"], self._facts
        desired = facts.desired
        found = desired.rollouts.get(name) if desired and ask.sight.rollout(name) else None
        if desired is None or found is None:
            raise Missing(f"no rollout {name} is declared in the commit in force")
        now = facts.standpoint()
        view = rollout_view(
            found,
            desired,
            state=now.states.get(name),
            status=now.status_of(name),
            seen=await facts.seen(name),
            moves=facts.moves_of([name], most=MOST_MOVES),
        )
        unseen = [c.cluster for c in now.status.clusters if c.trouble]
        values = {"view": view, "unseen": unseen, "undoing": self._undoing(view.guilty, name)}
        return Sheet("rollout.html", name, "rollouts", values)

    def _undoing(self, guilty: str, rollout: str) -> object:
        """The pull request that undoes what a rollout is about, if one is open."""
        state = self._facts.states().get(rollout)
        undone = state.failure.undone if state and state.failure else ""
        for pull in self._facts.pulls() or ():
            branch = pull.request.head_branch
            if branch and (branch == undone or (guilty and guilty[:10] in branch)):
                return pull.request
        return None

    async def search(self, ask: Ask) -> Sheet:
        facts, query = self._facts, ask.query.get("q", "")[:LONGEST]
        stack = Haystack(
            facts.desired, facts.ledgers(), facts.chronicle.commits(), facts.subjects()
        )
        values = {"query": query, "found": search(query, stack, ask.sight)}
        return Sheet("search.html", "Search", "search", values)


def _may_read(sight: Sight, subject: str) -> bool:
    """Whether a decision about a rollout, a unit, a cluster or nothing is for that viewer."""
    return sight.everything or (bool(subject) and sight.rollout(subject))


def _unit_lines(status: ClusterStatus, ledger: Ledger, sight: Sight) -> list[UnitLine]:
    open_units = {unit.unit for unit in status.unsettled_units}
    names = [unit for unit in ledger.units.keys() | open_units if sight.unit(unit)]
    found = []
    for unit in sorted(names, key=lambda name: (name not in open_units, name)):
        mark, words = unit_state(unit, status, ledger)
        state = ledger.units.get(unit)
        commit = state.commit if state and state.commit else ""
        if mark is not None:
            found.append(UnitLine(unit, mark, words, commit, unit_path(unit)))
    return found


def _objects(ledger: Ledger, ask: Ask) -> dict[str, object]:
    """The objects of the unit that the query names."""
    unit = UnitName(ask.query.get("unit", ""))
    if not unit or not ask.sight.unit(unit):
        return {"unit": "", "objects": (), "more_objects": 0}
    keys = sorted(entry.key for entry in ledger.entries.values() if entry.unit == unit)
    shown = [(key, ledger.entries[key]) for key in keys[:MOST_OBJECTS]]
    return {"unit": unit, "objects": shown, "more_objects": len(keys) - len(shown)}

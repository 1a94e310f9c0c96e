"""Pages about changes: commits and pull requests, each with its plan and what became of it.

Separate from the pages about how things stand. The invariant: a plan is shown only of the commit
that it was made for; where none is known any more, what was applied is told from the log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from reconciler.core.audit.records import Verb
from reconciler.core.chronicle import CommitStory
from reconciler.core.commits import Commit
from reconciler.core.errors import Missing
from reconciler.core.identifiers import ClusterName, CommitSha
from reconciler.core.presenting.page_marks import CLUSTERS, GOOD, Mark
from reconciler.core.presenting.page_plan import PlanPage, plan_page
from reconciler.core.presenting.page_pulls import PullFacts
from reconciler.core.presenting.plan_view import plan_view
from reconciler.core.sight import Sight
from reconciler.core.standing import ClusterState, ClusterStatus, Status
from reconciler.surfaces.page.facts import Facts
from reconciler.surfaces.page.sheets import Ask, Sheet

COMMITS_A_PAGE = 30

_SHA = re.compile(r"[0-9a-f]{7,64}")


@dataclass(frozen=True, slots=True)
class Effect:
    """What a commit did in one cluster: objects that were written, and where it stands."""

    cluster: ClusterName
    mark: Mark
    since: str
    applied: int
    deleted: int
    failed: int


class ChangePages:
    """Makes the sheets."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    async def commits(self, ask: Ask) -> Sheet:
        stories = self._facts.chronicle.commits()
        page = max(1, ask.number("page", 1))
        shown = stories[(page - 1) * COMMITS_A_PAGE : page * COMMITS_A_PAGE]
        status = self._facts.status()
        rows = [
            (story, await self._facts.commit(story.commit), verdict_mark(story, status))
            for story in shown
        ]
        values = {
            "rows": rows,
            "page": page,
            "pages": -(-len(stories) // COMMITS_A_PAGE),
            "total": len(stories),
            "forgotten": bool(self._facts.chronicle.begin),
            "status": status,
            "head": await self._facts.commit(status.head) if status.head else None,
        }
        return Sheet("commits.html", "Commits", "commits", values)

    async def commit(self, ask: Ask) -> Sheet:
        sha = ask.params["sha"]
        story = self._facts.story(sha) if _SHA.fullmatch(sha) else None
        commit = await self._known(story.commit if story else sha)
        if commit is None and story is None:
            raise Missing(
                f"no commit {sha[:64]} is known",
                hint="give at least seven digits of the SHA, in lower case",
            )
        whole = story.commit if story else commit.sha if commit else CommitSha(sha)
        status = self._facts.status()
        values = {
            "sha": whole,
            "commit": commit,
            "story": story,
            "mark": verdict_mark(story, status) if story else NOT_JUDGED,
            "plan": self._plan(whole, ask.sight),
            "access": story.access.seen_by(ask.sight)
            if story and story.verdict in ("accepted", "waiting")
            else (),
            "pull": self._pull_of(whole),
            "status": status,
            "everything": ask.sight.everything,
            "effects": [_effect(c, whole, story) for c in status.clusters],
            "problems": self._problems(whole, status) if ask.sight.everything else (),
        }
        return Sheet("commit.html", f"Commit {whole[:10]}", "commits", values)

    async def _known(self, sha: str) -> Commit | None:
        return await self._facts.commit(CommitSha(sha)) if _SHA.fullmatch(sha) else None

    def _plan(self, sha: CommitSha, sight: Sight) -> PlanPage | None:
        plan = self._facts.plan
        if plan is None or plan.head != sha:
            return None
        return plan_page(plan_view(plan), sight)

    def _problems(self, sha: CommitSha, status: Status) -> object:
        return self._facts.problems if status.refused == sha else ()

    def _pull_of(self, sha: CommitSha) -> PullFacts | None:
        for pull in self._facts.pulls() or ():
            if sha in (pull.request.merged, pull.request.head):
                return pull
        return None

    async def pulls(self, _ask: Ask) -> Sheet:
        pulls = self._facts.pulls()
        values = {"rows": pulls or (), "watched": pulls is not None}
        return Sheet("pulls.html", "Pull requests", "pulls", values)

    async def pull(self, ask: Ask) -> Sheet:
        number = ask.params["number"]
        found = [p for p in self._facts.pulls() or () if str(p.request.number) == number]
        if not found:
            raise Missing(
                f"pull request {number} is not known here",
                hint="the page knows those that are open; a merged one is at its commit",
            )
        pull = found[0]
        plan = None
        if pull.plan is not None:
            plan = plan_page(pull.plan, ask.sight, impact=pull.impact, request=pull.asked)
        problems = pull.problems if ask.sight.everything else ()
        values = {"pull": pull, "plan": plan, "problems": problems}
        return Sheet("pull.html", f"Pull request {number}", "pulls", values)


NOT_JUDGED = Mark("quiet", "dot", "not judged")


def verdict_mark(story: CommitStory, status: Status) -> Mark:
    """What became of a commit; that in force only where every cluster surely has it."""
    if story.verdict == "refused":
        return Mark("bad", "cross", "refused")
    if story.commit == status.held:
        return Mark("warning", "clock", "waits for approval")
    if story.commit == status.accepted:
        is_done = all(c.applied == story.commit and not c.trouble for c in status.clusters)
        return GOOD if is_done and status.clusters else Mark("active", "dots", "in force")
    if story.undone:
        return Mark("bad", "back", "undone")
    if story.held:
        return Mark("bad", "hand", "held")
    if story.verdict == "accepted":
        return Mark("quiet", "check", "superseded")
    if story.verdict == "waiting":
        return Mark("quiet", "clock", "was not approved")
    return NOT_JUDGED


def _effect(cluster: ClusterStatus, sha: CommitSha, story: CommitStory | None) -> Effect:
    name = cluster.cluster
    settled = story.settled.get(name) if story else None
    is_there = cluster.applied == sha
    mark = Mark("quiet", "dot", "not reached")
    if cluster.trouble and (is_there or settled):
        mark = CLUSTERS[ClusterState.STALE]
    elif is_there:
        mark = GOOD
    elif settled:
        mark = Mark("quiet", "check", "was applied")
    elif sha == cluster.wanted:
        mark = CLUSTERS[cluster.state]
    return Effect(
        name,
        mark,
        cluster.since if is_there else settled.isoformat() if settled else "",
        applied=story.written[name, Verb.APPLY] if story else 0,
        deleted=story.written[name, Verb.DELETE] if story else 0,
        failed=story.failed[name] if story else 0,
    )

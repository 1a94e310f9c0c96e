"""`fairlead plan`: what a commit would change in the clusters as they are now.

Separate from the daemon, which it does not disturb: it takes no lease, reads the state database
and writes none of it, and asks clusters for lists and dry runs only. (API servers authorise a dry
run as the write that it tries.)

Exit codes: 0 there is a plan; with --detailed-exitcode 0 means that it is empty and 2 that it is
not; 1 the commit would be refused, or a cluster cannot be seen, so that the plan is not complete.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path

import click
import orjson

from reconciler.core.identifiers import ClusterName, CommitSha, short
from reconciler.core.manifests import JsonObject
from reconciler.core.plans import Plan
from reconciler.core.presenting.access_changes import AccessChange
from reconciler.core.presenting.comment_facts import Request
from reconciler.core.presenting.comment_notes import unplanned_comment
from reconciler.core.presenting.impact import impact, state_access_changes
from reconciler.core.presenting.lines import Tone, line, piece, plural
from reconciler.core.presenting.plan_comment import plan_comment
from reconciler.core.presenting.plan_text import intent_lines, plan_lines
from reconciler.core.presenting.plan_view import PlanView, plan_view
from reconciler.core.problems import errors_among
from reconciler.engine.surveying import Survey
from reconciler.settings import Settings
from reconciler.settings_loading import load_settings
from reconciler.surfaces.printing import print_lines
from reconciler.surfaces.problem_reports import problem_json, problem_text
from reconciler.surfaces.run_command import config_option

CHANGES = 2


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What is to be planned. An empty `revision` is the head of the branch, or of `clone`.

    With a `base`, the two commits are compared and no cluster is asked.
    """

    revision: str = ""
    base: str = ""
    clone: Path | None = None
    cluster: ClusterName | None = None


@dataclass(frozen=True, slots=True)
class PlanTools:
    """What the composition root hands to the command, as the context's object."""

    survey: Callable[[Settings, PlanRequest], Coroutine[object, object, Survey]]
    compare: Callable[[Path, str, str], Coroutine[object, object, Survey]]
    """Two commits of a clone, by base and head. Needs no settings."""


@click.command("plan")
@click.argument("revision", default="", metavar="[COMMIT]")
@config_option
@click.option(
    "--repo",
    "clone",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Take COMMIT, a branch or tag, from this clone, and not from the branch that is applied.",
)
@click.option("--base", default="", help="Compare with this commit, and ask no cluster.")
@click.option("--head", default="", help="Another way to give COMMIT, beside --base.")
@click.option("--cluster", help="Plan this cluster only.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@click.option(
    "--markdown", is_flag=True, help="Print what the comment on a pull request would say."
)
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes.")
@click.make_pass_decorator(PlanTools)
@click.pass_context
def plan_command(
    context: click.Context,
    tools: PlanTools,
    *,
    revision: str,
    config: Path,
    clone: Path | None,
    base: str,
    head: str,
    cluster: str | None,
    as_json: bool,
    markdown: bool,
    detailed_exitcode: bool,
) -> None:
    """Show what COMMIT would change in the clusters, as they are now.

    COMMIT is the head of the branch unless given. Nothing is written anywhere. With --base it
    is what COMMIT declares otherwise than that commit, whatever the clusters hold; together with
    --repo it needs no settings.
    """
    if head and (revision or not base):
        raise click.UsageError("--head goes with --base, and without COMMIT")
    if base and cluster:
        raise click.UsageError("--cluster is for plans against clusters, --base asks none")
    if as_json and markdown:
        raise click.UsageError("--json and --markdown are two ways to print one plan")
    if base and clone:
        survey = asyncio.run(tools.compare(clone, base, revision or head))
    else:
        settings = load_settings(config, os.environ)
        request = PlanRequest(revision or head, base, clone, _known(cluster, settings))
        survey = asyncio.run(tools.survey(settings, request))
    view = plan_view(survey.plan) if survey.plan else None
    if as_json:
        click.echo(_as_json(survey, against="commit" if base else "clusters"))
    elif markdown:
        click.echo(_as_markdown(survey, view, offline=bool(base)))
    else:
        _print(survey, view, offline=bool(base))
    context.exit(_exit_code(view, detailed=detailed_exitcode))


def _known(cluster: str | None, settings: Settings) -> ClusterName | None:
    known = [chosen.name for chosen in settings.clusters]
    if cluster and cluster not in known:
        raise click.BadParameter(f"the settings name {', '.join(known)}", param_hint="--cluster")
    return ClusterName(cluster) if cluster else None


def _exit_code(view: PlanView | None, *, detailed: bool) -> int:
    if view is None or view.refused or view.unseen:
        return 1
    return CHANGES if detailed and not view.empty else 0


def _print(survey: Survey, view: PlanView | None, *, offline: bool) -> None:
    for problem in survey.problems:
        click.echo(problem_text(problem, lambda _: None))
    if view is None:
        count = plural(len(errors_among(survey.problems)), "problem")
        text = f"REFUSED: commit {short(survey.commit)} has {count}; nothing of it would be applied"
        print_lines([line(piece(text, Tone.BAD))])
    else:
        access = _access(survey)
        print_lines(intent_lines(view, access) if offline else plan_lines(view, access))


def _access(survey: Survey) -> tuple[AccessChange, ...]:
    """Who gains and who loses."""
    if survey.after is None:
        return ()
    return state_access_changes(survey.before, survey.after)


def _as_markdown(survey: Survey, view: PlanView | None, *, offline: bool) -> str:
    base = survey.before.commit if survey.before else CommitSha("")
    request = Request(survey.commit, base, problems=survey.problems, offline=offline)
    if survey.plan is None or view is None or survey.after is None:
        return unplanned_comment("", hint="", problems=survey.problems, request=request)
    weighed = impact(survey.plan, survey.before, survey.after, offline=offline)
    return plan_comment(view, weighed, request=request)


def _as_json(survey: Survey, *, against: str) -> bytes:
    """The canonical plan stands in it as it is, so that its digest can be checked."""
    problems: list[JsonObject] = [problem_json(problem) for problem in survey.problems]
    envelope = {
        "version": 1,
        "against": against,
        "commit": survey.commit,
        "digest": survey.plan.digest if survey.plan else None,
        "refused": survey.plan is None or survey.plan.refused,
        "problems": problems,
        "access": [
            {"gains": c.gains, "who": c.who, "what": c.what, "clusters": list(c.clusters)}
            for c in _access(survey)
        ],
        "plan": orjson.Fragment(_canonical(survey.plan)),
    }
    return orjson.dumps(envelope)


def _canonical(plan: Plan | None) -> bytes:
    return plan.canonical if plan else b"null"

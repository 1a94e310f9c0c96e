"""`fairlead plan`: exit codes and JSON."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from reconciler.core.identifiers import CommitSha, DocumentPath
from reconciler.core.manifests import digest_of
from reconciler.core.plans import ClusterPlan, Plan
from reconciler.core.problems import Problem, Span
from reconciler.engine.surveying import Survey
from reconciler.settings import Settings
from reconciler.surfaces.plan_command import PlanRequest, PlanTools, plan_command
from tests.presenting.builders import STAGING, conflict, drifted, limits, plan, stale

HEAD = CommitSha("b" * 40)
SETTINGS = """\
repository: {name: ml-platform, url: /nowhere}
clusters:
- {name: staging, kubeconfig: /nowhere}
"""
EMPTY = plan(ClusterPlan(STAGING))
CHANGES = plan(ClusterPlan(STAGING, changes=(limits(),)))


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    file = tmp_path / "settings.yaml"
    file.write_text(SETTINGS)
    return file


def run(settings: Path, found: Plan | None, *arguments: str) -> Result:
    problem = Problem(DocumentPath("a.yaml"), Span(3, 7), "field-unknown", "unknown field", "")

    async def survey(_: Settings, request: PlanRequest) -> Survey:
        return Survey(HEAD, found, () if found else (problem,))

    async def compare(_: Path, base: str, head: str) -> Survey:
        raise AssertionError("two commits of a clone are compared with --base and --repo")

    command = [*arguments, "--config", str(settings)]
    return CliRunner().invoke(plan_command, command, obj=PlanTools(survey, compare))


@pytest.mark.parametrize(
    ("found", "code", "detailed"),
    [
        (EMPTY, 0, 0),
        (CHANGES, 0, 2),
        (plan(ClusterPlan(STAGING, drift=(drifted(),))), 0, 2),
        (plan(ClusterPlan(STAGING, refusals=(conflict(),))), 1, 1),
        (plan(ClusterPlan(STAGING, waiting=(stale(),))), 1, 1),
        (None, 1, 1),
    ],
    ids=["empty", "changes", "drift", "refused", "a cluster cannot be seen", "invalid"],
)
def test_the_exit_code_says_what_came_out(
    settings: Path, found: Plan | None, code: int, detailed: int
) -> None:
    assert run(settings, found).exit_code == code
    assert run(settings, found, "--detailed-exitcode").exit_code == detailed
    assert run(settings, found, "--detailed-exitcode", "--json").exit_code == detailed


def test_the_json_holds_the_canonical_plan_whose_digest_anybody_can_check(settings: Path) -> None:
    output = run(settings, CHANGES, "--json").stdout_bytes
    body = orjson.loads(output)
    assert body["digest"] == CHANGES.digest == digest_of(CHANGES.canonical)
    assert CHANGES.canonical in output


def test_the_json_of_an_invalid_commit_has_its_problems(settings: Path) -> None:
    body = orjson.loads(run(settings, None, "--json").stdout_bytes)
    assert (body["plan"], body["digest"], body["refused"]) == (None, None, True)
    assert body["problems"][0]["line"] == 3


def test_an_invalid_commit_is_refused_with_file_and_line(settings: Path) -> None:
    shown = run(settings, None).output
    assert "a.yaml:3:7" in shown
    assert "REFUSED: commit bbbbbbbbbb has 1 problem" in shown


def test_a_cluster_that_the_settings_do_not_know_is_wrong_usage(settings: Path) -> None:
    result = run(settings, EMPTY, "--cluster", "staginng")
    assert result.exit_code == 2
    assert "the settings name staging" in result.output


def test_a_pipe_gets_no_colour(settings: Path) -> None:
    assert "\x1b" not in run(settings, CHANGES).output

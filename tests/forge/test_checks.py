"""Check runs and statuses on GitHub: many remarks, a run that broke off, and who may make one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from reconciler.adapters.forge_github import GitHubForge
from reconciler.adapters.forge_github_checks import MOST_ANNOTATIONS
from reconciler.core.change_requests import Annotation, Check, CheckState, Level
from reconciler.core.errors import Forbidden, Unavailable
from reconciler.core.identifiers import CommitSha, DocumentPath

from .github import StandIn

HEAD = CommitSha("1" * 40)
CHECK = Check("fairlead/plan", HEAD, CheckState.FAILURE, "3 problems", "three", "all three")


def remarks(count: int) -> tuple[Annotation, ...]:
    path = DocumentPath("models/a.yaml")
    return tuple(
        Annotation(path, line, line, Level.FAILURE, f"problem {line}", "is wrong")
        for line in range(1, count + 1)
    )


@pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 100, 101, MOST_ANNOTATIONS])
async def test_every_remark_is_put_once(server: StandIn, app: GitHubForge, count: int) -> None:
    for _ in range(2):
        await app.put_check(replace(CHECK, annotations=remarks(count)))
    (run,) = server.people.runs
    assert [one["start_line"] for one in run.annotations] == list(range(1, count + 1))
    assert (run.fields["status"], run.fields["conclusion"]) == ("completed", "failure")
    assert server.count("PATCH") == max(0, (count - 1) // 50)


async def test_remarks_beyond_the_most_are_counted(server: StandIn, app: GitHubForge) -> None:
    await app.put_check(replace(CHECK, annotations=remarks(MOST_ANNOTATIONS + 7)))
    (run,) = server.people.runs
    assert len(run.annotations) == MOST_ANNOTATIONS
    assert run.fields["output"]["summary"].endswith("7 more remarks are not shown at the lines.")


@pytest.mark.parametrize("broken", [0, 1, 2])
async def test_a_check_that_broke_off_is_continued(
    server: StandIn, app: GitHubForge, broken: int
) -> None:
    check = replace(CHECK, annotations=remarks(140))
    for _ in range(broken):
        server.fail("PATCH", 502)
        with pytest.raises(Unavailable):
            await app.put_check(check)
        assert server.people.runs[0].fields["status"] == "in_progress"
    await app.put_check(check)
    (run,) = server.people.runs
    assert [one["start_line"] for one in run.annotations] == list(range(1, 141))
    assert run.fields["status"] == "completed"


async def test_a_running_check_is_finished_and_a_finished_one_is_history(
    server: StandIn, app: GitHubForge
) -> None:
    for state in (CheckState.RUNNING, CheckState.WAITING, CheckState.RUNNING, CheckState.SUCCESS):
        await app.put_check(replace(CHECK, state=state))
    told = [(run.fields["status"], run.fields["conclusion"]) for run in server.people.runs]
    assert told == [("completed", "action_required"), ("completed", "success")]
    states = [fields["state"] for _, fields in server.people.statuses]
    # Who runs and who waits look the same in a status of the same title.
    assert states == ["success", "pending"]


async def test_one_that_broke_off_is_cancelled_when_it_says_something_else(
    server: StandIn, app: GitHubForge
) -> None:
    server.fail("PATCH", 502)
    with pytest.raises(Unavailable):
        await app.put_check(replace(CHECK, annotations=remarks(70)))
    await app.put_check(CHECK)
    told = [run.fields["conclusion"] for run in server.people.runs]
    assert told == ["cancelled", "failure"]


@pytest.mark.parametrize(
    ("state", "status", "conclusion"),
    [
        (CheckState.RUNNING, "pending", None),
        (CheckState.SUCCESS, "success", "success"),
        (CheckState.FAILURE, "failure", "failure"),
        (CheckState.WAITING, "pending", "action_required"),
        (CheckState.CANCELLED, "error", "cancelled"),
    ],
)
async def test_only_success_lets_branch_protection_merge(
    server: StandIn, app: GitHubForge, state: CheckState, status: str, conclusion: str | None
) -> None:
    await app.put_check(replace(CHECK, state=state))
    assert server.people.runs[0].fields.get("conclusion") == conclusion
    assert [fields["state"] for _, fields in server.people.statuses] == [status]


async def test_with_a_token_there_is_a_status_and_one_word_in_the_log(
    server: StandIn, person: GitHubForge
) -> None:
    with capture_logs() as logs:
        await person.put_check(replace(CHECK, state=CheckState.RUNNING))
        await person.put_check(CHECK)
    assert len(server.people.statuses) == 2
    assert server.count("POST", "/check-runs") == 1
    assert [entry["event"] for entry in logs] == ["forge.no_check_runs"]


async def test_an_app_without_the_permission_is_told_so_every_time(
    server: StandIn, app: GitHubForge
) -> None:
    server.accounts.permissions.remove("checks")
    for _ in range(2):
        with pytest.raises(Forbidden):
            await app.put_check(CHECK)


async def test_s11_a_run_of_another_app_with_our_name_and_mark_is_left_alone(
    server: StandIn, app: GitHubForge
) -> None:
    await app.put_check(replace(CHECK, state=CheckState.RUNNING))
    theirs = server.people.runs[0]
    theirs.app = 666
    await app.put_check(CHECK)
    assert theirs.fields["status"] == "in_progress"
    assert len(server.people.runs) == 2

"""What GitHub tells that others do not: accounts that are gone, reviews that are not sent."""

from __future__ import annotations

from reconciler.adapters.forge_github import TASK, GitHubForge
from reconciler.core.change_requests import Deployment, DeploymentState
from reconciler.core.identifiers import CommitSha

from .github import StandIn
from .people import Reviewed

HEAD, BASE = CommitSha("1" * 40), CommitSha("b" * 40)


async def test_a_deleted_account_is_a_ghost(server: StandIn, person: GitHubForge) -> None:
    number = server.people.open(HEAD, base=BASE)
    server.people.say(number, None, "hello")
    server.people.all_reviews.append(
        Reviewed(9, number, None, "APPROVED", HEAD, "2027-01-01T00:00:00Z")
    )
    assert [one.author for one in await person.comments(number)] == ["ghost"]
    assert [one.author for one in await person.reviews(number)] == ["ghost"]


async def test_a_review_of_a_commit_that_is_gone_is_none(
    server: StandIn, person: GitHubForge
) -> None:
    number = server.people.open(HEAD, base=BASE)
    server.people.all_reviews.append(
        Reviewed(9, number, "ada", "APPROVED", None, "2027-01-01T00:00:00Z")
    )
    assert await person.reviews(number) == []


async def test_a_fork_that_was_deleted_is_a_fork(server: StandIn, person: GitHubForge) -> None:
    number = server.people.open(HEAD, base=BASE)
    server.people.pulls[number].head_gone = True
    assert (await person.pull_request(number)).fork
    # GitHub answers so, and does not describe it.
    assert all("$.head.repo: None" in complaint for complaint in server.complaints)
    server.complaints.clear()


async def test_a_base_branch_that_is_gone_is_where_it_was(
    server: StandIn, person: GitHubForge
) -> None:
    number = server.people.open(HEAD, base=BASE)
    server.people.branches.clear()
    assert (await person.pull_request(number)).base == BASE


async def test_the_app_is_known_by_its_own_name(server: StandIn, app: GitHubForge) -> None:
    assert [await app.whoami() for _ in range(2)] == ["fairlead[bot]"] * 2
    assert server.count("GET") == 1


async def test_a_deployment_neither_merges_nor_waits_for_checks(
    server: StandIn, app: GitHubForge
) -> None:
    await app.put_deployment(
        Deployment(HEAD, "prod-eu/chat", DeploymentState.QUEUED, "waits", "https://page.example")
    )
    (deployed,) = server.people.deployed
    assert deployed.fields["auto_merge"] is False
    assert deployed.fields["required_contexts"] == []
    assert deployed.fields["task"] == TASK
    assert deployed.statuses[0]["log_url"] == "https://page.example"


async def test_names_of_people_and_branches_stay_in_their_part_of_the_address(
    server: StandIn, person: GitHubForge
) -> None:
    branch = "a&state=all#%2e%2e$(id);"
    server.people.open(HEAD, base=BASE, base_branch=branch)
    assert [pull.base for pull in await person.pull_requests()] == [BASE]
    number = await person.open_pull_request(
        branch="change", base=branch, title="`id`\n@all", body="$(id)"
    )
    assert number == 1

"""What GitHub refuses, and how long it is then left alone."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.forge_github import GitHubForge
from reconciler.adapters.forge_github_access import RENEWED_BEFORE, TokenAccess
from reconciler.adapters.forge_github_calls import WRITES_A_MINUTE, WRITES_AN_HOUR, GitHubCalls
from reconciler.core.change_requests import Check, CheckState
from reconciler.core.errors import (
    FairleadError,
    Forbidden,
    Invalid,
    Misconfigured,
    Missing,
    Throttled,
    Unavailable,
)
from reconciler.core.identifiers import CommitSha

from .github import StandIn
from .worlds import TOKEN, HandClock, as_app

HEAD, BASE = CommitSha("1" * 40), CommitSha("b" * 40)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, Forbidden),
        (403, Forbidden),
        (404, Missing),
        (410, Missing),
        (422, Invalid),
        (400, Invalid),
        (408, Unavailable),
        (429, Throttled),
        (500, Unavailable),
        (502, Unavailable),
        (503, Unavailable),
        (301, Missing),
        (307, Missing),
        (204, Unavailable),
    ],
)
async def test_every_answer_has_its_error(
    server: StandIn, person: GitHubForge, status: int, error: type[FairleadError]
) -> None:
    server.fail("GET /repos", status, body="", headers={"Location": server.url})
    with pytest.raises(error) as caught:
        await person.reviews(7)
    assert "cannot read the reviews of pull request 7" in caught.value.message
    assert server.count("GET") == 1


@pytest.mark.parametrize(
    ("permission", "hint"),
    [
        ("checks", "Checks: read and write"),
        ("statuses", "Commit statuses: read and write"),
    ],
)
async def test_a_missing_permission_is_named(
    server: StandIn, app: GitHubForge, permission: str, hint: str
) -> None:
    server.accounts.permissions.remove(permission)
    with pytest.raises(Forbidden) as caught:
        await app.put_check(Check("fairlead/plan", HEAD, CheckState.SUCCESS, "1 change"))
    assert hint in caught.value.hint


async def test_what_github_says_of_fields_is_told(server: StandIn, person: GitHubForge) -> None:
    server.people.open(HEAD, base=BASE)
    with pytest.raises(Invalid) as caught:
        await person.open_pull_request(branch="b", base="nowhere", title="Revert", body="")
    assert "Validation Failed; base invalid" in caught.value.message
    assert caught.value.causes[0].field == "base"


async def test_another_repository_is_not_there(
    server: StandIn, tmp_path: Path, person: GitHubForge
) -> None:
    other = GitHubForge(server.url, "example/secret", SystemClock(), token_file=tmp_path / "token")
    with pytest.raises(Missing, match="knows nothing there"):
        await other.pull_requests()
    await other.close()


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        ((403, {"Retry-After": "30"}, "You have exceeded a secondary rate limit"), 30),
        ((429, {"Retry-After": "90"}, ""), 90),
        ((403, {}, "You have exceeded a secondary rate limit. Please wait."), 60),
        ((429, {}, ""), 60),
        ((429, {"Retry-After": "soon"}, ""), 60),
    ],
)
async def test_github_is_left_alone_for_as_long_as_it_says(
    server: StandIn,
    person: GitHubForge,
    clock: HandClock,
    answer: tuple[int, dict[str, str], str],
    seconds: float,
) -> None:
    status, headers, said = answer
    server.fail("GET", status, body={"message": said}, headers=headers)
    with pytest.raises(Throttled) as caught:
        await person.pull_requests()
    assert caught.value.retry_after == seconds
    clock.forward(seconds - 1)
    with pytest.raises(Throttled) as caught:
        await person.pull_requests()
    assert caught.value.retry_after == pytest.approx(1)
    assert server.count("GET") == 1
    clock.forward(1)
    assert await person.pull_requests() == []


async def test_spent_requests_are_waited_for_without_asking(
    server: StandIn, person: GitHubForge, clock: HandClock
) -> None:
    server.remaining = 1
    await person.pull_requests()
    with pytest.raises(Throttled) as caught:
        await person.reviews(7)
    assert caught.value.retry_after == pytest.approx(server.resets_in, abs=3)
    assert server.count("GET") == 1


async def test_writes_are_paced(server: StandIn, person: GitHubForge, clock: HandClock) -> None:
    number = server.people.open(HEAD, base=BASE)
    for _ in range(WRITES_A_MINUTE):
        await person.put_comment(number, "a plan", known=None)
        clock.forward(0.5)
    with pytest.raises(Throttled) as caught:
        await person.put_comment(number, "a plan", known=None)
    assert caught.value.retry_after == pytest.approx(60 - WRITES_A_MINUTE * 0.5)
    assert server.count("POST") == WRITES_A_MINUTE
    assert len(await person.comments(number)) == WRITES_A_MINUTE
    clock.forward(caught.value.retry_after)
    await person.put_comment(number, "a plan", known=None)


async def test_writes_are_paced_over_the_hour(
    server: StandIn, person: GitHubForge, clock: HandClock
) -> None:
    number = server.people.open(HEAD, base=BASE)
    for _ in range(WRITES_AN_HOUR):
        await person.put_comment(number, "a plan", known=None)
        clock.forward(2)
    with pytest.raises(Throttled) as caught:
        await person.put_comment(number, "a plan", known=None)
    assert caught.value.retry_after == pytest.approx(3600 - 2 * WRITES_AN_HOUR)


async def test_what_did_not_change_costs_nothing_of_the_limit(
    server: StandIn, person: GitHubForge
) -> None:
    number = server.people.open(HEAD, base=BASE)
    server.people.say(number, "ada", "hello")
    before = await person.comments(number)
    left = server.remaining
    assert await person.comments(number) == before
    assert server.remaining == left
    server.people.say(number, "ada", "again")
    assert len(await person.comments(number)) == 2
    assert server.remaining == left - 1


async def test_a_server_that_does_not_answer_is_unavailable(
    server: StandIn, tmp_path: Path, person: GitHubForge
) -> None:
    server.fail("GET", 200, until=threading.Event())
    access = TokenAccess(tmp_path / "token")
    calls = GitHubCalls(server.url, access, SystemClock(), seconds=0.05)
    with pytest.raises(Unavailable, match="Timeout"):
        calls.get("user", doing="ask who we are")
    calls.close()


async def test_nobody_at_the_address_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    forge = GitHubForge(
        "http://127.0.0.1:9", "example/ml-platform", SystemClock(), token_file=tmp_path / "token"
    )
    with pytest.raises(Unavailable, match="ConnectionError"):
        await forge.pull_requests()
    await forge.close()


@pytest.mark.parametrize("body", [[], {}, [{}], {"login": 7}, None, [None], "text", 7, [[]]])
async def test_an_answer_of_another_form_is_unavailable_or_empty(
    server: StandIn, person: GitHubForge, body: object
) -> None:
    server.fail("GET", 200, body=body, times=20)
    for ask in (
        person.pull_requests,
        lambda: person.pull_request(7),
        lambda: person.reviews(7),
        lambda: person.comments(7),
        lambda: person.permission("ada"),
        lambda: person.put_check(Check("fairlead/plan", HEAD, CheckState.SUCCESS, "1 change")),
    ):
        try:
            await ask()
        except FairleadError as error:
            assert isinstance(error, Unavailable | Missing | Forbidden)  # noqa: PT017


async def test_text_that_is_not_unicode_is_invalid(server: StandIn, person: GitHubForge) -> None:
    number = server.people.open(HEAD, base=BASE)
    with pytest.raises(Invalid, match="not Unicode"):
        await person.put_comment(number, "\udcff", known=None)


async def test_an_app_gets_one_token_for_the_one_repository(
    server: StandIn, app: GitHubForge, clock: HandClock
) -> None:
    server.accounts.lasting = timedelta(seconds=RENEWED_BEFORE + 50)
    for _ in range(3):
        await app.pull_requests()
    assert server.accounts.exchanges == 1
    (asked,) = [one for one in server.asked if one.path.endswith("/access_tokens")]
    assert asked.body == {"repositories": ["ml-platform"]}
    clock.forward(55)
    await app.pull_requests()
    assert server.accounts.exchanges == 2


async def test_a_token_that_ended_early_is_replaced_once(server: StandIn, app: GitHubForge) -> None:
    await app.pull_requests()
    server.accounts.revoke()
    await app.pull_requests()
    assert server.accounts.exchanges == 2
    server.fail("/pulls", 401, body={"message": "Bad credentials"}, times=2)
    with pytest.raises(Forbidden, match="does not take our credentials: Bad credentials"):
        await app.pull_requests()


async def test_a_token_is_read_anew_at_every_use(
    server: StandIn, person: GitHubForge, tmp_path: Path
) -> None:
    await person.pull_requests()
    server.accounts.tokens = {"ghp_another": "fairlead-bot"}
    (tmp_path / "token").write_text("ghp_another\n")
    assert await person.pull_requests() == []
    (tmp_path / "token").unlink()
    with pytest.raises(Forbidden, match="cannot read"):
        await person.pull_requests()


async def test_the_key_of_another_app_is_refused(server: StandIn, tmp_path: Path) -> None:
    async with as_app(server, tmp_path) as forge:
        server.accounts.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        with pytest.raises(Forbidden, match="cannot speak as the App"):
            await forge.pull_requests()


@pytest.mark.parametrize("content", ["", "\n"])
def test_an_empty_token_is_a_matter_of_settings(tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content)
    with pytest.raises(Misconfigured, match="holds no token"):
        TokenAccess(tmp_path / "token")


async def test_a_key_that_is_none_is_a_matter_of_settings(
    server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.accounts, "private_key", lambda: b"-----BEGIN nothing")
    with pytest.raises(Misconfigured, match="holds no private key"):
        async with as_app(server, tmp_path):
            pass

"""Nobody looks before the provider vouched for them and a rule names them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest

from reconciler.core.audit.records import Verb
from reconciler.core.errors import Misconfigured, Unavailable, Untrusted
from reconciler.core.viewers import Identity
from reconciler.surfaces.page.sessions import ATTEMPT_SECONDS, IDLE_SECONDS
from tests.signing_in.sign_in_world import PlayedProvider, SignInWorld

pytestmark = pytest.mark.looptime

COOKIE, ATTEMPT = "__Host-fairlead", "__Host-fairlead-attempt"


@pytest.fixture
async def world() -> AsyncIterator[SignInWorld]:
    found = SignInWorld("one")
    async with found.settled():
        yield found


def played(world: SignInWorld) -> PlayedProvider:
    assert isinstance(world.provider, PlayedProvider)
    return world.provider


@pytest.mark.parametrize(
    "path", ["/", "/models", "/c/abc", "/audit", "/audit/1/proof", "/audit/export", "/no/such/page"]
)
async def test_a_stranger_is_sent_to_the_sign_in_and_sees_nothing(
    world: SignInWorld, path: str
) -> None:
    answer = await world.browser().get(path)
    assert answer.status == 303
    assert answer.headers["location"].startswith("/sign-in?back=%2F")
    assert b"fraud" not in answer.body


async def test_a_stranger_gets_no_live_events(world: SignInWorld) -> None:
    assert (await world.browser().get("/live?page=/")).status == 401


async def test_whoever_signs_in_comes_back_to_the_page_that_they_wanted(world: SignInWorld) -> None:
    browser = world.browser()
    answer = await browser.sign_in(back="%2Fmodels%3Fq%3D1")
    assert (answer.status, answer.headers["location"]) == (303, "/models?q=1")
    page = await browser.get("/models")
    assert page.status == 200
    assert b"alice@example.com" in page.body


async def test_cookies_are_for_this_host_its_server_and_tls_alone(world: SignInWorld) -> None:
    browser = world.browser()
    await browser.sign_in()
    for name in (COOKIE, ATTEMPT):
        flags = browser.flags[name].lower()
        assert "secure" in flags
        assert "httponly" in flags
        assert "samesite=lax" in flags
        assert "path=/" in flags
        assert "domain" not in flags


@pytest.mark.parametrize(
    "back",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "%2F%2Fevil.example",
        "/%0d%0aX: y",
        "javascript:alert(1)",
    ],
)
async def test_no_address_to_come_back_to_leads_elsewhere(world: SignInWorld, back: str) -> None:
    browser = world.browser()
    answer = await browser.sign_in(back=back)
    assert (answer.status, answer.headers["location"]) == (303, "/")


async def test_an_attempt_ends_only_in_the_browser_that_began_it(world: SignInWorld) -> None:
    mine, theirs = world.browser(), world.browser()
    state = await mine.begin()
    answer = await theirs.get(f"/sign-in/callback?code=code-1&state={state}")
    assert answer.status == 400
    assert COOKIE not in theirs.cookies


async def test_another_state_than_that_of_the_attempt_is_refused(world: SignInWorld) -> None:
    browser = world.browser()
    await browser.begin()
    answer = await browser.get("/sign-in/callback?code=code-1&state=another")
    assert answer.status == 400
    assert COOKIE not in browser.cookies


async def test_an_answer_counts_once(world: SignInWorld) -> None:
    browser = world.browser()
    state = await browser.begin()
    kept = browser.cookies[ATTEMPT]
    assert (await browser.get(f"/sign-in/callback?code=code-1&state={state}")).status == 303
    browser.cookies = {ATTEMPT: kept}
    assert (await browser.get(f"/sign-in/callback?code=code-1&state={state}")).status == 400


async def test_an_attempt_is_good_for_minutes(world: SignInWorld) -> None:
    browser = world.browser()
    state = await browser.begin()
    await world.clock.sleep(ATTEMPT_SECONDS)
    answer = await browser.get(f"/sign-in/callback?code=code-1&state={state}")
    assert answer.status == 400


async def test_a_session_that_somebody_planted_is_not_the_one_that_begins(
    world: SignInWorld,
) -> None:
    browser = world.browser()
    browser.cookies[COOKIE] = "planted"
    await browser.sign_in()
    assert browser.cookies[COOKIE] != "planted"
    first = browser.cookies[COOKIE]
    await browser.sign_in(code="code-2")
    assert browser.cookies[COOKIE] != first
    browser.cookies[COOKIE] = first
    assert (await browser.get("/")).status == 303


@pytest.mark.parametrize("seconds", [IDLE_SECONDS, 8 * 3600])
async def test_a_session_ends_by_itself(world: SignInWorld, seconds: float) -> None:
    browser = world.browser()
    await browser.sign_in()
    rest = seconds
    while rest > 0:
        assert (await browser.get("/models")).status == 200
        step = min(rest, IDLE_SECONDS / 2) if seconds > IDLE_SECONDS else rest
        await world.clock.sleep(step)
        rest -= step
    await world.clock.sleep(1)
    assert (await browser.get("/models")).status == 303


async def test_who_is_named_by_no_rule_sees_nothing_and_it_is_recorded(world: SignInWorld) -> None:
    played(world).person = Identity("https://issuer", "m1", "Mallory", "mallory@example.com")
    browser = world.browser()
    answer = await browser.sign_in()
    assert answer.status == 403
    assert COOKIE not in browser.cookies
    (record,) = await world.records(Verb.SIGN_IN)
    assert (record.result, record.actor) == (
        "no-rule",
        "mallory@example.com (m1 at https://issuer)",
    )


async def test_an_address_that_was_not_verified_fits_no_rule(world: SignInWorld) -> None:
    played(world).person = Identity("https://issuer", "r1", "boss@risk.example.com")
    assert (await world.browser().sign_in()).status == 403


async def test_people_see_the_teams_of_their_rules(world: SignInWorld) -> None:
    played(world).person = Identity("https://issuer", "r1", "Rita", "rita@risk.example.com")
    browser = world.browser()
    await browser.sign_in()
    assert (await browser.get("/models/fraud")).status == 200
    assert (await browser.get("/audit")).status in (403, 200)


@pytest.mark.parametrize(
    ("trouble", "status"),
    [
        (Unavailable("no answer from 10.0.0.1"), 503),
        (Untrusted("the ID token has expired"), 403),
        (Misconfigured("cannot read /etc/secret"), 500),
    ],
)
async def test_failures_say_what_to_do_and_nothing_of_the_inside(
    world: SignInWorld, trouble: Exception, status: int
) -> None:
    browser = world.browser()
    state = await browser.begin()
    played(world).trouble = trouble
    answer = await browser.get(f"/sign-in/callback?code=code-1&state={state}")
    assert answer.status == status
    assert str(trouble).encode() not in answer.body
    assert b"Sign in again" in answer.body


async def test_signing_out_takes_a_form_of_the_same_session(world: SignInWorld) -> None:
    browser = world.browser()
    await browser.sign_in()
    asked = (await browser.get("/sign-out")).body.decode()
    assert (await browser.post("/sign-out", "seal=forged")).status == 400
    assert (await browser.get("/models")).status == 200
    found = re.search(r'name="seal" value="([^"]+)"', asked)
    assert found is not None
    kept = browser.cookies[COOKIE]
    answer = await browser.post("/sign-out", f"seal={found[1]}")
    assert answer.status == 200
    assert b"https://issuer.example.com/logout" in answer.body
    browser.cookies[COOKIE] = kept
    assert (await browser.get("/models")).status == 303


async def test_a_form_as_long_as_a_disk_is_not_read(world: SignInWorld) -> None:
    browser = world.browser()
    await browser.sign_in()
    assert (await browser.post("/sign-out", "seal=" + "x" * 1_000_000)).status == 400


async def test_coming_and_going_is_recorded_in_the_name_of_the_person(world: SignInWorld) -> None:
    browser = world.browser()
    await browser.sign_in()
    seal = re.search(r'name="seal" value="([^"]+)"', (await browser.get("/sign-out")).body.decode())
    assert seal is not None
    await browser.post("/sign-out", f"seal={seal[1]}")
    records = await world.records(Verb.SIGN_IN, Verb.SIGN_OUT)
    assert [(r.verb, r.actor) for r in records] == [
        (Verb.SIGN_IN, "alice@example.com (a1 at https://issuer)"),
        (Verb.SIGN_OUT, "alice@example.com (a1 at https://issuer)"),
    ]


async def test_views_are_recorded_where_the_settings_ask_for_it() -> None:
    world = SignInWorld("one")
    world.record_views = True
    async with world.settled():
        browser = world.browser()
        await browser.sign_in()
        for path in ("/models", "/models", "/roles/ml-researcher"):
            assert (await browser.get(path)).status == 200
        views = await world.records(Verb.VIEW)
        assert [record.detail["path"] for record in views] == ["/models", "/roles/ml-researcher"]
        assert {record.actor for record in views} == {"alice@example.com (a1 at https://issuer)"}


async def test_every_route_reads_but_the_form_that_signs_out(world: SignInWorld) -> None:
    assert world.page is not None
    found = [(r.path, r.methods) for r in world.page.routes() if hasattr(r, "methods")]
    writing = [(path, methods) for path, methods in found if methods != {"GET", "HEAD"}]
    assert writing == [("/sign-out", {"POST"})]

"""Sign-in at a certified OpenID provider, as a person's browser does it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.openid import OpenIdProvider
from reconciler.core.errors import Misconfigured, Unavailable, Untrusted
from tests.signing_in.door import Door
from tests.signing_in.real_provider import CALLBACK, NoProvider, RealProvider, running
from tests.signing_in.sign_in_world import Browser

SCOPES = ("openid", "email", "profile", "groups")


@pytest.fixture(
    scope="module", params=[False, True], ids=["claims-in-token", "claims-in-user-info"]
)
def real(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealProvider]:
    try:
        with running(tmp_path_factory.mktemp("openid"), conform=request.param) as provider:
            yield provider
    except NoProvider as error:
        pytest.skip(str(error))


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text("a-secret-of-tests-with+signs/and=more\n", encoding="utf-8")
    return file


def client(real: RealProvider, secret: Path, **said: object) -> OpenIdProvider:
    given = {"secret_file": secret, "scopes": SCOPES, "ca_file": real.ca_file, **said}
    return OpenIdProvider(real.issuer, "fairlead", SystemClock(), **given)  # type: ignore[arg-type]


async def entered(door: Door, login: str, real: RealProvider) -> tuple[int, str]:
    """Status of coming back, and what is seen then."""
    browser = Browser(door.application)
    away = (await browser.get("/sign-in/begin?back=/teams")).headers["location"]
    back = urlsplit(await real.sign_in(away, login))
    answer = await browser.get(f"{back.path}?{back.query}")
    seen = await browser.get("/teams")
    return answer.status, seen.body.decode() if seen.status == 200 else ""


@pytest.mark.parametrize(
    ("login", "seen", "recorded"),
    [
        ("alice", (303, "*"), "sign-in alice@example.com ok"),
        ("rita", (303, "risk"), "sign-in rita@example.com ok"),
        ("zoe", (403, ""), "sign-in zoe no-rule"),
    ],
)
async def test_people_sign_in_and_see_what_their_groups_may(
    real: RealProvider, secret: Path, login: str, seen: tuple[int, str], recorded: str
) -> None:
    provider = client(real, secret)
    door = Door(provider)
    assert await entered(door, login, real) == seen
    assert door.results == [recorded]
    await provider.close()


async def test_a_code_is_good_once_and_only_with_the_verifier_of_its_attempt(
    real: RealProvider, secret: Path
) -> None:
    provider = client(real, secret)
    attempt, other = await provider.begin(CALLBACK), await provider.begin(CALLBACK)
    code = urlsplit(await real.sign_in(attempt.url, "alice")).query.split("code=")[1].split("&")[0]
    with pytest.raises(Untrusted, match="invalid_grant"):
        await provider.finish(other, code)
    assert (await provider.finish(attempt, code)).person.subject == "alice"
    with pytest.raises(Untrusted, match="invalid_grant"):
        await provider.finish(attempt, code)
    await provider.close()


async def test_an_answer_of_another_issuer_is_refused(real: RealProvider, secret: Path) -> None:
    provider = client(real, secret)
    attempt = await provider.begin(CALLBACK)
    with pytest.raises(Untrusted, match="another issuer"):
        await provider.finish(attempt, "code", issuer="https://evil.example")
    await provider.close()


async def test_a_wrong_secret_is_refused_by_the_provider(
    real: RealProvider, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong", encoding="utf-8")
    provider = client(real, wrong)
    attempt = await provider.begin(CALLBACK)
    code = urlsplit(await real.sign_in(attempt.url, "alice")).query.split("code=")[1].split("&")[0]
    with pytest.raises(Untrusted, match="invalid_client"):
        await provider.finish(attempt, code)
    await provider.close()


async def test_a_provider_whose_certificate_is_not_trusted_is_not_asked(
    real: RealProvider, secret: Path
) -> None:
    provider = client(real, secret, ca_file=None)
    with pytest.raises(Unavailable):
        await provider.begin(CALLBACK)
    await provider.close()


async def test_a_provider_that_calls_itself_otherwise_is_not_the_one(
    real: RealProvider, secret: Path
) -> None:
    other = RealProvider(real.issuer.replace("127.0.0.1", "localhost"), real.ca_file)
    provider = client(other, secret)
    with pytest.raises((Misconfigured, Unavailable)):
        await provider.begin(CALLBACK)
    await provider.close()


async def test_signing_out_is_offered_at_the_provider_too(real: RealProvider, secret: Path) -> None:
    provider = client(real, secret)
    attempt = await provider.begin(CALLBACK)
    code = urlsplit(await real.sign_in(attempt.url, "alice")).query.split("code=")[1].split("&")[0]
    signed_in = await provider.finish(attempt, code)
    url = await provider.sign_out_url(signed_in.proof, "http://localhost:9460/signed-out")
    assert url.startswith(f"{real.issuer}/session/end?id_token_hint=")
    await provider.close()

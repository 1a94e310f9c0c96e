"""Whom the page asks is in its settings; what a caller brings goes to nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.openid import OpenIdProvider
from tests.signing_in.door import Door
from tests.signing_in.sign_in_world import Browser

CALLERS_SECRET = "a-token-that-only-the-caller-should-know"


@pytest.fixture
async def asked() -> AsyncIterator[tuple[str, list[str]]]:
    """An issuer, and all that it is asked, headers included."""
    heard: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        heard.append(f"{request.url} {dict(request.headers)} {await request.text()}")
        issuer = f"http://{request.host}"
        endpoints = {"authorization": "auth", "token": "token", "userinfo": "me"}
        found = {f"{name}_endpoint": f"{issuer}/{path}" for name, path in endpoints.items()}
        return web.json_response({"issuer": issuer, "jwks_uri": f"{issuer}/keys", **found})

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}", heard
    await runner.cleanup()


async def test_s15_a_caller_chooses_no_upstream_and_its_token_goes_to_none(
    asked: tuple[str, list[str]],
) -> None:
    issuer, heard = asked
    provider = OpenIdProvider(issuer, "fairlead", SystemClock())
    browser = Browser(
        Door(provider).application,
        headers={
            "Authorization": f"Bearer {CALLERS_SECRET}",
            "X-Forwarded-Host": "evil.example",
            "Host": "evil.example",
        },
    )
    away = await browser.get("/sign-in/begin?issuer=https://evil.example&back=/")
    assert away.headers["location"].startswith(f"{issuer}/auth?")
    assert "evil.example" not in away.headers["location"]
    state = away.headers["location"].partition("state=")[2].partition("&")[0]
    answer = await browser.get(f"/sign-in/callback?code=c&state={state}&iss=https://evil.example")
    assert answer.status == 403
    retried = await browser.get("/sign-in/begin")
    state = retried.headers["location"].partition("state=")[2].partition("&")[0]
    await browser.get(f"/sign-in/callback?code=c&state={state}")
    assert len(heard) >= 2
    assert not [said for said in heard if CALLERS_SECRET in said or "evil.example" in said]
    await provider.close()

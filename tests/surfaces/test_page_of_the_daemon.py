"""Who is shown the page of a daemon, and its status, by what the settings say."""

from __future__ import annotations

import asyncio
import http.client
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.adapters.status_http import ask_status
from reconciler.ports import Clock
from reconciler.settings import Settings
from reconciler.sign_in_ports import IdentityProvider
from reconciler.wiring.page import known_status_token
from reconciler.wiring.ports import PortFactories
from tests.engine.world import REPOSITORY, config_map
from tests.signing_in.sign_in_world import PlayedProvider

from .daemons import DaemonWorld, Running

SIGN_IN = {
    "publicUrl": "https://fairlead.example.com",
    "signIn": {
        "issuer": "https://issuer.example.com",
        "clientId": "fairlead",
        "viewers": [{"group": "platform", "teams": ["*"]}],
    },
}


class PageWorld(DaemonWorld):
    """A daemon whose provider is played."""

    @property
    def factories(self) -> PortFactories:
        return replace(super().factories, identity_provider=self._provider)

    @asynccontextmanager
    async def _provider(
        self, settings: Settings, _: Clock
    ) -> AsyncIterator[IdentityProvider | None]:
        yield PlayedProvider() if settings.page.sign_in else None


@pytest.fixture
async def daemons(tmp_path: Path) -> PageWorld:
    found = PageWorld(tmp_path)
    found.world.start_repository({"apps/a/one.yaml": config_map("one")})
    return found


async def get(daemon: Running, path: str) -> tuple[int, str]:
    """Status, and where to go or what is there."""

    def ask() -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.getheader("Location") or answer.read().decode()
        finally:
            connection.close()

    return await asyncio.to_thread(ask)


async def test_on_the_loopback_the_page_asks_nobody(daemons: PageWorld) -> None:
    async with daemons.running() as daemon:
        await daemon.until_declared()
        status, text = await get(daemon, "/")
    assert status == 200
    assert "apps/a" in text


async def test_beyond_the_loopback_there_is_no_page_without_a_sign_in(daemons: PageWorld) -> None:
    daemons.options = {"listen": "0.0.0.0:9460"}
    async with daemons.running() as daemon:
        await daemon.until_declared()
        status, text = await get(daemon, "/")
        inner, _ = await get(daemon, "/models")
    assert (status, inner) == (404, 404)
    assert "page.signIn" in text


async def test_with_a_sign_in_a_stranger_is_led_there(daemons: PageWorld) -> None:
    daemons.options = {"listen": "0.0.0.0:9460", "page": SIGN_IN}
    async with daemons.running() as daemon:
        await daemon.until_ready()
        assert await get(daemon, "/models") == (303, "/sign-in?back=%2Fmodels")
        status, text = await get(daemon, "/sign-in?back=%2Fmodels")
    assert status == 200
    assert "/sign-in/begin?back=%2Fmodels" in text


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
async def test_machines_need_no_session(daemons: PageWorld, path: str) -> None:
    daemons.options = {"page": SIGN_IN}
    async with daemons.running() as daemon:
        await daemon.until_ready()
        assert (await get(daemon, path))[0] == 200


async def test_the_status_is_for_who_can_read_the_token_of_the_daemon(daemons: PageWorld) -> None:
    daemons.options = {"page": SIGN_IN}
    async with daemons.running() as daemon:
        await daemon.until_ready()
        assert (await get(daemon, "/status"))[0] == 401
        token = known_status_token(daemons.settings)
        told = await ask_status("127.0.0.1", daemon.port, repository=REPOSITORY, token=token)
        wrong = await ask_status("127.0.0.1", daemon.port, repository=REPOSITORY, token="wrong")
    assert told is not None
    assert wrong is None
    mode = (daemons.directory / "status.token").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


async def test_each_daemon_has_a_token_of_its_own(daemons: PageWorld) -> None:
    daemons.options = {"page": SIGN_IN}
    tokens = set()
    for _ in range(2):
        async with daemons.running() as daemon:
            await daemon.until_ready()
            tokens.add(known_status_token(daemons.settings))
    assert len(tokens) == 2

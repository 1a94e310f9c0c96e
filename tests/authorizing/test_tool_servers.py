"""Attack 12: nothing makes the authorizer ask an address that the settings do not name."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from reconciler.adapters.tool_servers_http import GuardedResolver, HttpToolServers
from reconciler.core.errors import Misconfigured, Missing, Unavailable


@pytest.fixture
async def redirecting() -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect(f"http://{request.host}/elsewhere")

    application = web.Application()
    application.router.add_post("/", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


async def refusal(urls: dict[str, str], server: str) -> Exception:
    servers = HttpToolServers(urls)
    try:
        await servers.digests(server)
    except (Missing, Unavailable) as error:
        return error
    finally:
        await servers.close()
    raise AssertionError("it was asked")


async def test_attack_12_a_redirect_is_not_followed(redirecting: str) -> None:
    assert "307" in str(await refusal({"s": redirecting}, "s"))


async def test_attack_12_a_server_that_no_setting_names_is_not_asked() -> None:
    assert isinstance(await refusal({}, "169.254.169.254"), Missing)


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "[fe80::1%25eth0]"]
)
def test_attack_12_settings_cannot_name_a_link_local_address(host: str) -> None:
    with pytest.raises(Misconfigured, match="link-local"):
        HttpToolServers({"s": f"http://{host}/latest"})


async def test_attack_12_a_name_that_comes_to_mean_such_an_address_is_not_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def rebound(*_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 80))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", rebound)
    # The resolver alone, so that nothing connects should it ever fail to refuse.
    with pytest.raises(OSError, match="link-local"):
        await GuardedResolver().resolve("tools.example.com", 80)

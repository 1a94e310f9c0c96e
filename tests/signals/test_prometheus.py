"""Prometheus behind servers that refuse, mislead, hang and drown, and over TLS."""

from __future__ import annotations

import asyncio
import math
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.metrics_prometheus import LARGEST_ANSWER, PrometheusMetrics
from reconciler.core.errors import (
    FairleadError,
    Forbidden,
    Invalid,
    Misconfigured,
    Missing,
    Throttled,
    Unavailable,
)
from reconciler.settings_loading import load_settings
from reconciler.wiring.ports import metrics_of

TOKEN = "s3cret-token-of-the-daemon"
ONE = {"resultType": "vector", "result": [{"metric": {}, "value": [1767225600, "1"]}]}

Respond = Callable[[web.Request], Awaitable[web.Response]]


def answer(data: object, **others: object) -> web.Response:
    return web.json_response({"status": "success", "data": data, **others})


@asynccontextmanager
async def playing(respond: Respond, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server that answers every request so; yields its URL."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", respond)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def asking(url: str, **how: Any) -> AsyncIterator[PrometheusMetrics]:
    source = PrometheusMetrics(url, SystemClock(), **how)
    try:
        yield source
    finally:
        await source.close()


async def trouble(respond: Respond, **how: Any) -> FairleadError:
    """Why a range has no answer; what an instant query says is the same."""
    async with playing(respond) as url, asking(url, **how) as source:
        point = await source.instant("up")
        assert point.value is None
        with pytest.raises(FairleadError) as caught:
            await source.over("up", start=0, end=10, step=1)
        assert caught.value.message.startswith(f"ask {url} for up: ")
        assert point.trouble.startswith(f"ask {url} for up: ")
        return caught.value


# --- What is asked ----------------------------------------------------------------------------


async def test_expressions_are_posted_below_the_path_of_the_url() -> None:
    asked: list[tuple[str, str, str]] = []

    async def note(request: web.Request) -> web.Response:
        form = await request.post()
        asked.append((request.method, request.path, str(form["query"])))
        return answer(ONE)

    expression = 'sum(rate(requests{model="fraud+1", code=~"5.."}[1m])) > 0 & ✓'
    async with playing(note) as url, asking(f"{url}/prometheus/") as source:
        assert (await source.instant(expression)).value == 1.0
    assert asked == [("POST", "/prometheus/api/v1/query", expression)]


async def test_the_token_is_sent_as_its_file_has_it_now(tmp_path: Path) -> None:
    seen: list[str | None] = []

    async def note(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return answer(ONE)

    file = tmp_path / "token"
    async with playing(note) as url, asking(url, token_file=file) as source:
        for token in ("first", "second"):
            file.write_text(f"{token}\n")
            await source.instant("up")
        file.unlink()
        assert "cannot read" in (await source.instant("up")).trouble
    assert seen == ["Bearer first", "Bearer second"]


async def test_a_redirect_is_not_followed_and_gets_no_token(tmp_path: Path) -> None:
    elsewhere: list[str] = []

    async def note(request: web.Request) -> web.Response:
        elsewhere.append(request.path)
        return answer(ONE)

    file = tmp_path / "token"
    file.write_text(TOKEN)
    async with playing(note) as other:

        async def redirect(request: web.Request) -> web.Response:
            return web.Response(status=307, headers={"Location": other})

        error = await trouble(redirect, token_file=file)
    assert isinstance(error, Misconfigured)
    assert elsewhere == []


@pytest.mark.parametrize("host", ["prometheus.example.com", "10.0.0.1"])
def test_a_token_never_travels_in_the_clear(tmp_path: Path, host: str) -> None:
    with pytest.raises(Misconfigured, match="in the clear"):
        PrometheusMetrics(f"http://{host}:9090", SystemClock(), token_file=tmp_path / "token")


# --- Who answers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, Invalid),
        (422, Invalid),
        (401, Forbidden),
        (403, Forbidden),
        (404, Missing),
        (429, Throttled),
        (500, Unavailable),
        (503, Unavailable),
    ],
)
async def test_a_status_is_told_with_the_words_of_the_server(
    status: int, expected: type[FairleadError]
) -> None:
    async def refuse(request: web.Request) -> web.Response:
        body = {"status": "error", "errorType": "some", "error": "too\x1b[2Jmany samples"}
        return web.json_response(body, status=status, headers={"Retry-After": "7"})

    error = await trouble(refuse)
    assert type(error) is expected
    assert error.message.endswith(f"{status}, too\\x1b[2Jmany samples")
    assert not isinstance(error, Throttled) or error.retry_after == 7.0


@pytest.mark.parametrize(
    "body",
    [
        b"<html>sign in</html>",
        b"",
        b"[]",
        b'"success"',
        b'{"status": "success"}',
        b'{"status": "success", "data": null}',
        b'{"status": "error", "error": "no"}',
    ],
)
async def test_what_is_not_of_prometheus_is_no_answer(body: bytes) -> None:
    async def lie(request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="text/html")

    assert type(await trouble(lie)) is Unavailable


async def test_an_error_page_of_a_proxy_is_not_repeated() -> None:
    async def fail(request: web.Request) -> web.Response:
        return web.Response(status=502, text="<html>…</html>")

    assert (await trouble(fail)).message.endswith(": 502")


async def test_a_server_that_hangs_is_trouble_in_time() -> None:
    async def hang(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    started = time.monotonic()
    async with playing(hang) as url, asking(url, seconds=0.2) as source:
        point = await source.instant("up")
    assert point.trouble.endswith("no answer in time")
    assert time.monotonic() - started < 3


async def test_an_answer_without_end_is_cut_off() -> None:
    async def drown(request: web.Request) -> web.Response:
        return web.Response(body=b" " * (LARGEST_ANSWER + 1))

    assert "more than 4,194,304 bytes" in (await trouble(drown)).message


# --- What is answered -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"resultType": "string", "result": [0, "text"]}, "it gives a string, not a number"),
        ({"resultType": "matrix", "result": []}, "it gives a matrix, not a number"),
        (
            {"resultType": "vector", "result": [{"metric": {}, "histogram": [0, {}]}]},
            "it gives histograms, not numbers",
        ),
    ],
)
async def test_what_is_no_number_is_told(data: object, reason: str) -> None:
    async def other(request: web.Request) -> web.Response:
        return answer(data)

    async with playing(other) as url, asking(url) as source:
        point = await source.instant("up")
    assert point.value is None
    assert point.trouble.endswith(reason)


@pytest.mark.parametrize(
    "data",
    [
        {"resultType": "vector", "result": [{"metric": {}, "value": [0, "many"]}]},
        {"resultType": "vector", "result": [{"metric": {}, "value": []}]},
        {"resultType": "vector", "result": [7]},
        {"resultType": "vector", "result": None},
        {"resultType": "scalar", "result": None},
    ],
)
async def test_a_malformed_answer_is_trouble_and_no_crash(data: object) -> None:
    async def malformed(request: web.Request) -> web.Response:
        return answer(data)

    async with playing(malformed) as url, asking(url) as source:
        point = await source.instant("up")
    assert point.value is None
    assert point.trouble.endswith("the answer is not one of Prometheus")


async def test_an_incomplete_answer_is_no_answer() -> None:
    async def warn(request: web.Request) -> web.Response:
        return answer(ONE, warnings=["receive series: store-2 is away"])

    async with playing(warn) as url, asking(url) as source:
        point = await source.instant("up")
    assert point.value is None
    assert point.trouble.endswith("incomplete: receive series: store-2 is away")


async def test_advice_about_the_expression_is_no_trouble() -> None:
    async def advise(request: web.Request) -> web.Response:
        return answer(ONE, warnings=["PromQL warning: bucket label le is missing"])

    async with playing(advise) as url, asking(url) as source:
        assert (await source.instant("up")).value == 1.0


# --- The real one -----------------------------------------------------------------------------


@pytest.mark.slow
async def test_what_prometheus_scraped_is_seen_with_the_gap_before(prometheus: str) -> None:
    async with asking(prometheus) as source, asyncio.timeout(60):
        while (await source.instant('up{job="itself"}')).value != 1.0:
            await asyncio.sleep(0.05)
        now = time.time()
        # A day: however long the suite takes, this server ran for less.
        points = await source.over('up{job="itself"}', start=now - 86_400, end=now, step=30)
    values = [point.value for point in points]
    first = values.index(1.0)
    assert first > 0
    assert values[:first] == [None] * first


async def test_a_range_in_an_expression_is_told_as_such(prometheus: str) -> None:
    async with asking(prometheus) as source:
        point = await source.instant("prometheus_build_info[5m]")
        assert point.trouble.endswith("it gives a matrix, not a number")
        with pytest.raises(Invalid):
            await source.over("prometheus_build_info[5m]", start=0, end=1, step=1)


async def test_a_range_with_what_is_no_finite_number_is_kept(prometheus: str) -> None:
    async with asking(prometheus) as source:
        points = await source.over("1 / (vector(time()) % 2)", start=10, end=13, step=1)
    assert [point.value for point in points] == [math.inf, 1.0, math.inf, 1.0]


# --- Settings ---------------------------------------------------------------------------------


def settings(directory: Path, metrics: str) -> Any:
    file = directory / "settings.yaml"
    file.write_text(f"""\
repository: {{name: ml-platform, url: /config.git}}
clusters:
- {{name: staging, kubeconfig: staging.kubeconfig}}
{metrics}
""")
    return load_settings(file, {})


async def test_without_settings_nobody_is_asked(tmp_path: Path) -> None:
    async with metrics_of(settings(tmp_path, ""), SystemClock()) as source:
        assert source is None


async def test_a_server_with_a_certificate_of_ones_own_is_asked(tmp_path: Path) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    (tmp_path / "token").write_text(TOKEN)

    async def check(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        return answer(ONE)

    async with playing(check, tls=context) as url:
        given = settings(tmp_path, f"metrics: {{url: {url}, tokenFile: token, caFile: ca.pem}}")
        async with metrics_of(given, SystemClock()) as source:
            assert source is not None
            assert (await source.instant("up")).value == 1.0
        async with asking(url) as distrustful:
            assert "certificate" in (await distrustful.instant("up")).trouble


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_without_certificates_is_told_at_the_start(
    tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(Misconfigured, match=str(file)):
        PrometheusMetrics("https://prometheus.example.com", SystemClock(), ca_file=file)

"""Evaluations report item by item, end in time, and say what went wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.metadata import EntryPoint

import pytest
from aiohttp import web

from reconciler.adapters import evaluating
from reconciler.adapters.evaluating import Evaluators
from reconciler.core.errors import Refused, Unavailable
from reconciler.core.kinds import Evaluation
from reconciler.core.manifests import JsonObject, JsonValue
from reconciler.core.samples import EvaluationResult, ItemResult
from reconciler.ports import Comparison

GOLDEN = {"items": [{"name": n, "request": n, "answer": {"is": n}} for n in ("one", "two")]}


def evaluation(**spec: object) -> Evaluation:
    return Evaluation.model_validate(
        {
            "apiVersion": "fairlead.dev/v1alpha1",
            "kind": "Evaluation",
            "metadata": {"name": "golden"},
            "spec": {"owner": "team-risk", **spec},
        }
    )


async def right(request: JsonValue) -> JsonValue:
    return {"is": request, "beside": 1}


async def wrong(request: JsonValue) -> JsonValue:
    return {"is": "something else"}


async def refuses(request: JsonValue) -> JsonValue:
    raise Refused("answers 500")


async def away(request: JsonValue) -> JsonValue:
    raise Unavailable("nobody answers")


def versions(candidate: Callable[[JsonValue], Awaitable[JsonValue]] = right) -> Comparison:
    return Comparison("fraud", "fraud", "team-a", "v1", "v2", right, candidate)


async def evaluated(asked: Comparison, **spec: object) -> EvaluationResult:
    return await Evaluators().evaluate(evaluation(**spec), asked)


@pytest.mark.parametrize(
    ("candidate", "is_right"), [(right, True), (wrong, False), (refuses, False)]
)
async def test_a_golden_set_asks_both_versions_every_item(candidate, is_right: bool) -> None:
    result = await evaluated(versions(candidate), golden=GOLDEN)
    assert result.items == tuple(
        ItemResult(name, stable=True, candidate=is_right) for name in ("one", "two")
    )


async def test_a_version_that_does_not_answer_is_trouble_and_no_wrong_answer() -> None:
    result = await evaluated(versions(away), golden=GOLDEN)
    assert result == EvaluationResult(trouble="evaluation golden: nobody answers")


async def good(_: Comparison) -> list[JsonObject]:
    return [{"item": "a", "stable": True, "candidate": False}]


def blocking(_: Comparison) -> list[JsonObject]:
    return [{"item": "a", "stable": True, "candidate": False}]


def failing(_: Comparison) -> list[JsonObject]:
    raise ZeroDivisionError("by zero")


def nonsense(_: Comparison) -> object:
    return [{"item": "a", "stable": "yes"}]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts a function of this module where installed plug-ins are found."""

    def install(name: str) -> None:
        point = EntryPoint("plug", f"{__name__}:{name}", evaluating.PLUGIN_GROUP)
        points = type(evaluating.entry_points(group=evaluating.PLUGIN_GROUP))([point])
        monkeypatch.setattr(evaluating, "entry_points", lambda group: points)

    return install


@pytest.mark.parametrize("name", ["good", "blocking"])
async def test_a_plug_in_may_wait_or_block(installed: Callable[[str], None], name: str) -> None:
    installed(name)
    result = await evaluated(versions(), plugin={"entryPoint": "plug"})
    assert result.items == (ItemResult("a", stable=True, candidate=False),)


@pytest.mark.parametrize(
    ("name", "trouble"),
    [
        ("failing", "plug-in plug failed: ZeroDivisionError: by zero"),
        ("nonsense", "evaluation golden reports what is no result: 0.stable"),
        ("absent", "plug-in plug failed: AttributeError"),
    ],
)
async def test_what_a_plug_in_does_wrong_is_its_trouble(
    installed: Callable[[str], None], name: str, trouble: str
) -> None:
    installed(name)
    result = await evaluated(versions(), plugin={"entryPoint": "plug"})
    assert trouble in result.trouble


async def test_a_plug_in_that_is_not_installed_is_named() -> None:
    result = await evaluated(versions(), plugin={"entryPoint": "plug"})
    assert "no plug-in plug is installed" in result.trouble


@pytest.fixture
async def service() -> AsyncIterator[str]:
    """A service whose answer its path chooses."""

    async def answer(request: web.Request) -> web.Response:
        asked = await request.json()
        match request.match_info["what"]:
            case "good":
                item = {"item": asked["candidate"], "stable": True, "candidate": False}
                return web.json_response({"items": [item]})
            case "empty":
                return web.json_response({"items": []})
            case "slow":
                await asyncio.Event().wait()
            case "moved":
                return web.Response(status=307, headers={"Location": "/good"})
        return web.Response(status=500)

    app = web.Application()
    app.router.add_post("/{what}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_service_is_told_what_to_compare(service: str) -> None:
    result = await evaluated(versions(), http={"url": f"{service}/good", "timeout": "10s"})
    assert result.items == (ItemResult("v2", stable=True, candidate=False),)


@pytest.mark.parametrize(
    ("what", "trouble"),
    [
        ("empty", "items"),
        ("slow", "did not end in time"),
        ("moved", "the service answers 307"),
        ("broken", "the service answers 500"),
    ],
)
async def test_what_a_service_does_wrong_is_its_trouble(
    service: str, what: str, trouble: str
) -> None:
    result = await evaluated(versions(), http={"url": f"{service}/{what}", "timeout": "1s"})
    assert trouble in result.trouble


async def test_a_service_that_is_away_is_trouble() -> None:
    result = await evaluated(versions(), http={"url": "http://127.0.0.1:9", "timeout": "1s"})
    assert "ClientConnectorError" in result.trouble

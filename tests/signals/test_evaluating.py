"""Evaluations report item by item, end in time, and say what went wrong."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.metadata import EntryPoint

import pytest
from aiohttp import web

from reconciler.adapters import evaluating_plugins
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


async def asking(versions: Comparison) -> list[JsonObject]:
    answers = [await versions.ask_stable(1), await versions.ask_candidate(1)]
    return [{"item": "a", "stable": answers[0] == answers[1], "candidate": True}]


def asking_from_a_thread(versions: Comparison) -> list[JsonObject]:
    return asyncio.run(asking(versions))


class Evaluating:
    async def __call__(self, versions: Comparison) -> list[JsonObject]:
        return await asking(versions)


evaluating_object = Evaluating()
RELEASED = threading.Event()


async def blocks_the_loop(_: Comparison) -> list[JsonObject]:
    RELEASED.wait(30)
    return [{"item": "a", "stable": True, "candidate": True}]


def leaves(_: Comparison) -> list[JsonObject]:
    sys.exit(3)


async def leaves_later(_: Comparison) -> list[JsonObject]:
    sys.exit(3)


def failing(_: Comparison) -> list[JsonObject]:
    raise ZeroDivisionError("by zero")


def nonsense(_: Comparison) -> object:
    return [{"item": "a", "stable": "yes"}]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts a function of this module where installed plug-ins are found."""

    def install(name: str) -> None:
        point = EntryPoint("plug", f"{__name__}:{name}", evaluating_plugins.PLUGIN_GROUP)
        points = type(evaluating_plugins.entry_points(group=evaluating_plugins.PLUGIN_GROUP))(
            [point]
        )
        monkeypatch.setattr(evaluating_plugins, "entry_points", lambda group: points)

    return install


@pytest.mark.parametrize("name", ["good", "blocking"])
async def test_a_plug_in_may_wait_or_block(installed: Callable[[str], None], name: str) -> None:
    installed(name)
    result = await evaluated(versions(), plugin={"entryPoint": "plug"})
    assert result.items == (ItemResult("a", stable=True, candidate=False),)


@pytest.mark.parametrize("name", ["asking", "asking_from_a_thread", "evaluating_object"])
async def test_a_plug_in_may_ask_both_versions(installed: Callable[[str], None], name: str) -> None:
    installed(name)
    result = await evaluated(versions(), plugin={"entryPoint": "plug"})
    assert result.items == (ItemResult("a", stable=True, candidate=True),)


async def test_trouble_of_a_version_is_the_trouble_of_the_plug_in(
    installed: Callable[[str], None],
) -> None:
    installed("asking")
    result = await evaluated(versions(away), plugin={"entryPoint": "plug"})
    assert result.trouble == "evaluation golden: nobody answers"


async def test_a_plug_in_that_blocks_stops_nobody_else(installed: Callable[[str], None]) -> None:
    installed("blocks_the_loop")
    RELEASED.clear()
    running = asyncio.ensure_future(evaluated(versions(), plugin={"entryPoint": "plug"}))
    other = await evaluated(versions(), golden=GOLDEN)
    assert not running.done()
    RELEASED.set()
    assert (len(other.items), len((await running).items)) == (2, 1)


async def test_a_plug_in_that_does_not_end_in_time_is_left(
    installed: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    installed("blocks_the_loop")
    RELEASED.clear()
    monkeypatch.setattr(evaluating_plugins, "PLUGIN_SECONDS", 0.05)
    result = await evaluated(versions(), plugin={"entryPoint": "plug"})
    RELEASED.set()
    assert result.trouble == "evaluation golden did not end in time"


async def test_after_its_end_an_evaluation_asks_nobody() -> None:
    over = threading.Event()
    ask = evaluating_plugins._lent(right, asyncio.get_running_loop(), over)
    over.set()
    with pytest.raises(Unavailable):
        await ask(1)


@pytest.mark.parametrize(
    ("name", "trouble"),
    [
        ("leaves", "plug-in plug failed: SystemExit: 3"),
        ("leaves_later", "plug-in plug failed: SystemExit: 3"),
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

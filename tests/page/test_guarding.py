"""What a browser is told, what may be asked, and what hostile text can do: nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from starlette.routing import BaseRoute, Mount, Route

from reconciler.surfaces.engine_status import EngineStatus
from reconciler.surfaces.http_endpoints import Endpoints
from reconciler.surfaces.metrics import Metrics
from reconciler.surfaces.page.drawing import https, shown, text_block
from reconciler.surfaces.page.guarding import POLICY
from reconciler.surfaces.page.paths import own_path
from tests.engine.world import REPOSITORY
from tests.surfaces.asgi import ask

from .html_checks import faults
from .page_world import MODEL, PATHS, PageWorld

READING = {"GET", "HEAD"}


def methods(routes: Sequence[BaseRoute], prefix: str = "") -> Iterator[tuple[str, set[str]]]:
    """Every path of a route table, in mounted applications as well, with its methods."""
    for route in routes:
        if isinstance(route, Mount):
            yield from methods(route.routes, prefix + route.path)
        else:
            assert isinstance(route, Route), route
            yield prefix + route.path, set(route.methods or ())


async def daemon_routes() -> Sequence[BaseRoute]:
    world = PageWorld()
    engine = await world.engine()
    status = EngineStatus(engine, repository=REPOSITORY, clock=world.clock)
    endpoints = Endpoints(
        engine, status, Metrics(), webhook_secret=b"0123456789abcdef", page=world.page
    )
    return endpoints.application().routes


async def test_s13_nothing_that_the_daemon_serves_changes_anything() -> None:
    """But for the webhook, which only makes the daemon look at its remote."""
    found = dict(methods(await daemon_routes()))
    assert found.pop("/hooks/git") == {"POST"}
    assert len(found) > 20
    assert {path: allowed for path, allowed in found.items() if not allowed <= READING} == {}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_s13_another_method_is_refused_with_what_to_do_instead(method: str) -> None:
    world = PageWorld()
    await world.engine()
    answer = await world.get("/rollouts/fraud", method=method)
    assert answer.status == 405
    assert "fairlead revert" in answer.body.decode()


async def test_every_answer_carries_the_policy_that_lets_nothing_else_run() -> None:
    world = PageWorld()
    await world.engine()
    css = world.page._static.url("page.css") if world.page else ""
    for path in ("/", "/nowhere", "/audit/9", css, "/theme/dark", "/audit/export"):
        headers = (await world.get(path)).headers
        assert headers["content-security-policy"] == POLICY, path
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
    assert "unsafe" not in POLICY
    assert "default-src 'none'" in POLICY


async def test_pages_are_never_kept_and_static_files_always() -> None:
    world = PageWorld()
    await world.engine()
    assert world.page is not None
    assert (await world.get("/")).headers["cache-control"] == "no-store"
    css = await world.get(world.page._static.url("page.css"))
    assert (css.status, "immutable" in css.headers["cache-control"]) == (200, True)
    assert (await world.get("/static/page.css")).status == 404
    assert (await world.get("/static/..%2f..%2fdrawing.py")).status == 404


EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}{% raw %}"
HIDDEN = "safe\u202etxt.exe\u200b\u0007"


def hostile_files() -> dict[str, str]:
    """Evil text wherever a document lets people write some."""
    text = json.dumps(EVIL)
    return {
        "models/fraud.yaml": MODEL.replace("Says how likely a payment is a fraud", text)
        .replace("{framework: sklearn", f"{{{text}: {text}, framework: [{text}]")
        .replace("https://models.example.com/fraud", "javascript:alert(3)"),
        "access/researcher.yaml": f"""\
apiVersion: fairlead.dev/v1alpha1
kind: Role
metadata: {{name: ml-researcher, annotations: {{note: {text}}}}}
spec:
  description: {text}
  groups: [{text}]
  allow: [{{models: {{labels: {{team: risk}}}}, actions: [infer]}}]
""",
        "access/eval-bot.yaml": f"""\
apiVersion: fairlead.dev/v1alpha1
kind: AgentScope
metadata: {{name: eval-bot}}
spec:
  purpose: {text}
  models: [{{model: fraud, versions: [v1], actions: [infer]}}]
  tools: [{{server: metrics, name: {text}, schema: "sha256:{"a" * 64}"}}]
  token: {{ttl: 10m, audience: {text}}}
  expires: 2099-06-30
""",
    }


@pytest.mark.looptime
async def test_s14_hostile_text_in_documents_stays_text() -> None:
    world = PageWorld()
    async with world.settled(files=hostile_files()) as engine:
        world.repository.push({"apps/x/one.yaml": f"kind: '{EVIL}".encode()}, message=EVIL + HIDDEN)
        await world.until_refused(engine, world.repository.head)  # type: ignore[arg-type]
        paths = [*PATHS, f"/c/{world.repository.head}", f"/search?q={'%22%3E%3Cscript%3E'}"]
        pages = {path: (await world.get(path)).body.decode() for path in paths}
    for path, html in pages.items():
        assert faults(html) == [], path
        assert "<script>alert" not in html, path
        assert "<img" not in html, path
        assert "javascript:" not in html.replace(">javascript:alert(3)<", ""), path
        assert "\u202e" not in html, path
    assert "&lt;script&gt;alert(1)" in pages["/access"]
    assert "{{7*7}}" in pages["/access"]


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "http://example.com",
        "https://",
        "https://user:secret@example.com/",
        "https://example.com/\"onmouseover='x",
        "https://example.com/a b",
        "https://example.com/\u202efdp",
        "https://[::1",
        "HTTPS://example.com",
        "//example.com",
        " https://example.com",
        "data:text/html,x",
    ],
)
def test_s14_a_link_that_somebody_wrote_leads_to_https_or_nowhere(url: str) -> None:
    assert https(url) == ""


def test_a_plain_https_link_stays_as_it_is() -> None:
    assert https("https://example.com/a?b=c#d") == "https://example.com/a?b=c#d"


def test_what_would_hide_or_reorder_text_is_written_out() -> None:
    assert shown(HIDDEN) == "safe\\u202etxt.exe\\u200b\\x07"
    assert text_block("<b>\n\u202e") == "&lt;b&gt;\n\\u202e"


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "https://evil.example", "/\\evil.example", "", "evil", "/a\r\nX: y", "/a b"],
)
def test_the_way_back_from_the_theme_never_leaves_the_page(target: str) -> None:
    assert own_path(target) == "/"


async def test_a_theme_is_remembered_and_leads_back() -> None:
    world = PageWorld()
    await world.engine()
    assert world.page is not None
    answer = await ask(world.page.application(), "GET", "/theme/dark?back=%2Faudit%3Fverb%3Dapply")
    assert answer.status == 303
    assert answer.headers["location"] == "/audit?verb=apply"
    assert answer.headers["set-cookie"].startswith("fairlead-theme=dark;")
    page = await world.get("/", cookie="fairlead-theme=dark")
    assert 'data-theme="dark"' in page.body.decode()
    page = await world.get("/", cookie='fairlead-theme="><script>')
    assert 'data-theme="system"' in page.body.decode()


def test_the_page_asks_no_other_host_for_anything() -> None:
    directory = Path(__file__).parents[2] / "reconciler" / "surfaces" / "page"
    for file in (*directory.glob("static/*"), *directory.glob("templates/*")):
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, file.name
        assert "https://" not in text, file.name
    assert (directory / "static" / "page.js").stat().st_size < 4000


async def test_a_bug_in_a_page_is_a_page_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    world = PageWorld()
    await world.engine()
    assert world.page is not None
    monkeypatch.setattr(type(world.page._facts), "standpoint", lambda _: 1 / 0)
    answer = await world.get("/models")
    assert answer.status == 200, "nothing is in force, so nothing was asked"
    monkeypatch.setattr(type(world.page._facts), "ledgers", lambda _: 1 / 0)
    answer = await world.get("/")
    assert (answer.status, faults(answer.body.decode())) == (500, [])
    assert "ZeroDivisionError" not in answer.body.decode()

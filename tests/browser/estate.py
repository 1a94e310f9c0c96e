"""Everything that the page can show, in three worlds: on its way, taken back, and signed in to.

Separate from the browser, which only knows addresses. The invariant: once a world stands, nothing
moves in it until a test moves it, since its users ask for nothing any more.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from reconciler.core.change_requests import Approval, CheckState, PlanKey, PullRequest
from reconciler.core.identifiers import ClusterName, CommitSha, Digest, DocumentPath
from reconciler.core.manifests import JsonObject
from reconciler.core.presenting.comment_facts import Request
from reconciler.core.presenting.impact import impact
from reconciler.core.presenting.page_pulls import PullFacts
from reconciler.core.presenting.plan_view import plan_view
from reconciler.core.problems import Problem, Span
from reconciler.engine.driving import Engine
from reconciler.sign_in_ports import SignInAttempt
from tests.engine.world import config_map, deployment
from tests.page.page_world import MODEL, PATHS, PageWorld, Watched
from tests.signing_in.sign_in_world import PlayedProvider, SignInWorld

from .serving import Cut, a_socket, served

WIDE = "w" * 60
HOSTILE = "<img src=x onerror=alert(1)> \u202egnp.exe\u202c &amp; {{ 7 * 7 }} " + WIDE
CLUSTERS = ("eu-west", "us-east")

HOSTILE_MODEL = MODEL.replace("name: fraud,", f"name: {WIDE[:40]}-model,", 1).replace(
    "Says how likely a payment is a fraud", "'<script>alert(1)</script> " + WIDE + "'"
)


@dataclass(slots=True)
class Site:
    """A world, where its page is served, and every path that is worth a look."""

    world: PageWorld
    engine: Engine
    address: str
    paths: tuple[str, ...]
    cut: Cut


async def on_its_way(stack: AsyncExitStack) -> Site:
    """A rollout with gates and counts, drift that was put back, pull requests of every kind."""
    world = PageWorld(*CLUSTERS, rate=40.0)
    world.errors = {"v1": 0.004, "v2": 0.004}
    world.watched = Watched()
    files = {
        f"apps/{name}/one.yaml": config_map(name).decode() for name in ("ledger", "b" * 50)
    } | {"models/hostile.yaml": HOSTILE_MODEL, "apps/web/one.yaml": deployment("web").decode()}
    engine = await stack.enter_async_context(world.settled(files=files))
    _drifts(world)
    await asyncio.sleep(90)
    commit = world.declare("v2", files={"apps/ledger/one.yaml": config_map("ledger", "2").decode()})
    await world.until(lambda: world.state(engine).candidate is not None)
    await world.until_step(engine, 3)
    await asyncio.sleep(1.5)
    world.rate = 0.0
    await asyncio.sleep(5)
    world.watched.found = pull_requests(engine, CommitSha(commit))
    more = ("/clusters/eu-west", "/clusters/eu-west?unit=rollout/fraud", f"/c/{commit}")
    pulls = tuple(f"/pr/{pull.request.number}" for pull in world.watched.found)
    kept = tuple(path for path in PATHS if not path.startswith("/clusters"))
    audit = ("/audit?verb=apply&cluster=eu-west", "/audit?verb=delete&actor=nobody")
    return await _started(stack, world, engine, (*kept, *more, *pulls, *audit))


async def taken_back(stack: AsyncExitStack) -> Site:
    """After an abort, with a refused commit and a cluster that cannot be seen."""
    world = PageWorld(*CLUSTERS, rate=80.0)
    world.errors = {"v1": 0.002, "v2": 0.16}
    engine = await stack.enter_async_context(world.moving())
    await world.until(lambda: world.state(engine).failure is not None)
    await world.until_serving(engine, "v1")
    world.rate = 0.0
    await asyncio.sleep(60)
    bad = world.push({"apps/billing/one.yaml": b"kind: [oops\n"}, message=f"billing: {HOSTILE}")
    await world.until_refused(engine, bad)
    world.clusters[ClusterName("us-east")].stop()
    await asyncio.sleep(60)
    paths = ("/", "/rollouts", "/rollouts/fraud", "/clusters/us-east", "/models/fraud", "/commits")
    lost = ("/nowhere", "/models/none", "/c/abcdef0")
    return await _started(stack, world, engine, (*paths, f"/c/{bad}", *lost))


async def signed_in_to(stack: AsyncExitStack) -> Site:
    """A page with a door, at which Alice of the platform may come in."""
    world = SignInWorld()
    world.provider = StraightProvider()
    bound = a_socket()
    world.public_url = bound[1]
    engine = await stack.enter_async_context(world.settled())
    paths = ("/sign-in", "/signed-out", "/sign-in/callback")
    return await _started(stack, world, engine, paths, bound)


class StraightProvider(PlayedProvider):
    """Sends people straight back, as one does that knows them already."""

    async def begin(self, redirect_uri: str) -> SignInAttempt:
        attempt = await super().begin(redirect_uri)
        return attempt.at(f"{redirect_uri}?code={min(self.codes)}&state={attempt.state}")


def _drifts(world: PageWorld) -> None:
    changed: JsonObject = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "billing", "namespace": "team-a"},
        "data": {"value": HOSTILE},
    }
    world.clusters[ClusterName("eu-west")].apply_as("kubectl", changed)


def pull_requests(engine: Engine, head: CommitSha) -> list[PullFacts]:
    """One that waits for consent, one with problems, one without a plan yet, one merged."""
    assert engine.reconciler.plan is not None
    assert engine.reconciler.accepted is not None
    plan = plan_view(engine.reconciler.plan)
    request = PullRequest(
        number=41,
        title="Serve fraud v2 to a quarter of the users",
        author="ada",
        head=head,
        head_branch="fraud-v2",
        base=head,
        base_branch="main",
        url="https://github.example.com/acme/models/pull/41",
    )
    key = PlanKey(head, head, Digest(""), "0")
    waiting = PullFacts(
        request,
        state=CheckState.WAITING,
        title="1 to change; waits for approval",
        plan=replace(plan, drift=plan.units[-1:]),
        approvals=(Approval("grace", 1, plan.digest, key), Approval("eve", 2, Digest("x"), key)),
        missing=("risk-owner for models/",),
        impact=impact(engine.reconciler.plan, None, engine.reconciler.accepted),
        asked=Request(head, head, approved=("grace",)),
    )
    problem = Problem(
        path=DocumentPath("models/fraud.yaml"),
        span=Span(12, 5),
        code="unknown-field",
        message=f"spec has no field {HOSTILE}",
        hint="remove it, or see docs/kinds.md",
    )
    wrong = replace(request, number=42, title=HOSTILE, author="mallory", fork=True)
    other = replace(request, number=43, title="Draft of a new gate", draft=True)
    merged = replace(request, number=40, title="Add the web", open=False, merged=head)
    failed = PullFacts(wrong, state=CheckState.FAILURE, title="1 problem", problems=(problem,))
    done = PullFacts(merged, state=CheckState.SUCCESS, title="no changes", plan=plan)
    return [PullFacts(other), failed, waiting, done]


async def _started(
    stack: AsyncExitStack,
    world: PageWorld,
    engine: Engine,
    paths: tuple[str, ...],
    bound: tuple[socket.socket, str] | None = None,
) -> Site:
    assert world.page is not None
    listening, address = bound or a_socket()
    cut = await stack.enter_async_context(served(world.page, listening))
    return Site(world, engine, address, paths, cut)

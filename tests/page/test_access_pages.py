"""What the pages about access say, to whom, and that they say what `fairlead access` says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from reconciler.adapters.state_memory import MemoryStateStore
from reconciler.core.access.deciding import decide
from reconciler.core.access.permissions import ACTIONS
from reconciler.core.audit.records import AuditRecord, Phase, Reason, Verb
from reconciler.core.errors import Missing
from reconciler.core.identifiers import ClusterName, CommitSha, ObjectKey
from reconciler.core.manifests import JsonObject
from reconciler.core.presenting.access_text import explain_lines
from reconciler.core.presenting.lines import plain_text
from reconciler.core.viewers import Viewer
from reconciler.settings_forge import ForgeSettings
from reconciler.surfaces.page.chronicling import LOOK_SECONDS
from reconciler.wiring.page import documents_at

from .page_world import ACCESS, MODEL, PageWorld, words

pytestmark = pytest.mark.looptime

RISK = Viewer("ada", frozenset({"risk"}))
OTHERS = Viewer("eve", frozenset({"search"}))
ENDED = ACCESS["access/eval-bot.yaml"].replace("2099-06-30", "2026-12-31")
LET_IN = MODEL.replace(
    "inference: [product-owner], retraining",
    "inference: [product-owner, ml-researcher], retraining",
)


async def test_a_role_says_what_it_means_what_follows_and_where() -> None:
    world = PageWorld("one", "two")
    async with world.settled():
        text = await world.text("/roles/ml-researcher")
    assert "Groups ml-researchers" in text
    assert "Declared in access/researcher.yaml:1" in text
    assert "May infer and retrain models with team=risk, where the version lists it" in text
    assert "May get, list and watch deployments in namespace team-a" in text
    assert "May not retrain models with tier=restricted, whatever it allows besides" in text
    assert "fraud@v2 denied fraud@v2 does not list ml-researcher under access.inference" in text
    assert "two settled 2 objects team-a get, list and watch deployments of apps" in text
    assert "Not enforced yet Role ml-researcher says who may use models" in text


async def test_an_agent_says_how_long_it_lasts_what_binds_it_and_whether_its_tests_hold() -> None:
    world = PageWorld()
    async with world.settled() as engine:
        text = await world.text("/agents/eval-bot")
        later = world.declare("v1", files={"access/eval-bot.yaml": ENDED})
        await world.until_applied(engine, CommitSha(later))
        ended = await world.text("/agents/eval-bot")
    assert "26,478 days left read-only evaluation Last day 2099-06-30" in text
    assert "Namespace agent-eval-bot" in text
    assert "May call tool metrics/query while its schema is sha256:20bf091be605" in text
    assert "At most 30 seconds a call" in text
    assert "May connect to gateway" in text
    assert "holds infer on fraud@v1 is allowed" in text
    assert "team-a infer fraud@v1" in text
    assert "ended with 2026-12-31" in ended
    assert "fraud@v1 denied AgentScope eval-bot ended with 2026-12-31" in ended


async def test_a_version_says_who_may_and_why_one_may_not_as_the_command_does() -> None:
    world = PageWorld()
    async with world.settled() as engine:
        text = await world.text("/models/fraud/v1/access?subject=ml-researcher")
        unknown = await world.text("/models/fraud/v1/access?subject=nobody-at-all")
        desired = engine.reconciler.accepted
    assert desired is not None
    assert "May infer 2 roles and agents product-owner group product-owners agent/eval-bot" in text
    assert "Listed, and may not ml-researcher Role ml-researcher denies retrain" in text
    for action in ACTIONS:
        today = world.clock.now().date()
        found = decide(desired.access, "ml-researcher", action, "fraud", "v1", today=today)
        answer, advice = plain_text(explain_lines(found)).splitlines()
        told = f"{action} {answer.replace(':', '', 1)} {advice.strip().replace('to', 'To', 1)}"
        assert told in text
    assert "No role or agent nobody-at-all is declared" in unknown


@pytest.mark.parametrize(
    ("query", "there", "gone"),
    [
        ("q=OWNERS", "product-owner", "eval-bot"),
        ("kind=agent", "eval-bot", "product-owner"),
        ("can=promote", "product-owner", "eval-bot"),
        ("can=infer&on=fraud@v2", "product-owner", "eval-bot"),
        ("on=fraud", "eval-bot", "ml-researcher"),
        ("state=ended", "Nothing is left", "eval-bot"),
        ("by=version&q=v2", "fraud@v2 1 nobody 1", "fraud@v1"),
    ],
)
async def test_the_list_counts_and_filters(query: str, there: str, gone: str) -> None:
    world = PageWorld()
    async with world.settled():
        text = await world.text(f"/access?{query}")
    listed = text.partition("Filter")[2]
    assert there in listed
    assert gone not in listed


async def test_a_list_of_many_is_cut_into_pages_that_keep_the_filter() -> None:
    role = ACCESS["access/owner.yaml"]
    many = {
        f"access/r{number}.yaml": role.replace("product-owner}", f"r{number:03}" + "}")
        for number in range(60)
    }
    world = PageWorld()
    async with world.settled(files=many):
        html = (await world.get("/access?can=promote")).body.decode()
        last = await world.text("/access?can=promote&page=2")
    assert html.count('<th scope="row">') == 50
    assert 'href="/access?can=promote&amp;page=2"' in html
    assert "r059" in last
    assert "61 roles and agents" in last


async def test_who_gains_by_a_commit_is_told_at_the_role_and_at_the_commit() -> None:
    world = PageWorld()
    async with world.settled() as engine:
        later = world.declare("v1", files={"models/fraud.yaml": LET_IN})
        await world.until_applied(engine, CommitSha(later))
        role, commit = await world.text("/roles/ml-researcher"), await world.text(f"/c/{later}")
        world.viewer = RISK
        own = await world.text(f"/c/{later}")
        world.viewer = OTHERS
        foreign = await world.text(f"/c/{later}")
    gained = "Role ml-researcher : infer on fraud@v2"
    assert f"{later[:10]} fraud v1 gains {gained}" in role
    assert f"Gains access {gained}" in commit
    assert gained in own
    assert "ml-researcher" not in foreign
    assert "1 more change of access not shown here" in foreign


async def test_people_see_the_roles_and_agents_of_their_teams_and_no_others() -> None:
    world = PageWorld()
    async with world.settled():
        world.viewer = OTHERS
        for path in ("/roles/ml-researcher", "/agents/eval-bot", "/models/fraud/v1/access"):
            assert (await world.get(path)).status == 404, path
        assert "No role and no agent" in await world.text("/access")
        assert "No version" in await world.text("/access?by=version")
        world.viewer = RISK
        found = await world.text("/search?q=bot")
        assert (await world.get("/roles/product-owner")).status == 404
        text = await world.text("/models/fraud/v1/access?subject=product-owner")
    assert "eval-bot" in found
    assert "No role or agent product-owner is declared Or it is not for you to see" in text
    assert "product-owner group" not in text, "the version names it, and no more is told"
    assert "May promote 1 role or agent 1 role or agent of other teams not named here" in text


async def test_models_of_other_teams_are_counted_where_a_role_reaches_them() -> None:
    foreign = MODEL.replace(
        "name: fraud, labels: {team: risk", "name: ranker, labels: {team: search"
    )
    role = ACCESS["access/researcher.yaml"].replace(
        "  unless", "  - {models: {labels: {team: search}}, actions: [promote]}\n  unless"
    )
    world = PageWorld()
    async with world.settled(files={"models/r.yaml": foreign, "access/researcher.yaml": role}):
        everything = await world.text("/roles/ml-researcher")
        world.viewer = RISK
        text = await world.text("/roles/ml-researcher")
    assert "ranker@v3" in everything
    assert "ranker" not in text
    assert "It may use 3 versions of models of other teams" in text


async def test_what_the_request_path_answered_an_agent_is_read_from_the_logs_of_authorizers() -> (
    None
):
    world, log = PageWorld(), MemoryStateStore()
    opened = 0

    @asynccontextmanager
    async def opening() -> AsyncIterator[MemoryStateStore]:
        nonlocal opened
        opened += 1
        if opened == 1:
            raise Missing("there is no log yet")
        yield log

    world.decisions = (opening,)
    refused = AuditRecord(
        world.clock.now(),
        "acme",
        CommitSha("a" * 40),
        "system:serviceaccount:agent-eval-bot:eval-bot",
        Verb.AUTHORIZE,
        Phase.DECISION,
        Reason.OPERATION,
        result="not-allowed",
        detail={"agent": "eval-bot", "action": "infer", "versions": ["fraud@v2"], "why": "no"},
    )
    tool: JsonObject = {"agent": "eval-bot", "server": "metrics", "tool": "query"}
    await log.append([refused, replace(refused, result="allowed", detail=tool)])
    async with world.settled():
        before = await world.text("/agents/eval-bot")
        assert world.page is not None
        following = asyncio.create_task(world.page.run())
        await asyncio.sleep(2 * LOOK_SECONDS)
        answer = await world.get("/agents/eval-bot")
        following.cancel()
    text = words(answer.body.decode())
    assert "Nothing is known of its requests" in before
    assert "infer on fraud@v2 not-allowed no" in text
    assert "tool metrics/query allowed" in text
    assert b'href="/audit/1"' not in answer.body.partition(b"answered it")[2].partition(b"</ol>")[0]


async def test_a_binding_that_somebody_took_away_is_put_back_and_told() -> None:
    binding = ObjectKey(
        "rbac.authorization.k8s.io", "RoleBinding", "team-a", "fairlead:role:ml-researcher"
    )
    world = PageWorld("one")
    async with world.settled():
        world.clusters[ClusterName("one")].delete_as_other(binding)
        await world.until(lambda: binding in world.objects("one"))
        text = await world.text("/roles/ml-researcher")
    assert "Put back after drift: 1 object, the last a moment ago" in text


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://api.github.com", "https://github.com"),
        ("https://forge.example.com/api/v3", "https://forge.example.com"),
    ],
)
def test_a_document_is_linked_where_the_forge_shows_it(url: str, host: str) -> None:
    github = {"url": url, "repository": "acme/models", "tokenFile": "/run/token"}
    forge = ForgeSettings.model_validate({"github": github})
    assert documents_at(forge) == f"{host}/acme/models/blob"
    assert documents_at(None) == ""

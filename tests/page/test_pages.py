"""What each page says, by what is so."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.core.identifiers import ClusterName, DocumentPath
from reconciler.core.viewers import Viewer
from tests.engine.world import config_map

from .page_world import ACCESS, PATHS, PageWorld

pytestmark = pytest.mark.looptime

RISK = Viewer("ada", frozenset({"risk"}))
OTHERS = Viewer("eve", frozenset({"search"}))


async def test_the_overview_says_so_when_everything_is_as_declared() -> None:
    world = PageWorld("one", "two")
    async with world.settled():
        text = await world.text("/")
    assert "Everything is as declared 2 clusters run what" in text
    assert "rollout/fraud settled settled" in text
    assert "What needs somebody" not in text


async def test_a_stale_cluster_is_never_green() -> None:
    world = PageWorld("one", "two")
    async with world.settled():
        world.clusters[ClusterName("two")].stop()
        await asyncio.sleep(60)
        overview, cluster = await world.text("/"), (await world.get("/clusters/two")).body.decode()
        model, role = await world.text("/models/fraud"), await world.text("/roles/ml-researcher")
    assert "1 cluster cannot be seen" in overview
    assert "Everything is as declared" not in overview
    assert "rollout/fraud settled stale" in overview
    main = cluster.partition("<main")[2]
    assert "mark good" not in main
    assert "It cannot be seen since" in main
    assert "stale two all requests" in model
    assert "two stale 2 objects · cannot be seen now" in role


async def test_a_refused_commit_is_shown_with_place_reason_and_what_to_do() -> None:
    world = PageWorld()
    async with world.settled() as engine:
        bad = world.push({"apps/billing/one.yaml": b"kind: [oops\n"}, message="billing: oops")
        await world.until_refused(engine, bad)
        overview, commit = await world.text("/"), await world.text(f"/c/{bad}")
        listed = await world.text("/commits")
    for text in (overview, commit):
        assert "apps/billing/one.yaml:2:1" in text
        assert "check indentation" in text
    assert f"Commit {bad[:10]} was refused" in overview
    assert "Refused: the commit before stays in force" in commit
    assert "billing: oops" in listed
    assert "refused" in listed


async def test_a_commit_that_waits_for_approval_says_who_gains_and_who_has_to_approve() -> None:
    world = PageWorld()
    asks = "{widerAccess: {count: 1, by: [product-owner]}, people: {product-owner: [grace]}}"
    rules = f"  signatures: {{required: true}}\n  approvals: {asks}\n"
    pods = "allow: [{resources: [pods], verbs: [get], namespaces: [team-a]}, "
    wider = ACCESS["access/owner.yaml"].replace("allow: [", pods)
    async with world.settled() as engine:
        assert world.repository.head
        known = world.repository.files(world.repository.head)[DocumentPath("fairlead.yaml")]
        first = world.push({"fairlead.yaml": known.content + rules.encode()})
        await world.until_applied(engine, first)
        held = world.repository.push({"access/owner.yaml": wider.encode()}, signer="ada")
        await world.until(lambda: engine.books.position.held == held)
        overview, shown = await world.text("/"), await world.text(f"/c/{held}")
        role = await world.text("/roles/product-owner")
    gained = "Role product-owner : get on pods in team-a of one"
    assert f"Who would gain and lose access Gains access {gained}" in shown
    assert gained not in role, "nobody has gained it"
    assert f"Commit {held[:10]} waits for approval" in overview
    assert "Not approved: the commit before stays in force" in shown
    for text in (overview, shown):
        assert "Role product-owner gains get on pods in team-a of one" in text
        assert "1 of product-owner" in text


async def test_a_rollout_shows_where_it_is_why_it_waits_and_what_comes_next() -> None:
    world = PageWorld("one", "two", rate=10.0)
    async with world.moving() as engine:
        await world.until_step(engine, 2)
        await world.until(lambda: bool(engine.rollouts and engine.rollouts.looks))
        await asyncio.sleep(1)
        text = await world.text("/rollouts/fraud")
        html = (await world.get("/rollouts/fraud")).body.decode()
        commit = world.repository.head
    assert "on its way v1 → v2" in text
    assert "Waits for" in text
    assert "Then step 4 of 5: 25 % of the requests" in text
    assert "done Wave 1" not in text
    assert html.count('aria-current="step"') == 1
    assert "v2 gets 5 % of the requests" in text
    assert "at most 5% failed requests; sure by 99%" in text
    assert f"fairlead revert {commit} --pull-request" in text
    assert 'class="limit"' in html
    assert "The numbers behind it" in text


async def test_after_an_abort_the_evidence_that_decided_is_shown() -> None:
    world = PageWorld()
    world.errors["v2"] = 0.5
    async with world.moving() as engine:
        await world.until(lambda: world.state(engine).failure is not None)
        await world.until_serving(engine, "v1")
        await asyncio.sleep(120)
        text, html = (
            await world.text("/rollouts/fraud"),
            (await world.get("/rollouts/fraud")).body.decode(),
        )
        overview = await world.text("/")
    assert "v2 was taken back; v1 serves" in text
    assert "gate errors failed" in text
    assert "it went above the line" in html
    assert "The traffic is back at v1" in text
    assert "fraud: v2 was taken back" in overview
    assert overview.count("gate errors failed") == 2, "once as what is so, once as what happened"


async def test_a_rollout_can_be_looked_up_after_the_daemon_has_started_anew() -> None:
    world = PageWorld()
    async with world.moving() as engine:
        await world.until_serving(engine, "v2")
    again = PageWorld()
    again.store, again.repository, again.clock = world.store, world.repository, world.clock
    again.clusters, again.leases = world.clusters, world.leases
    again.replicas = world.replicas
    async with again.running() as engine:
        assert again.page is not None
        following = asyncio.create_task(again.page.run())
        await again.until(lambda: again.chronicler.chronicle.size > 20)
        await again.until(lambda: engine.reconciler.accepted is not None)
        text = await again.text("/rollouts/fraud")
        following.cancel()
    assert "promoted" in text
    assert "next step" in text


async def test_a_model_shows_versions_where_they_run_metadata_access_and_history() -> None:
    world = PageWorld("one", "two")
    async with world.moving() as engine:
        await world.until_step(engine, 3)
        text = await world.text("/models/fraud")
    assert "v3 runs nowhere" in text
    assert "gets a part one 25 % of the requests" in text
    assert "gets a part one 75 % of the requests" in text
    assert "serves two all requests" in text
    assert "evaluation.auc 0.94" in text
    assert "infer product-owner , agent/eval-bot" in text
    assert "retrain nobody (1 listed, and may not)" in text
    assert "new commit" in text


async def test_a_commit_shows_its_plan_and_what_was_applied() -> None:
    world = PageWorld("one", "two")
    async with world.settled() as engine:
        files = {"apps/billing/one.yaml": config_map("billing", "2").decode()}
        commit = world.declare("v1", files=files)
        await world.until_applied(engine, commit)
        text = await world.text(f"/c/{commit}")
        short = await world.text(f"/c/{commit[:10]}")
        first = await world.text(f"/c/{world.repository.line(commit)[-1].sha}")
    assert "1 to change" not in text, "2 clusters are 2 objects"
    assert "2 to change, 0 to create, 0 to delete · 2 clusters" in text
    assert '.data.value "1" "2"' in text
    assert "one as declared 1 0 0" in text
    assert text == short
    assert "The plan of this commit is not kept" in first
    assert "superseded" in first


async def test_a_prompt_shows_its_texts_as_they_are() -> None:
    world = PageWorld()
    async with world.settled():
        listed, page = await world.text("/models"), await world.text("/prompts/greeting")
        world.viewer = OTHERS
        hidden = (await world.get("/prompts/greeting")).status
    assert "greeting 1 version, for fraud, owned by team-risk" in listed
    assert "You are polite. <b>Never</b> say more than asked." in page
    assert hidden == 404


async def test_search_finds_models_commits_objects_and_agents() -> None:
    world = PageWorld()
    async with world.settled():
        commit = world.repository.head
        found = await world.text("/search?q=FRAUD")
        by_sha = await world.text(f"/search?q={commit[:8]}")  # type: ignore[index]
        by_purpose = await world.text("/search?q=evaluation")
        nothing = await world.text("/search?q=zebra")
    assert "Models fraud" in found
    assert "Deployment.apps/team-a/fraud-v1" in found
    assert commit
    assert commit[:10] in by_sha
    assert "eval-bot" in by_purpose
    assert "Nothing has that in its name" in nothing


async def test_a_person_sees_the_models_of_their_teams_and_no_others() -> None:
    world = PageWorld()
    async with world.moving() as engine:
        await world.until_step(engine, 2)
        world.viewer = OTHERS
        pages = {path: (await world.get(path)) for path in PATHS}
        commit = await world.text(f"/c/{world.repository.head}")
        world.viewer = RISK
        own = await world.text("/rollouts/fraud")
        overview = await world.text("/")
    assert pages["/models/fraud"].status == pages["/rollouts/fraud"].status == 404
    assert pages["/audit"].status == pages["/audit/1"].status == 403
    for path in ("/", "/models", "/rollouts", "/access", "/clusters/one?unit=rollout/fraud"):
        said = pages[path].body.decode().replace('href="/c/', "")
        assert "fraud-v" not in said, path
        assert "rollout/fraud" not in said.partition("<main")[2].partition("data-live")[0], path
        assert "/models/fraud" not in said, path
    assert "unit of other teams not shown" in commit
    assert "Gates" in own
    assert "rollout/fraud" in overview
    assert "manifests/apps/billing" not in overview

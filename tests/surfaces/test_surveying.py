"""Plans made aside from the daemon."""

from __future__ import annotations

import pytest

from reconciler.core.audit.records import Reason
from reconciler.core.errors import HistoryRewritten
from reconciler.core.identifiers import ClusterName, CommitSha
from reconciler.core.manifests import JsonObject
from reconciler.core.plans import Action, WaitReason
from reconciler.engine.surveying import NO_SETTINGS, Recorded, Surveyor
from tests.engine.world import REPOSITORY, World, config_map, config_map_key, policy

ONE = ClusterName("one")
pytestmark = pytest.mark.looptime


async def surveyor(world: World, *, name: str = REPOSITORY, reach: bool = True) -> Surveyor:
    await world.repository.fetch()
    ledgers = {cluster: await world.store.ledger(cluster) for cluster in world.clusters}
    return Surveyor(
        repository=world.repository,
        name=name,
        clusters=world.clusters if reach else {},
        recorded=Recorded(await world.store.position(), ledgers),
        clock=world.clock,
    )


async def synced(world: World) -> CommitSha:
    """A repository whose first commit is in force everywhere."""
    commit = world.start_repository({"apps/a/limits.yaml": config_map("limits")})
    async with world.running() as engine:
        await world.until_applied(engine, commit)
    return commit


def raise_limit(body: JsonObject) -> None:
    body["data"] = {"value": "9"}


async def test_the_plan_of_what_is_applied_is_empty() -> None:
    world = World()
    commit = await synced(world)
    survey = await (await surveyor(world)).survey(commit)
    assert survey.plan is not None
    assert survey.plan.empty


async def test_a_change_is_planned_from_what_is_in_force() -> None:
    world = World()
    first = await synced(world)
    second = world.push({"apps/a/limits.yaml": config_map("limits", "2")})
    survey = await (await surveyor(world)).survey(second)
    assert survey.plan is not None
    [change] = survey.plan.clusters[0].changes
    assert (survey.plan.base, change.action, change.fields[0].path) == (
        first,
        Action.UPDATE,
        ".data.value",
    )


async def test_a_commit_can_be_planned_before_anything_was_ever_applied() -> None:
    world = World()
    commit = world.start_repository({"apps/a/limits.yaml": config_map("limits")})
    survey = await (await surveyor(world)).survey(commit)
    assert survey.plan is not None
    assert [change.action for _, change in survey.plan.all_changes()] == [Action.CREATE]


async def test_drift_is_found_without_a_daemon_and_shown_apart() -> None:
    world = World()
    await synced(world)
    world.cluster.edit_as("kubectl", config_map_key("limits"), raise_limit)
    other = world.push({"apps/a/more.yaml": config_map("more")})
    survey = await (await surveyor(world)).survey(other)
    assert survey.plan is not None
    [cluster] = survey.plan.clusters
    assert [change.key.name for change in cluster.changes] == ["more"]
    assert [(c.key.name, c.reason) for c in cluster.drift] == [("limits", Reason.DRIFT)]


async def test_nothing_is_written_by_planning() -> None:
    world = World()
    await synced(world)
    second = world.push({"apps/a/limits.yaml": config_map("limits", "2")})
    records = len(await world.store.records(0, 1000))
    world.cluster.requests.clear()
    await (await surveyor(world)).survey(second)
    assert world.cluster.count("apply", "delete") == 0
    assert world.value("limits") == "1"
    assert len(await world.store.records(0, 1000)) == records


async def test_a_cluster_that_is_away_is_not_planned_and_the_others_are() -> None:
    world = World("one", "two")
    commit = world.start_repository({"apps/a/limits.yaml": config_map("limits")})
    world.clusters[ClusterName("two")].stop()
    survey = await (await surveyor(world)).survey(commit)
    assert survey.plan is not None
    one, two = survey.plan.clusters
    assert len(one.changes) == 1
    assert [waiting.reason for waiting in two.waiting] == [WaitReason.CLUSTER_STALE]
    assert not two.changes


async def test_a_cluster_without_settings_is_named_as_such() -> None:
    world = World()
    commit = world.start_repository({"apps/a/limits.yaml": config_map("limits")})
    survey = await (await surveyor(world, reach=False)).survey(commit)
    assert survey.plan is not None
    assert survey.plan.clusters[0].waiting[0].explanation == NO_SETTINGS


async def test_one_cluster_alone_can_be_planned() -> None:
    world = World("one", "two")
    commit = world.start_repository({"apps/a/limits.yaml": config_map("limits")})
    survey = await (await surveyor(world)).survey(commit, only=ONE)
    assert survey.plan is not None
    assert [cluster.cluster for cluster in survey.plan.clusters] == [ONE]


async def test_a_commit_that_does_not_validate_has_problems_and_no_plan() -> None:
    world = World()
    await synced(world)
    broken = world.push({"apps/a/limits.yaml": b"kind: ["})
    survey = await (await surveyor(world)).survey(broken)
    assert survey.plan is None
    assert survey.problems[0].path == "apps/a/limits.yaml"


async def test_a_commit_is_judged_by_the_policy_in_force_and_not_by_its_own() -> None:
    world = World()
    await synced(world)
    loose = policy("one").replace(b"team-*", b'"*"')
    both = {"fairlead.yaml": loose, "apps/a/x.yaml": config_map("x", namespace="kube-system")}
    commit = world.push(both)
    survey = await (await surveyor(world)).survey(commit)
    assert survey.plan is None
    assert any("kube-system" in problem.message for problem in survey.problems)


async def test_a_rewritten_history_is_refused() -> None:
    world = World()
    first = world.start_repository({"apps/a/limits.yaml": config_map("limits")})
    second = world.push({"apps/a/limits.yaml": config_map("limits", "2")})
    async with world.running() as engine:
        await world.until_applied(engine, second)
    world.repository.rewrite(first)
    other = world.push({"apps/a/limits.yaml": config_map("limits", "3")})
    with pytest.raises(HistoryRewritten):
        await (await surveyor(world)).survey(other)


async def test_another_repository_than_the_settings_name_is_refused() -> None:
    world = World()
    commit = world.start_repository({})
    survey = await (await surveyor(world, name="other")).survey(commit)
    assert [problem.code for problem in survey.problems] == ["renamed"]
    assert survey.plan is None

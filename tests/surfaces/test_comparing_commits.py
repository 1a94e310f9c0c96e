"""What one commit declares otherwise than another, without a cluster."""

from __future__ import annotations

from reconciler.core.identifiers import CommitSha
from reconciler.core.plans import Action, Plan
from reconciler.core.presenting.lines import plain_text
from reconciler.core.presenting.plan_text import intent_lines
from reconciler.core.presenting.plan_view import plan_view
from reconciler.engine.surveying import compare
from tests.engine.world import World, config_map, policy

FIRST = {"apps/a/limits.yaml": config_map("limits"), "apps/b/other.yaml": config_map("other")}


async def compared(world: World, base: CommitSha, head: CommitSha) -> Plan:
    await world.repository.fetch()
    survey = await compare(world.repository, base=base, head=head)
    assert survey.plan is not None, survey.problems
    return survey.plan


async def test_only_what_is_declared_otherwise_is_in_it() -> None:
    world = World()
    base = world.start_repository(FIRST)
    head = world.push(
        {
            "apps/a/limits.yaml": config_map("limits", "2"),
            "apps/a/more.yaml": config_map("more"),
            "apps/b/other.yaml": None,
        }
    )
    plan = await compared(world, base, head)
    assert {(c.key.name, c.action) for _, c in plan.all_changes()} == {
        ("limits", Action.UPDATE),
        ("more", Action.CREATE),
        ("other", Action.DELETE),
    }


async def test_no_cluster_is_asked() -> None:
    world = World()
    base = world.start_repository(FIRST)
    head = world.push({"apps/a/limits.yaml": config_map("limits", "2")})
    await compared(world, base, head)
    assert world.cluster.requests == []


async def test_a_revert_compares_to_nothing() -> None:
    world = World()
    base = world.start_repository(FIRST)
    changed = world.push({"apps/a/limits.yaml": config_map("limits", "2")})
    reverted = world.repository.revert(changed)
    assert (await compared(world, base, reverted)).empty


async def test_an_object_that_moves_to_another_unit_is_no_deletion() -> None:
    world = World()
    base = world.start_repository(FIRST)
    head = world.push(
        {"apps/a/limits.yaml": None, "apps/b/limits.yaml": FIRST["apps/a/limits.yaml"]}
    )
    plan = await compared(world, base, head)
    assert [c.action for _, c in plan.all_changes()] == [Action.UPDATE]


async def test_deletions_are_held_against_the_budget_of_the_base() -> None:
    world = World()
    base = world.start_repository(FIRST, percent=0, objects=0)
    generous = policy(percent=100, objects=100)
    head = world.push({"apps/b/other.yaml": None, "fairlead.yaml": generous})
    assert (await compared(world, base, head)).refused


async def test_the_text_says_that_no_cluster_was_asked_and_has_no_digest_to_approve() -> None:
    world = World()
    base = world.start_repository(FIRST)
    head = world.push({"apps/a/limits.yaml": config_map("limits", "2")})
    plan = await compared(world, base, head)
    text = plain_text(intent_lines(plan_view(plan)))
    assert "no cluster was asked" in text
    assert plan.digest not in text


async def test_a_commit_that_does_not_validate_has_problems() -> None:
    world = World()
    base = world.start_repository(FIRST)
    head = world.push({"apps/a/limits.yaml": b"kind: ["})
    await world.repository.fetch()
    survey = await compare(world.repository, base=base, head=head)
    assert survey.plan is None
    assert survey.problems

"""What a pull request says of the versions of secrets that merging it would bring."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.core.change_requests import CheckState
from tests.reviewing.world import ReviewWorld

from .memory_server import MemoryVault, memory_vault
from .test_pinning import PATH, SecretWorld, model

pytestmark = pytest.mark.looptime

ADDED = {"model.yaml": model(f"{PATH}#token")}


class ReviewedSecrets(SecretWorld, ReviewWorld):
    """With a forge beside cluster and store."""


@pytest.fixture
def vault() -> Iterator[MemoryVault]:
    with memory_vault() as vault:
        yield vault


@pytest.fixture
async def world(vault: MemoryVault, tmp_path: Path) -> ReviewedSecrets:
    world = ReviewedSecrets(vault, tmp_path)
    world.begin("kv/risk/other#token")
    return world


async def test_the_plan_has_the_version_that_merging_now_would_bring(
    world: ReviewedSecrets,
) -> None:
    async with world.both() as (engine, reviewer):
        number = world.open(ADDED)
        reviewer.hint()
        await world.until_state(number, CheckState.SUCCESS)
        assert 'annotations["fairlead.dev/secrets"]: "s0@7"' in world.comment(number)
        assert len(await world.store.pins()) == 1
        merged = await world.merge(number)
        await world.until_applied(engine, merged)
        assert world.brought() == "s0@7"


async def test_a_fork_asks_no_store_and_says_what_will_be_decided(world: ReviewedSecrets) -> None:
    async with world.both() as (_, reviewer):
        world.versions.asked.clear()
        number = world.open(ADDED, author="mallory", fork=True)
        reviewer.hint()
        await world.until_state(number, CheckState.WAITING)
        assert "names no version" in world.comment(number)
        assert world.versions.asked == []


async def test_a_secret_that_is_nowhere_is_said_before_the_merge(world: ReviewedSecrets) -> None:
    async with world.both() as (_, reviewer):
        number = world.open({"model.yaml": model("kv/risk/missing#token")})
        reviewer.hint()
        await world.until_title(number, "cannot be decided")

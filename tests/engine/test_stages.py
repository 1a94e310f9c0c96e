"""Several clusters: waves are barriers; one that is away holds up only what follows it."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.core.identifiers import ClusterName
from reconciler.core.ledger import Standing
from reconciler.core.plans import WaitReason
from tests.engine.world import BROKEN, STUCK, World, config_map, config_map_key, policy

pytestmark = pytest.mark.looptime

STAGING, PRODUCTION = ClusterName("staging"), ClusterName("production")

ROLLOUT = b"""\
apiVersion: fairlead.dev/v1alpha1
kind: Rollout
metadata: {name: fraud}
spec:
  model: fraud
  version: v1
  namespace: team-a
  waves:
  - clusters: {env: staging}
  - clusters: {env: production}
"""


def model(digit: str = "a") -> bytes:
    """A model whose server has an image of this digit."""
    return f"""\
apiVersion: fairlead.dev/v1alpha1
kind: Model
metadata: {{name: fraud}}
spec:
  owner: team-risk
  versions:
  - name: v1
    artifact: oci://registry.example.com/models/fraud@sha256:{"1" * 64}
  serving:
    runtime: deployment
    container:
      image: registry.example.com/serve@sha256:{digit * 64}
      port: 8000
""".encode()


def files(digit: str = "a") -> dict[str, bytes | None]:
    return {"models/fraud.yaml": model(digit), "rollouts/fraud.yaml": ROLLOUT}


def served(world: World, cluster: str) -> str | None:
    """The image digit that a cluster serves."""
    found = world.clusters[ClusterName(cluster)]
    for key in world.objects(cluster):
        if key.kind == "Deployment":
            body = found.peek(key)
            return body["spec"]["template"]["spec"]["containers"][0]["image"][-1]
    return None


def standing(engine, cluster: ClusterName) -> Standing | None:
    states = engine.books.ledger(cluster).units
    return next((s.standing for name, s in states.items() if "fraud" in name), None)


def make_ready(world: World, cluster: str) -> None:
    from reconciler.adapters.cluster_memory_status import becomes_ready

    found = world.clusters[ClusterName(cluster)]
    for key in world.objects(cluster):
        if key.kind == "Deployment":
            found.set_status(key, becomes_ready(found.peek(key)))


async def test_production_comes_after_staging_is_healthy() -> None:
    world = World("staging", "production")
    async with world.running() as engine:
        await world.until_applied(engine, world.start_repository(files()))
        second = world.push(files(STUCK))
        await world.until(lambda: served(world, "staging") == STUCK)
        await asyncio.sleep(300)
        assert served(world, "production") == "a"
        make_ready(world, "staging")
        await world.until(lambda: served(world, "production") == STUCK)
        make_ready(world, "production")
        await world.until_applied(engine, second)


async def test_production_waits_for_staging_also_after_a_restart() -> None:
    world = World("staging", "production")
    async with world.running() as engine:
        await world.until_applied(engine, world.start_repository(files()))
        world.push(files(STUCK))
        await world.until(lambda: served(world, "staging") == STUCK)
    async with world.running() as engine:
        await asyncio.sleep(300)
        assert served(world, "production") == "a"
        make_ready(world, "staging")
        await world.until(lambda: served(world, "production") == STUCK)


async def test_a_failure_in_staging_never_reaches_production() -> None:
    world = World("staging", "production")
    async with world.running() as engine:
        await world.until_applied(engine, world.start_repository(files()))
        writes = len(world.writes("production"))
        world.push(files(BROKEN))
        await world.until(lambda: standing(engine, STAGING) is Standing.HELD)
        await world.until(lambda: served(world, "staging") == "a")
        await asyncio.sleep(3600)
        assert len(world.writes("production")) == writes
        assert standing(engine, PRODUCTION) is Standing.WAITING


async def test_a_failure_in_production_puts_staging_back_too() -> None:
    world = World("staging", "production")
    async with world.running() as engine:
        await world.until_applied(engine, world.start_repository(files()))
        second = world.push(files(STUCK))
        await world.until(lambda: served(world, "staging") == STUCK)
        make_ready(world, "staging")
        await world.until(lambda: standing(engine, PRODUCTION) is Standing.HELD)
        await world.until(lambda: served(world, "staging") == "a")
        await world.until(lambda: served(world, "production") == "a")
        assert second not in engine.books.position.applied.values()


async def test_a_cluster_that_is_away_holds_up_no_other() -> None:
    world = World("one", "two")
    async with world.running() as engine:
        await world.until_applied(
            engine, world.start_repository({"apps/web/a.yaml": config_map("a")})
        )
        world.clusters["two"].stop()
        second = world.push({"apps/web/a.yaml": config_map("a", "2")})
        await world.until(lambda: world.value("a", "one") == "2")
        await world.until(lambda: engine.books.position.applied["one"] == second)
        assert engine.books.position.applied["two"] != second


async def test_a_cluster_that_was_away_converges_when_it_is_back() -> None:
    world = World("one", "two")
    async with world.running() as engine:
        await world.until_applied(
            engine, world.start_repository({"apps/web/a.yaml": config_map("a")})
        )
        world.clusters["two"].stop()
        world.push({"apps/web/a.yaml": config_map("a", "2")})
        await world.until(lambda: world.value("a", "one") == "2")
        third = world.push({"apps/web/b.yaml": config_map("b")})
        await asyncio.sleep(600)
        world.clusters["two"].start()
        await world.until_applied(engine, third)
        assert (world.value("a", "two"), world.value("b", "two")) == ("2", "1")


async def test_a_new_type_does_not_make_other_clusters_wait_for_one_that_is_away() -> None:
    from tests.engine.world import role

    world = World("one", "two")
    async with world.running() as engine:
        await world.until_applied(
            engine, world.start_repository({"apps/web/a.yaml": config_map("a")})
        )
        world.clusters["two"].stop()
        second = world.push({"apps/web/r.yaml": role("reader", "get")})
        await world.until(lambda: engine.books.position.applied["one"] == second)


async def test_production_waits_while_staging_cannot_be_seen() -> None:
    world = World("staging", "production")
    async with world.running() as engine:
        await world.until_applied(engine, world.start_repository(files()))
        world.clusters[STAGING].stop()
        second = world.push(files("b"))
        await asyncio.sleep(600)
        assert served(world, "production") == "a"
        waiting = [w.reason for c in engine.reconciler.plan.clusters for w in c.waiting]
        assert set(waiting) == {WaitReason.CLUSTER_STALE, WaitReason.EARLIER_STAGE}
        world.clusters[STAGING].start()
        await world.until_applied(engine, second)


async def test_a_cluster_that_was_away_when_staging_failed_is_spared_the_same_failure() -> None:
    world = World("staging", "production")
    async with world.running() as engine:
        await world.until_applied(engine, world.start_repository(files()))
        world.clusters[PRODUCTION].stop()
        world.push(files(BROKEN))
        await world.until(lambda: standing(engine, STAGING) is Standing.HELD)
        world.clusters[PRODUCTION].start()
        await asyncio.sleep(600)
        assert served(world, "production") == "a"


async def test_a_stale_cluster_is_shown_as_stale() -> None:
    world = World("one", "two")
    async with world.running() as engine:
        await world.until_applied(
            engine, world.start_repository({"apps/web/a.yaml": config_map("a")})
        )
        world.clusters["two"].stop()
        await asyncio.sleep(1)
        assert engine.leader.sessions[ClusterName("two")].observer.stale


async def test_a_cluster_without_settings_waits_and_says_so() -> None:
    world = World("one")
    async with world.running() as engine:
        world.push(
            {
                "fairlead.yaml": policy("one", "elsewhere"),
                "clusters/one.yaml": cluster("one"),
                "clusters/elsewhere.yaml": cluster("elsewhere"),
                "apps/web/a.yaml": config_map("a"),
            }
        )
        await world.until(lambda: world.value("a") == "1")
        await world.until(lambda: engine.reconciler.plan is not None)
        (waiting,) = [w for c in engine.reconciler.plan.clusters for w in c.waiting]
        assert "no settings" in waiting.explanation


def cluster(name: str) -> bytes:
    from tests.engine.world import cluster_document

    return cluster_document(name, env=name)


async def test_a_cluster_that_the_repository_leaves_is_cleaned_within_the_budget() -> None:
    world = World("one", "two")
    async with world.running() as engine:
        await world.until_applied(
            engine, world.start_repository({"apps/web/a.yaml": config_map("a")})
        )
        world.push({"fairlead.yaml": policy("one"), "clusters/two.yaml": None})
        await world.until(
            lambda: world.clusters["two"].peek(config_map_key("a")) is None, seconds=60
        )
        assert world.value("a", "one") == "1"


@pytest.mark.parametrize("away", ["staging", "next"])
async def test_a_model_that_moves_to_another_cluster_is_served_until_it_is_there(away: str) -> None:
    world = World("staging", "production", "next")
    first = world.start_repository(files())
    async with world.running() as engine:
        await world.until_applied(engine, first)
        world.clusters[ClusterName(away)].stop()
        await asyncio.sleep(5)
        moved = world.push(
            {"rollouts/fraud.yaml": ROLLOUT.replace(b"env: production", b"env: next")}
        )
        await world.until(lambda: engine.branch.head == moved)
        await asyncio.sleep(600)
        assert (served(world, "production"), served(world, "next")) == ("a", None)
        world.clusters[ClusterName(away)].start()
        await world.until_applied(engine, moved)
        assert (served(world, "production"), served(world, "next")) == (None, "a")


async def test_a_model_leaves_its_cluster_only_after_it_is_healthy_in_the_next() -> None:
    world = World("staging", "production", "next")
    first = world.start_repository(files())
    async with world.running() as engine:
        await world.until_applied(engine, first)
        waves = ROLLOUT.replace(b"env: production", b"env: next")
        world.push({"rollouts/fraud.yaml": waves, **{"models/fraud.yaml": model(STUCK)}})
        await world.until(lambda: served(world, "staging") == STUCK)
        make_ready(world, "staging")
        await world.until(lambda: served(world, "next") == STUCK)
        await asyncio.sleep(60)
        assert served(world, "production") == "a"
        make_ready(world, "next")
        await world.until(lambda: served(world, "production") is None)


async def test_a_commit_that_no_api_server_has_seen_is_not_in_force() -> None:
    world = World()
    first = world.start_repository({"apps/web/a.yaml": config_map("a")})
    async with world.running() as engine:
        await world.until_applied(engine, first)
        world.cluster.stop()
        second = world.push({"apps/web/a.yaml": config_map("a", "2")})
        await world.until(lambda: engine.branch.head == second)
        await asyncio.sleep(5)
        assert engine.books.position.accepted == first
        world.cluster.start()
        await world.until_applied(engine, second)

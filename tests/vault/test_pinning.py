"""Which version of a secret a commit brings, and what moves it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from reconciler.adapters.cluster_vault import VaultCluster
from reconciler.adapters.lease_memory import MemoryLeaseStore
from reconciler.adapters.secret_versions_memory import MemorySecretVersions
from reconciler.adapters.vault_connection import TokenFile, VaultAccess
from reconciler.core.audit.records import Verb
from reconciler.core.identifiers import ClusterName, CommitSha
from reconciler.core.secret_versions import Pin
from reconciler.engine.driving import Engine
from reconciler.engine.pinning import LOOK_SECONDS
from reconciler.engine.surveying import compare
from reconciler.secret_ports import SecretStores
from reconciler.surfaces.engine_status import EngineStatus
from tests.engine.mortality import Killed, Life, MortalStore
from tests.engine.world import World, deployment_key, policy

from .immediate import Immediate
from .memory_server import MemoryVault, memory_vault

pytestmark = pytest.mark.looptime

STORE = ClusterName("vault-main")
PATH, OTHER = "kv/risk/fraud", "kv/risk/other"

CLUSTERS = b"""\
apiVersion: fairlead.dev/v1alpha1
kind: Cluster
metadata: {name: one, labels: {env: one}}
spec: {secretDelivery: {vault: {method: agent, store: vault-main}}}
---
apiVersion: fairlead.dev/v1alpha1
kind: Cluster
metadata: {name: vault-main}
spec: {vault: {}}
"""


def model(*sources: str, replicas: int = 2) -> bytes:
    wanted = ", ".join(
        f'{{name: s{number}, from: "vault:{source}"}}' for number, source in enumerate(sources)
    )
    return f"""\
apiVersion: fairlead.dev/v1alpha1
kind: Model
metadata: {{name: fraud}}
spec:
  owner: team-a
  versions:
  - {{name: v1, artifact: oci://r.example.com/fraud@sha256:{"1" * 64}}}
  - {{name: v2, artifact: oci://r.example.com/fraud@sha256:{"2" * 64}}}
  serving:
    runtime: deployment
    container: {{image: r.example.com/serve@sha256:{"a" * 64}, port: 8000}}
    replicas: {replicas}
    secrets: [{wanted}]
""".encode()


def rollout(version: str) -> bytes:
    return f"""\
apiVersion: fairlead.dev/v1alpha1
kind: Rollout
metadata: {{name: fraud}}
spec: {{model: fraud, version: {version}, namespace: team-a, waves: [{{clusters: {{env: one}}}}]}}
""".encode()


class SecretWorld(World):
    """A cluster, and a Vault that gets policies and tells versions."""

    def __init__(self, vault: MemoryVault, directory: Path) -> None:
        super().__init__("one")
        token = directory / "token"
        token.write_text(vault.token)
        connection = Immediate(VaultAccess(vault.address, TokenFile(token)), self.clock)
        store = VaultCluster(STORE, connection, clock=self.clock)
        self.clusters = {**self.clusters, STORE: store}  # type: ignore[dict-item]
        self.leases[STORE] = MemoryLeaseStore()
        self.versions = MemorySecretVersions({PATH: 7, OTHER: 3})

    def begin(self, *sources: str) -> CommitSha:
        return self.push(
            {
                "fairlead.yaml": policy("one", STORE),
                "clusters.yaml": CLUSTERS,
                "model.yaml": model(*(sources or (f"{PATH}#token",))),
                "rollout.yaml": rollout("v1"),
            }
        )

    @asynccontextmanager
    async def running(self, **replaced: object) -> AsyncIterator[Engine]:
        replaced.setdefault("stores", SecretStores({STORE: self.versions}))
        async with super().running(**replaced) as engine:
            yield engine

    def brought(self, version: str = "v1") -> str | None:
        """What the pods of a version of the model are given: names and versions."""
        body: Any = self.cluster.peek(deployment_key(f"fraud-{version}"))
        if body is None:
            return None
        return str(body["spec"]["template"]["metadata"]["annotations"]["fairlead.dev/secrets"])

    def notices(self, engine: Engine) -> str:
        status = EngineStatus(engine, repository="acme", clock=self.clock).status()
        return "\n".join(status.notices)


@pytest.fixture
def vault() -> Iterator[MemoryVault]:
    with memory_vault() as vault:
        yield vault


@pytest.fixture
async def world(vault: MemoryVault, tmp_path: Path) -> SecretWorld:
    return SecretWorld(vault, tmp_path)


async def test_a_commit_brings_the_version_that_is_current_when_it_is_accepted(
    world: SecretWorld,
) -> None:
    first = world.begin()
    async with world.running() as engine:
        await world.until_applied(engine, first)
    assert world.brought() == "s0@7"
    pin = Pin("Model/fraud@v1", "vault/vault-main", f"vault:{PATH}#token", "7")
    assert list(await world.store.pins()) == [pin]
    [accepted] = [r for r in await world.records() if r.verb is Verb.ACCEPT]
    assert accepted.detail["pins"] == [
        {"owner": pin.owner, "store": pin.store, "reference": pin.reference, "version": "7"}
    ]
    assert world.versions.asked == [PATH]


async def test_a_rotation_moves_nothing_and_is_told(world: SecretWorld) -> None:
    first = world.begin()
    async with world.running() as engine:
        await world.until_applied(engine, first)
        written = world.writes()
        world.versions.rotate(PATH)
        await asyncio.sleep(LOOK_SECONDS + 1)
        assert "is at version 7, and vault/vault-main has 8" in world.notices(engine)
        second = world.push({"model.yaml": model(f"{PATH}#token", replicas=3)})
        await world.until_applied(engine, second)
        assert world.brought() == "s0@7"
    assert len(world.writes()) == len(written) + 1


async def test_a_version_in_the_document_that_is_not_the_newest_is_told(
    world: SecretWorld,
) -> None:
    first = world.begin(f"{PATH}#token@5")
    async with world.running() as engine:
        await world.until_applied(engine, first)
        assert world.versions.asked == []
        await asyncio.sleep(LOOK_SECONDS + 1)
        assert "is at version 5, and vault/vault-main has 7" in world.notices(engine)


async def test_a_store_that_is_away_is_told_once_and_what_is_newer_is_not_known(
    world: SecretWorld,
) -> None:
    first = world.begin(f"{PATH}#token", f"{OTHER}#token")
    async with world.running() as engine:
        await world.until_applied(engine, first)
        world.versions.away = True
        await asyncio.sleep(LOOK_SECONDS + 1)
        assert world.notices(engine).count("what vault/vault-main has now is not known") == 1


async def test_a_new_version_of_the_model_takes_what_is_current(world: SecretWorld) -> None:
    first = world.begin()
    async with world.running() as engine:
        await world.until_applied(engine, first)
        world.versions.rotate(PATH)
        await world.until_applied(engine, world.push({"rollout.yaml": rollout("v2")}))
        assert world.brought("v2") == "s0@8"


async def test_a_version_in_the_document_moves_it_and_a_revert_moves_it_back(
    world: SecretWorld,
) -> None:
    first = world.begin()
    async with world.running() as engine:
        await world.until_applied(engine, first)
        before = world.cluster.peek(deployment_key("fraud-v1"))
        world.versions.rotate(PATH)
        named = world.push({"model.yaml": model(f"{PATH}#token@8")})
        await world.until_applied(engine, named)
        assert world.brought() == "s0@8"
        reverted = world.push({"model.yaml": model(f"{PATH}#token")})
        await world.until_applied(engine, reverted)
        after = world.cluster.peek(deployment_key("fraud-v1"))
    assert before is not None
    assert after is not None
    assert after["spec"] == before["spec"]


async def test_keys_of_one_secret_are_of_one_version(world: SecretWorld) -> None:
    first = world.begin(f"{PATH}#user", f"{PATH}#password", f"{OTHER}#token")
    async with world.running() as engine:
        await world.until_applied(engine, first)
    assert world.brought() == "s0@7 s1@7 s2@3"
    assert world.versions.asked == [PATH, OTHER]


async def test_a_daemon_that_starts_again_asks_nothing_and_writes_nothing(
    world: SecretWorld,
) -> None:
    first = world.begin()
    async with world.running() as engine:
        await world.until_applied(engine, first)
    world.versions.rotate(PATH)
    world.versions.asked.clear()
    written = world.writes()
    async with world.running() as engine:
        await world.until(lambda: engine.reconciler.plan is not None)
        await asyncio.sleep(60)
    assert world.versions.asked == []
    assert world.writes() == written


async def test_a_store_that_is_away_lets_the_commit_wait_and_the_last_one_stay(
    world: SecretWorld,
) -> None:
    first = world.begin()
    async with world.running() as engine:
        await world.until_applied(engine, first)
        world.versions.away = True
        second = world.push({"model.yaml": model(f"{PATH}#token", f"{OTHER}#token", replicas=5)})
        await world.until(lambda: "waits" in world.notices(engine))
        assert "the secret store does not answer" in world.notices(engine)
        world.cluster.edit_as("kubectl", deployment_key("fraud-v1"), _scaled)
        await world.until(lambda: _replicas(world) == 2)
        assert engine.books.position.accepted == first
        assert engine.books.position.refused is None
        world.versions.away = False
        await world.until_applied(engine, second)
        assert world.brought() == "s0@7 s1@3"
        assert "waits" not in world.notices(engine)


async def test_a_secret_that_is_nowhere_refuses_the_commit_until_it_is_there(
    world: SecretWorld,
) -> None:
    first = world.begin()
    async with world.running() as engine:
        await world.until_applied(engine, first)
        second = world.push({"model.yaml": model("kv/risk/missing#token")})
        await world.until_refused(engine, second)
        assert "kv/risk/missing" in engine.books.position.explanation
        [refusal] = [r for r in await world.records() if r.verb is Verb.REFUSE]
        assert refusal.result == "no-secret-version"
        world.versions.rotate("kv/risk/missing")
        await world.until_applied(engine, second)
    assert world.brought() == "s0@1"


async def test_a_store_without_settings_is_not_asked_and_that_is_told(world: SecretWorld) -> None:
    first = world.begin()
    async with world.running(stores=SecretStores()) as engine:
        await world.until_applied(engine, first)
        assert "is not pinned" in world.notices(engine)
    assert world.brought() == "s0"


async def test_a_plan_that_asks_no_store_says_that_the_version_is_decided_later(
    world: SecretWorld,
) -> None:
    first = world.begin()
    second = world.push({"model.yaml": model(f"{PATH}#token", f"{OTHER}#token@3")})
    await world.repository.fetch()
    survey = await compare(world.repository, base=first, head=second)
    assert survey.plan is not None
    told = [notice for notice in survey.plan.notices if "names no version" in notice]
    assert told == [
        f"vault:{PATH}#token of Model/fraud@v1 names no version: the one that is current when "
        "this is merged is taken"
    ]


@pytest.mark.parametrize("point", range(4))
async def test_a_daemon_killed_around_the_acceptance_never_brings_two_versions(
    world: SecretWorld, point: int
) -> None:
    first = world.begin()
    life = Life(dies_at=point)
    with suppress(Killed):
        async with world.running(store=MortalStore(world.store, life)):
            await world.until(lambda: life.dead)
    decided = list(await world.store.pins())
    world.versions.rotate(PATH)
    async with world.running() as engine:
        await world.until_applied(engine, first)
    [pin] = await world.store.pins()
    assert pin.version == (decided[0].version if decided else "8")
    assert world.brought() == f"s0@{pin.version}"


def _scaled(body: Any) -> None:
    body["spec"]["replicas"] = 9


def _replicas(world: SecretWorld) -> int:
    body: Any = world.cluster.peek(deployment_key("fraud-v1"))
    return int(body["spec"]["replicas"])

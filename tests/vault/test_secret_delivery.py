"""A commit that wants a secret makes the right to it, and a revert takes it back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import pytest

from reconciler.adapters.cluster_memory import MemoryCluster
from reconciler.adapters.cluster_vault import VaultCluster
from reconciler.adapters.lease_memory import MemoryLeaseStore
from reconciler.adapters.vault_connection import TokenFile, VaultAccess
from reconciler.core.audit.records import Phase
from reconciler.core.identifiers import ClusterName, ObjectKey
from tests.engine.mortality import Killed, Life, MortalCluster, MortalStore
from tests.engine.rollout_world import RolloutWorld
from tests.engine.world import World, config_map, deployment_key, policy

from .immediate import Immediate
from .memory_server import MemoryVault, memory_vault

pytestmark = pytest.mark.looptime

T = TypeVar("T")
Worlds: TypeAlias = "Callable[..., World]"
DIGEST = "sha256:" + "ab" * 32
STORE = ClusterName("vault-main")
NAME = "acme.rollout.fraud"
POLICY, ROLE = f"sys/policies/acl/{NAME}", f"auth/kubernetes/role/{NAME}"
AGENT_POLICY = "sys/policies/acl/acme.agent.bot"
AGENT_ROLE = "auth/kubernetes/role/acme.agent.bot"

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

AGENT = b"""\
apiVersion: fairlead.dev/v1alpha1
kind: AgentScope
metadata: {name: bot}
spec:
  purpose: evaluation
  secrets: ["vault:kv/risk/eval/*"]
  token: {audience: models}
  expires: 2027-01-01
"""


def model(*secrets: str, version: str = "v1", strategy: str = "") -> bytes:
    wanted = ", ".join(f'{{name: {s.partition("#")[2]}, from: "vault:{s}"}}' for s in secrets)
    listed = "".join(
        f"  - {{name: {name}, artifact: oci://r.example.com/fraud@sha256:{digit * 64}}}\n"
        for name, digit in (("v1", "1"), ("v2", "2"))
    )
    return f"""\
apiVersion: fairlead.dev/v1alpha1
kind: Model
metadata: {{name: fraud}}
spec:
  owner: team-a
  versions:
{listed}\
  serving:
    runtime: deployment
    container: {{image: r.example.com/serve@{DIGEST}, port: 8000}}
    secrets: [{wanted}]
    route: {{hostnames: [fraud.example.com]}}
---
apiVersion: fairlead.dev/v1alpha1
kind: Rollout
metadata: {{name: fraud}}
spec:
  model: fraud
  version: {version}
  namespace: team-a
  waves: [{{clusters: {{env: one}}}}]
{strategy}""".encode()


@pytest.fixture
def vault() -> Iterator[MemoryVault]:
    with memory_vault() as vault:
        yield vault


def with_store(world: World, vault: MemoryVault, directory: Path) -> None:
    token = directory / "token"
    token.write_text(vault.token)
    connection = Immediate(VaultAccess(vault.address, TokenFile(token)), world.clock)
    store = VaultCluster(STORE, connection, clock=world.clock)
    world.clusters = {**world.clusters, STORE: store}  # type: ignore[dict-item]
    world.leases[STORE] = MemoryLeaseStore()


@pytest.fixture
def worlds(vault: MemoryVault, tmp_path: Path) -> Worlds:
    """Makes worlds: their clocks begin in the test, whose time is virtual."""

    def make(kind: type[World] = World) -> World:
        world = kind("one")
        with_store(world, vault, tmp_path)
        return world

    return make


def repository(**files: bytes) -> dict[str, bytes | None]:
    return {
        "fairlead.yaml": policy("one", STORE),
        "clusters/one.yaml": CLUSTERS,
        **{f"{name}.yaml": content for name, content in files.items()},
    }


def granted(vault: MemoryVault, path: str = POLICY) -> str:
    return str(vault.contents.get(path, {}).get("policy") or "\n").partition("\n")[2]


def pods(cluster: MemoryCluster, version: str = "v1") -> dict[str, Any]:
    body: Any = cluster.peek(deployment_key(f"fraud-{version}"))
    return dict(body["spec"]["template"]["metadata"]["annotations"]) if body else {}


async def test_one_commit_makes_the_right_and_the_way_and_a_revert_takes_both_back(
    worlds: Worlds, vault: MemoryVault
) -> None:
    world = worlds()
    first = world.push(repository(models=model()))
    async with world.running() as engine:
        await world.until_applied(engine, first)
        assert "vault.hashicorp.com/role" not in pods(world.cluster)
        second = world.push({"models.yaml": model("kv/risk/fraud#hf-token")})
        await world.until_applied(engine, second)
        assert granted(vault) == 'path "kv/data/risk/fraud" { capabilities = ["read"] }\n'
        assert vault.contents[ROLE]["bound_service_account_names"] == ["fraud"]
        assert vault.contents[ROLE]["bound_service_account_namespaces"] == ["team-a"]
        assert vault.contents[ROLE]["token_max_ttl"] == 900
        assert pods(world.cluster)["vault.hashicorp.com/role"] == NAME
        third = world.push({"models.yaml": model()})
        await world.until_applied(engine, third)
        assert {POLICY, ROLE}.isdisjoint(vault.contents)
        assert "vault.hashicorp.com/role" not in pods(world.cluster)
    made = [r for r in await world.records(Phase.INTENT) if r.cluster == STORE]
    assert {record.commit for record in made} == {second, third}


async def test_the_right_is_there_before_the_pods_and_gone_before_they_change(
    worlds: Worlds, vault: MemoryVault
) -> None:
    world = worlds()
    first = world.push(repository(models=model()))
    async with world.running() as engine:
        await world.until_applied(engine, first)
        await world.until_applied(engine, world.push({"models.yaml": model("kv/a#x")}))
        await world.until_applied(engine, world.push({"models.yaml": model()}))
    kinds = ("VaultPolicy", "VaultKubernetesRole", "Deployment")
    done = [r for r in await world.records(Phase.OUTCOME) if r.object and r.object.kind in kinds]
    written = [record.object.kind for record in done if record.commit != first and record.object]
    assert [kind == "Deployment" for kind in written] == [False, False, True, False, False, True]


async def test_what_a_new_secret_takes_away_goes_before_what_it_gives(
    worlds: Worlds, vault: MemoryVault
) -> None:
    world = worlds()
    first = world.push(repository(models=model("kv/a#x")))
    async with world.running() as engine:
        await world.until_applied(engine, first)
        before = len(vault.requests)
        seen: list[str] = []
        answer = vault.answer

        def noted(verb: str, path: str, body: dict[str, Any], token: str) -> tuple[int, Any]:
            answered = answer(verb, path, body, token)
            if verb != "GET" and path == POLICY:
                seen.append(granted(vault))
            return answered

        vault.answer = noted  # type: ignore[method-assign]
        await world.until_applied(engine, world.push({"models.yaml": model("kv/b#x")}))
        assert before < len(vault.requests)
        assert ["kv/data/a" in text for text in seen] == [False, False]
        assert ["kv/data/b" in text for text in seen] == [False, True]


async def test_no_pod_changes_while_its_right_cannot_be_given(
    worlds: Worlds, vault: MemoryVault
) -> None:
    world = worlds()
    first = world.push(repository(models=model("kv/a#x")))
    async with world.running() as engine:
        await world.until_applied(engine, first)
        vault.sealed = True
        await asyncio.sleep(30)
        world.push({"models.yaml": model("kv/b#x"), "apps/x/one.yaml": config_map("one")})
        await world.until(lambda: world.value("one") == "1")
        await asyncio.sleep(60)
        before = "vault.hashicorp.com/agent-inject-secret-x"
        assert pods(world.cluster)[before] == "kv/data/a"
        waiting = [w.explanation for c in engine.reconciler.plan.clusters for w in c.waiting]
        assert any("vault-main comes first" in text for text in waiting)
        vault.sealed = False
        await world.until(lambda: pods(world.cluster)[before] == "kv/data/b")
        assert granted(vault) == 'path "kv/data/b" { capabilities = ["read"] }\n'


async def test_taking_a_right_away_waits_for_no_budget(worlds: Worlds, vault: MemoryVault) -> None:
    world = worlds()
    rules = {"fairlead.yaml": policy("one", STORE, percent=1, objects=0)}
    first = world.push(repository(models=model("kv/a#x")) | rules)
    async with world.running() as engine:
        await world.until_applied(engine, first)
        await world.until_applied(engine, world.push({"models.yaml": model()}))
        assert POLICY not in vault.contents


CANARY = """\
  strategy:
    canary: {steps: [{weight: 5%, requests: 20}, {weight: 100%}]}
    keepWarm: 10m
"""


async def test_a_version_that_may_be_gone_back_to_keeps_what_it_reads(
    worlds: Worlds, vault: MemoryVault
) -> None:
    world = worlds(RolloutWorld)
    gateway = "  defaults: {gateway: {name: models, namespace: gateways}}\n"
    rules = policy("one", STORE, extra=gateway)
    first = world.push(
        repository(models=model("kv/a#x", strategy=CANARY)) | {"fairlead.yaml": rules}
    )
    async with world.running() as engine:
        await world.until_applied(engine, first)
        world.push({"models.yaml": model("kv/b#x", version="v2", strategy=CANARY)})
        await world.until(lambda: bool(pods(world.cluster, "v2")))
        assert "kv/data/a" in granted(vault)
        assert "kv/data/b" in granted(vault)
        await world.until(lambda: "kv/data/a" not in granted(vault), seconds=3600)
        assert "kv/data/b" in granted(vault)
        assert not pods(world.cluster, "v1")


async def test_an_agent_reads_until_its_scope_is_over(worlds: Worlds, vault: MemoryVault) -> None:
    world = worlds()
    first = world.push(repository(agents=AGENT))
    world.clock.now()
    await asyncio.sleep(timedelta(hours=23, minutes=50).total_seconds())
    async with world.running() as engine:
        await world.until_applied(engine, first)
        assert granted(vault, AGENT_POLICY) == (
            'path "kv/data/risk/eval/*" { capabilities = ["read"] }\n'
        )
        assert vault.contents[AGENT_ROLE]["bound_service_account_namespaces"] == ["agent-bot"]
        await world.until(lambda: AGENT_ROLE not in vault.contents, seconds=3600)
        await world.until(lambda: AGENT_POLICY not in vault.contents)
        assert ObjectKey("", "Namespace", "", "agent-bot") in world.objects()


async def test_nothing_but_rights_is_put_into_a_store(worlds: Worlds, vault: MemoryVault) -> None:
    world = worlds()
    first = world.push(repository(models=model("kv/a#x"), agents=AGENT))
    async with world.running() as engine:
        await world.until_applied(engine, first)
    markers = {"sys/policies/acl/fairlead-role-acme.agent.bot"}
    markers.add(f"sys/policies/acl/fairlead-role-{NAME}")
    assert vault.contents.keys() - markers == {POLICY, ROLE, AGENT_POLICY, AGENT_ROLE}
    assert not [path for _, path in vault.requests if path.startswith("kv/data")]


async def lived(
    world: World, history: list[Mapping[str, bytes | None]], dies_at: int | None
) -> int:
    """Pushes the commits to an engine that dies at a point; returns the points that it passed."""
    life = Life(dies_at)
    ports = {
        "store": MortalStore(world.store, life),
        "clusters": {n: MortalCluster(c, life, world.store) for n, c in world.clusters.items()},
    }
    try:
        async with world.running(**ports) as engine:
            for files in history:
                commit = world.push(files)
                await world.until(lambda: life.dead or _applied(world, engine, commit))  # noqa: B023
    except Killed:
        pass
    return life.points


def _applied(world: World, engine: Any, commit: str) -> bool:
    position = engine.books.position
    return all(position.applied.get(name) == commit for name in world.clusters)


async def test_whoever_carries_on_after_a_death_leaves_neither_right_nor_way_behind(
    worlds: Worlds, vault: MemoryVault
) -> None:
    history: list[Mapping[str, bytes | None]] = [
        repository(models=model("kv/a#x")),
        {"models.yaml": model("kv/b#x")},
    ]

    points = await lived(worlds(), history, None)
    for point in range(0, points, 5):
        vault.contents.clear()
        world = worlds()
        await lived(world, history, point)
        last = world.push({"models.yaml": model("kv/b#x"), "note.txt": str(point).encode()})
        async with world.running() as engine:
            await world.until(lambda: _applied(world, engine, last))  # noqa: B023
            assert granted(vault) == 'path "kv/data/b" { capabilities = ["read"] }\n', point
            assert pods(world.cluster)["vault.hashicorp.com/agent-inject-secret-x"] == "kv/data/b"

"""The engine keeps the policies of a secret store as it keeps everything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.adapters.cluster_vault import VaultCluster
from reconciler.adapters.vault_connection import TokenFile, VaultAccess
from reconciler.core.audit.records import Phase
from reconciler.core.identifiers import ClusterName, CommitSha
from tests.engine.world import World
from tests.engine.world import policy as policy_document

from .conftest import Vault
from .immediate import Immediate

pytestmark = pytest.mark.looptime

PATH = "sys/policies/acl/agent-eval-bot"
ALLOWED = "    - VaultPolicy.vault.fairlead.dev\n    - VaultKubernetesRole.vault.fairlead.dev\n"


def policy(path: str) -> bytes:
    return f"""\
apiVersion: vault.fairlead.dev/v1
kind: VaultPolicy
metadata: {{name: agent-eval-bot}}
spec:
  policy: |
    path "{path}" {{ capabilities = ["read"] }}
""".encode()


@pytest.fixture
async def world(vault: Vault, tmp_path: Path) -> World:
    token = tmp_path / "token"
    token.write_text(vault.daemon_token())
    world = World("vault-main")
    name = ClusterName("vault-main")
    connection = Immediate(VaultAccess(vault.address, TokenFile(token)), world.clock)
    world.clusters = {name: VaultCluster(name, connection, clock=world.clock)}  # type: ignore[dict-item]
    return world


def text(vault: Vault) -> str:
    return str((vault.read(PATH) or {}).get("policy", "\n")).partition("\n")[2]


def policy_of_the_repository() -> bytes:
    text = policy_document("vault-main").decode()
    return text.replace("    kinds:\n", f"    kinds:\n{ALLOWED}").encode()


def start(world: World) -> CommitSha:
    files = {"apps/vault/eval-bot.yaml": policy("kv/data/fraud/eval")}
    world.start_repository(files)
    return world.push({"fairlead.yaml": policy_of_the_repository()})


async def test_a_commit_writes_the_policy_and_a_revert_restores_its_text(
    world: World, vault: Vault
) -> None:
    first = start(world)
    async with world.running() as engine:
        await world.until_applied(engine, first)
        before = text(vault)
        assert "kv/data/fraud/eval" in before
        second = world.push({"apps/vault/eval-bot.yaml": policy("kv/data/fraud/other")})
        await world.until_applied(engine, second)
        assert "kv/data/fraud/other" in text(vault)
        third = world.push({"apps/vault/eval-bot.yaml": policy("kv/data/fraud/eval")})
        await world.until_applied(engine, third)
        assert text(vault) == before
    intents = [r for r in await world.records(Phase.INTENT) if r.object]
    outcomes = [r for r in await world.records(Phase.OUTCOME) if r.object]
    # Between two policies with nothing in common stands one that allows nothing.
    assert len(intents) == len(outcomes) == 1 + 2 + 2


async def test_a_policy_that_somebody_changed_is_put_back(world: World, vault: Vault) -> None:
    first = start(world)
    async with world.running() as engine:
        await world.until_applied(engine, first)
        before = text(vault)
        wider = (
            f'{(vault.read(PATH) or {})["policy"]}path "kv/data/*" {{ capabilities = ["read"] }}\n'
        )
        vault.write(PATH, {"policy": wider})
        await world.until(lambda: text(vault) == before)


async def test_a_policy_that_is_no_longer_declared_is_deleted(world: World, vault: Vault) -> None:
    vault.write("sys/policies/acl/theirs", {"policy": 'path "theirs" { capabilities = ["read"] }'})
    first = start(world)
    async with world.running() as engine:
        await world.until_applied(engine, first)
        world.push({"apps/vault/eval-bot.yaml": None})
        await world.until(lambda: vault.read(PATH) is None)
    assert vault.read("sys/policies/acl/theirs") is not None


async def test_a_policy_is_refused_unless_the_repository_allows_its_kind(
    world: World, vault: Vault
) -> None:
    first = world.start_repository({"apps/vault/eval-bot.yaml": policy("kv/data/fraud/eval")})
    async with world.running() as engine:
        await world.until_refused(engine, first)
    assert vault.read(PATH) is None

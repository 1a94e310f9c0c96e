"""What the Cluster port means of a secret store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.cluster_vault import VaultCluster
from reconciler.adapters.vault_connection import TokenFile, VaultAccess, VaultConnection
from reconciler.adapters.vault_objects import API_VERSION, RESOURCES, policy_key, role_key
from reconciler.core.errors import Conflict, Forbidden, Invalid, Missing, Refused, Unavailable
from reconciler.core.identifiers import ClusterName, ObjectKey
from reconciler.core.ownership import owned_digest
from reconciler.core.rights import excessive_rights
from reconciler.core.snapshots import version_of
from reconciler.ports import Gone, Interrupted, Listed, Seen, WatchEvent

from .conftest import Vault
from .memory_server import MemoryVault

TEXT = 'path "kv/data/fraud/eval" { capabilities = ["read"] }\n'
LABELS = {"fairlead.dev/repository": "shop"}
POLICY_PATH = "sys/policies/acl/agent-eval-bot"
ROLE_PATH = "auth/kubernetes/role/agent-eval-bot"
MARKER_PATH = "sys/policies/acl/fairlead-role-agent-eval-bot"


def policy(text: str = TEXT, *, commit: str = "c1") -> Any:
    return {
        "apiVersion": API_VERSION,
        "kind": "VaultPolicy",
        "metadata": {
            "name": "agent-eval-bot",
            "labels": LABELS,
            "annotations": {"fairlead.dev/commit": commit},
        },
        "spec": {"policy": text},
    }


def role(**changes: Any) -> Any:
    spec = {
        "boundServiceAccountNames": ["eval-bot"],
        "boundServiceAccountNamespaces": ["agent-eval-bot"],
        "audience": "vault",
        "tokenPolicies": ["agent-eval-bot"],
        "tokenTtlSeconds": 600,
        "tokenMaxTtlSeconds": 900,
        "aliasNameSource": "serviceaccount_uid",
        **changes,
    }
    return {**policy(), "kind": "VaultKubernetesRole", "spec": spec}


@pytest.fixture
async def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[VaultCluster]:
    """Of `vault`, or of `memory` for tests of what only one in memory can be made to do."""
    both = "vault" in request.fixturenames
    vault: Vault = request.getfixturevalue("vault" if both else "memory")
    token = tmp_path / "token"
    token.write_text(f"{vault.daemon_token()}\n")
    clock = SystemClock()
    connection = VaultConnection(VaultAccess(vault.address, TokenFile(token)), clock)
    cluster = VaultCluster(ClusterName("vault-main"), connection, clock=clock)
    yield cluster
    await cluster.close()


def none_of_it(vault: Vault) -> bool:
    return all(vault.read(path) is None for path in (POLICY_PATH, ROLE_PATH, MARKER_PATH))


def text_in(vault: Vault) -> str:
    """The policy as Vault has it, without the marker."""
    return str((vault.read(POLICY_PATH) or {})["policy"]).partition("\n")[2]


def add(vault: Vault, line: str) -> None:
    """As somebody with too many rights does."""
    vault.write(POLICY_PATH, {"policy": f"{(vault.read(POLICY_PATH) or {})['policy']}{line}"})


async def live(cluster: VaultCluster, body: Any) -> Any:
    return await cluster.get(
        ObjectKey("vault.fairlead.dev", body["kind"], "", "agent-eval-bot"), API_VERSION
    )


@pytest.mark.parametrize("body", [policy(), role()], ids=["policy", "role"])
async def test_what_is_applied_is_read_as_it_was_declared(cluster: VaultCluster, body: Any) -> None:
    applied = await cluster.apply(body, dry_run=False)
    assert applied == await live(cluster, body)
    assert applied["spec"] == body["spec"]
    assert applied["metadata"]["labels"] == LABELS


@pytest.mark.parametrize("body", [policy(), role()], ids=["policy", "role"])
async def test_applying_the_same_again_writes_nothing(
    cluster: VaultCluster, vault: Vault, body: Any
) -> None:
    first = await cluster.apply(body, dry_run=False)
    vault.forget()
    assert await cluster.apply(body, dry_run=False) == first
    assert {verb for verb, _ in vault.asked()} == {"GET"}


@pytest.mark.parametrize("body", [policy(), role()], ids=["policy", "role"])
async def test_a_dry_run_shows_the_result_and_writes_nothing(
    cluster: VaultCluster, vault: Vault, body: Any
) -> None:
    shown: Any = await cluster.apply(body, dry_run=True)
    assert shown["spec"] == body["spec"]
    assert none_of_it(vault)


async def test_a_dry_run_owns_what_the_apply_will_own(cluster: VaultCluster) -> None:
    shown = await cluster.apply(policy(), dry_run=True)
    assert owned_digest(shown) == owned_digest(await cluster.apply(policy(), dry_run=False))


async def test_a_revert_restores_the_text_byte_for_byte(
    cluster: VaultCluster, vault: Vault
) -> None:
    await cluster.apply(policy(), dry_run=False)
    before = text_in(vault)
    await cluster.apply(policy("# nothing\n", commit="c2"), dry_run=False)
    await cluster.apply(policy(commit="c3"), dry_run=False)
    assert text_in(vault) == before == TEXT


async def test_a_text_that_somebody_changed_is_seen_as_drift_and_put_back(
    cluster: VaultCluster, vault: Vault
) -> None:
    ours = await cluster.apply(policy(), dry_run=False)
    add(vault, 'path "kv/data/*" { capabilities = ["read"] }\n')
    drifted = await live(cluster, policy())
    assert owned_digest(drifted) != owned_digest(ours)
    assert version_of(drifted) > version_of(ours)
    with pytest.raises(Conflict):
        await cluster.apply(policy(), dry_run=False)
    restored = await cluster.apply(policy(), dry_run=False, force=True)
    assert owned_digest(restored) == owned_digest(ours)


async def test_a_role_that_somebody_widened_is_seen_and_put_back(
    cluster: VaultCluster, vault: Vault
) -> None:
    ours = await cluster.apply(role(), dry_run=False)
    vault.write(ROLE_PATH, {**(vault.read(ROLE_PATH) or {}), "token_max_ttl": 2_764_800})
    with pytest.raises(Conflict) as caught:
        await cluster.apply(role(), dry_run=True)
    assert [cause.field for cause in caught.value.causes] == [".spec.tokenMaxTtlSeconds"]
    restored = await cluster.apply(role(), dry_run=False, force=True)
    assert owned_digest(restored) == owned_digest(ours)


async def test_what_has_no_marker_is_neither_changed_nor_deleted(
    cluster: VaultCluster, vault: Vault
) -> None:
    theirs = 'path "theirs" { capabilities = ["read"] }'
    vault.write(POLICY_PATH, {"policy": theirs})
    with pytest.raises(Conflict):
        await cluster.apply(policy(), dry_run=False)
    uid = (await live(cluster, policy()))["metadata"]["uid"]
    with pytest.raises(Refused):
        await cluster.delete(policy_key("agent-eval-bot"), API_VERSION, uid=uid)
    assert (vault.read(POLICY_PATH) or {})["policy"] == theirs


@pytest.mark.parametrize("body", [policy(), role()], ids=["policy", "role"])
async def test_deleting_removes_that_incarnation_and_its_marker(
    cluster: VaultCluster, vault: Vault, body: Any
) -> None:
    key = ObjectKey("vault.fairlead.dev", body["kind"], "", "agent-eval-bot")
    applied: Any = await cluster.apply(body, dry_run=False)
    with pytest.raises(Refused):
        await cluster.delete(key, API_VERSION, uid="another")
    uid = applied["metadata"]["uid"]
    assert await cluster.delete(key, API_VERSION, uid=uid) is True
    assert await cluster.delete(key, API_VERSION, uid=uid) is False
    assert none_of_it(vault)


async def test_the_marker_of_a_role_grants_nothing(cluster: VaultCluster, vault: Vault) -> None:
    await cluster.apply(role(), dry_run=False)
    marker = str((vault.read(MARKER_PATH) or {})["policy"])
    assert all(line.startswith("#") for line in marker.splitlines())


async def test_a_role_whose_write_was_lost_after_its_marker_is_written_again(
    cluster: VaultCluster, vault: Vault
) -> None:
    await cluster.apply(role(), dry_run=False)
    vault.remove(ROLE_PATH)
    assert await live(cluster, role()) is None
    applied: Any = await cluster.apply(role(), dry_run=False)
    assert applied["spec"] == role()["spec"]


async def test_no_request_goes_where_values_are(cluster: VaultCluster, vault: Vault) -> None:
    for body in (policy(), role()):
        applied: Any = await cluster.apply(body, dry_run=False)
        key = ObjectKey("vault.fairlead.dev", body["kind"], "", "agent-eval-bot")
        await cluster.delete(key, API_VERSION, uid=applied["metadata"]["uid"])
    await cluster.rights("")
    allowed = ("sys/policies/acl", "auth/kubernetes/role", "sys/capabilities-self")
    assert all(path.startswith(allowed) for _, path in vault.asked())


@pytest.mark.parametrize("name", ["../../../kv/data/fraud", "a/../../x", "a%2fb", "a?list=true"])
async def test_a_name_does_not_lead_out_of_the_place_of_policies(
    cluster: VaultCluster, vault: Vault, name: str
) -> None:
    with pytest.raises(Refused):
        await cluster.get(policy_key(name), API_VERSION)
    assert vault.asked() == []


@pytest.mark.parametrize("name", ["root", "default", "fairlead-role-x"])
async def test_names_with_a_meaning_of_their_own_are_invalid(
    cluster: VaultCluster, name: str
) -> None:
    body = policy()
    body["metadata"] = {**body["metadata"], "name": name}
    with pytest.raises(Invalid):
        await cluster.apply(body, dry_run=True)


async def test_a_role_without_an_end_of_life_is_invalid(cluster: VaultCluster) -> None:
    body = role()
    del body["spec"]["tokenMaxTtlSeconds"]
    with pytest.raises(Invalid) as caught:
        await cluster.apply(body, dry_run=True)
    assert [cause.field for cause in caught.value.causes] == [".spec.tokenMaxTtlSeconds"]


async def test_a_kind_that_is_not_served_is_named(cluster: VaultCluster) -> None:
    with pytest.raises(Missing, match="does not serve"):
        await cluster.get(ObjectKey("", "ConfigMap", "a", "b"), "v1")


async def test_a_token_that_may_do_too_little_is_forbidden(
    cluster: VaultCluster, memory: MemoryVault
) -> None:
    memory.token = "another"
    with pytest.raises(Forbidden):
        await cluster.get(role_key("agent-eval-bot"), API_VERSION)


async def test_a_sealed_server_is_tried_again(cluster: VaultCluster, memory: MemoryVault) -> None:
    memory.sealed = True
    with pytest.raises(Unavailable):
        await cluster.apply(policy(), dry_run=False)


@pytest.mark.parametrize(
    ("path", "held"),
    [
        ("kv/data/fairlead-rights-probe", ["read"]),
        ("auth/token/create", ["update"]),
        ("sys/auth/fairlead-rights-probe", ["root"]),
    ],
)
async def test_rights_that_reach_values_or_more_rights_are_excessive(
    cluster: VaultCluster, memory: MemoryVault, path: str, held: list[str]
) -> None:
    assert excessive_rights(await cluster.rights("")) == ()
    memory.capabilities[path] = held
    assert excessive_rights(await cluster.rights("")) != ()


class Hurried(SystemClock):
    """Polls without a pause that a test would have to wait for."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(min(seconds, 0.001))


async def test_a_watch_tells_what_is_ours_then_what_changes_and_goes(
    cluster: VaultCluster, memory: MemoryVault
) -> None:
    cluster._clock = Hurried()
    memory.contents["sys/policies/acl/theirs"] = {"policy": 'path "theirs" {}'}
    await cluster.apply(policy(), dry_run=False)
    resource = next(iter(RESOURCES.values()))
    events = cluster.watch(resource, selector="fairlead.dev/repository=shop")

    async def following() -> WatchEvent:
        return await anext(events)

    assert isinstance(await following(), Seen)
    assert isinstance(await following(), Listed)
    memory.contents[POLICY_PATH]["policy"] += "# edited\n"
    seen = await following()
    assert isinstance(seen, Seen)
    assert seen.body == await live(cluster, policy())
    memory.sealed = True
    assert isinstance(await following(), Interrupted)
    memory.sealed = False
    while isinstance(event := await following(), Interrupted):
        pass
    assert isinstance(event, Seen)
    assert isinstance(await following(), Listed)
    del memory.contents[POLICY_PATH]
    gone = await following()
    assert isinstance(gone, Gone)


async def test_a_watch_tells_that_what_it_never_saw_is_gone(cluster: VaultCluster) -> None:
    resource = next(iter(RESOURCES.values()))
    events = cluster.watch(resource, selector="fairlead.dev/repository=shop")

    async def following() -> WatchEvent:
        return await anext(events)

    assert isinstance(await following(), Listed)
    stored = await cluster.apply(policy(), dry_run=False)
    waiting = asyncio.ensure_future(following())
    uid: Any = stored["metadata"]
    await cluster.delete(policy_key("agent-eval-bot"), API_VERSION, uid=uid["uid"])
    gone = await waiting
    assert isinstance(gone, Gone)
    assert gone.body == stored

"""A daemon that writes in the names of people, as its settings have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.core.errors import Forbidden, Misconfigured
from reconciler.core.manifests import JsonObject
from tests.engine.world import config_map

from .daemons import DaemonWorld

ALICE = "oidc:alice@example.com"


@pytest.fixture
async def daemons(tmp_path: Path) -> DaemonWorld:
    found = DaemonWorld(tmp_path)
    signers = str(tmp_path / "allowed-signers")
    repository = {"name": "acme", "url": "/nowhere", "poll": "20ms"}
    found.options = {
        "repository": {**repository, "allowedSignersFile": signers},
        "clusters": [{"name": "one", "kubeconfig": "/nowhere", "applyAs": "author"}],
        "people": [{"signer": "alice@example.com", "user": ALICE, "groups": ["oidc:writers"]}],
    }
    found.world.start_repository({})
    changed = {"apps/a/one.yaml": config_map("one")}
    found.world.push(changed, signer="alice@example.com")
    return found


async def test_it_writes_as_whom_the_settings_name(daemons: DaemonWorld) -> None:
    async with daemons.running() as daemon:
        await daemon.until_declared()
        await daemon.end()
    asked = [request for request in daemons.world.cluster.requests if request.asker]
    assert {request.asker for request in asked} == {ALICE}
    assert [request.verb for request in asked] == ["who-am-i", "dry-run", "apply"]
    written = [record for record in await daemons.records() if record.object]
    assert {str(record.detail.get("as")) for record in written} == {ALICE}


async def test_a_cluster_that_does_not_let_it_ends_it_before_anything_is_written(
    daemons: DaemonWorld,
) -> None:
    def permits(asker: str, verb: str, body: JsonObject) -> None:
        if verb == "be":
            raise Forbidden(f'cannot impersonate:user-info "{asker}"')

    daemons.world.cluster.permits = permits
    async with daemons.running() as daemon:
        with pytest.raises(Misconfigured, match=f"one does not let the daemon act as {ALICE}"):
            await daemon.task
    assert daemons.world.cluster.count("apply", "dry-run") == 0

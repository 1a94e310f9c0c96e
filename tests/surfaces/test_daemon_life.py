"""The daemon from start to stop, on ports in memory."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from reconciler.adapters.cluster_lease import LeaseRecord
from reconciler.core.audit.notes import open_checkpoint
from reconciler.core.audit.records import Verb
from reconciler.core.errors import Misconfigured
from reconciler.core.standing import ClusterState
from reconciler.engine.leading import WAITING
from reconciler.surfaces.daemon import Backlog, bound_socket
from tests.engine.world import config_map

from .daemons import SIGNER, DaemonWorld


@pytest.fixture
async def daemons(tmp_path: Path) -> DaemonWorld:
    found = DaemonWorld(tmp_path)
    found.world.start_repository({"apps/a/one.yaml": config_map("one")})
    return found


async def until_writing(daemons: DaemonWorld) -> None:
    """Wait until an intent is recorded and its outcome is not."""
    async with asyncio.timeout(20):
        while not await daemons.world.store.pending():
            await asyncio.sleep(0)


async def test_the_log_begins_with_the_start_and_ends_with_the_stop(daemons: DaemonWorld) -> None:
    async with daemons.running() as daemon:
        await daemon.until_declared()
        await daemon.end()
    verbs = [record.verb for record in await daemons.records()]
    assert (verbs[0], verbs[-1]) == (Verb.START, Verb.STOP)


async def test_a_second_start_names_the_commit_in_force(daemons: DaemonWorld) -> None:
    async with daemons.running() as daemon:
        status = await daemon.until_declared()
    before = len(await daemons.records())
    async with daemons.running() as daemon:
        await daemon.until_declared()
    start = (await daemons.records())[before]
    assert (start.verb, start.commit) == (Verb.START, status.accepted)


async def test_everything_recorded_is_under_a_checkpoint_after_the_stop(
    daemons: DaemonWorld,
) -> None:
    async with daemons.running() as daemon:
        await daemon.until_declared()
        await daemon.end()
    note = await daemons.world.store.latest_checkpoint()
    assert note is not None
    assert open_checkpoint(note, [SIGNER.verifier]).size == len(await daemons.records())


async def test_a_stop_gives_the_lease_to_the_next_daemon_at_once(daemons: DaemonWorld) -> None:
    async with daemons.running() as daemon:
        await daemon.until_declared()
        await daemon.end()
    [lease] = daemons.world.leases.values()
    record = await lease.read()
    assert record is not None
    assert record.holder == ""


async def test_a_stop_leaves_no_intent_without_its_outcome(daemons: DaemonWorld) -> None:
    many = {f"apps/a/{n}.yaml": config_map(f"c{n}") for n in range(300)}
    async with daemons.running() as daemon:
        await daemon.until_declared()
        daemons.world.push(many)
        await until_writing(daemons)
        await daemon.end()
    assert not await daemons.world.store.pending()


async def test_a_cluster_that_is_away_is_trouble_and_no_reason_to_be_unready(
    daemons: DaemonWorld,
) -> None:
    daemons.world.cluster.stop()
    async with daemons.running() as daemon:
        await daemon.until_ready()
        status = await daemon.status()
    assert status is not None
    assert status.clusters[0].state is ClusterState.STALE


async def test_a_daemon_that_waits_for_the_lease_of_another_is_ready_to_take_over(
    daemons: DaemonWorld,
) -> None:
    [lease] = daemons.world.leases.values()
    await lease.write(LeaseRecord("other", 15, 1), replacing=None)
    async with daemons.running() as daemon:
        await daemon.until_ready()
        status = await daemon.status()
    assert status is not None
    assert status.clusters[0].trouble == WAITING


async def test_a_daemon_with_too_many_rights_refuses_to_run(daemons: DaemonWorld) -> None:
    daemons.options["rights"] = "least"
    async with daemons.running() as daemon:
        with pytest.raises(Misconfigured, match="may do too much in one"):
            await daemon.task
    last = (await daemons.records())[-1]
    assert (last.verb, last.result) == (Verb.STOP, "misconfigured")


async def test_a_refusal_to_run_writes_nothing_to_the_cluster(daemons: DaemonWorld) -> None:
    daemons.options["rights"] = "least"
    async with daemons.running() as daemon:
        with pytest.raises(Misconfigured):
            await daemon.task
    assert daemons.world.cluster.count("apply", "dry-run") == 0


@pytest.mark.parametrize("secret", ["", "\n", "short"])
async def test_s5_a_webhook_secret_that_can_be_guessed_is_refused(
    daemons: DaemonWorld, tmp_path: Path, secret: str
) -> None:
    (tmp_path / "secret").write_text(secret)
    daemons.options["webhook"] = {"secretFile": str(tmp_path / "secret")}
    async with daemons.running() as daemon:
        with pytest.raises(Misconfigured, match="fewer than 16 bytes"):
            await daemon.task


def test_an_address_that_is_taken_is_a_matter_of_settings() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(Misconfigured):
        bound_socket("127.0.0.1", taken.getsockname()[1])


async def test_a_checkpoint_is_due_after_a_thousand_records(daemons: DaemonWorld) -> None:
    async with daemons.running() as daemon:
        await daemon.until_declared()
    records = await daemons.world.store.records(0, 1)
    backlog = Backlog()
    while not backlog.due.is_set():
        backlog(records)
    assert backlog.count == 1000

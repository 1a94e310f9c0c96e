"""The data plane as its users see it: real requests, a real Gateway, real answers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.sandbox import ControlPlane
from reconciler.sandbox.model_servers.faults import ANNOTATION
from reconciler.sandbox.traffic import Cohort, Counts, Traffic

from .waiting import wait_until
from .workloads import COHORT_HEADER, MODEL, PORT, Workloads

INTERNAL = Cohort("internal", share=1, headers={COHORT_HEADER: "internal"})
PUBLIC = Cohort("public", share=9)


@pytest.fixture
def workloads(gateway_plane: ControlPlane, namespace: str) -> Iterator[Workloads]:
    made = Workloads(gateway_plane, namespace)
    yield made
    made.remove()


def traffic_to(workloads: Workloads, plane: ControlPlane, **options: object) -> Traffic:
    return Traffic(plane.gateway_address, MODEL, host=workloads.host, **options)  # type: ignore[arg-type]


async def sent(count: int, workloads: Workloads, plane: ControlPlane, **options: object) -> Counts:
    traffic = traffic_to(workloads, plane, **options)
    async with traffic:
        await traffic.answered(count)
    return traffic.record.counts()


async def warm(workloads: Workloads, plane: ControlPlane, **options: object) -> None:
    """Returns when all are answered: Envoy may hear of a route before it hears of its backends."""
    async with asyncio.timeout(30):
        while (await sent(50, workloads, plane, **options)).dropped:
            pass


def succeeded(workloads: Workloads, version: str) -> int:
    """As the daemon reads it, through the API server's proxy of pods."""
    total = 0
    for pod in workloads.pods(version):
        text = workloads.core.connect_get_namespaced_pod_proxy_with_path(
            f"{pod.metadata.name}:{PORT}", workloads.namespace, "metrics"
        )
        found = re.search(r"^model_infer_request_success_total\{.*\} (\S+)$", text, re.MULTILINE)
        assert found is not None, text
        total += int(float(found[1]))
    return total


async def test_weights_decide_which_version_answers(
    workloads: Workloads, gateway_plane: ControlPlane
) -> None:
    workloads.version("v1", replicas=2)
    workloads.version("v2")
    workloads.route({"v1": 90, "v2": 10})
    await warm(workloads, gateway_plane)
    counts = await sent(2000, workloads, gateway_plane)
    assert counts.dropped == 0
    # Five standard deviations.
    assert counts.share("v2") == pytest.approx(0.1, abs=0.035)
    assert counts.share("v1") == pytest.approx(0.9, abs=0.035)


async def test_a_header_match_goes_before_the_weights(
    workloads: Workloads, gateway_plane: ControlPlane
) -> None:
    workloads.version("v1")
    workloads.version("v2")
    workloads.route({"v1": 100, "v2": 0}, internal="v2")
    await warm(workloads, gateway_plane, cohorts=(INTERNAL, PUBLIC))
    async with traffic_to(workloads, gateway_plane, cohorts=(INTERNAL, PUBLIC)) as traffic:
        await traffic.answered(500)
    internal = traffic.record.counts(cohort="internal")
    assert set(internal.by_version) == {"v2"}
    assert set(traffic.record.counts(cohort="public").by_version) == {"v1"}
    assert internal.requests > 0


@pytest.mark.slow
async def test_no_request_is_lost_while_weights_change(
    workloads: Workloads, gateway_plane: ControlPlane
) -> None:
    workloads.version("v1")
    workloads.version("v2")
    # With a weight of zero nobody would notice that Envoy has not heard of the replica.
    workloads.route({"v1": 50, "v2": 50})
    await warm(workloads, gateway_plane)
    async with traffic_to(workloads, gateway_plane, rate=300) as traffic:
        for weight in range(0, 100, 5):
            await asyncio.to_thread(workloads.route, {"v1": 100 - weight, "v2": weight})
    counts = traffic.record.counts()
    assert (counts.dropped, dict(counts.by_status)) == (0, {200: counts.requests})


@pytest.mark.slow
async def test_no_request_is_lost_while_replicas_come_and_go(
    workloads: Workloads, gateway_plane: ControlPlane
) -> None:
    workloads.version("v1", replicas=2)
    workloads.route({"v1": 1})
    await warm(workloads, gateway_plane)
    async with traffic_to(workloads, gateway_plane, rate=300) as traffic:
        for replicas in (20, 2, 20, 2):
            await asyncio.to_thread(workloads.scale, "v1", replicas)
            await traffic.answered(300)
    counts = traffic.record.counts()
    assert (counts.dropped, dict(counts.by_status)) == (0, {200: counts.requests})


@pytest.mark.slow
async def test_more_than_a_hundred_pods_answer(
    workloads: Workloads, gateway_plane: ControlPlane
) -> None:
    workloads.version("v1", replicas=120)
    workloads.route({"v1": 1})
    await warm(workloads, gateway_plane)
    counts = await sent(2400, workloads, gateway_plane)
    assert counts.by_version == {"v1": counts.requests}
    addresses = {pod.status.pod_ip for pod in workloads.pods("v1")}
    assert len(addresses) == 120


async def test_the_api_servers_proxy_reaches_a_pod(
    workloads: Workloads, gateway_plane: ControlPlane
) -> None:
    workloads.version("v1")
    workloads.route({"v1": 1})
    await warm(workloads, gateway_plane)
    before = succeeded(workloads, "v1")
    counts = await sent(50, workloads, gateway_plane)
    assert succeeded(workloads, "v1") - before == counts.requests


async def test_a_fault_of_one_version_hits_its_requests_alone(
    workloads: Workloads, gateway_plane: ControlPlane
) -> None:
    workloads.version("v1")
    workloads.version("v2", fault="errors=0.5,wrong=1")
    workloads.route({"v1": 50, "v2": 50})
    await warm(workloads, gateway_plane)
    counts = await sent(1000, workloads, gateway_plane)
    assert set(counts.failed_by_version) == set(counts.wrong_by_version) == {"v2"}
    failed = counts.failed_by_version["v2"]
    assert failed / counts.by_version["v2"] == pytest.approx(0.5, abs=0.12)
    assert counts.wrong_by_version["v2"] == counts.by_version["v2"] - failed


async def test_a_fault_can_be_given_to_a_pod_that_runs(
    workloads: Workloads, gateway_plane: ControlPlane
) -> None:
    workloads.version("v1")
    (pod,) = workloads.pods("v1")
    body = {"metadata": {"annotations": {ANNOTATION: "errors=1"}}}
    workloads.core.patch_namespaced_pod(pod.metadata.name, workloads.namespace, body)
    workloads.route({"v1": 1})

    async def all_fail() -> bool:
        counts = await sent(20, workloads, gateway_plane)
        return set(counts.by_status) == {500}

    async with asyncio.timeout(30):
        while not await all_fail():
            pass


async def test_contour_mirrors_every_request_whatever_percentage_it_accepted(
    workloads: Workloads, gateway_plane: ControlPlane
) -> None:
    """A limit of Contour 1.33; where this fails it is gone, and README.md is to be corrected."""
    workloads.version("v1")
    workloads.version("v2")
    mirror = {"backendRef": {"name": "v2", "port": 80}, "percent": 10}
    workloads.route({"v1": 1}, filters=[{"type": "RequestMirror", "requestMirror": mirror}])
    await warm(workloads, gateway_plane)
    before = succeeded(workloads, "v2")
    counts = await sent(200, workloads, gateway_plane)
    wait_until(lambda: succeeded(workloads, "v2") - before >= counts.requests)


def test_nothing_outside_can_be_reached_from_inside(gateway_plane: ControlPlane) -> None:
    table = Path(f"/proc/{gateway_plane.supervisor_pid}/net/route").read_text()
    assert [line for line in table.splitlines()[1:] if not line.startswith("lo")] == []

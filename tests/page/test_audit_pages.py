"""The audit log as people read it: filters, pages of it, proofs and the export."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest

from reconciler.core.audit.notes import Signer
from reconciler.core.audit.proofs import Proof, verify_proof
from reconciler.engine.checkpointing import Checkpointer
from reconciler.surfaces.page import audit_pages
from tests.engine.world import config_map

from .page_world import PageWorld

pytestmark = pytest.mark.looptime

SIGNER = Signer.named("test/log", b"k" * 32)


@asynccontextmanager
async def lived() -> AsyncIterator[PageWorld]:
    """A world in which two commits were applied to two clusters, and all of it was signed."""
    world = PageWorld("one", "two")
    async with world.settled() as engine:
        files = {"apps/billing/one.yaml": config_map("billing", "2").decode()}
        await world.until_applied(engine, world.declare("v1", files=files))
        await Checkpointer(world.store, SIGNER, None).publish()
        yield world


async def indexes(world: PageWorld, query: str) -> list[int]:
    html = (await world.get(f"/audit{query}")).body.decode()
    rows = html.partition("<tbody>")[2].split('<th scope="row" class="n"><a href="/audit/')[1:]
    return [int(row.partition('"')[0]) for row in rows]


async def test_the_timeline_is_newest_first_and_leads_on_to_the_beginning() -> None:
    async with lived() as world:
        size = (await world.store.head()).size
        found: list[int] = []
        query = ""
        while page := await indexes(world, query):
            found += page
            query = f"?before={page[-1]}"
        assert found == list(range(size - 1, -1, -1))


@pytest.mark.parametrize(
    ("query", "field", "value"),
    [
        ("?verb=delete", "verb", "delete"),
        ("?cluster=two", "cluster", "two"),
        ("?verb=apply&cluster=one", "verb", "apply"),
        ("?actor=DAEMON", "actor", "daemon"),
    ],
)
async def test_filters_show_what_they_name_and_nothing_else(
    query: str, field: str, value: str
) -> None:
    async with lived() as world:
        shown = await indexes(world, query)
        logged = await world.store.records(0, 10_000)
        wanted = [item.index for item in logged if getattr(item.record, field) == value]
    if "&" not in query:
        assert shown == wanted[::-1][: len(shown)]
        assert len(shown) == min(len(wanted), audit_pages.RECORDS_A_PAGE)
    assert all(index in wanted for index in shown)


async def test_records_are_found_by_object_commit_and_time() -> None:
    async with lived() as world:
        logged = await world.store.records(0, 10_000)
        commit = world.repository.head
        by_commit = await indexes(world, f"?commit={commit[:10]}")  # type: ignore[index]
        by_object = await indexes(world, "?object=configmap/team-a/billing")
        last = logged[-1].record.time
        first = logged[0].record.time
        until = await indexes(world, f"?until={first:%Y-%m-%dT%H:%M:%S.%f}")
        since = await indexes(world, f"?since={last:%Y-%m-%dT%H:%M:%S.%f}")
        nothing = await indexes(world, "?until=2001-01-01T00:00")
        junk = await indexes(world, "?until=never&since=x&before=-3")
    assert by_commit
    assert all(logged[index].record.commit == commit for index in by_commit)
    assert all("billing" in str(logged[index].record.object) for index in by_object)
    assert all(logged[index].record.time <= first for index in until)
    assert all(logged[index].record.time >= last for index in since)
    assert (nothing, bool(until), bool(since), bool(junk)) == ([], True, True, True)


async def test_one_page_reads_a_bounded_part_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_pages, "MOST_READ", 20)
    monkeypatch.setattr(audit_pages, "CHUNK", 7)
    async with lived() as world:
        size = (await world.store.head()).size
        text = await world.text("/audit?verb=delete")
        html = (await world.get("/audit?verb=delete")).body.decode()
    assert f"20 of {size} records read" in text
    assert f"before={size - 20}" in html


async def test_a_record_comes_with_a_proof_that_other_tools_accept() -> None:
    async with lived() as world:
        leaf = (await world.store.leaves(3, 1))[0]
        answer = await world.get("/audit/3/proof")
        text = await world.text("/audit/3")
    proof = Proof.parse(answer.body.decode())
    assert proof.index == 3
    verify_proof(proof, leaf=leaf, verifiers=[SIGNER.verifier])
    assert "It is under the signed checkpoint of" in text


async def test_a_record_that_is_not_signed_yet_says_so() -> None:
    world = PageWorld()
    async with world.settled():
        assert "not under a signed checkpoint yet" in await world.text("/audit/0")
        assert (await world.get("/audit/0/proof")).status == 404
        assert (await world.get("/audit/99999")).status == 404
        assert (await world.get("/audit/x")).status == 404


async def test_the_export_has_every_record_that_the_filters_admit() -> None:
    async with lived() as world:
        size = (await world.store.head()).size
        every = (await world.get("/audit/export")).body.splitlines()
        some = (await world.get("/audit/export?verb=accept-commit")).body.splitlines()
    assert [orjson.loads(line)["index"] for line in every] == list(range(size))
    assert {orjson.loads(line)["verb"] for line in some} == {"accept-commit"}
    assert len(some) == 2
